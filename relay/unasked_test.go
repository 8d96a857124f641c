package relay_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
)

// An event that the agent is not told, and an attempt that could not be made for a reason of ours, say nothing of the
// agent: through an outage they neither close the circuit nor make others park.
func TestNothingLearned(t *testing.T) {
	t.Parallel()
	for name, silent := range map[string]func() (relay.Outcome, error){
		"unasked": func() (relay.Outcome, error) { return relay.Outcome{Status: 204, Unasked: true}, nil },
		"ours": func() (relay.Outcome, error) {
			return relay.Outcome{}, &relay.AttemptError{Ours: true, Reason: "the store does not do its work"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				agent := &scriptAgent{}
				agent.answer = func(_ context.Context, e relay.Event, _ int) (relay.Outcome, error) {
					if e.Conversation == "silent" {
						return silent()
					}
					return status(503)
				}
				r := newRig(t, agent, nil)
				var asked []string
				for _, c := range []string{"a", "b", "c", "d", "e", "f"} {
					asked = append(asked, r.post(c, "1", 0).EventIDs[0])
				}
				for i := range 600 {
					r.post("silent", time.Duration(i).String(), 0)
					time.Sleep(time.Second)
				}
				for _, id := range asked {
					job, err := r.queue.Get(t.Context(), id)
					if err != nil || job.State != queue.Queued {
						t.Errorf("got %v, %v, want it queued", job.State, err)
					}
				}
				for _, s := range r.disp.Agents() {
					if !s.Open || !s.LastTaken.IsZero() {
						t.Errorf("got %+v, want an open circuit and nothing taken", s)
					}
				}
			})
		})
	}
}

// An attempt that could not be made for a reason of ours is made again, is not counted, and holds nobody else up.
func TestOursIsMadeAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var mended atomic.Bool
		agent := &scriptAgent{}
		agent.answer = func(_ context.Context, e relay.Event, _ int) (relay.Outcome, error) {
			if e.Conversation == "a" && !mended.Load() {
				return relay.Outcome{}, &relay.AttemptError{Ours: true, Reason: "its IM account is not configured any more"}
			}
			return status(200)
		}
		r := newRig(t, agent, nil)
		id := r.post("a", "1", 0).EventIDs[0]
		time.Sleep(time.Minute)
		job, err := r.queue.Get(t.Context(), id)
		if err != nil || job.State != queue.Queued || job.Attempts != 0 || job.LastError != "its IM account is not configured any more" {
			t.Errorf("got %+v, %v", job, err)
		}
		if got := len(agent.of("1")); got < 4 || got > 12 {
			t.Errorf("got %d attempts in a minute", got)
		}
		other := r.post("b", "2", time.Second)
		if !other.Answered {
			t.Errorf("another conversation: got %+v", other)
		}
		mended.Store(true)
		time.Sleep(15 * time.Second)
		if job, err = r.queue.Get(t.Context(), id); err != nil || job.State != queue.Delivered {
			t.Errorf("mended: got %v, %v", job.State, err)
		}
	})
}
