package redisqueue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/queuetest"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
)

// The turns of a conversation are those of all relays, and the event after the last one pauses it.
func TestTurns(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	loop := queue.Loop{Turns: 3, Window: time.Minute, Pause: 10 * time.Minute, Reason: "loop: too many"}
	for _, row := range []struct {
		name string
		gap  time.Duration // between turns
		turn int           // how many
		late time.Duration // until the next event
		want bool
	}{
		{"the last turn within the window", time.Second, 3, time.Second, true},
		{"one turn fewer", time.Second, 2, time.Second, false},
		{"turns that are too far apart", 31 * time.Second, 9, time.Second, false},
		{"an event when the window is over", time.Second, 3, 58 * time.Second, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := f.world(queuetest.NewClock())
			relays := []*redisqueue.Queue{w.open(t), w.open(t)}
			c, events := queue.Chat{Account: "stork", Conversation: "c"}, 0
			put := func(i int) queue.Placed {
				t.Helper()
				events++
				ps, err := relays[i%2].Put(t.Context(), queue.Job{
					ID:   fmt.Sprint("evt_", events),
					Lane: queue.Lane{Agent: "crane", Account: c.Account, Conversation: c.Conversation},
				})
				if err != nil {
					t.Fatalf("Put: %v", err)
				}
				return ps[0]
			}
			ackAll := func(q *redisqueue.Queue) (n int) {
				t.Helper()
				q.LookEverywhere("crane")
				for {
					taken, err := q.Take(t.Context(), queue.Want{Agent: "crane", Max: 1, Troubled: 1})
					if err != nil {
						t.Fatalf("Take: %v", err)
					}
					if len(taken.Leases) == 0 {
						return n
					}
					if err := q.Settle(t.Context(), taken.Leases[0], queue.Verdict{Action: queue.Ack}); err != nil {
						t.Fatalf("Settle: %v", err)
					}
					n++
				}
			}
			turn := func(i int) {
				t.Helper()
				for range 2 { // a second send is no second turn
					if err := relays[i%2].Turn(t.Context(), c, loop); err != nil {
						t.Fatalf("Turn: %v", err)
					}
				}
			}
			turn(0) // a send without an event is none
			for i := range row.turn {
				if p := put(i); p.Braked {
					t.Fatalf("event %d: got %+v, want it not braked", i, p)
				}
				turn(i + 1)
				w.clock.Advance(row.gap)
				ackAll(relays[0])
			}
			w.clock.Advance(row.late - row.gap)
			p := put(0)
			if p.Braked != row.want || p.Wait > 0 != row.want {
				t.Errorf("the next event: got %+v, want it braked %v", p, row.want)
			}
			ps, err := relays[1].Pauses(t.Context())
			if err != nil || len(ps) == 1 != row.want || row.want && ps[0].Reason != loop.Reason {
				t.Errorf("pauses: got %+v, %v, want one: %v", ps, err, row.want)
			}
			if !row.want {
				return
			}
			if p := put(1); p.Braked || !p.Fresh {
				t.Errorf("a further event: got %+v, want it fresh and the pause as it was", p)
			}
			w.clock.Advance(loop.Pause)
			if n := ackAll(relays[1]); n != 2 {
				t.Errorf("after the pause: got %d events, want 2", n)
			}
		})
	}
}

// A lease tells the time of Redis: the age of a job is worked out from it, and a relay whose own clock is wrong must not
// give jobs up.
func TestLeasesTellTheTimeOfRedis(t *testing.T) {
	t.Parallel()
	w := newFleet(t, 4).world(nil)
	w.opts.Clock = func() time.Time { return time.Now().Add(time.Hour) }
	q := w.open(t)
	_, err := q.Put(t.Context(), queue.Job{ID: "evt_1", Lane: queue.Lane{Agent: "crane", Account: "stork", Conversation: "c"}})
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	taken, err := q.Take(t.Context(), queue.Want{Agent: "crane", Max: 1})
	if err != nil || len(taken.Leases) != 1 {
		t.Fatalf("Take: got %+v, %v, want one lease", taken, err)
	}
	l := taken.Leases[0]
	held, err := q.Renew(t.Context(), taken.Leases)
	if err != nil || len(held) != 1 {
		t.Fatalf("Renew: got %+v, %v, want one lease", held, err)
	}
	for what, d := range map[string]time.Duration{
		"taken after it was accepted": l.Taken.Sub(l.Job.Accepted), "prolonged by": held[0].Expires.Sub(l.Expires),
	} {
		if d < 0 || d > time.Minute {
			t.Errorf("%s: got %v, want a moment", what, d)
		}
	}
}
