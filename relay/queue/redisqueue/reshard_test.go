package redisqueue_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/queue/queuetest"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
)

// TestReshard moves a queue into another number of shards.
func TestReshard(t *testing.T) {
	t.Parallel()
	open := func(f *fleet) queuetest.Open {
		return func(t *testing.T, o queuetest.Options) queuetest.Harness {
			t.Helper()
			w := f.world(queuetest.NewClock())
			w.opts = redisqueue.Options{Retention: o.Retention, Lease: o.Lease}
			return queuetest.Harness{Queue: w.open(t), Advance: w.clock.Advance, Shared: true}
		}
	}
	queuetest.RunMove(t, open(newFleet(t, 5)), open(newFleet(t, 16)))
}
