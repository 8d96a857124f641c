package memqueue_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/queue/memqueue"
	"github.com/imrelay/imrelay/relay/queue/queuetest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, open)
}

func TestMove(t *testing.T) {
	t.Parallel()
	queuetest.RunMove(t, open, open)
}

func open(t *testing.T, o queuetest.Options) queuetest.Harness {
	t.Helper()
	c := queuetest.NewClock()
	q := memqueue.New(memqueue.Options{Retention: o.Retention, Lease: o.Lease, Clock: c.Read})
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return queuetest.Harness{Queue: q, Advance: c.Advance}
}
