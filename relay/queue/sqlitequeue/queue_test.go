package sqlitequeue_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/queuetest"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// world is a folder, a clock, and the queue that is open on them.
type world struct {
	file  *sqlitefile.File
	queue *sqlitequeue.Queue
	clock *queuetest.Clock
	files sqlitefile.Options
	opts  sqlitequeue.Options
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{clock: queuetest.NewClock()}
	w.files.Dir = tb.TempDir()
	w.opts.Clock = w.clock.Read
	tb.Cleanup(func() { w.close(tb) })
	return w
}

func (w *world) open(tb testing.TB) *sqlitequeue.Queue {
	tb.Helper()
	f, err := sqlitefile.Open(tb.Context(), w.files)
	if err != nil {
		tb.Fatalf("open file: %v", err)
	}
	w.file = f
	if w.queue, err = sqlitequeue.Open(tb.Context(), f, w.opts); err != nil {
		tb.Fatalf("open queue: %v", err)
	}
	return w.queue
}

func (w *world) close(tb testing.TB) {
	tb.Helper()
	if w.queue == nil {
		return
	}
	if err := w.queue.Close(); err != nil {
		tb.Errorf("close queue: %v", err)
	}
	if err := w.file.Close(); err != nil {
		tb.Errorf("close file: %v", err)
	}
	w.queue = nil
}

func (w *world) reopen(tb testing.TB) *sqlitequeue.Queue {
	tb.Helper()
	w.close(tb)
	return w.open(tb)
}

func TestSuite(t *testing.T) {
	t.Parallel()
	for name, budget := range map[string]int64{"bodies in memory": 0, "bodies on disk": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queuetest.Run(t, func(t *testing.T, o queuetest.Options) queuetest.Harness {
				w := newWorld(t)
				w.opts.Retention, w.opts.Lease, w.opts.Budget = o.Retention, o.Lease, budget
				return queuetest.Harness{
					Queue: w.open(t), Advance: w.clock.Advance,
					Reopen: func(t *testing.T) queue.Queue { return w.reopen(t) },
				}
			})
		})
	}
}
