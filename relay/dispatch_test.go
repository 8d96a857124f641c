package relay_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
)

// Events of a conversation are attempted in order, one at a time, and conversations do not wait for each other.
func TestOrderInAConversation(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(ctx context.Context, _ relay.Event, _ int) (relay.Outcome, error) {
			return work(ctx, rand.N(50*time.Millisecond))
		}}
		r := newRig(t, agent, nil)
		const convs, each = 7, 30
		for i := range each {
			for c := range convs {
				r.post(fmt.Sprintf("c%d", c), fmt.Sprint(i+1), 0)
			}
		}
		time.Sleep(time.Minute)
		for c := range convs {
			if diff := cmp.Diff(numbers(each), agent.firsts(fmt.Sprintf("c%d", c))); diff != "" {
				t.Errorf("conversation %d (-want +got):\n%s", c, diff)
			}
		}
		if len(agent.overlaps) > 0 {
			t.Errorf("attempts overlapped in conversations %v", agent.overlaps)
		}
	})
}

// What an answer means for the event: tried again, or dead at once, and then the conversation goes on.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status int
		again  bool
	}{
		{301, false},
		{302, false},
		{400, false},
		{401, false},
		{403, false},
		{404, false},
		{409, false},
		{410, false},
		{413, false},
		{422, false},
		{501, false},
		{408, true},
		{425, true},
		{429, true},
		{500, true},
		{502, true},
		{503, true},
		{504, true},
		{507, true},
	} {
		t.Run(fmt.Sprint(tc.status), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				agent := &scriptAgent{}
				agent.answer = func(_ context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
					if e.Note.MessageID == "1" && attempt == 1 {
						return status(tc.status)
					}
					return status(200)
				}
				r := newRig(t, agent, nil)
				first := r.post("c", "1", 0)
				second := r.post("c", "2", 0)
				time.Sleep(5 * time.Second)
				want := queue.Dead
				if tc.again {
					want = queue.Delivered
				}
				if got := r.state(first); got.State != want || (want == queue.Dead && got.Status != tc.status) {
					t.Errorf("first event: got %v with status %d, want %v", got.State, got.Status, want)
				}
				if got := r.state(second); got.State != queue.Delivered {
					t.Errorf("second event: got %v, want delivered", got.State)
				}
				if got := agent.firsts("c"); !cmp.Equal(got, numbers(2)) {
					t.Errorf("order: got %v", got)
				}
			})
		})
	}
}

// Retries follow the exponential curve with jitter, and the attempt's number counts up.
func TestBackoff(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{}
		agent.answer = func(_ context.Context, _ relay.Event, attempt int) (relay.Outcome, error) {
			if attempt < 6 {
				return status(500)
			}
			return status(200)
		}
		r := newRig(t, agent, nil)
		r.post("c", "1", 0)
		time.Sleep(5 * time.Minute)
		got := agent.seen()
		if len(got) != 6 {
			t.Fatalf("got %d attempts, want 6", len(got))
		}
		for i := 1; i < len(got); i++ {
			base := time.Second << (i - 1)
			gap := got[i].at.Sub(got[i-1].at)
			if gap < base*8/10 || gap > base*12/10+time.Millisecond {
				t.Errorf("pause %d: got %v, want about %v", i, gap, base)
			}
			if got[i].attempt != i+1 {
				t.Errorf("attempt %d is called %d", i+1, got[i].attempt)
			}
		}
	})
}

// Retry-After holds the conversation, and no other, and is not undercut by the curve.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{}
		agent.answer = func(_ context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
			if e.Note.MessageID == "1" && attempt == 1 {
				return relay.Outcome{Status: 429, RetryAfter: 40 * time.Second}, nil
			}
			return status(200)
		}
		r := newRig(t, agent, nil)
		start := time.Now()
		r.post("c", "1", 0)
		r.post("c", "2", 0)
		r.post("d", "3", 0)
		time.Sleep(time.Minute)
		if got := agent.of("1"); len(got) != 2 || got[1].at.Sub(start) < 40*time.Second {
			t.Errorf("held event: got attempts %v", got)
		}
		if got := agent.of("2"); len(got) != 1 || got[0].at.Sub(start) < 40*time.Second {
			t.Errorf("event behind it: got attempts %v", got)
		}
		if got := agent.of("3"); len(got) != 1 || got[0].at.Sub(start) > time.Second {
			t.Errorf("other conversation: got attempts %v", got)
		}
	})
}

// An outage spends no attempt, parks nothing and kills nothing; it is probed once a second, and over within one.
func TestOutage(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		start := time.Now()
		const outage = 10 * time.Minute
		agent := &scriptAgent{}
		agent.answer = func(context.Context, relay.Event, int) (relay.Outcome, error) {
			if time.Since(start) < outage {
				return unreachable()
			}
			return status(200)
		}
		r := newRig(t, agent, nil)
		const convs, each = 20, 5
		for i := range each {
			for c := range convs {
				r.post(fmt.Sprintf("c%d", c), fmt.Sprint(i+1), 0)
			}
		}
		time.Sleep(outage - time.Since(start) - time.Millisecond)
		during := len(agent.seen())
		if limit := int(outage/time.Second) + 2*convs; during > limit {
			t.Errorf("got %d attempts in the outage, want at most %d", during, limit)
		}
		probed := map[string]bool{}
		for _, x := range agent.seen() {
			probed[x.conversation] = true
			if x.attempt != 1 {
				t.Fatalf("attempt in the outage is called %d, want 1", x.attempt)
			}
		}
		if len(probed) != convs {
			t.Errorf("probes went to %d conversations, want all %d", len(probed), convs)
		}
		time.Sleep(2 * time.Second)
		stats, err := r.queue.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := stats["agent"]; got.Delivered != convs*each || got.Dead+got.Parked+got.Queued != 0 {
			t.Errorf("2 s after the outage: got %+v, want all %d delivered", got, convs*each)
		}
		for c := range convs {
			if got := agent.firsts(fmt.Sprintf("c%d", c)); !cmp.Equal(got, numbers(each)) {
				t.Errorf("conversation %d: got order %v", c, got)
			}
		}
	})
}

// Answers of 503 for all are an outage too: they are counted, but nothing loses its place.
func TestBrownoutParksNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		start := time.Now()
		agent := &scriptAgent{}
		agent.answer = func(context.Context, relay.Event, int) (relay.Outcome, error) {
			if time.Since(start) < 10*time.Minute {
				return status(503)
			}
			return status(200)
		}
		r := newRig(t, agent, nil)
		for c := range 5 {
			for i := range 3 {
				r.post(fmt.Sprintf("c%d", c), fmt.Sprint(i+1), 0)
			}
		}
		time.Sleep(10*time.Minute + 2*time.Second)
		for c := range 5 {
			if got := agent.firsts(fmt.Sprintf("c%d", c)); !cmp.Equal(got, numbers(3)) {
				t.Errorf("conversation %d: got order %v", c, got)
			}
		}
		if n := r.logs.FilterMessageSnippet("parked").Len(); n != 0 {
			t.Errorf("%d events were parked in the outage", n)
		}
		if n := r.logs.FilterField(zapEvent("agent.down")).Len(); n != 1 {
			t.Errorf("got %d lines that the agent is down, want 1", n)
		}
	})
}

// A failing event that the agent itself refuses is parked when park_after is over; its conversation goes on at once,
// the event is still tried, and no attempt in its conversation is beside another.
func TestPoisonIsParked(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{}
		var healed atomic.Bool
		agent.answer = func(_ context.Context, e relay.Event, _ int) (relay.Outcome, error) {
			if e.Note.MessageID == "poison" && !healed.Load() {
				return status(500)
			}
			return status(200)
		}
		r := newRig(t, agent, nil)
		start := time.Now()
		poison := r.post("c", "poison", 0)
		next := r.post("c", "next", 0)
		time.Sleep(61 * time.Second)
		if got := r.state(poison); got.State != queue.Parked {
			t.Fatalf("poison: got %v, want parked", got.State)
		}
		if got := agent.of("next"); len(got) != 1 || got[0].at.Sub(start) > 61*time.Second {
			t.Fatalf("next event: got %v, want it within a second of the parking", got)
		}
		if got := r.state(next); got.State != queue.Delivered {
			t.Errorf("next event: got %v, want delivered", got.State)
		}
		healed.Store(true)
		time.Sleep(10 * time.Minute)
		if got := r.state(poison); got.State != queue.Delivered {
			t.Errorf("healed poison: got %v, want delivered", got.State)
		}
		if len(agent.overlaps) > 0 {
			t.Errorf("attempts overlapped in conversations %v", agent.overlaps)
		}
	})
}

// A failure that tells nothing of the event parks it only if the agent took another event meanwhile.
func TestParkingNeedsProofOfLife(t *testing.T) {
	t.Parallel()
	for _, alive := range []bool{false, true} {
		t.Run(fmt.Sprintf("alive=%v", alive), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				agent := &scriptAgent{}
				agent.answer = func(ctx context.Context, e relay.Event, _ int) (relay.Outcome, error) {
					if e.Note.MessageID == "slow" {
						return hang(ctx, 5*time.Second)
					}
					return status(200)
				}
				r := newRig(t, agent, nil)
				slow := r.post("c", "slow", 0)
				time.Sleep(20 * time.Second)
				if alive {
					r.post("d", "1", 0)
				}
				time.Sleep(5 * time.Minute)
				want := queue.Queued
				if alive {
					want = queue.Parked
				}
				if got := r.state(slow); got.State != want {
					t.Errorf("got %v, want %v", got.State, want)
				}
			})
		})
	}
}

// on_stuck chooses what becomes of an event that would be parked.
func TestOnStuck(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		stuck relay.Stuck
		first queue.State
		next  queue.State
	}{
		{"park", relay.StuckPark, queue.Parked, queue.Delivered},
		{"block", relay.StuckBlock, queue.Queued, queue.Queued},
		{"bury", relay.StuckBury, queue.Dead, queue.Delivered},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				agent := &scriptAgent{}
				agent.answer = func(_ context.Context, e relay.Event, _ int) (relay.Outcome, error) {
					if e.Note.MessageID == "poison" {
						return status(500)
					}
					return status(200)
				}
				r := newRig(t, agent, func(s *setup) { s.policy.OnStuck = tc.stuck })
				poison, next := r.post("c", "poison", 0), r.post("c", "next", 0)
				time.Sleep(5 * time.Minute)
				if got := r.state(poison).State; got != tc.first {
					t.Errorf("poison: got %v, want %v", got, tc.first)
				}
				if got := r.state(next).State; got != tc.next {
					t.Errorf("next: got %v, want %v", got, tc.next)
				}
			})
		})
	}
}

// An event is given up after max_attempts counted attempts, or at max_age however it was spent.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*setup)
		answer func() (relay.Outcome, error)
		after  time.Duration
		reason string
	}{
		{
			"max_attempts", func(s *setup) { s.policy.MaxAttempts = 3 },
			func() (relay.Outcome, error) { return status(500) },
			10 * time.Second, "max_attempts",
		},
		{
			"max_age of failures", func(s *setup) { s.policy.MaxAge = 24 * time.Second },
			func() (relay.Outcome, error) { return status(503) },
			25 * time.Second, "max_age",
		},
		{
			"max_age of an outage", func(s *setup) { s.policy.MaxAge = 30 * time.Second }, unreachable,
			40 * time.Second, "max_age",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) {
					return tc.answer()
				}}
				r := newRig(t, agent, tc.change)
				a := r.post("c", "1", 0)
				time.Sleep(tc.after)
				got := r.state(a)
				if got.State != queue.Dead || !strings.Contains(got.LastError, tc.reason) {
					t.Errorf("got %v because of %q, want dead because of %s", got.State, got.LastError, tc.reason)
				}
				if n := r.logs.FilterField(zapEvent("delivery.dead")).Len(); n != 1 {
					t.Errorf("got %d delivery.dead lines, want 1", n)
				}
			})
		})
	}
}

// 40 conversations with failing attempts are done beside 8 that hang as if the 8 were not there. Where more hang than
// there are slots, they take all of them once, and half of them from then on: what never failed has the other half.
func TestHangingConversationsAreIsolated(t *testing.T) {
	t.Parallel()
	const hangs = 3 * time.Second
	finish := func(t *testing.T, hanging, slots int) (took time.Duration) {
		bubble(t, func(t *testing.T) {
			agent := &scriptAgent{}
			agent.answer = func(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
				if strings.HasPrefix(e.Conversation, "h") {
					if out, err := hang(ctx, hangs); hanging < slots {
						return out, err
					}
					return status(500) // so many time-outs in a row would be an outage
				}
				if attempt == 1 && e.Note.MessageID < "2" && hanging < slots { // every fifth, once
					return status(500)
				}
				return work(ctx, 100*time.Millisecond)
			}
			r := newRig(t, agent, func(s *setup) { s.concurrency, s.policy.Cap = slots, time.Second })
			for c := range hanging {
				for i := range 20 {
					r.post(fmt.Sprintf("h%d", c), fmt.Sprint(i), 0)
				}
			}
			synctest.Wait()
			start := time.Now()
			for c := range 40 {
				for i := range 10 {
					r.post(fmt.Sprintf("c%d", c), fmt.Sprint(i), 0)
				}
			}
			for {
				time.Sleep(50 * time.Millisecond)
				stats, err := r.queue.Stats(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if stats["agent"].Delivered == 400 {
					break
				}
				if time.Since(start) > time.Hour {
					t.Fatalf("not done after an hour: %+v", stats["agent"])
				}
			}
			took = time.Since(start)
			r.stop()
		})
		return took
	}
	if alone, beside := finish(t, 0, 64), finish(t, 8, 64); beside > alone*11/10 {
		t.Errorf("64 slots: took %v beside 8 that hang, %v alone", beside, alone)
	}
	half, beside := finish(t, 0, 6), finish(t, 36, 12)
	if limit := half*12/10 + 3*hangs; beside > limit {
		t.Errorf("12 slots: took %v beside 36 that hang, want at most %v: half the slots take %v", beside, limit, half)
	}
}

// Conversations whose last attempt failed share half of the slots, even when nobody else wants the others.
func TestTroubledShareHalf(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{}
		agent.answer = func(ctx context.Context, _ relay.Event, _ int) (relay.Outcome, error) {
			_, _ = hang(ctx, 3*time.Second)
			return status(500)
		}
		r := newRig(t, agent, func(s *setup) { s.concurrency, s.policy.Cap = 12, time.Second })
		for c := range 36 {
			r.post(fmt.Sprint(c), "1", 0)
		}
		synctest.Wait()
		if n := r.disp.Agents()[0].InFlight; n != 12 {
			t.Errorf("first attempts: got %d in flight, want 12", n)
		}
		time.Sleep(20 * time.Second)
		if n := r.disp.Agents()[0].InFlight; n != 6 {
			t.Errorf("after everyone has failed: got %d in flight, want 6", n)
		}
	})
}

// Stopping lets an attempt under way finish.
func TestDrain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(ctx context.Context, _ relay.Event, _ int) (relay.Outcome, error) {
			return work(ctx, 4*time.Second)
		}}
		r := newRig(t, agent, nil)
		a, b := r.post("c", "1", 0), r.post("c", "2", 0)
		time.Sleep(time.Second)
		r.stop()
		if got := r.state(a); got.State != queue.Delivered {
			t.Errorf("event under way: got %v, want delivered", got.State)
		}
		if got := r.state(b); got.State != queue.Queued || got.Attempts != 0 {
			t.Errorf("event behind it: got %v after %d attempts, want queued after none", got.State, got.Attempts)
		}
	})
}

// An attempt that is cut off at the end of the drain is not counted, and may be made again at once.
func TestDrainCutsOff(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(ctx context.Context, _ relay.Event, _ int) (relay.Outcome, error) {
			return hang(ctx, time.Hour)
		}}
		r := newRig(t, agent, func(s *setup) { s.drain = 2 * time.Second })
		a := r.post("c", "1", 0)
		time.Sleep(time.Second)
		start := time.Now()
		r.stop()
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("stop took %v, want the drain time", took)
		}
		got := r.state(a)
		if got.State != queue.Queued || got.Attempts != 0 || got.Leased || got.Due.After(time.Now()) {
			t.Errorf("got %+v, want it queued, due and with no attempt", got)
		}
	})
}

// A replayed event starts anew, with the same id and bytes.
func TestReplay(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{}
		var healed atomic.Bool
		agent.answer = func(context.Context, relay.Event, int) (relay.Outcome, error) {
			if healed.Load() {
				return status(200)
			}
			return status(404)
		}
		r := newRig(t, agent, nil)
		a := r.post("c", "1", 0)
		synctest.Wait()
		healed.Store(true)
		if n, err := r.queue.Revive(t.Context(), a.EventIDs, 0); n != 1 || err != nil {
			t.Fatalf("revive: got %d, %v", n, err)
		}
		time.Sleep(time.Second)
		got := agent.seen()
		if len(got) != 2 || got[0].id != got[1].id || got[0].body != got[1].body || got[1].attempt != 1 {
			t.Errorf("got attempts %+v, want two at the same event", got)
		}
		if s := r.state(a).State; s != queue.Delivered {
			t.Errorf("got %v, want delivered", s)
		}
	})
}
