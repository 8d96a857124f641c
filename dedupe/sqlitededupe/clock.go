package sqlitededupe

import (
	"sync/atomic"
	"time"

	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// Clock reads the system's two clocks at once: what a wall clock shows, and how long some fixed moment ago is.
type Clock func() (wall time.Time, elapsed time.Duration)

// systemClock is the Clock for everything but tests.
func systemClock() Clock {
	start := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now, now.Sub(start)
	}
}

// markEvery is how often the clock's place is saved while there is something to commit.
const markEvery = time.Second

const (
	readMark = `SELECT store, lead FROM ledger_clock`
	saveMark = `UPDATE ledger_clock SET store = ?, lead = ?`
)

// ledgerClock is the time of the rows, in nanoseconds: a time that only goes by and is never set. In a process it runs
// with the monotonic clock. Between two processes only the wall clock tells how long the gap was, so the furthest that
// it was ever ahead of the rows' time is kept: a gap is what it goes beyond that. A clock that is put right while a
// process runs, or that was wrong for a while, ends no row early. One that is set forward in the gap cannot be told from
// a long gap, and counts as one.
type ledgerClock struct {
	source Clock
	base   int64 // the time at elapsed 0
	lead   atomic.Int64
	marked int64 // when it was saved last; the writer's
}

// newLedgerClock goes on from where the last one was saved; store 0: there was none.
func newLedgerClock(source Clock, store, lead int64) *ledgerClock {
	wall, elapsed := source()
	now := wall.UnixNano()
	if store != 0 {
		now = max(store, now-lead)
	}
	c := &ledgerClock{source: source, base: now - int64(elapsed)}
	c.lead.Store(lead)
	return c
}

// now is the time. It takes note of a wall clock that was set forward.
func (c *ledgerClock) now() time.Time {
	wall, elapsed := c.source()
	t := c.base + int64(elapsed)
	for ahead, lead := wall.UnixNano()-t, c.lead.Load(); ahead > lead; lead = c.lead.Load() {
		if c.lead.CompareAndSwap(lead, ahead) {
			break
		}
	}
	return time.Unix(0, t)
}

// wall is what the system's clock, as it goes now, will show at t.
func (c *ledgerClock) wall(t time.Time) time.Time {
	wall, elapsed := c.source()
	return wall.Round(0).Add(t.Sub(time.Unix(0, c.base+int64(elapsed))))
}

// save keeps the clock's place, unless it was done just now. It runs on the writer's goroutine.
func (c *ledgerClock) save(tx *sqlitefile.Tx) error {
	t := c.now().UnixNano()
	if c.marked != 0 && t < c.marked+int64(markEvery) {
		return nil
	}
	c.marked = t
	_, err := tx.Exec(saveMark, t, c.lead.Load())
	return err
}
