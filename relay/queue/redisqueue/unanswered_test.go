package redisqueue_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

// A Redis that was frozen does what it was asked meanwhile, and nobody hears of it. What it leased then must not wait until
// the leases lapse.
func TestTakeHasWhatAnUnansweredOneLeased(t *testing.T) {
	t.Parallel()
	const jobs, fewer = 20, 5
	f := newFleet(t, 4)
	w := f.world(nil)
	q := w.open(t)
	// Redis has to know the script already, or it will not do it.
	if _, err := q.Take(t.Context(), queue.Want{Agent: "openclaw", Max: 1}); err != nil {
		t.Fatal(err)
	}
	for n := range jobs {
		id := fmt.Sprintf("evt_%06d", n)
		lane := queue.Lane{Agent: "openclaw", Account: "stork", Conversation: fmt.Sprint("chat ", n)}
		if _, err := q.Put(t.Context(), queue.Job{
			ID: id, Key: queue.Key{Account: "stork", Conversation: lane.Conversation, Identity: id}, Lane: lane, Body: []byte(id),
		}); err != nil {
			t.Fatal(err)
		}
	}
	f.server.Freeze()
	if got, err := q.Take(t.Context(), queue.Want{Agent: "openclaw", Max: jobs, Troubled: jobs}); !errors.Is(err, queue.ErrUnavailable) {
		f.server.Thaw()
		t.Fatalf("from a frozen Redis: got %d leases and %v, want %v", len(got.Leases), err, queue.ErrUnavailable)
	}
	f.server.Thaw()
	taken := map[string]bool{}
	for _, most := range []int{fewer, jobs} {
		asked := time.Now()
		got, err := q.Take(t.Context(), queue.Want{Agent: "openclaw", Max: most, Troubled: most})
		if err != nil {
			t.Fatal(err)
		}
		if want := min(most, jobs-len(taken)); len(got.Leases) != want {
			t.Errorf("at most %d: got %d leases, want %d", most, len(got.Leases), want)
		}
		for _, l := range got.Leases {
			if taken[l.Job.ID] || l.Taken.Before(asked) {
				t.Errorf("%s: got a lease of %s before now, or a second one", l.Job.ID, asked.Sub(l.Taken))
			}
			taken[l.Job.ID] = true
			if err := q.Settle(t.Context(), l, queue.Verdict{Action: queue.Ack}); err != nil {
				t.Errorf("settle %s: %v", l.Job.ID, err)
			}
		}
	}
}
