package relay_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
)

// zapEvent is the field that names a line.
func zapEvent(name string) zapcore.Field { return zap.String("event", name) }

// The wait for the outcome ends as the contract says.
func TestWait(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		answer func(ctx context.Context, attempt int) (relay.Outcome, error)
		took   time.Duration
		check  func(a relay.Acceptance) bool
	}{
		{
			"taken", func(ctx context.Context, _ int) (relay.Outcome, error) {
				_, _ = work(ctx, time.Second)
				return relay.Outcome{Status: 201, ContentType: "application/json", Body: []byte(`{"a":1}`)}, nil
			}, time.Second,
			func(a relay.Acceptance) bool {
				return a.Answered && !a.Dead && a.Status == 201 && string(a.Answer) == `{"a":1}`
			},
		},
		{
			"refused", func(context.Context, int) (relay.Outcome, error) {
				return relay.Outcome{Status: 400, Body: []byte("no")}, nil
			}, 0,
			func(a relay.Acceptance) bool {
				return a.Answered && a.Dead && a.Status == 400 && string(a.Answer) == "no"
			},
		},
		{
			"slow", func(ctx context.Context, _ int) (relay.Outcome, error) { return work(ctx, 5*time.Second) },
			2 * time.Second,
			func(a relay.Acceptance) bool { return !a.Answered && a.Attempts == 0 },
		},
		{
			"failed once", func(_ context.Context, attempt int) (relay.Outcome, error) {
				if attempt == 1 {
					return status(500)
				}
				return status(200)
			}, time.Second,
			func(a relay.Acceptance) bool { return a.Answered && a.Status == 200 },
		},
		{
			"next attempt is too late", func(context.Context, int) (relay.Outcome, error) {
				return relay.Outcome{Status: 429, RetryAfter: 30 * time.Second}, nil
			}, 0,
			func(a relay.Acceptance) bool { return !a.Answered && a.Attempts == 1 && a.LastError != "" },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				agent := &scriptAgent{answer: func(ctx context.Context, _ relay.Event, n int) (relay.Outcome, error) {
					return tc.answer(ctx, n)
				}}
				r := newRig(t, agent, nil)
				start := time.Now()
				a := r.post("c", "1", 2*time.Second)
				took := time.Since(start)
				if took < tc.took*8/10 || took > tc.took*12/10 {
					t.Errorf("took %v, want about %v", took, tc.took)
				}
				if !tc.check(a) {
					t.Errorf("got %+v", a)
				}
			})
		})
	}
}

// While the agent is down nobody waits for it.
func TestNoWaitWhileDown(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return unreachable() }}
		r := newRig(t, agent, nil)
		r.post("c", "1", 0)
		time.Sleep(20 * time.Second)
		start := time.Now()
		a := r.post("d", "1", 2*time.Second)
		if took := time.Since(start); took > 0 {
			t.Errorf("waited %v", took)
		}
		if a.Answered || a.Attempts != 0 || a.LastError != "connection refused" {
			t.Errorf("got %+v, want it queued, no attempt counted, and the reason", a)
		}
	})
}

// Who waits behind an event that is not due before the wait's end is told at once.
func TestNoWaitBehindAHead(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(_ context.Context, e relay.Event, _ int) (relay.Outcome, error) {
			if e.Note.MessageID == "1" {
				return relay.Outcome{Status: 429, RetryAfter: time.Minute}, nil
			}
			return status(200)
		}}
		r := newRig(t, agent, nil)
		r.post("c", "1", 0)
		synctest.Wait()
		start := time.Now()
		a := r.post("c", "2", 2*time.Second)
		if took := time.Since(start); took > 0 || a.Answered {
			t.Errorf("waited %v and got %+v", took, a)
		}
	})
}

// When the relay stops nobody is left waiting: what could not be delivered is queued.
func TestWaitEndsWithTheRelay(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return status(500) }}
		r := newRig(t, agent, nil)
		answered := make(chan relay.Acceptance)
		go func() { answered <- r.post("c", "1", time.Hour) }()
		time.Sleep(5 * time.Second)
		r.stop()
		if a := <-answered; a.Answered || a.Attempts == 0 {
			t.Errorf("got %+v, want it queued after its attempts", a)
		}
		if got := time.Since(agent.seen()[0].at); got > time.Minute {
			t.Errorf("the caller waited %v", got)
		}
	})
}

// Of a body that begins with a repeat the outcome of the fresh message is waited for.
func TestWaitForTheFirstFresh(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		es := envelopes{{MessageID: "1", Identity: "1", Conversation: "c", Kind: "text"}}
		agent := &scriptAgent{answer: func(ctx context.Context, _ relay.Event, _ int) (relay.Outcome, error) {
			return work(ctx, 100*time.Millisecond)
		}}
		growing := &es
		r := newRig(t, agent, func(s *setup) {
			s.account = relay.Account{Name: "im", Format: relay.FormatFunc(func(b []byte, self string) ([]relay.Envelope, error) {
				return growing.Read(b, self)
			})}
		})
		r.post("x", "y", time.Second)
		es = append(es, relay.Envelope{MessageID: "2", Identity: "2", Conversation: "c", Kind: "text"})
		if a := r.post("x", "y", time.Second); !a.Answered || a.Status != 200 || len(a.EventIDs) != 2 {
			t.Errorf("got %+v, want the second message's answer", a)
		}
	})
}

// A repeat is known by account, conversation and id; one without an id never is.
func TestRepeats(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return status(200) }}
		r := newRig(t, agent, nil)
		first := r.post("c", "1", time.Second)
		again := r.post("c", "1", time.Second)
		if !again.Duplicate || again.EventIDs[0] != first.EventIDs[0] {
			t.Errorf("repeat: got %+v, want a duplicate of %v", again, first.EventIDs)
		}
		if other := r.post("d", "1", time.Second); other.Duplicate || !other.Answered {
			t.Errorf("same id in another conversation: got %+v", other)
		}
		time.Sleep(47 * time.Hour)
		if late := r.post("c", "1", time.Second); !late.Duplicate {
			t.Errorf("repeat after 47 h: got %+v", late)
		}
		time.Sleep(2 * time.Hour)
		if later := r.post("c", "1", time.Second); later.Duplicate {
			t.Errorf("repeat after 49 h: got %+v", later)
		}
		if n := len(agent.of("1")); n != 3 {
			t.Errorf("agent saw the id %d times, want 3", n)
		}
	})
}

// The echo of what we sent is left out, by the id that the IM gave it.
func TestEcho(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return status(200) }}
		r := newRig(t, agent, nil)
		if err := r.queue.Remember(t.Context(), queue.Key{Account: "im", Conversation: "c", Identity: "77"}); err != nil {
			t.Fatal(err)
		}
		if a := r.post("c", "77", time.Second); a.Ignored != relay.IgnoredSelf || len(a.EventIDs) != 0 {
			t.Errorf("echo: got %+v", a)
		}
		if n := r.logs.FilterField(zap.Bool("echo", true)).Len(); n != 1 {
			t.Errorf("echo: logged as one %d times, want once", n)
		}
		if a := r.post("d", "77", time.Second); !a.Answered {
			t.Errorf("same id elsewhere: got %+v", a)
		}
	})
}

// envelopes is a format that gives what it was made with.
type envelopes []relay.Envelope

func (es envelopes) Read(body []byte, _ string) ([]relay.Envelope, error) {
	out := append([]relay.Envelope(nil), es...)
	for i := range out {
		out[i].Raw = body
	}
	return out, nil
}

// What is left out, and why.
func TestScreening(t *testing.T) {
	t.Parallel()
	text := relay.Envelope{MessageID: "1", Identity: "1", Conversation: "c", Kind: "text", Text: "hi"}
	with := func(f func(*relay.Envelope)) relay.Envelope {
		e := text
		f(&e)
		return e
	}
	for _, tc := range []struct {
		name     string
		filter   string
		maxAge   time.Duration
		envelope relay.Envelope
		want     relay.Ignored
	}{
		{name: "plain", envelope: text},
		{name: "meta", envelope: with(func(e *relay.Envelope) { e.Meta = true }), want: relay.IgnoredMeta},
		{name: "self", envelope: with(func(e *relay.Envelope) { e.Self = true }), want: relay.IgnoredSelf},
		{
			name: "old", maxAge: time.Minute, want: relay.IgnoredTooOld,
			envelope: with(func(e *relay.Envelope) { e.At = time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC) }),
		},
		{name: "age unknown", maxAge: time.Minute, envelope: text},
		{
			name: "no mention", filter: `kind == "text" && (!group || mentioned)`, want: relay.IgnoredNotMentioned,
			envelope: with(func(e *relay.Envelope) { e.Group = true }),
		},
		{
			name: "mention", filter: `kind == "text" && (!group || mentioned)`,
			envelope: with(func(e *relay.Envelope) { e.Group, e.Mentioned = true, true }),
		},
		{
			name: "filtered", filter: `kind == "text" && (!group || mentioned)`, want: relay.IgnoredFiltered,
			envelope: with(func(e *relay.Envelope) { e.Kind = "image" }),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				filter, err := relay.NewFilter(tc.filter)
				if err != nil {
					t.Fatal(err)
				}
				agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return status(200) }}
				r := newRig(t, agent, func(s *setup) {
					s.account = relay.Account{
						Name: "im", Format: envelopes{tc.envelope}, Filter: filter, MaxAge: tc.maxAge,
					}
				})
				a := r.post("x", "y", time.Second)
				if a.Ignored != tc.want || a.Answered != (tc.want == "") {
					t.Errorf("got %+v, want ignored %q", a, tc.want)
				}
			})
		})
	}
}

// An expression that names what is not there, or is no bool, is refused.
func TestBadFilters(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"nope", `text`, `kind ==`, `1 + 1`} {
		if _, err := relay.NewFilter(source); err == nil {
			t.Errorf("filter %q was taken", source)
		}
	}
}

// A body of several messages is several events, in order; the answer tells of the first fresh one.
func TestSeveralMessages(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		var es envelopes
		for i := range 4 {
			id := fmt.Sprint(i + 1)
			es = append(es, relay.Envelope{MessageID: id, Identity: id, Conversation: "c", Kind: "text", Meta: i == 1})
		}
		agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return status(200) }}
		r := newRig(t, agent, func(s *setup) { s.account = relay.Account{Name: "im", Format: es} })
		a := r.post("x", "y", time.Second)
		if len(a.EventIDs) != 3 || !a.Answered || a.Status != 200 {
			t.Errorf("got %+v, want three events and the first one's answer", a)
		}
		synctest.Wait()
		if got, want := fmt.Sprint(agent.firsts("c")), "[1 3 4]"; got != want {
			t.Errorf("got order %s, want %s", got, want)
		}
	})
}

// Refusals have the contract's codes.
func TestRefusals(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		r := newRig(t, &scriptAgent{}, func(s *setup) { s.idle = true })
		code := func(p relay.Post) relay.Code {
			_, err := r.acc.Accept(t.Context(), p)
			var refusal *relay.Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("got %v, want a refusal", err)
			}
			return refusal.Code
		}
		if got := code(relay.Post{Account: "nope", Body: []byte("c 1")}); got != relay.CodeAccountUnknown {
			t.Errorf("unknown account: got %s", got)
		}
		if got := code(relay.Post{Account: "im"}); got != relay.CodeEmptyBody {
			t.Errorf("empty body: got %s", got)
		}
		if got := code(relay.Post{Account: "im", Body: []byte("x")}); got != relay.CodeInvalidJSON {
			t.Errorf("bad body: got %s", got)
		}
		if err := r.queue.Close(); err != nil {
			t.Fatal(err)
		}
		if got := code(relay.Post{Account: "im", Body: []byte("c 1")}); got != relay.CodeStoreUnavailable {
			t.Errorf("closed store: got %s", got)
		}
	})
}

// A conversation that has had all its turns is paused before its next event, visible, and goes on by itself.
func TestBrake(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return status(200) }}
		r := newRig(t, agent, func(s *setup) {
			s.brake = relay.BrakeOptions{Turns: 20, Window: time.Minute, Pause: 10 * time.Minute}
		})
		for i := range 20 {
			r.post("loop", fmt.Sprint(i), time.Second)
			r.sent("loop")
			r.post("calm", fmt.Sprint(i), time.Second) // never answered: no turn
		}
		if got := len(agent.seen()); got != 40 {
			t.Fatalf("20 turns: agent saw %d events, want 40", got)
		}
		start := time.Now()
		if a := r.post("loop", "21", 2*time.Second); a.Answered || time.Since(start) > 0 {
			t.Errorf("turn 21: got %+v after %v, want it held at once", a, time.Since(start))
		}
		if a := r.post("calm", "21", 2*time.Second); !a.Answered {
			t.Errorf("other conversation: got %+v", a)
		}
		pauses, err := r.queue.Pauses(t.Context())
		if err != nil || len(pauses) != 1 || pauses[0].Scope != (queue.Scope{Account: "im", Conversation: "loop"}) {
			t.Errorf("pauses: got %+v, %v", pauses, err)
		}
		if n := r.meter.pauses.Load(); n != 1 {
			t.Errorf("counted %d pauses, want 1", n)
		}
		time.Sleep(10*time.Minute + time.Second)
		if n := len(agent.of("21")); n != 2 {
			t.Errorf("after the pause: event 21 was delivered in %d conversations, want 2", n)
		}
	})
}

// Echoes and repeats are no events: an agent that says much by itself is no loop.
func TestBrakeCountsEventsOnly(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return status(200) }}
		r := newRig(t, agent, func(s *setup) {
			s.brake = relay.BrakeOptions{Turns: 20, Window: time.Minute, Pause: 10 * time.Minute}
		})
		r.post("c", "first", time.Second)
		for i := range 30 {
			id := fmt.Sprint("sent", i)
			r.sent("c")
			if err := r.queue.Remember(t.Context(), queue.Key{Account: "im", Conversation: "c", Identity: id}); err != nil {
				t.Fatal(err)
			}
			if a := r.post("c", id, time.Second); a.Ignored != relay.IgnoredSelf {
				t.Fatalf("echo %d: got %+v", i, a)
			}
			if a := r.post("c", "first", time.Second); !a.Duplicate {
				t.Fatalf("repeat %d: got %+v", i, a)
			}
		}
		if a := r.post("c", "second", time.Second); !a.Answered {
			t.Errorf("the next event: got %+v, want it delivered", a)
		}
	})
}

// An echo that comes when the turns are used up does not pause the conversation.
func TestBrakeTakesBackAPause(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return status(200) }}
		r := newRig(t, agent, func(s *setup) {
			s.brake = relay.BrakeOptions{Turns: 3, Window: time.Minute, Pause: 10 * time.Minute}
		})
		for i := range 3 {
			r.post("c", fmt.Sprint(i), time.Second)
			r.sent("c")
		}
		r.post("c", "2", time.Second)
		if pauses, err := r.queue.Pauses(t.Context()); err != nil || len(pauses) != 0 {
			t.Errorf("after a repeat: got %+v, %v, want no pause", pauses, err)
		}
		if n := r.meter.pauses.Load(); n != 0 {
			t.Errorf("after a repeat: counted %d pauses, want none", n)
		}
		if a := r.post("c", "3", time.Second); a.Answered {
			t.Errorf("turn 4: got %+v, want it held", a)
		}
	})
}

// Turns that are spread over more than the window do not trip the brake.
func TestBrakeForgets(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return status(200) }}
		r := newRig(t, agent, func(s *setup) {
			s.brake = relay.BrakeOptions{Turns: 20, Window: time.Minute, Pause: 10 * time.Minute}
		})
		for i := range 100 {
			if a := r.post("c", fmt.Sprint(i), time.Second); !a.Answered {
				t.Fatalf("turn %d: got %+v", i, a)
			}
			r.sent("c")
			time.Sleep(3100 * time.Millisecond)
		}
	})
}
