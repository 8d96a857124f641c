package outbound_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

var oneASecond = outbound.Rate{N: 1, Per: time.Second}

// burstOf sends n messages at once, in the order of their numbers, and returns how each ended.
func burstOf(t *testing.T, r *rig, n int, to func(i int) string) []error {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		req := request(fmt.Sprintf("m%d", i))
		req.To = to(i)
		wg.Go(func() { _, errs[i] = r.Send(t.Context(), req) })
		synctest.Wait()
	}
	wg.Wait()
	return errs
}

func alice(int) string { return "wxid_alice" }

// TestAShortBurstIsHeldAndSentInOrder: an agent that drops on its first 429 loses nothing.
func TestAShortBurstIsHeldAndSentInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{Recipient: oneASecond}))
		began := time.Now()
		for i, err := range burstOf(t, r, 4, alice) {
			if err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		}
		wantTexts(t, im.texts(), "m0", "m1", "m2", "m3")
		for i, at := range im.times() {
			if got, want := at.Sub(began).Round(time.Millisecond), time.Duration(i)*time.Second; got != want {
				t.Errorf("call %d after %v, want %v", i, got, want)
			}
		}
	})
}

// TestOverTheHoldIsRefusedAtOnce: who cannot go in time hears it now, with a time that is true.
func TestOverTheHoldIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits outbound.Limits
		to     func(int) string
	}{
		{"a recipient's limit", outbound.Limits{Recipient: oneASecond}, alice},
		{"an account's limit, one recipient", outbound.Limits{Account: oneASecond}, alice},
		{"an account's limit, many recipients", outbound.Limits{Account: oneASecond}, func(i int) string { return fmt.Sprint(i) }},
		{"an account's limit, a few recipients", outbound.Limits{Account: oneASecond}, func(i int) string { return fmt.Sprint(i % 2) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := &fakeIM{}
				r := newRig(t, im, withLimits(tt.limits))
				// 0 to 3 go after 0 to 3 s; the hold is 3 s.
				var wg sync.WaitGroup
				for i := range 4 {
					req := request(fmt.Sprint(i))
					req.To = tt.to(i)
					wg.Go(func() {
						if _, err := r.Send(t.Context(), req); err != nil {
							t.Errorf("send %d: %v", i, err)
						}
					})
					synctest.Wait()
				}
				began := time.Now()
				req := keyed("r-1", "over")
				req.To = tt.to(4)
				e := r.refused(req, outbound.CodeRateLimited)
				if time.Since(began) != 0 {
					t.Errorf("refused after %v, want at once", time.Since(began))
				}
				if e.RetryAfter != 4*time.Second {
					t.Errorf("retry after: got %v, want 4s", e.RetryAfter)
				}
				wg.Wait()
				pass(e.RetryAfter - time.Since(began))
				asked := time.Now()
				r.mustSend(req)
				if time.Since(asked) != 0 {
					t.Errorf("sent %v after the time told, want at once", time.Since(asked))
				}
			})
		})
	}
}

func TestRetryAfterIsWholeSecondsRoundedUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{}, withLimits(outbound.Limits{Account: outbound.Rate{N: 1, Per: 4300 * time.Millisecond}}))
		r.mustSend(request("one"))
		if e := r.refused(request("two"), outbound.CodeRateLimited); e.RetryAfter != 5*time.Second {
			t.Errorf("retry after: got %v, want 5s", e.RetryAfter)
		}
	})
}

// TestASlowIMDoesNotBunchTheCalls: places are taken when it is a message's turn, not when it came.
func TestASlowIMDoesNotBunchTheCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: 2500 * time.Millisecond}
		r := newRig(t, im, withLimits(outbound.Limits{Recipient: oneASecond}))
		burstOf(t, r, 4, alice)
		at := im.times()
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap < time.Second {
				t.Errorf("calls %d and %d are %v apart, want at least 1s", i-1, i, gap)
			}
		}
		if im.mixed {
			t.Error("two calls to one recipient at one time")
		}
	})
}

// TestALineKeepsItsWord: who was let in is not refused because others took the account's places meanwhile.
func TestALineKeepsItsWord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: 2500 * time.Millisecond}
		r := newRig(t, im, withLimits(outbound.Limits{Account: oneASecond}))
		var wg sync.WaitGroup
		defer wg.Wait()
		began := time.Now()
		for _, s := range []struct {
			to string
			at time.Duration
		}{
			{"alice", 0},
			{"alice", 0},
			{"bob", time.Second},
			{"carol", 2 * time.Second},
			{"dave", 2400 * time.Millisecond},
			{"eve", 2450 * time.Millisecond},
		} {
			pass(s.at - time.Since(began))
			wg.Go(func() {
				req := request("hello")
				req.To = s.to
				if _, err := r.Send(t.Context(), req); err != nil {
					t.Errorf("to %s, asked after %v: %v", s.to, s.at, err)
				}
			})
			synctest.Wait()
		}
	})
}

func TestRecipientsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: time.Second}
		r := newRig(t, im)
		began := time.Now()
		burstOf(t, r, 20, func(i int) string { return fmt.Sprint(i) })
		wantAfter(t, "20 recipients", began, time.Second)
	})
}

func TestOneRecipientIsServedInOrderOfArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: 300 * time.Millisecond}
		r := newRig(t, im)
		var want []string
		for i, err := range burstOf(t, r, 20, alice) {
			want = append(want, fmt.Sprintf("m%d", i))
			if err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		}
		wantTexts(t, im.texts(), want...)
		if im.mixed {
			t.Error("two calls to one recipient at one time")
		}
	})
}

// TestWhoLeavesBeforeTheStartIsNotSent, and his key is free again, his place too.
func TestWhoLeavesBeforeTheStartIsNotSent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		im     *fakeIM
		limits outbound.Limits
	}{
		{"in the line", &fakeIM{takes: 2 * time.Second}, outbound.Limits{}},
		{"in the hold", &fakeIM{}, outbound.Limits{Recipient: oneASecond}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tt.im, withLimits(tt.limits))
				go func() { _, _ = r.Send(t.Context(), request("first")) }()
				synctest.Wait()
				ctx, leave := context.WithCancel(t.Context())
				errs := make(chan error, 1)
				go func() {
					_, err := r.Send(ctx, keyed("r-1", "second"))
					errs <- err
				}()
				synctest.Wait()
				leave()
				began := time.Now()
				if err := <-errs; err == nil || time.Since(began) != 0 {
					t.Errorf("got %v after %v, want an error at once", err, time.Since(began))
				}
				r.mustSend(request("third"))
				wantTexts(t, tt.im.texts(), "first", "third")
				if took := time.Since(began); tt.im.takes == 0 && took != time.Second {
					t.Errorf("third went after %v, want the place of the second", took)
				}
				r.mustSend(keyed("r-1", "another text"))
			})
		})
	}
}

// TestWhoLeavesAfterTheStartIsSent, and the outcome is kept.
func TestWhoLeavesAfterTheStartIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{takes: time.Second})
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			leave()
		}()
		if _, err := r.Send(ctx, keyed("r-1", "hello")); err != nil {
			t.Errorf("send: %v", err)
		}
		if !r.mustSend(keyed("r-1", "hello")).Replayed {
			t.Error("got a new send, want a replay")
		}
		r.wantCalls(1)
	})
}

// TestWhoTakesOverFromOneWhoLeft: of two with one key the first leaves before its start.
func TestWhoTakesOverFromOneWhoLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{Recipient: oneASecond}))
		r.mustSend(request("first"))
		ctx, leave := context.WithCancel(t.Context())
		go func() { _, _ = r.Send(ctx, keyed("r-1", "hello")) }()
		synctest.Wait()
		got := make(chan outbound.Result, 1)
		go func() { got <- r.mustSend(keyed("r-1", "hello")) }()
		synctest.Wait()
		leave()
		if (<-got).Replayed {
			t.Error("got a replay, want it to be sent by the second")
		}
		wantTexts(t, im.texts(), "first", "hello")
	})
}

// TestAShortThrottleIsWaitedFor.
func TestAShortThrottleIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{answer: script(&outbound.SendError{Reason: outbound.Throttled, After: 2 * time.Second})})
		began := time.Now()
		r.mustSend(request("hello"))
		wantAfter(t, "sent", began, 2*time.Second)
		r.wantCalls(2)
	})
}

// TestALongThrottleHoldsTheAccount: the others are refused without a call, until it is over.
func TestALongThrottleHoldsTheAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{answer: script(&outbound.SendError{Reason: outbound.Throttled, After: 20 * time.Second})})
		e := r.refused(request("hello"), outbound.CodeUpstreamRateLimited)
		if e.RetryAfter != 20*time.Second {
			t.Errorf("retry after: got %v, want 20s", e.RetryAfter)
		}
		pass(5 * time.Second)
		bob := request("hello")
		bob.To = "wxid_bob"
		e = r.refused(bob, outbound.CodeUpstreamRateLimited)
		if e.RetryAfter != 15*time.Second {
			t.Errorf("retry after: got %v, want 15s", e.RetryAfter)
		}
		r.wantCalls(1)
		pass(13 * time.Second)
		began := time.Now()
		r.mustSend(bob)
		wantAfter(t, "within the hold of the end", began, 2*time.Second)
	})
}

func TestAThrottleOfARecipientHoldsHimOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{answer: script(&outbound.SendError{Reason: outbound.Throttled, After: time.Minute, Recipient: true})})
		r.refused(request("hello"), outbound.CodeUpstreamRateLimited)
		r.refused(request("hello"), outbound.CodeUpstreamRateLimited)
		bob := request("hello")
		bob.To = "wxid_bob"
		r.mustSend(bob)
		r.wantCalls(2)
	})
}

// TestAThrottleSendsAwayWhoWaits: those in the line hear it at once.
func TestAThrottleSendsAwayWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{
			takes: time.Second, answer: script(&outbound.SendError{Reason: outbound.Throttled, After: time.Minute}),
		})
		began := time.Now()
		for i, err := range burstOf(t, r, 3, alice) {
			wantCode(t, i, err, outbound.CodeUpstreamRateLimited)
		}
		wantAfter(t, "all refused", began, time.Second)
		r.wantCalls(1)
	})
}

// TestAThrottleWithoutATimeGrows: 2, 4, 8 s, and anew after a success.
func TestAThrottleWithoutATimeGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		th := failing(outbound.Throttled)
		im := &fakeIM{answer: script(th, th, nil, th, th)}
		r := newRig(t, im)
		e := r.refused(request("hello"), outbound.CodeUpstreamRateLimited)
		if e.RetryAfter != 4*time.Second {
			t.Errorf("after two throttles: got %v, want 4s", e.RetryAfter)
		}
		pass(e.RetryAfter)
		r.mustSend(request("hello"))
		e = r.refused(request("hello"), outbound.CodeUpstreamRateLimited)
		if e.RetryAfter != 4*time.Second {
			t.Errorf("after a success and two throttles: got %v, want 4s", e.RetryAfter)
		}
	})
}

func TestNotSentIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: script(failing(outbound.NotSent), failing(outbound.NotSent))}
		r := newRig(t, im)
		r.mustSend(keyed("r-1", "hello"))
		r.wantCalls(3)
	})
}

// TestNotSentEndsWithTheHold.
func TestNotSentEndsWithTheHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: func(int, outbound.Message) error { return failing(outbound.NotSent) }}
		r := newRig(t, im)
		began := time.Now()
		e := r.refused(request("hello"), outbound.CodeUpstreamUnavailable)
		if took := time.Since(began); took > testHold || took < time.Second {
			t.Errorf("refused after %v, want within the hold of %v", took, testHold)
		}
		if e.RetryAfter < time.Second {
			t.Errorf("retry after: got %v, want at least 1s", e.RetryAfter)
		}
		if n := len(im.sent()); n < 3 {
			t.Errorf("calls: got %d, want a few", n)
		}
	})
}

// TestNotSentUntilTheIMSays: what the IM wants is kept, in full.
func TestNotSentUntilTheIMSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{answer: script(&outbound.SendError{Reason: outbound.NotSent, After: 30 * time.Second})})
		e := r.refused(request("hello"), outbound.CodeUpstreamUnavailable)
		if e.RetryAfter != 30*time.Second {
			t.Errorf("retry after: got %v, want 30s", e.RetryAfter)
		}
		r.wantCalls(1)
	})
}

func TestRejectedTellsTheIMsWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{answer: script(&outbound.SendError{Reason: outbound.Rejected, Code: "-44", Detail: "no such friend"})})
		e := r.refused(request("hello"), outbound.CodeUpstreamRejected)
		if e.Upstream == nil || e.Upstream.Code != "-44" || e.Upstream.Message != "no such friend" {
			t.Errorf("upstream: got %+v, want the IM's words", e.Upstream)
		}
		r.wantCalls(1)
	})
}

func TestUncertainIsNotRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{answer: script(failing(outbound.Uncertain))})
		r.refused(request("hello"), outbound.CodeDeliveryUnknown)
		pass(time.Hour)
		r.wantCalls(1)
	})
}

// TestAnErrorThatBreaksTheContractIsUncertain.
func TestAnErrorThatBreaksTheContractIsUncertain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{answer: script(context.DeadlineExceeded, &outbound.SendError{})})
		r.refused(request("hello"), outbound.CodeDeliveryUnknown)
		r.refused(request("hello"), outbound.CodeDeliveryUnknown)
		r.wantCalls(2)
	})
}

// forgiving is an IM that drops repeats.
type forgiving struct{ *fakeIM }

func (forgiving) Window() time.Duration { return time.Hour }

func TestUncertainIsRepeatedWhereTheIMDropsRepeats(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		errs  []error
		want  outbound.Code
		calls int
	}{
		{"then sent", []error{failing(outbound.Uncertain)}, "", 2},
		{"never known", []error{failing(outbound.Uncertain), failing(outbound.Uncertain), failing(outbound.Uncertain)}, outbound.CodeDeliveryUnknown, 3},
		{"then throttled for long", []error{failing(outbound.Uncertain), &outbound.SendError{Reason: outbound.Throttled, After: time.Minute}}, outbound.CodeDeliveryUnknown, 2},
		{"then not sent", []error{failing(outbound.Uncertain), &outbound.SendError{Reason: outbound.NotSent, After: time.Minute}}, outbound.CodeDeliveryUnknown, 2},
		{"then rejected", []error{failing(outbound.Uncertain), failing(outbound.Rejected)}, outbound.CodeUpstreamRejected, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := &fakeIM{answer: script(tt.errs...)}
				r := newRig(t, im, withAccounts(outbound.Table{"wechat": {Connector: forgiving{im}}}))
				if tt.want == "" {
					r.mustSend(keyed("r-1", "hello"))
				} else {
					r.refused(keyed("r-1", "hello"), tt.want)
				}
				r.wantCalls(tt.calls)
				ids := map[string]bool{}
				for _, m := range im.sent() {
					ids[m.RequestID] = true
				}
				if len(ids) != 1 || ids[""] {
					t.Errorf("request ids: got %v, want one", ids)
				}
			})
		})
	}
}

// TestEachMessageHasAnIdOfItsOwn, so that an IM that drops repeats drops no other.
func TestEachMessageHasAnIdOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{MaxText: 3}))
		r.mustSend(request("one"))
		r.mustSend(request("one"))
		r.mustSend(keyed("r-1", "one two"))
		var ids []string
		for _, m := range im.sent() {
			ids = append(ids, m.RequestID)
		}
		slices.Sort(ids)
		if n := len(slices.Compact(ids)); n != 4 {
			t.Errorf("different request ids of four messages: got %d in %v", n, ids)
		}
	})
}
