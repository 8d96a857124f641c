package redisqueue_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/queue/queuetest"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// TestMoveFromFile moves the queue of an embedded store into Redis.
func TestMoveFromFile(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 16, "--appendonly", "no")
	queuetest.RunMove(t, ofFile, func(t *testing.T, o queuetest.Options) queuetest.Harness {
		t.Helper()
		w := f.world(queuetest.NewClock())
		w.opts = redisqueue.Options{Retention: o.Retention, Lease: o.Lease}
		return queuetest.Harness{Queue: w.open(t), Advance: w.clock.Advance, Shared: true}
	})
}

// ofFile is a queue of the embedded store.
func ofFile(t *testing.T, o queuetest.Options) queuetest.Harness {
	t.Helper()
	file, err := sqlitefile.Open(t.Context(), sqlitefile.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("open file: %v", err)
	}
	c := queuetest.NewClock()
	q, err := sqlitequeue.Open(t.Context(), file, sqlitequeue.Options{Retention: o.Retention, Lease: o.Lease, Clock: c.Read})
	if err != nil {
		t.Fatalf("open queue: %v", err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Errorf("close queue: %v", err)
		}
		if err := file.Close(); err != nil {
			t.Errorf("close file: %v", err)
		}
	})
	return queuetest.Harness{Queue: q, Advance: c.Advance}
}
