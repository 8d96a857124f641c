package memqueue_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/queue/memqueue"
	"github.com/imrelay/imrelay/relay/queue/queuetest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(t *testing.T, o queuetest.Options) queuetest.Harness {
		c := queuetest.NewClock()
		q := memqueue.New(memqueue.Options{Retention: o.Retention, Lease: o.Lease, Clock: c.Read})
		t.Cleanup(func() {
			if err := q.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return queuetest.Harness{Queue: q, Advance: c.Advance}
	})
}
