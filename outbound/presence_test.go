package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

var errNobodyKnows = errors.New("no answer")

func loggedOut() error {
	return &outbound.SendError{Reason: outbound.NotSent, Offline: true, Code: "-1"}
}

// outIM is an IM whose account is logged out until a time, and that can be asked.
type outIM struct {
	*fakeIM
	until time.Time
	// knows decides whether the nth question is answered; nil: all are.
	knows func(n int) bool

	mu    sync.Mutex
	asked []time.Time
}

func newOutIM(out time.Duration) *outIM {
	im := &outIM{fakeIM: &fakeIM{}, until: time.Now().Add(out)}
	im.answer = func(int, outbound.Message) error {
		if time.Now().Before(im.until) {
			return loggedOut()
		}
		return nil
	}
	return im
}

func (im *outIM) Online(context.Context) (bool, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	n := len(im.asked)
	im.asked = append(im.asked, time.Now())
	if im.knows != nil && !im.knows(n) {
		return false, errNobodyKnows
	}
	return !time.Now().Before(im.until), nil
}

// questions are when it was asked.
func (im *outIM) questions() []time.Time {
	im.mu.Lock()
	defer im.mu.Unlock()
	return slices.Clone(im.asked)
}

// alarms writes down what it is told.
type alarms struct {
	mu   sync.Mutex
	told []string
}

func (a *alarms) add(s string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, s)
}

func (a *alarms) Raise(account, what, _ string) { a.add("raise " + account + " " + what) }
func (a *alarms) Clear(account, what string)    { a.add("clear " + account + " " + what) }

func (a *alarms) want(t *testing.T, want ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.told, want) {
		t.Errorf("alarms: got %q, want %q", a.told, want)
	}
}

// half is the random source of these tests: nothing is sooner or later than its time.
func half(o *outbound.Options) { o.Random = func() float64 { return 0.5 } }

func withAlarm(a *alarms) option { return func(o *outbound.Options) { o.Alarm = a } }

// since are the times as they have gone by, in whole seconds.
func since(began time.Time, at []time.Time) []int {
	var out []int
	for _, t := range at {
		out = append(out, int(t.Sub(began).Round(time.Second)/time.Second))
	}
	return out
}

// TestALoggedOutAccountStandsStill: nothing of it is called until the IM says that it is in, and then all of it goes.
func TestALoggedOutAccountStandsStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im, a := newOutIM(11*time.Minute), &alarms{}
		r := newRig(t, im.fakeIM, half, withAlarm(a), withAccounts(outbound.Table{"wechat": {Connector: im}})).running()
		began := time.Now()
		e := r.refused(request("to be repeated"), outbound.CodeUpstreamUnavailable)
		if e.RetryAfter != 30*time.Second {
			t.Errorf("retry after: got %v, want 30s, when it is asked for", e.RetryAfter)
		}
		var ids []string
		for i := range 6 {
			req := request(fmt.Sprintf("m%d", i))
			req.To = fmt.Sprintf("wxid_%d", i%2)
			ids = append(ids, r.enqueue(req).ID)
		}
		pass(10*time.Second - time.Since(began))
		if e = r.refused(request("x"), outbound.CodeUpstreamUnavailable); e.RetryAfter != 20*time.Second {
			t.Errorf("retry after 10s: got %v, want 20s", e.RetryAfter)
		}
		pass(10*time.Minute - time.Since(began))
		r.wantCalls(1)
		r.lookup(ids[0], outbound.StatusQueued)
		a.want(t, "raise wechat offline")
		pass(15*time.Minute - time.Since(began))
		for _, id := range ids {
			r.lookup(id, outbound.StatusSent)
		}
		a.want(t, "raise wechat offline", "clear wechat offline")
		if got, want := since(began, im.questions()), []int{30, 90, 210, 450, 750}; !slices.Equal(got, want) {
			t.Errorf("asked after %v seconds, want %v", got, want)
		}
		for _, to := range []string{"wxid_0", "wxid_1"} {
			var got []string
			for _, m := range im.sent()[1:] {
				if m.To == to {
					got = append(got, m.Text)
				}
			}
			if !slices.IsSorted(got) || len(got) != 3 {
				t.Errorf("%s got %v, want three in order", to, got)
			}
		}
	})
}

// TestWhereNobodyCanBeAskedOneSendFindsOut, later and later.
func TestWhereNobodyCanBeAskedOneSendFindsOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		make func(*outIM) outbound.Connector
	}{
		{"no checker", func(im *outIM) outbound.Connector { return im.fakeIM }},
		{"a checker that never knows", func(im *outIM) outbound.Connector {
			im.knows = func(int) bool { return false }
			return im
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im, a := newOutIM(100*time.Minute), &alarms{}
				to := tt.make(im)
				r := newRig(t, im.fakeIM, half, withAlarm(a), withAccounts(outbound.Table{"wechat": {Connector: to}})).running()
				began := time.Now()
				for i := range 20 {
					req := request(fmt.Sprint(i))
					req.To = fmt.Sprint("wxid_", i%10)
					r.enqueue(req)
				}
				pass(99 * time.Minute)
				calls := since(began, im.times())
				// Those that were under way before the first answer was known do not count.
				late := slices.DeleteFunc(calls, func(s int) bool { return s == 0 })
				first := 30
				if _, asks := to.(outbound.Checker); asks {
					first = 60 // it is only known after the first question
				}
				want := []int{first, first + 300, first + 900, first + 2100, first + 3900, first + 5700}
				if !slices.Equal(late, want) {
					t.Errorf("calls after %v seconds, want %v", late, want)
				}
				a.want(t, "raise wechat offline")
				pass(40 * time.Minute)
				if n := len(im.sent()) - len(calls); n < 20 {
					t.Errorf("calls after it was in: got %d, want all 20 sends", n)
				}
				a.want(t, "raise wechat offline", "clear wechat offline")
			})
		})
	}
}

// TestACallerFindsOutToo: he is told when one send may try, and then he is that one.
func TestACallerFindsOutToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := newOutIM(20 * time.Second)
		r := newRig(t, im.fakeIM, half)
		e := r.refused(request("hello"), outbound.CodeUpstreamUnavailable)
		if e.RetryAfter != 30*time.Second || e.Code.Status() != 503 {
			t.Errorf("got %d, retry after %v; want 503, 30s", e.Code.Status(), e.RetryAfter)
		}
		pass(e.RetryAfter)
		r.mustSend(request("hello"))
		r.wantCalls(2)
	})
}

// TestThePushSaysSo: nothing is called for an account that the IM has said is out, and all goes on as soon as it says more.
func TestThePushSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &alarms{}
		r := newRig(t, &fakeIM{}, half, withAlarm(a)).running()
		r.Online("wechat")
		r.Offline("nobody")
		a.want(t)
		r.Offline("wechat")
		r.Offline("wechat")
		id := r.enqueue(request("hello")).ID
		pass(20 * time.Second)
		r.wantCalls(0)
		began := time.Now()
		r.Online("wechat")
		synctest.Wait()
		r.lookup(id, outbound.StatusSent)
		wantAfter(t, "sent", began, 0)
		a.want(t, "raise wechat offline", "clear wechat offline")
	})
}

// TestWhoWaitsIsSentAway: callers in the lines hear at once that the account is out.
func TestWhoWaitsIsSentAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: time.Second, answer: func(int, outbound.Message) error { return loggedOut() }}
		r := newRig(t, im)
		began := time.Now()
		for i, err := range burstOf(t, r, 3, alice) {
			wantCode(t, i, err, outbound.CodeUpstreamUnavailable)
		}
		wantAfter(t, "all refused", began, time.Second)
		r.wantCalls(1)
	})
}

// TestAnAnswerFromBeforeSaysNothing: a call that began while the account was in does not make it so.
func TestAnAnswerFromBeforeSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im, a := &fakeIM{takes: 2 * time.Second}, &alarms{}
		r := newRig(t, im, withAlarm(a))
		var wg sync.WaitGroup
		wg.Go(func() { r.mustSend(request("hello")) })
		pass(time.Second)
		r.Offline("wechat")
		wg.Wait()
		a.want(t, "raise wechat offline")
		r.refused(request("hello"), outbound.CodeUpstreamUnavailable)
	})
}

// TestQueuedSendsDoNotWaitForEver: after a day they have failed, those behind the first too.
func TestQueuedSendsDoNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := newOutIM(1000 * time.Hour)
		r := newRig(t, im.fakeIM, withAccounts(outbound.Table{"wechat": {Connector: im}})).running()
		r.Offline("wechat")
		ids := []string{r.enqueue(request("one")).ID, r.enqueue(request("two")).ID}
		pass(24*time.Hour - time.Minute)
		for _, id := range ids {
			r.lookup(id, outbound.StatusQueued)
		}
		pass(2 * time.Minute)
		for _, id := range ids {
			if rep := r.lookup(id, outbound.StatusFailed); rep.Err.Code != outbound.CodeUpstreamUnavailable {
				t.Errorf("got %v, want %s", rep.Err, outbound.CodeUpstreamUnavailable)
			}
		}
		r.wantCalls(0)
	})
}

// TestAFalseAlarmIsSoonOver: an account that is in all the same stands still for half a minute at most.
func TestAFalseAlarmIsSoonOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &alarms{}
		r := newRig(t, &fakeIM{}, withAlarm(a), half).running()
		r.Offline("wechat")
		id := r.enqueue(request("hello")).ID
		pass(29 * time.Second)
		r.lookup(id, outbound.StatusQueued)
		pass(2 * time.Second)
		r.lookup(id, outbound.StatusSent)
		a.want(t, "raise wechat offline", "clear wechat offline")
	})
}

// TestAHintMakesSomebodyFindOut: the one who can be asked, else a send; not with each message that comes in, and not where
// the account is in.
func TestAHintMakesSomebodyFindOut(t *testing.T) {
	t.Parallel()
	t.Run("a send", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			im := newOutIM(5 * time.Minute)
			r := newRig(t, im.fakeIM, half).running()
			r.Hint("wechat")
			r.Hint("nobody")
			r.enqueue(request("hello"))
			pass(time.Second)
			r.wantCalls(1)
			for range 3 {
				r.Hint("wechat")
				pass(time.Second)
			}
			r.wantCalls(2)
			pass(29 * time.Second)
			r.Hint("wechat")
			pass(time.Second)
			r.wantCalls(3)
			pass(4*time.Minute + 30*time.Second)
			r.Hint("wechat")
			pass(time.Second)
			r.wantCalls(4)
			r.Hint("wechat")
			r.mustSend(request("more"))
		})
	})
	t.Run("who can be asked", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			im := newOutIM(time.Hour)
			im.answer = nil
			r := newRig(t, im.fakeIM, half, withAccounts(outbound.Table{"wechat": {Connector: im}})).running()
			r.Offline("wechat")
			id := r.enqueue(request("hello")).ID
			pass(10 * time.Second)
			r.Hint("wechat")
			pass(time.Second)
			r.wantCalls(0)
			im.mu.Lock()
			im.until = time.Now()
			im.mu.Unlock()
			pass(30 * time.Second)
			r.Hint("wechat")
			synctest.Wait()
			r.lookup(id, outbound.StatusSent)
			if n := len(im.questions()); n != 2 {
				t.Errorf("asked: got %d, want twice", n)
			}
		})
	})
}

// TestAReloadBeginsAnew where the connector is another: nothing is held against it, and the alarm is over.
func TestAReloadBeginsAnew(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		then func(before *outIM, next *fakeIM) outbound.Table
		anew bool
	}{
		{"another connector", func(_ *outIM, next *fakeIM) outbound.Table {
			return outbound.Table{"wechat": {Connector: next}}
		}, true},
		{"one that cannot be compared", func(_ *outIM, next *fakeIM) outbound.Table {
			return outbound.Table{"wechat": {Connector: moodyIM{next, func() outbound.Limits { return outbound.Limits{} }}}}
		}, true},
		{"other limits", func(before *outIM, _ *fakeIM) outbound.Table {
			return outbound.Table{"wechat": {Connector: before, Limits: outbound.Limits{MaxText: 5}}}
		}, false},
		{"no account", func(*outIM, *fakeIM) outbound.Table { return outbound.Table{} }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im, next, a := newOutIM(1000*time.Hour), &fakeIM{}, &alarms{}
				r := newRig(t, im.fakeIM, half, withAlarm(a), withAccounts(outbound.Table{"wechat": {Connector: im}}))
				r.refused(request("one"), outbound.CodeUpstreamUnavailable)
				pass(40 * time.Second)
				asked, table := len(im.questions()), tt.then(im, next)
				r.Reload(table)
				if !tt.anew {
					a.want(t, "raise wechat offline")
					r.refused(request("two"), outbound.CodeUpstreamUnavailable)
					r.wantCalls(1)
					return
				}
				a.want(t, "raise wechat offline", "clear wechat offline")
				if len(table) > 0 {
					r.mustSend(request("two"))
				}
				pass(time.Hour)
				if n := len(im.questions()) - asked; n != 0 {
					t.Errorf("the one before was asked %d times more, want none", n)
				}
				a.want(t, "raise wechat offline", "clear wechat offline")
			})
		})
	}
}

// TestAnAnswerOfTheOneBeforeSaysNothing: a call that began before the reload does not log the next connector out.
func TestAnAnswerOfTheOneBeforeSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old, a := &fakeIM{takes: 2 * time.Second, answer: script(loggedOut())}, &alarms{}
		next := &fakeIM{}
		r := newRig(t, old, withAlarm(a))
		var wg sync.WaitGroup
		wg.Go(func() { r.mustSend(request("hello")) })
		pass(time.Second)
		r.Reload(outbound.Table{"wechat": {Connector: next}})
		wg.Wait()
		a.want(t)
	})
}

// TestAReloadOfOneThatIsOutToo: the first send finds out, and the alarm is raised again.
func TestAReloadOfOneThatIsOutToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im, next, a := newOutIM(time.Hour), newOutIM(time.Hour), &alarms{}
		r := newRig(t, im.fakeIM, half, withAlarm(a), withAccounts(outbound.Table{"wechat": {Connector: im}}))
		r.Offline("wechat")
		r.Reload(outbound.Table{"wechat": {Connector: next}})
		r.refused(request("hello"), outbound.CodeUpstreamUnavailable)
		a.want(t, "raise wechat offline", "clear wechat offline", "raise wechat offline")
		pass(31 * time.Second)
		if len(im.questions()) != 0 || len(next.questions()) != 1 {
			t.Errorf("asked: got %d and %d times, want the next one once", len(im.questions()), len(next.questions()))
		}
	})
}

// TestWhoDidNotAskFoundNothingOut: a refusal of ours leaves it to the next send.
func TestWhoDidNotAskFoundNothingOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours := &outbound.SendError{Reason: outbound.NotSent, Ours: true, After: time.Minute, Code: "media"}
		r := newRig(t, &fakeIM{answer: script(loggedOut(), ours)}, half)
		r.refused(request("one"), outbound.CodeUpstreamUnavailable)
		pass(31 * time.Second)
		r.refused(request("two"), outbound.CodeUpstreamUnavailable)
		r.mustSend(request("three"))
		r.wantCalls(3)
	})
}

// silentIM is never told whether it is in.
type silentIM struct{ *fakeIM }

func (silentIM) Online(ctx context.Context) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

// TestClosingWaitsForNoAnswer: neither for the next question nor for the answer to one. The bubble sees that nobody is left.
func TestClosingWaitsForNoAnswer(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]time.Duration{"between questions": time.Second, "during one": 31 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := &fakeIM{}
				r := newRig(t, im, half, withAccounts(outbound.Table{"wechat": {Connector: silentIM{im}}}))
				r.Offline("wechat")
				pass(at)
				began := time.Now()
				if err := r.Close(t.Context()); err != nil || time.Since(began) != 0 {
					t.Errorf("close: %v after %v, want at once", err, time.Since(began))
				}
				r.Offline("wechat")
			})
		})
	}
}

// TestALoginBeginsSlowly: at a quarter of the rate, and a little faster with each send until it is the whole.
func TestALoginBeginsSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(outbound.Limits{
			Account: outbound.Rate{N: 1, Per: time.Second, Burst: 1}, Ramp: time.Minute,
		})).running()
		r.Offline("wechat")
		for i := range 80 {
			r.enqueue(request(fmt.Sprint(i)))
		}
		pass(10 * time.Second)
		r.Online("wechat")
		pass(2 * time.Minute)
		at := im.times()
		if len(at) != 80 {
			t.Fatalf("calls: got %d, want 80", len(at))
		}
		if gap := at[1].Sub(at[0]); gap != 4*time.Second {
			t.Errorf("first pause: got %v, want 4s", gap)
		}
		for i := 2; i < len(at); i++ {
			gap, before := at[i].Sub(at[i-1]), at[i-1].Sub(at[i-2])
			if gap > before || gap < time.Second {
				t.Errorf("pause %d: got %v after %v, want none longer than before and none under 1s", i, gap, before)
			}
			if began := at[i-1].Sub(at[0]); began > 63*time.Second && gap != time.Second || began < 50*time.Second && gap == time.Second {
				t.Errorf("pause %d, after %v: got %v, want 1s after a minute and more before", i, began, gap)
			}
		}
	})
}

// TestARefusalOfOursSaysNothing: a message that the connector refused without asking the IM tells nothing of the account.
func TestARefusalOfOursSaysNothing(t *testing.T) {
	t.Parallel()
	for _, ours := range []bool{true, false} {
		t.Run(fmt.Sprint("ours ", ours), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				told := &alarms{}
				no := &outbound.SendError{Reason: outbound.Rejected, Ours: ours, Code: "media"}
				r := newRig(t, &fakeIM{answer: script(loggedOut(), no)}, withAlarm(told), half)
				r.refused(request("one"), outbound.CodeUpstreamUnavailable)
				pass(6 * time.Minute)
				if ours {
					r.refused(request("two"), outbound.CodeInvalid)
					told.want(t, "raise wechat offline")
				} else {
					r.refused(request("two"), outbound.CodeUpstreamRejected)
					told.want(t, "raise wechat offline", "clear wechat offline")
				}
			})
		})
	}
}
