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

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{clock: queuetest.NewClock()}
	w.files.Dir = t.TempDir()
	w.opts.Clock = w.clock.Read
	t.Cleanup(func() { w.close(t) })
	return w
}

func (w *world) open(t testing.TB) *sqlitequeue.Queue {
	t.Helper()
	f, err := sqlitefile.Open(t.Context(), w.files)
	if err != nil {
		t.Fatalf("open file: %v", err)
	}
	w.file = f
	if w.queue, err = sqlitequeue.Open(t.Context(), f, w.opts); err != nil {
		t.Fatalf("open queue: %v", err)
	}
	return w.queue
}

func (w *world) close(t testing.TB) {
	t.Helper()
	if w.queue == nil {
		return
	}
	if err := w.queue.Close(); err != nil {
		t.Errorf("close queue: %v", err)
	}
	if err := w.file.Close(); err != nil {
		t.Errorf("close file: %v", err)
	}
	w.queue = nil
}

func (w *world) reopen(t testing.TB) *sqlitequeue.Queue {
	t.Helper()
	w.close(t)
	return w.open(t)
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
