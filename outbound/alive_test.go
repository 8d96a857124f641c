package outbound_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

// strictIM is an IM that punishes haste: what comes sooner than a second after the call before is refused, and who has been
// refused ten times is logged out.
type strictIM struct {
	*fakeIM
	limits outbound.Limits

	mu        sync.Mutex
	last      time.Time
	punished  int
	loggedOut bool
}

func newStrictIM(l outbound.Limits) *strictIM {
	im := &strictIM{fakeIM: &fakeIM{}, limits: l}
	im.answer = func(int, outbound.Message) error { return im.judge() }
	return im
}

func (im *strictIM) judge() error {
	im.mu.Lock()
	defer im.mu.Unlock()
	now := time.Now()
	hasty := !im.last.IsZero() && now.Sub(im.last) < time.Second
	im.last = now
	switch {
	case im.loggedOut:
		return &outbound.SendError{Reason: outbound.NotSent, Offline: true, Code: "-1"}
	case !hasty:
		return nil
	}
	im.punished++
	im.loggedOut = im.punished >= 10
	return &outbound.SendError{Reason: outbound.Throttled, After: time.Minute, Code: "-12"}
}

func (im *strictIM) Pace(to string) (outbound.Limits, string) { return im.limits, to }

// wantUnpunished wants so many calls, none hasty, and in the order of their numbers for each recipient.
func (im *strictIM) wantUnpunished(t *testing.T, calls int) {
	t.Helper()
	if im.punished != 0 || im.loggedOut {
		t.Errorf("punished %d times, logged out %t; want neither", im.punished, im.loggedOut)
	}
	if got := len(im.sent()); got != calls {
		t.Errorf("calls: got %d, want %d", got, calls)
	}
	last := map[string]string{}
	for _, m := range im.sent() {
		if m.Text <= last[m.To] {
			t.Errorf("%s got %s after %s, want the order of arrival", m.To, m.Text, last[m.To])
		}
		last[m.To] = m.Text
	}
}

const flood = 1000

// floods makes the nth of a flood of requests to 50 recipients; the text is its number.
func floods(n int) outbound.Request {
	r := request(fmt.Sprintf("m%04d", n))
	r.To = fmt.Sprintf("wxid_%02d", n*7%50)
	return r
}

func wechatLimits() outbound.Limits {
	return outbound.Limits{
		Account: outbound.Rate{N: 1, Per: time.Second, Burst: 1}, Recipient: oneASecond,
		Jitter: 800 * time.Millisecond,
	}
}

// TestAFloodOfQueuedSendsGoesAtTheAccountsPace: all of it, and the IM never says a word.
func TestAFloodOfQueuedSendsGoesAtTheAccountsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := newStrictIM(wechatLimits())
		r := newRig(t, im.fakeIM, withAccounts(outbound.Table{"wechat": {Connector: im}})).running()
		began := time.Now()
		var ids []string
		for i := range flood {
			ids = append(ids, r.enqueue(floods(i)).ID)
			pass(time.Millisecond)
		}
		if took := time.Since(began); took > time.Second {
			t.Fatalf("the flood took %v, want a second", took)
		}
		pass(flood * 1800 * time.Millisecond)
		for _, id := range ids {
			r.lookup(id, outbound.StatusSent)
		}
		im.wantUnpunished(t, flood)
		at, spread := im.times(), map[time.Duration]bool{}
		for i := 1; i < len(at); i++ {
			gap := at[i].Sub(at[i-1])
			spread[gap.Truncate(100*time.Millisecond)] = true
			if gap < time.Second || gap > 1800*time.Millisecond+time.Microsecond {
				t.Errorf("calls %d and %d are %v apart, want 1s to 1.8s", i-1, i, gap)
			}
		}
		if len(spread) < 6 {
			t.Errorf("pauses: got %v, want all sorts", spread)
		}
	})
}

// TestAFloodOfCallersIsSentOrRefusedTruly: each is sent in order, or told when to come again, and that is true.
func TestAFloodOfCallersIsSentOrRefusedTruly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := newStrictIM(wechatLimits())
		r := newRig(t, im.fakeIM, withAccounts(outbound.Table{"wechat": {Connector: im}})).running()
		var wg sync.WaitGroup
		errs, ended := make([]error, flood), make([]time.Time, flood)
		for i := range flood {
			wg.Go(func() {
				_, errs[i] = r.Send(t.Context(), floods(i))
				ended[i] = time.Now()
			})
			pass(time.Millisecond)
		}
		wg.Wait()
		sent := 0
		for i, err := range errs {
			if err == nil {
				sent++
				continue
			}
			e := wantCode(t, i, err, outbound.CodeRateLimited)
			if e.RetryAfter < time.Second || e.RetryAfter > 10*time.Second {
				t.Fatalf("send %d: retry after %v, want a few seconds", i, e.RetryAfter)
			}
		}
		if sent < 3 || sent > 5 {
			t.Errorf("sent within the hold: got %d, want 3 to 5", sent)
		}
		im.wantUnpunished(t, sent)
		for i, err := range errs {
			e, refused := errors.AsType[*outbound.Error](err)
			if !refused {
				continue
			}
			pass(time.Until(ended[i].Add(e.RetryAfter)))
			began := time.Now()
			req := floods(i)
			req.Text = "n" + req.Text
			r.mustSend(req)
			if took := time.Since(began); took > testHold {
				t.Fatalf("send %d, repeated after %v: sent after %v, want within %v", i, e.RetryAfter, took, testHold)
			}
		}
		im.wantUnpunished(t, flood)
	})
}

// TestWhatWasHeldUpDoesNotGoAtOnce: after a throttle, and after a login, the pace is the same as before.
func TestWhatWasHeldUpDoesNotGoAtOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		fail *outbound.SendError
	}{
		{"throttled", &outbound.SendError{Reason: outbound.Throttled, After: 90 * time.Second}},
		{"logged out", &outbound.SendError{Reason: outbound.NotSent, Offline: true}},
		{"not reached", &outbound.SendError{Reason: outbound.NotSent, After: 5 * time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := newStrictIM(outbound.Limits{Account: oneASecond})
				strict := im.answer
				im.answer = func(n int, m outbound.Message) error {
					if err := strict(n, m); err != nil || n != 5 {
						return err
					}
					return tt.fail
				}
				r := newRig(t, im.fakeIM, withAccounts(outbound.Table{"wechat": {Connector: im}})).running()
				for i := range 40 {
					r.enqueue(floods(i))
				}
				pass(10 * time.Minute)
				if got := len(im.sent()); got != 41 || im.punished != 0 {
					t.Errorf("got %d calls and %d punishments, want 41 and none", got, im.punished)
				}
			})
		})
	}
}
