package limit_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit"
)

func slot(l outbound.Limits) outbound.Slot {
	return outbound.Slot{Account: "wechat", Recipient: "wxid_alice", Limits: l}
}

// reserve takes a place and wants its delay, give or take a millisecond.
func reserve(t *testing.T, l *limit.Limiter, s outbound.Slot, want time.Duration) {
	t.Helper()
	p, err := l.Reserve(t.Context(), s)
	if err != nil {
		t.Fatalf("reserve: %v", err)
	}
	near(t, "reserved delay", p.Delay, want)
}

func delay(t *testing.T, l *limit.Limiter, s outbound.Slot, want time.Duration) {
	t.Helper()
	got, err := l.Delay(t.Context(), s)
	if err != nil {
		t.Fatalf("delay: %v", err)
	}
	near(t, "delay", got, want)
}

func near(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if d := got - want; d > time.Millisecond || d < -time.Millisecond {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits outbound.Limits
		want   []time.Duration
	}{
		{"no limit", outbound.Limits{}, []time.Duration{0, 0, 0}},
		{
			"N at once, then one each Nth",
			outbound.Limits{Account: outbound.Rate{N: 3, Per: 3 * time.Second}},
			[]time.Duration{0, 0, 0, time.Second, 2 * time.Second},
		},
		{
			"burst says otherwise",
			outbound.Limits{Account: outbound.Rate{N: 60, Per: time.Minute, Burst: 2}},
			[]time.Duration{0, 0, time.Second, 2 * time.Second},
		},
		{
			"a recipient's",
			outbound.Limits{Recipient: outbound.Rate{N: 1, Per: 2 * time.Second}},
			[]time.Duration{0, 2 * time.Second, 4 * time.Second},
		},
		{
			"the slower of both",
			outbound.Limits{
				Account:   outbound.Rate{N: 1, Per: time.Second},
				Recipient: outbound.Rate{N: 1, Per: 3 * time.Second},
			},
			[]time.Duration{0, 3 * time.Second, 6 * time.Second},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var l limit.Limiter
				for _, want := range tt.want {
					delay(t, &l, slot(tt.limits), want)
					reserve(t, &l, slot(tt.limits), want)
				}
			})
		})
	}
}

func TestTokensComeBackWithTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l limit.Limiter
		s := slot(outbound.Limits{Account: outbound.Rate{N: 2, Per: 2 * time.Second}})
		reserve(t, &l, s, 0)
		reserve(t, &l, s, 0)
		<-time.After(time.Second)
		reserve(t, &l, s, 0)
		reserve(t, &l, s, time.Second)
	})
}

func TestChangedLimitsHoldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l limit.Limiter
		slow := slot(outbound.Limits{Account: outbound.Rate{N: 1, Per: time.Minute}})
		reserve(t, &l, slow, 0)
		delay(t, &l, slow, time.Minute)
		fast := slot(outbound.Limits{Account: outbound.Rate{N: 1, Per: time.Second}})
		delay(t, &l, fast, time.Second)
		delay(t, &l, slot(outbound.Limits{}), 0)
	})
}

func TestIdleRecipientsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l limit.Limiter
		s := slot(outbound.Limits{Recipient: outbound.Rate{N: 1, Per: time.Second}})
		for i := range 100_000 {
			s.Recipient = fmt.Sprintf("wxid_%d", i)
			reserve(t, &l, s, 0)
			if i%500 == 499 {
				<-time.After(time.Second)
			}
		}
		if l.Len() > 4096 {
			t.Errorf("buckets kept: got %d, want no more than a few thousand", l.Len())
		}
		delay(t, &l, s, 0)
	})
}
