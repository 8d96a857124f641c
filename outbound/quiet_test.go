package outbound_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

func TestQuietHours(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	hours := func(from, to float64, in *time.Location) outbound.Quiet {
		return outbound.Quiet{
			From: time.Duration(from * float64(time.Hour)), To: time.Duration(to * float64(time.Hour)), In: in,
		}
	}
	tests := []struct {
		name      string
		quiet     outbound.Quiet
		now, want string // empty: not quiet
	}{
		{"none", outbound.Quiet{}, "2026-03-01T00:00:00Z", ""},
		{"by day, before", hours(12, 14, time.UTC), "2026-03-01T11:59:59Z", ""},
		{"by day, first", hours(12, 14, time.UTC), "2026-03-01T12:00:00Z", "2026-03-01T14:00:00Z"},
		{"by day, last", hours(12, 14, time.UTC), "2026-03-01T13:59:59Z", "2026-03-01T14:00:00Z"},
		{"by day, behind", hours(12, 14, time.UTC), "2026-03-01T14:00:00Z", ""},
		{"over midnight, evening", hours(23, 7, time.UTC), "2026-02-28T23:30:00Z", "2026-03-01T07:00:00Z"},
		{"over midnight, morning", hours(23, 7, time.UTC), "2026-03-01T06:59:59Z", "2026-03-01T07:00:00Z"},
		{"over midnight, noon", hours(23, 7, time.UTC), "2026-03-01T12:00:00Z", ""},
		{"until midnight", hours(23.5, 0, time.UTC), "2026-03-01T23:45:00Z", "2026-03-02T00:00:00Z"},
		{"elsewhere", hours(23, 7, shanghai), "2026-03-01T15:00:00Z", "2026-03-01T23:00:00Z"},
		{"elsewhere, not yet", hours(23, 7, shanghai), "2026-03-01T14:59:00Z", ""},
		{"a night that is short", hours(23, 7, berlin), "2026-03-28T23:00:00Z", "2026-03-29T05:00:00Z"},
		{"a night that is long", hours(23, 7, berlin), "2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now, err := time.Parse(time.RFC3339, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if end, ok := tt.quiet.End(now); ok {
				got = end.UTC().Format(time.RFC3339)
			}
			if got != tt.want {
				t.Errorf("at %s: got %q, want %q", tt.now, got, tt.want)
			}
		})
	}
}

// night is quiet from two minutes after a test begins, which is at midnight.
func night() outbound.Limits {
	return outbound.Limits{
		Account: outbound.Rate{N: 1, Per: time.Second, Burst: 1},
		Quiet:   outbound.Quiet{From: 2 * time.Minute, To: 8 * time.Hour, In: time.UTC},
	}
}

// TestNothingGoesInQuietHours: callers hear when they are over, and what is queued waits for that and keeps the pace.
func TestNothingGoesInQuietHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(night())).running()
		began := time.Now()
		pass(118500 * time.Millisecond)
		for i := range 10 {
			r.enqueue(request(fmt.Sprint(i)))
		}
		pass(3*time.Hour + 500*time.Millisecond - time.Since(began))
		r.wantCalls(2)
		e := r.refused(request("hello"), outbound.CodeRateLimited)
		if want := 5 * time.Hour; e.RetryAfter != want || e.Code.Status() != 429 {
			t.Errorf("got %d, retry after %v; want 429, %v", e.Code.Status(), e.RetryAfter, want)
		}
		pass(8*time.Hour + 20*time.Second - time.Since(began))
		var want []string
		for i := range 10 {
			want = append(want, fmt.Sprint(i))
		}
		wantTexts(t, im.texts(), want...)
		at := im.times()
		if got := at[2].Sub(began); got != 8*time.Hour {
			t.Errorf("went on after %v, want 8h", got)
		}
		for i, gap := range im.gaps()[2:] {
			if gap < time.Second {
				t.Errorf("pause %d in the morning: got %v, want 1s", i, gap)
			}
		}
	})
}

// TestACallerInTheEveningIsHeldOverNight only if the hold is long enough, and never sent in it.
func TestACallerInTheEveningIsNotSentInTheNight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		r := newRig(t, im, withLimits(night()))
		pass(2*time.Minute - 1500*time.Millisecond)
		errs := burstOf(t, r, 4, func(i int) string { return fmt.Sprint(i) })
		for i, err := range errs[2:] {
			if e := wantCode(t, i, err, outbound.CodeRateLimited); e.RetryAfter < 7*time.Hour {
				t.Errorf("send %d: retry after %v, want about 8h", i+2, e.RetryAfter)
			}
		}
		r.wantCalls(2)
		pass(8*time.Hour - 2*time.Minute - 2500*time.Millisecond)
		began := time.Now()
		r.mustSend(request("good morning"))
		if took := time.Since(began); took > testHold {
			t.Errorf("just before the end: sent after %v, want within the hold", took)
		}
	})
}

// TestAReloadEndsTheNight for those who wait for the morning already.
func TestAReloadEndsTheNight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{}, withLimits(night())).running()
		pass(time.Hour)
		id := r.enqueue(request("hello")).ID
		pass(time.Minute)
		r.lookup(id, outbound.StatusQueued)
		r.Reload(outbound.Table{"wechat": {Connector: r.im}})
		synctest.Wait()
		r.lookup(id, outbound.StatusSent)
	})
}

// TestAMessageThatHasBegunIsNotTorn by the evening; it has half an hour for that, and what has not begun waits.
func TestAMessageThatHasBegunIsNotTorn(t *testing.T) {
	t.Parallel()
	for name, every := range map[string]time.Duration{"in time": 2 * time.Second, "not in half an hour": 20 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im, l := &fakeIM{}, night()
				l.MaxText, l.Account.Per = 10, every
				r := newRig(t, im, withLimits(l)).running()
				began := time.Now()
				pass(117 * time.Second)
				r.enqueue(request("one two three four five"))
				other := request("good night")
				other.To = "wxid_bob"
				pass(time.Second)
				r.enqueue(other)
				pass(2*time.Hour - time.Since(began))
				for i, at := range im.times() {
					if m := im.sent()[i]; m.To == other.To && at.Sub(began) > 2*time.Minute {
						t.Errorf("another message went after %v, want none that begins in the night", at.Sub(began))
					}
				}
				parts := 0
				for _, m := range im.sent() {
					if m.To == "wxid_alice" {
						parts++
					}
				}
				want := 3
				if every > time.Minute {
					want = 2
				}
				if parts != want {
					t.Errorf("parts sent in the evening: got %d, want %d", parts, want)
				}
			})
		})
	}
}

// moodyIM is an IM whose pace may be another each time.
type moodyIM struct {
	*fakeIM
	pace func() outbound.Limits
}

func (im moodyIM) Pace(to string) (outbound.Limits, string) { return im.pace(), to }

// TestQuietHoursAreLookedAtAgain: what was known when the wait began may be wrong, for a clock was set or a machine slept.
func TestQuietHoursAreLookedAtAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		began := time.Now()
		paced := moodyIM{im, func() outbound.Limits {
			if time.Since(began) > 3*time.Hour {
				return outbound.Limits{}
			}
			return outbound.Limits{Quiet: outbound.Quiet{From: 0, To: 8 * time.Hour, In: time.UTC}}
		}}
		r := newRig(t, im, withAccounts(outbound.Table{"wechat": {Connector: paced}})).running()
		id := r.enqueue(request("hello")).ID
		pass(3 * time.Hour)
		r.wantCalls(0)
		pass(31 * time.Second)
		r.lookup(id, outbound.StatusSent)
	})
}
