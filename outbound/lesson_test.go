package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit"
)

// pacedIM is an IM that knows its pace, and counts all topics of a group as one recipient.
type pacedIM struct {
	*fakeIM
	limits outbound.Limits
}

func (im pacedIM) Pace(to string) (outbound.Limits, string) {
	group, _, _ := strings.Cut(to, "#")
	return im.limits, group
}

func withPaced(im *fakeIM, own, configured outbound.Limits) option {
	return withAccounts(outbound.Table{"wechat": {Connector: pacedIM{im, own}, Limits: configured}})
}

func to(recipient, text string) outbound.Request {
	r := request(text)
	r.To = recipient
	return r
}

// gaps are the pauses between the calls.
func (f *fakeIM) gaps() []time.Duration {
	var out []time.Duration
	at := f.times()
	for i := 1; i < len(at); i++ {
		out = append(out, at[i].Sub(at[i-1]))
	}
	return out
}

// spy is a limiter that writes down the limits of the slots that are taken.
type spy struct {
	outbound.Limiter
	mu    sync.Mutex
	taken []outbound.Slot
}

func (s *spy) Reserve(ctx context.Context, slot outbound.Slot) (outbound.Place, error) {
	s.mu.Lock()
	s.taken = append(s.taken, slot)
	s.mu.Unlock()
	return s.Limiter.Reserve(ctx, slot)
}

// TestConfiguredLimitsWinKeyByKey over what the connector knows.
func TestConfiguredLimitsWinKeyByKey(t *testing.T) {
	t.Parallel()
	quiet := func(from, to int) outbound.Quiet {
		return outbound.Quiet{From: time.Duration(from) * time.Hour, To: time.Duration(to) * time.Hour, In: time.UTC}
	}
	own := outbound.Limits{
		Account: outbound.Rate{N: 2, Per: time.Minute, Burst: 1}, Recipient: outbound.Rate{N: 3, Per: time.Minute}, MaxText: 100,
		Jitter: time.Second, Ramp: time.Hour, Quiet: quiet(1, 2),
	}
	all := outbound.Limits{
		Account:   outbound.Rate{N: 20, Per: time.Minute, Burst: 4},
		Recipient: outbound.Rate{N: 30, Per: time.Minute}, MaxText: 50,
		Jitter: 2 * time.Second, Ramp: 2 * time.Hour, Quiet: quiet(3, 2),
	}
	tests := []struct {
		name             string
		configured, want outbound.Limits
	}{
		{"nothing configured", outbound.Limits{}, own},
		{"all configured", all, all},
		{"the account's rate", outbound.Limits{Account: all.Account}, func() outbound.Limits {
			l := own
			l.Account = all.Account
			return l
		}()},
		{"the account's rate without a burst", outbound.Limits{Account: outbound.Rate{N: 20, Per: time.Minute}}, func() outbound.Limits {
			l := own
			l.Account.N, l.Account.Per = 20, time.Minute
			return l
		}()},
		{"all but the account's rate", func() outbound.Limits {
			l := all
			l.Account = outbound.Rate{}
			return l
		}(), func() outbound.Limits {
			l := all
			l.Account = own.Account
			return l
		}()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &spy{Limiter: &limit.Limiter{}}
				pass(150 * time.Minute) // past the first quiet hours, and before 3 o'clock
				r := newRig(t, &fakeIM{}, withPaced(&fakeIM{}, own, tt.configured), withLimiter(s))
				r.mustSend(to("group#topic", "hello"))
				if len(s.taken) != 1 || s.taken[0].Limits != tt.want || s.taken[0].Recipient != "group" {
					t.Errorf("taken: got %+v, want one of group with %+v", s.taken, tt.want)
				}
			})
		})
	}
}

// TestTheConnectorsTextLimitCuts, and no limit of ours can be seen through.
func TestTheConnectorsTextLimitCuts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withPaced(im, outbound.Limits{MaxText: 5}, outbound.Limits{}))
		r.mustSend(request("one two three"))
		wantTexts(t, im.texts(), "one", "two", "three")
	})
}

// TestTopicsCountWithTheirGroup: in the pace and in a throttle, but each has a line of its own.
func TestTopicsCountWithTheirGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: script(nil, nil, nil, nil, nil, nil, nil, &outbound.SendError{
			Reason: outbound.Throttled, After: time.Minute, Recipient: true,
		})}
		r := newRig(t, im, withPaced(im, outbound.Limits{Recipient: oneASecond}, outbound.Limits{}))
		topics := func(i int) string { return fmt.Sprintf("group#%d", i) }
		for i, err := range burstOf(t, r, 4, topics) {
			if err != nil {
				t.Errorf("send %d: %v", i, err)
			}
		}
		for i, gap := range im.gaps() {
			if gap != time.Second {
				t.Errorf("pause %d: got %v, want 1s", i, gap)
			}
		}
		if e := lastRefused(burstOf(t, r, 6, topics)); e == nil || e.RetryAfter != 4*time.Second {
			t.Errorf("the last of six: got %v, want it refused for 4s, for three are let in", e)
		}
		pass(10 * time.Second)
		r.refused(to("group#1", "x"), outbound.CodeUpstreamRateLimited)
		r.refused(to("group#2", "x"), outbound.CodeUpstreamRateLimited)
		r.mustSend(to("another#2", "x"))
	})
}

func lastRefused(errs []error) *outbound.Error {
	e, _ := errors.AsType[*outbound.Error](errs[len(errs)-1])
	return e
}

// TestJitterIsAddedToThePause: exactly as much of it as luck says, and only behind a send.
func TestJitterIsAddedToThePause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im, luck := &fakeIM{}, []float64{0, 1, 0.25, 0.5}
		n := 0
		r := newRig(t, im, withLimits(outbound.Limits{
			Account: outbound.Rate{N: 1, Per: time.Second, Burst: 1}, Jitter: 2 * time.Second,
		}), func(o *outbound.Options) {
			o.Random = func() float64 { n++; return luck[(n-1)%len(luck)] }
		}).running()
		for i := range 5 {
			r.enqueue(request(fmt.Sprint(i)))
		}
		pass(time.Minute)
		want := []time.Duration{time.Second, 3 * time.Second, 1500 * time.Millisecond, 2 * time.Second}
		for i, gap := range im.gaps() {
			if gap != want[i] {
				t.Errorf("pause %d: got %v, want %v", i, gap, want[i])
			}
		}
	})
}

// TestThrottlesTeach: each makes the pause twice as long, up to eight times, and ten minutes without one halve it.
func TestThrottlesTeach(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits outbound.Limits
		only   bool
	}{
		{"the account", outbound.Limits{Account: oneASecond}, false},
		{"a recipient", outbound.Limits{Recipient: oneASecond}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				th := &outbound.SendError{Reason: outbound.Throttled, After: 20 * time.Second, Recipient: tt.only}
				im := &fakeIM{answer: script(th, th, th, th, th)}
				r := newRig(t, im, withLimits(tt.limits))
				for range 5 {
					r.refused(request("too fast"), outbound.CodeUpstreamRateLimited)
					pass(20 * time.Second)
				}
				for _, want := range []int{8, 4, 2, 1, 1} {
					r.mustSend(request("hello"))
					e := r.refusedOrSent(request("next"))
					if want > 3 && (e == nil || e.RetryAfter != time.Duration(want)*time.Second) {
						t.Errorf("pause: got %v, want a refusal for %ds", e, want)
					}
					if got := im.gaps(); want <= 3 && (e != nil || got[len(got)-1] != time.Duration(want)*time.Second) {
						t.Errorf("pause: got %v, %v; want %ds", e, got[len(got)-1], want)
					}
					if tt.only {
						r.mustSend(to("wxid_bob", "not his fault"))
						r.mustSend(to("wxid_bob", "not his fault"))
						if got := im.gaps(); got[len(got)-1] != time.Second {
							t.Errorf("another's pause: got %v, want 1s", got[len(got)-1])
						}
					}
					pass(10 * time.Minute)
				}
			})
		})
	}
}

// refusedOrSent sends and returns the refusal; nil: sent.
func (r *rig) refusedOrSent(req outbound.Request) *outbound.Error {
	r.t.Helper()
	_, err := r.Send(r.t.Context(), req)
	e, _ := errors.AsType[*outbound.Error](err)
	return e
}

// TestThrottlesThatComeTogetherAreOne: they answer calls that were all under way before the first.
func TestThrottlesThatComeTogetherAreOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: time.Second, answer: func(n int, _ outbound.Message) error {
			if n < 4 {
				return &outbound.SendError{Reason: outbound.Throttled, After: 2 * time.Minute}
			}
			return nil
		}}
		r := newRig(t, im, withLimits(outbound.Limits{Account: outbound.Rate{N: 4, Per: 4 * time.Second}}))
		for i, err := range burstOf(t, r, 4, func(i int) string { return fmt.Sprint(i) }) {
			if e := wantCode(t, i, err, outbound.CodeUpstreamRateLimited); e.RetryAfter != 2*time.Minute {
				t.Errorf("send %d: retry after %v, want 2m", i, e.RetryAfter)
			}
		}
		pass(3 * time.Minute)
		for i := range 8 {
			r.mustSend(request(fmt.Sprint(i)))
		}
		if got := im.gaps(); got[len(got)-1] != 2*time.Second {
			t.Errorf("pauses: got %v, want 2s at last: they cost twice as much", got)
		}
	})
}

// TestMinutesOfPunishmentGrow: an IM that says so many minutes is left alone for longer each time, up to half an hour, and
// anew after a success.
func TestMinutesOfPunishmentGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		th := &outbound.SendError{Reason: outbound.Throttled, After: 3 * time.Minute, Code: "-12"}
		im := &fakeIM{answer: script(th, th, th, th, th, th, nil, th)}
		r := newRig(t, im)
		for _, minutes := range []int{3, 6, 12, 24, 30, 30} {
			want := time.Duration(minutes) * time.Minute
			e := r.refused(request("hello"), outbound.CodeUpstreamRateLimited)
			if e.RetryAfter != want {
				t.Errorf("retry after: got %v, want %v", e.RetryAfter, want)
			}
			pass(e.RetryAfter)
		}
		r.mustSend(request("hello"))
		if e := r.refused(request("hello"), outbound.CodeUpstreamRateLimited); e.RetryAfter != 3*time.Minute {
			t.Errorf("retry after, anew: got %v, want 3m", e.RetryAfter)
		}
	})
}

// TestLessonsAreBounded: as many recipients as there may be leave no more than so many lessons, and the account's stays.
func TestLessonsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const recipients = 1200
		im := &fakeIM{answer: func(n int, _ outbound.Message) error {
			if n > recipients {
				return nil
			}
			return &outbound.SendError{Reason: outbound.Throttled, After: 20 * time.Second, Recipient: n > 0}
		}}
		s := &spy{Limiter: &limit.Limiter{}}
		r := newRig(t, im, withLimiter(s), withLimits(outbound.Limits{
			Account: outbound.Rate{N: recipients, Per: time.Second}, Recipient: oneASecond,
		}))
		r.refused(request("hello"), outbound.CodeUpstreamRateLimited)
		pass(20 * time.Second)
		for i := range recipients {
			r.refused(to(fmt.Sprint(i), "hello"), outbound.CodeUpstreamRateLimited)
			pass(time.Millisecond)
		}
		pass(20 * time.Second)
		s.taken = nil
		for i := range recipients {
			r.mustSend(to(fmt.Sprint(i), "hello"))
		}
		taught := 0
		for i, slot := range s.taken {
			if slot.CostAccount != 2 {
				t.Fatalf("send %d: costs the account %v, want 2", i, slot.CostAccount)
			}
			if slot.CostRecipient == 2 {
				taught++
			}
		}
		if last := s.taken[recipients-1].CostRecipient; taught > 1024 || taught < 900 || last != 2 {
			t.Errorf("lessons: got %d and %v of the last, want about 1000 and 2", taught, last)
		}
	})
}

// TestWhoIsTriedAgainKeepsHisPlace: a send that has to go again is counted among those ahead, or too many are let in.
func TestWhoIsTriedAgainKeepsHisPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{answer: script(&outbound.SendError{Reason: outbound.NotSent, After: 50 * time.Millisecond})}
		r := newRig(t, im, withLimits(outbound.Limits{Account: oneASecond}))
		var wg sync.WaitGroup
		wg.Go(func() { r.mustSend(request("hello")) })
		synctest.Wait()
		for i, err := range burstOf(t, r, 3, func(i int) string { return fmt.Sprint(i) }) {
			if let := err == nil; let != (i < 2) {
				t.Errorf("send %d behind one that goes again: got %v, want two let in", i, err)
			}
		}
		wg.Wait()
		r.wantCalls(4)
	})
}

// TestAThrottleSendsAwayWhoWaitsInAnotherTopic of the same group, at once.
func TestAThrottleSendsAwayWhoWaitsInAnotherTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: time.Second, answer: func(_ int, m outbound.Message) error {
			if m.To == "group#1" {
				pass(time.Second)
				return nil
			}
			return &outbound.SendError{Reason: outbound.Throttled, After: time.Minute, Recipient: true}
		}}
		r := newRig(t, im, withPaced(im, outbound.Limits{}, outbound.Limits{}))
		var wg sync.WaitGroup
		defer wg.Wait()
		began := time.Now()
		wg.Go(func() { r.mustSend(to("group#1", "slow")) })
		wg.Go(func() { r.refused(to("group#2", "x"), outbound.CodeUpstreamRateLimited) })
		synctest.Wait()
		r.refused(to("group#1", "behind the slow one"), outbound.CodeUpstreamRateLimited)
		wantAfter(t, "refused", began, time.Second)
	})
}
