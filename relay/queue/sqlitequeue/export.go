package sqlitequeue

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// What a piece of an export has at most: so many jobs, and no further one once they have so many bytes; or so many chats
// or keys.
const (
	pieceJobs  = 200
	pieceBytes = 1 << 20
	pieceNames = 500
	pieceKeys  = 500
)

var _ queue.Exporter = (*Queue)(nil)

// Export implements queue.Exporter: the pauses, then the chats, the jobs and the keys. Each piece is a read of its own, so
// no long snapshot keeps the file from shrinking. What Rouse did, and leases, are not part of it, as they do not outlive
// the process either. A job whose body fails its checksum comes as a dead one without a body: the importer could not tell
// that its bytes are damaged, and would deliver them.
func (q *Queue) Export(ctx context.Context, yield func(queue.Cargo) error) error {
	pauses, err := q.Pauses(ctx)
	if err != nil {
		return err
	}
	if err := yield(queue.Cargo{Pauses: pauses}); err != nil {
		return err
	}
	for _, step := range []func(context.Context, func(queue.Cargo) error) error{
		q.exportChats, q.exportJobs, q.exportKeys,
	} {
		if err := step(ctx, yield); err != nil {
			return err
		}
	}
	return nil
}

// piece reads one piece.
func (q *Queue) piece(ctx context.Context, read func(*sqlitefile.Tx) error) error {
	if err := q.check(ctx); err != nil {
		return err
	}
	if err := q.file.Read(ctx, read); err != nil {
		return explain("export queue", err)
	}
	return nil
}

const chatsAfter = `SELECT DISTINCT conversation, account FROM lanes WHERE (conversation, account) > (?, ?)
	ORDER BY conversation, account LIMIT ?`

func (q *Queue) exportChats(ctx context.Context, yield func(queue.Cargo) error) error {
	for last := (queue.Chat{}); ; {
		var chats []queue.Chat
		err := q.piece(ctx, func(tx *sqlitefile.Tx) error {
			return tx.Each(chatsAfter, func(r sqlitefile.Row) error {
				last = queue.Chat{Conversation: r.Text(0), Account: r.Text(1)}
				chats = append(chats, last)
				return nil
			}, last.Conversation, last.Account, pieceNames)
		})
		if err != nil || len(chats) == 0 {
			return err
		}
		if err := yield(queue.Cargo{Chats: chats}); err != nil {
			return err
		}
	}
}

const jobsAfter = `SELECT ` + recordColumns + `, b.body` + fromJobs + ` LEFT JOIN bodies b ON b.seq = j.seq
	WHERE j.seq > ? ORDER BY j.seq LIMIT ?`

// errFull ends the reading of a piece that has enough bytes.
var errFull = errors.New("piece is full")

func (q *Queue) exportJobs(ctx context.Context, yield func(queue.Cargo) error) error {
	for last := uint64(0); ; {
		var jobs []queue.Job
		size := 0
		err := q.piece(ctx, func(tx *sqlitefile.Tx) error {
			err := tx.Each(jobsAfter, func(r sqlitefile.Row) error {
				rec := readRecord(r)
				last = rec.Seq
				size += len(rec.Body) + len(rec.Meta)
				jobs = append(jobs, q.sound(rec).Job(q.clock))
				if size >= pieceBytes {
					return errFull
				}
				return nil
			}, last, pieceJobs)
			if errors.Is(err, errFull) {
				return nil
			}
			return err
		})
		if err != nil || len(jobs) == 0 {
			return err
		}
		if err := yield(queue.Cargo{Jobs: jobs}); err != nil {
			return err
		}
	}
}

// sound returns the record as it may leave the queue.
func (q *Queue) sound(r *record.Record) *record.Record {
	if r.Intact() {
		return r
	}
	switch r.State {
	case queue.Queued, queue.Parked:
		q.log.Warn("event has a damaged body and is moved as dead", zap.String("eventId", r.ID))
		r.Settle(queue.Verdict{Action: queue.Bury, Reason: record.Corrupt}, q.clock.Now())
	case queue.Dead:
		r.LastError = record.Corrupt
	case queue.Delivered: // it has lost its body to the retention, or may do so any time
	}
	r.Body = nil
	return r
}

// exportKeys hands out the keys, each once: as the newest table knows it.
func (q *Queue) exportKeys(ctx context.Context, yield func(queue.Cargo) error) error {
	if err := q.check(ctx); err != nil {
		return err
	}
	// Those that have gathered in memory go to their tables first.
	if err := q.seen.merge(ctx); err != nil {
		return explain("export keys", err)
	}
	var tables []*keyTable
	err := q.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: func(*sqlitefile.Tx) error {
		tables = slices.Clone(q.seen.tables)
		return nil
	}})
	if err != nil {
		return explain("export keys", err)
	}
	known := q.clock.Now().Add(-q.keep.Window) // what was seen later is within the window
	for i, t := range tables {
		if err := q.exportTable(ctx, keysAfter(t, tables[:i]), known, yield); err != nil {
			return err
		}
	}
	return nil
}

// keysAfter is the query for a table's next keys, and for each whether it is known and no newer table knows it.
func keysAfter(t *keyTable, newer []*keyTable) string {
	var hidden strings.Builder
	for _, n := range newer {
		fmt.Fprintf(&hidden, ` AND NOT EXISTS (SELECT 1 FROM %s n WHERE n.hi = k.hi AND n.lo = k.lo AND n.at > ?2)`, n.name)
	}
	return `SELECT hi, lo, id, at, at > ?2` + hidden.String() + ` FROM ` + t.name + ` k WHERE hi >= ?1 ORDER BY hi LIMIT ?3`
}

func (q *Queue) exportTable(ctx context.Context, query string, known clock.Time, yield func(queue.Cargo) error) error {
	for from := int64(math.MinInt64); ; from++ {
		var seen []queue.Sighting
		n := 0
		err := q.piece(ctx, func(tx *sqlitefile.Tx) error {
			return tx.Each(query, func(r sqlitefile.Row) error {
				from, n = r.Int(0), n+1
				if r.Int(4) != 0 {
					seen = append(seen, queue.Sighting{
						Sum: sumOf(r.Uint(0), r.Uint(1)), ID: r.Text(2), At: q.clock.Wall(clock.Time(r.Int(3))),
					})
				}
				return nil
			}, from, int64(known), pieceKeys)
		})
		if err != nil {
			return err
		}
		if len(seen) > 0 {
			if err := yield(queue.Cargo{Sightings: seen}); err != nil {
				return err
			}
		}
		if n < pieceKeys || from == math.MaxInt64 {
			return nil
		}
	}
}

// sumOf is the inverse of hashKey.
func sumOf(hi, lo uint64) queue.KeySum {
	var sum queue.KeySum
	binary.BigEndian.PutUint64(sum[:8], hi)
	binary.BigEndian.PutUint64(sum[8:], lo)
	return sum
}
