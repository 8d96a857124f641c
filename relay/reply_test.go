package relay_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
)

// chatty answers every event with two replies, keyed as agents key them.
func chatty() *scriptAgent {
	return &scriptAgent{answer: func(_ context.Context, e relay.Event, _ int) (relay.Outcome, error) {
		return relay.Outcome{Status: 200, Replies: replies(e.ID)}, nil
	}}
}

func replies(eventID string) []relay.Reply {
	return []relay.Reply{
		{Key: eventID + "/1", Text: "one", ReplyTo: "1"},
		{Key: eventID + "/2", Text: "two", Media: []relay.Media{{Type: "image", URL: "https://a.example/1"}}},
	}
}

// What an agent says in its answer is durable before its event is settled and before the next event of the conversation
// is attempted, and goes to the conversation of the event.
func TestReplies(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, chatty(), nil)
		r.said.queue = func(_ context.Context, s relay.Saying) error {
			job, err := r.queue.Get(t.Context(), s.EventID)
			if err != nil || job.State != queue.Queued || !job.Leased {
				t.Errorf("while its replies are queued the event is %v, leased %v, %v", job.State, job.Leased, err)
			}
			time.Sleep(3 * time.Second)
			said, _ := r.said.taken()
			if got := len(r.agent.firsts("c")); got != len(said)+1 {
				t.Errorf("with the replies to %d events durable, %d were attempted", len(said), got)
			}
			return nil
		}
		a, b := r.post("c", "1", 0), r.post("c", "2", 0)
		time.Sleep(10 * time.Second)
		var want []relay.Saying
		for _, x := range []relay.Acceptance{a, b} {
			id := x.EventIDs[0]
			want = append(want, relay.Saying{
				Agent: "agent", Chat: relay.Chat{Account: "im", Conversation: "c"}, EventID: id, Sender: "alice", Replies: replies(id),
			})
			if got := r.state(x).State; got != queue.Delivered {
				t.Errorf("%s: got %v, want delivered", id, got)
			}
		}
		got, _ := r.said.taken()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("said (-want +got):\n%s", diff)
		}
	})
}

// Only an agent that took an event says something on it.
func TestRepliesOfFailures(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(id string) (relay.Outcome, error){
		"refused": func(id string) (relay.Outcome, error) { return relay.Outcome{Status: 400, Replies: replies(id)}, nil },
		"failed":  func(id string) (relay.Outcome, error) { return relay.Outcome{Status: 500, Replies: replies(id)}, nil },
		"redirect": func(id string) (relay.Outcome, error) {
			return relay.Outcome{Status: 302, Replies: replies(id)}, nil
		},
		"no answer": func(id string) (relay.Outcome, error) {
			return relay.Outcome{Status: 200, Replies: replies(id)}, &relay.AttemptError{Reason: "connection reset"}
		},
		"silent": func(string) (relay.Outcome, error) { return relay.Outcome{Status: 200}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				agent := &scriptAgent{answer: func(_ context.Context, e relay.Event, _ int) (relay.Outcome, error) { return answer(e.ID) }}
				r := newRig(t, agent, nil)
				r.post("c", "1", 0)
				time.Sleep(5 * time.Second)
				if got, tried := r.said.taken(); len(got) > 0 || tried > 0 || len(agent.seen()) == 0 {
					t.Errorf("said %+v in %d tries after %d attempts", got, tried, len(agent.seen()))
				}
			})
		})
	}
}

// While the store does not take what an agent said it is tried again, and its event is not settled; that is one line in the
// log, and no other conversation waits for it.
func TestRepliesAreTriedAgain(t *testing.T) {
	t.Parallel()
	fails := map[string]func(ctx context.Context) error{
		"failing": func(context.Context) error { return fmt.Errorf("disk full: %w", queue.ErrUnavailable) },
		"hanging": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	}
	for name, fail := range fails {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				var healed atomic.Bool
				r := newRig(t, chatty(), nil)
				r.said.queue = func(ctx context.Context, s relay.Saying) error {
					if healed.Load() || s.Chat.Conversation != "c" {
						return nil
					}
					return fail(ctx)
				}
				a, b, other := r.post("c", "1", 0), r.post("c", "2", 0), r.post("d", "1", 0)
				time.Sleep(35 * time.Second)
				if got := r.state(a); got.State != queue.Queued || !got.Leased || got.Attempts != 0 {
					t.Errorf("meanwhile: got %v, leased %v, after %d attempts", got.State, got.Leased, got.Attempts)
				}
				if got := len(r.agent.of("2")); got != 0 {
					t.Errorf("the event behind it was attempted %d times", got)
				}
				if got := r.state(other).State; got != queue.Delivered {
					t.Errorf("another conversation: got %v", got)
				}
				healed.Store(true)
				time.Sleep(15 * time.Second)
				if got := [2]queue.State{r.state(a).State, r.state(b).State}; got != [2]queue.State{queue.Delivered, queue.Delivered} {
					t.Errorf("afterwards: got %v", got)
				}
				if got, tried := r.said.taken(); len(got) != 3 || tried < 5 || tried > 100 || len(r.agent.seen()) != 3 {
					t.Errorf("said %d in %d tries after %d attempts, want what each of 3 events came to, once", len(got), tried, len(r.agent.seen()))
				}
				if n := r.logs.FilterField(zapEvent("store.failed")).Len(); n != 1 {
					t.Errorf("got %d lines, want 1", n)
				}
			})
		})
	}
}

// A relay that stops before the replies are durable does not settle the event: it is attempted again, by whoever has the
// queue then.
func TestStopBeforeTheReplies(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, chatty(), func(s *setup) { s.drain = 2 * time.Second })
		r.said.queue = func(context.Context, relay.Saying) error { return fmt.Errorf("disk full: %w", queue.ErrUnavailable) }
		a := r.post("c", "1", 0)
		time.Sleep(time.Second)
		start := time.Now()
		r.stop()
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("stop took %v, want the drain time", took)
		}
		if got := r.state(a); got.State != queue.Queued || got.Attempts != 0 {
			t.Errorf("got %v after %d attempts, want queued after none", got.State, got.Attempts)
		}
		time.Sleep(time.Minute)
		taken, err := r.queue.Take(t.Context(), queue.Want{Agent: "agent", Max: 1, Troubled: 1})
		if err != nil || len(taken.Leases) != 1 || taken.Leases[0].Job.ID != a.EventIDs[0] {
			t.Errorf("later: got %+v, %v, want the event", taken, err)
		}
	})
}

// A relay that loses the event before the replies are durable leaves it to the one that has it now.
func TestLostBeforeTheReplies(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		f := &faulty{mute: true}
		r := newRig(t, chatty(), func(s *setup) {
			s.source = func(q queue.Source) queue.Source { f.Source = q; return f }
		})
		var healed atomic.Bool
		r.said.queue = func(context.Context, relay.Saying) error {
			if healed.Load() {
				return nil
			}
			return fmt.Errorf("disk full: %w", queue.ErrUnavailable)
		}
		a := r.post("c", "1", 0)
		time.Sleep(5 * time.Second) // leases are renewed meanwhile
		if got := r.disp.Agents()[0].InFlight; got != 0 {
			t.Errorf("the attempt goes on: %d in flight", got)
		}
		f.mu.Lock()
		f.mute = false
		f.mu.Unlock()
		healed.Store(true)
		time.Sleep(time.Minute)
		got, _ := r.said.taken()
		want := []relay.Saying{{
			Agent: "agent", Chat: relay.Chat{Account: "im", Conversation: "c"}, EventID: a.EventIDs[0], Sender: "alice",
			Replies: replies(a.EventIDs[0]),
		}}
		if diff := cmp.Diff(want, got); diff != "" || r.state(a).State != queue.Delivered || len(r.agent.seen()) != 2 {
			t.Errorf("got %v after %d attempts; said (-want +got):\n%s", r.state(a).State, len(r.agent.seen()), diff)
		}
	})
}

// An agent that is another relay's to serve is given nothing, and what has come meanwhile when it is ours, in order.
func TestAway(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		agent := &scriptAgent{answer: func(ctx context.Context, _ relay.Event, _ int) (relay.Outcome, error) {
			return work(ctx, 100*time.Millisecond)
		}}
		r := newRig(t, agent, func(s *setup) { s.away = away.Load })
		for _, m := range numbers(3) {
			r.post("c", m, 0)
		}
		time.Sleep(time.Minute)
		if got := agent.seen(); len(got) > 0 {
			t.Fatalf("away: got %d attempts", len(got))
		}
		away.Store(false)
		time.Sleep(2 * time.Second)
		if got := agent.firsts("c"); !cmp.Equal(got, numbers(3)) {
			t.Fatalf("ours: got %v", got)
		}
		r.post("c", "4", 0)
		synctest.Wait()
		away.Store(true)
		last := r.post("c", "5", 0)
		time.Sleep(time.Minute)
		if got := agent.firsts("c"); !cmp.Equal(got, numbers(4)) || r.state(last).State != queue.Queued {
			t.Errorf("away again: got %v, the last %v", got, r.state(last).State)
		}
		if got := r.disp.Agents()[0]; got.Open || got.LastError != "" || got.InFlight != 0 {
			t.Errorf("got %+v, want an agent without trouble", got)
		}
	})
}

// What an agent's kind says of a failure is shown with the status, wherever the last error is.
func TestOutcomeReason(t *testing.T) {
	t.Parallel()
	for _, code := range []int{500, 400} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) {
					return relay.Outcome{Status: code, Reason: "the run ended in an error"}, nil
				}}
				r := newRig(t, agent, nil)
				a := r.post("c", "1", 1500*time.Millisecond)
				want := fmt.Sprintf("agent answered %d: the run ended in an error", code)
				if got := r.state(a).LastError; got != want {
					t.Errorf("event: got %q, want %q", got, want)
				}
				if got := r.disp.Agents()[0].LastError; got != want {
					t.Errorf("agent: got %q, want %q", got, want)
				}
				if code == 500 && a.LastError != want {
					t.Errorf("acceptance: got %q, want %q", a.LastError, want)
				}
				line := r.logs.FilterField(zapEvent("delivery.attempted")).All()[0].ContextMap()
				if got, ok := line["error"].(string); !ok || !strings.Contains(got, want) {
					t.Errorf("log: got %v, want %q", line["error"], want)
				}
			})
		})
	}
}
