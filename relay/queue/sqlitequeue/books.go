package sqlitequeue

import (
	"context"
	"maps"
	"sync"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// tally is how many jobs of an agent are over, and how many bytes the bodies of its delivered ones have.
type tally struct{ delivered, dead, bytes int64 }

func (t tally) plus(u tally) tally {
	return tally{t.delivered + u.delivered, t.dead + u.dead, t.bytes + u.bytes}
}

// reserved is how many seqs are set aside with one write.
const reserved = 10_000

// markEvery is how often the clock's place is saved while there is something to commit.
const markEvery = clock.Time(1000)

// books keeps the sums of the queue, in memory and in its state row. Ops note what they change in Exec, Flush writes the
// new sums once a batch, and Committed of each op makes what it noted true in memory.
type books struct {
	clock *clock.Clock

	// Owned by the writer.
	seq      uint64 // of the newest committed job
	next     uint64 // of the newest job in this transaction
	limit    uint64 // on disk: no job has a higher seq
	newLimit uint64
	marked   clock.Time
	noted    map[string]tally

	mu      sync.Mutex
	tallies map[string]tally
}

var _ sqlitefile.Gatherer = (*books)(nil)

// entry is what one op changes in the books.
type entry struct {
	agent string
	tally tally
}

// moved is the entry of a job that goes from one state to another.
func moved(r *record.Record, from, to queue.State) entry {
	e := entry{agent: r.Lane.Agent}
	count := func(s queue.State, n int64) {
		switch s {
		case queue.Delivered:
			e.tally.delivered += n
			e.tally.bytes += n * int64(len(r.Body))
		case queue.Dead:
			e.tally.dead += n
		case queue.Queued, queue.Parked:
		}
	}
	count(from, -1)
	count(to, 1)
	return e
}

// note is called in Exec.
func (b *books) note(e entry) {
	if e.tally != (tally{}) {
		b.noted[e.agent] = b.noted[e.agent].plus(e.tally)
	}
}

// apply is called in Committed.
func (b *books) apply(e entry) {
	if e.tally == (tally{}) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tallies[e.agent] = b.tallies[e.agent].plus(e.tally)
}

func (b *books) snapshot() map[string]tally {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.tallies)
}

// bytes returns how many bytes of bodies of delivered jobs there are.
func (b *books) bytes() int64 {
	n := int64(0)
	for _, t := range b.snapshot() {
		n += t.bytes
	}
	return n
}

// Begin implements sqlitefile.Gatherer.
func (b *books) Begin() {
	b.next, b.newLimit = b.seq, b.limit
	clear(b.noted)
}

// took makes the seqs up to one of a committed job used.
func (b *books) took(seq uint64) { b.seq, b.limit = max(b.seq, seq), b.newLimit }

// Flush implements sqlitefile.Gatherer.
func (b *books) Flush(tx *sqlitefile.Tx) error {
	for agent, by := range b.noted {
		b.mu.Lock()
		t := b.tallies[agent].plus(by)
		b.mu.Unlock()
		if _, err := tx.Exec(`INSERT OR REPLACE INTO queue_tallies VALUES (?, ?, ?, ?)`,
			agent, t.delivered, t.dead, t.bytes); err != nil {
			return err
		}
	}
	if b.next > b.limit {
		b.newLimit = b.next + reserved
		if _, err := tx.Exec(`UPDATE queue_state SET seq = ?`, b.newLimit); err != nil {
			return err
		}
	}
	return b.mark(tx)
}

func (b *books) mark(tx *sqlitefile.Tx) error {
	m := b.clock.Mark()
	if m.Store < b.marked+markEvery {
		return nil
	}
	b.marked = m.Store
	_, err := tx.Exec(`UPDATE queue_state SET clock_store = ?, clock_wall = ?`, int64(m.Store), int64(m.Wall))
	return err
}

// saveState saves where the clock is, and from which job on a rebuild has to look.
func (q *Queue) saveState(ctx context.Context) error {
	return q.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: func(tx *sqlitefile.Tx) error {
		floor := q.books.next + 1
		q.mu.Lock()
		if oldest := q.set.Floor(); oldest != 0 {
			floor = min(floor, oldest)
		}
		q.mu.Unlock()
		m := q.clock.Mark()
		_, err := tx.Exec(`UPDATE queue_state SET floor = ?, clock_store = ?, clock_wall = ?`,
			floor, int64(m.Store), int64(m.Wall))
		return err
	}})
}
