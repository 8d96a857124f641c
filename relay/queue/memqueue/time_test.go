package memqueue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/memqueue"
)

// TestNextIsWhenToLook follows Next for a day of retries, by the bubble's clock: a taker that waits that long and no
// longer misses nothing, and never looks in vain.
func TestNextIsWhenToLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := memqueue.New(memqueue.Options{})
		lane := queue.Lane{Agent: "crane", Account: "stork", Conversation: "c"}
		if _, err := q.Put(t.Context(), queue.Job{ID: "evt_1", Lane: lane}); err != nil {
			t.Fatalf("Put: %v", err)
		}
		start, delay := time.Now(), time.Second
		for time.Since(start) < 24*time.Hour {
			taken, err := q.Take(t.Context(), queue.Want{Agent: "crane", Max: 1, Troubled: 1})
			if err != nil || len(taken.Leases) != 1 {
				t.Fatalf("Take after %v: got %d leases, %v, want 1", time.Since(start), len(taken.Leases), err)
			}
			delay *= 2
			v := queue.Verdict{Action: queue.Retry, Counted: true, Delay: delay}
			if err := q.Settle(t.Context(), taken.Leases[0], v); err != nil {
				t.Fatalf("Settle: %v", err)
			}
			taken, err = q.Take(t.Context(), queue.Want{Agent: "crane", Max: 1, Troubled: 1})
			if err != nil || len(taken.Leases) != 0 || taken.Next != delay {
				t.Fatalf("Take before it is due: got %d leases, next %v, %v, want next %v", len(taken.Leases), taken.Next, err, delay)
			}
			<-time.After(taken.Next)
		}
	})
}
