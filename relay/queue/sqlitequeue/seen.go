package sqlitequeue

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// key is a [queue.KeySum] as two numbers.
type key struct{ hi, lo uint64 }

func hashKey(k queue.Key) key {
	sum := k.Sum()
	return key{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])}
}

func (k key) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, k.hi), k.lo)
}

func keyOf(b []byte) key {
	if len(b) != 16 {
		return key{}
	}
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// sighting is when a key was seen, and on which job; one without a job is an echo.
type sighting struct {
	id  string
	at  clock.Time
	seq uint64
}

func (s sighting) echo() bool { return s.id == "" }

const (
	// At least minRipe and at most maxRipe keys gather in memory before they are moved to their tables, and in between as
	// many as ripePart of those in the newest table: so several fall on each page that the move writes.
	minRipe, maxRipe, ripePart = 8192, 65536, 16
	// moveKeys bounds the keys that one op moves, so that no commit waits long for it.
	moveKeys = 128
	// fillKeys bounds the keys that are read at once to fill a filter.
	fillKeys = 10_000
)

// seen is the memory of keys. Its fields are the writer's: they are touched in Exec, Committed and Flush only.
type seen struct {
	file   *sqlitefile.File
	window time.Duration

	fresh  map[key]sighting // of this transaction
	staged map[key]sighting // of committed jobs, not in a table yet
	tables []*keyTable      // the newest first
	opened []*keyTable      // made in this transaction
	merged uint64

	ripe chan struct{}
	// one move at a time
	moving chan struct{}
}

// keyTable is the table of one period.
type keyTable struct {
	period             int64
	find, insert, name string
	filter             filter
}

var _ sqlitefile.Gatherer = (*seen)(nil)

func newSeen(f *sqlitefile.File, window time.Duration) *seen {
	return &seen{
		file: f, window: window, fresh: map[key]sighting{}, staged: map[key]sighting{},
		ripe: make(chan struct{}, 1), moving: make(chan struct{}, 1),
	}
}

const tablePrefix = "queue_keys_"

func newKeyTable(period int64) *keyTable {
	name := tablePrefix + strconv.FormatInt(period, 10)
	return &keyTable{
		period: period, name: name,
		find:   `SELECT lo, id, at FROM ` + name + ` WHERE hi = ?`,
		insert: `INSERT OR IGNORE INTO ` + name + ` VALUES (?, ?, ?, ?)`,
	}
}

// span is how long a period is, in milliseconds. It does not depend on the window, so that a file can be opened with
// another one: the names of its tables mean the same.
const span = 24 * 60 * 60 * 1000

func periodOf(at clock.Time) int64 { return int64(at) / span }

// over says whether every key of the period is beyond the window.
func (s *seen) over(period int64, now clock.Time) bool {
	return int64(now)-s.window.Milliseconds() >= (period+1)*span
}

// Begin implements sqlitefile.Gatherer.
func (s *seen) Begin() {
	clear(s.fresh)
	s.opened = nil
}

// Flush implements sqlitefile.Gatherer.
func (s *seen) Flush(*sqlitefile.Tx) error { return nil }

// lookup returns what is known of the key within the window.
func (s *seen) lookup(tx *sqlitefile.Tx, k key, now clock.Time) (sighting, bool, error) {
	for _, m := range []map[key]sighting{s.fresh, s.staged} {
		if g, ok := m[k]; ok && now.Sub(g.at) < s.window {
			return g, true, nil
		}
	}
	for _, t := range slices.Concat(s.opened, s.tables) {
		if s.over(t.period, now) || !t.filter.perhaps(k) {
			continue
		}
		g, ok, err := t.lookup(tx, k)
		if err != nil || ok && now.Sub(g.at) < s.window {
			return g, err == nil, err
		}
	}
	return sighting{}, false, nil
}

// lookup finds the key. Should two keys share their first half, the second stands one further.
func (t *keyTable) lookup(tx *sqlitefile.Tx, k key) (sighting, bool, error) {
	for hi := k.hi; ; hi++ {
		var g sighting
		same := false
		there, err := tx.One(t.find, func(r sqlitefile.Row) error {
			same = r.Uint(0) == k.lo
			g = sighting{id: r.Text(1), at: clock.Time(r.Int(2))}
			return nil
		}, hi)
		if err != nil || !there || same {
			return g, err == nil && there, err
		}
	}
}

// store puts the key into the table. What the table knows of it stays if it is not older, unless it is told to forget
// that.
func (t *keyTable) store(tx *sqlitefile.Tx, k key, g sighting, replace bool) error {
	t.filter.add(k)
	after := int64(g.at)
	if replace {
		after = math.MaxInt64
	}
	for hi := k.hi; ; hi++ {
		n, err := tx.Exec(t.insert, hi, k.lo, g.id, int64(g.at))
		if err != nil || n == 1 {
			return err
		}
		same, err := tx.One(`SELECT 1 FROM `+t.name+` WHERE hi = ? AND lo = ?`, nil, hi, k.lo)
		switch {
		case err != nil:
			return err
		case same:
			_, err = tx.Exec(`UPDATE `+t.name+` SET id = ?, at = ? WHERE hi = ? AND at < ?`, g.id, int64(g.at), hi, after)
			return err
		}
	}
}

// committed makes a new job's key known.
func (s *seen) committed(k key, g sighting) {
	s.staged[k] = g
	if len(s.staged) >= s.ripeAt() {
		select {
		case s.ripe <- struct{}{}:
		default:
		}
	}
}

func (s *seen) ripeAt() int {
	if len(s.tables) == 0 {
		return minRipe
	}
	return min(max(minRipe, s.tables[0].filter.keys/ripePart), maxRipe)
}

// table returns the period's table, and makes it if it is missing. It is called in Exec; adopt follows in Committed.
func (s *seen) table(tx *sqlitefile.Tx, period int64) (*keyTable, error) {
	for _, t := range slices.Concat(s.opened, s.tables) {
		if t.period == period {
			return t, nil
		}
	}
	t := newKeyTable(period)
	t.filter.ready = true
	_, err := tx.Exec(`CREATE TABLE ` + t.name +
		` (hi INTEGER PRIMARY KEY, lo INTEGER NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL)`)
	s.opened = append(s.opened, t)
	return t, err
}

// adopt makes the tables of a committed transaction known.
func (s *seen) adopt() {
	s.tables = append(s.tables, s.opened...)
	s.opened = nil
	s.sort()
}

func (s *seen) sort() {
	slices.SortFunc(s.tables, func(a, b *keyTable) int { return int(b.period - a.period) })
}

// remember stores keys as echoes.
func (s *seen) remember(ctx context.Context, keys []key, c *clock.Clock) error {
	return s.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{
		Do: func(tx *sqlitefile.Tx) error {
			at := c.Now()
			t, err := s.table(tx, periodOf(at))
			if err != nil {
				return err
			}
			for _, k := range keys {
				if err := t.store(tx, k, sighting{at: at}, true); err != nil {
					return err
				}
			}
			return nil
		},
		Done: func() {
			s.adopt()
			for _, k := range keys {
				delete(s.staged, k)
			}
		},
	})
}

// parsePeriod reads the name of a table of keys.
func parsePeriod(name string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(name, tablePrefix), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("table %s is no table of keys: %w", name, err)
	}
	return n, nil
}

// drop forgets a table that is gone.
func (s *seen) drop(t *keyTable) {
	s.tables = slices.DeleteFunc(s.tables, func(o *keyTable) bool { return o == t })
}
