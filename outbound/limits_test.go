package outbound_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

// TestRateAndBurstWinKeyByKey: an IM that takes one at a time gets no twenty at once because somebody has set a rate.
func TestRateAndBurstWinKeyByKey(t *testing.T) {
	t.Parallel()
	own := outbound.Rate{N: 1, Per: 1200 * time.Millisecond, Burst: 1}
	tests := []struct {
		name   string
		own    outbound.Rate
		given  outbound.Rate
		atOnce int
		pause  time.Duration
	}{
		{"nothing", own, outbound.Rate{}, 1, 1200 * time.Millisecond},
		{"a rate", own, outbound.Rate{N: 20, Per: time.Minute}, 1, 3 * time.Second},
		{"a burst", own, outbound.Rate{Burst: 3}, 3, 1200 * time.Millisecond},
		{"both", own, outbound.Rate{N: 20, Per: time.Minute, Burst: 2}, 2, 3 * time.Second},
		{"a rate over none", outbound.Rate{}, outbound.Rate{N: 5, Per: 10 * time.Second}, 5, 2 * time.Second},
		{"a rate over one without a burst", outbound.Rate{N: 1, Per: time.Second}, outbound.Rate{N: 5, Per: 10 * time.Second}, 5, 2 * time.Second},
	}
	for _, tt := range tests {
		for _, of := range []string{"account", "recipient"} {
			t.Run(tt.name+" of the "+of, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ownLimits, given := outbound.Limits{Account: tt.own}, outbound.Limits{Account: tt.given}
					if of == "recipient" {
						ownLimits, given = outbound.Limits{Recipient: tt.own}, outbound.Limits{Recipient: tt.given}
					}
					im := &fakeIM{}
					r := newRig(t, im, withPaced(im, ownLimits, given)).running()
					for i := range 10 {
						r.enqueue(request(fmt.Sprint(i)))
					}
					pass(500 * time.Millisecond)
					r.wantCalls(tt.atOnce)
					pass(time.Minute)
					gaps := im.gaps()
					if got := gaps[len(gaps)-1]; got != tt.pause {
						t.Errorf("last pause: got %v, want %v", got, tt.pause)
					}
				})
			})
		}
	}
}

// TestLimitsThatDoNothingAreTold.
func TestLimitsThatDoNothingAreTold(t *testing.T) {
	t.Parallel()
	im := &fakeIM{}
	rated := pacedIM{im, outbound.Limits{Account: oneASecond}}
	all := outbound.Limits{Account: outbound.Rate{Burst: 2}, Jitter: time.Second, Ramp: time.Minute}
	withRate := all
	withRate.Account = oneASecond
	const why = ": is of no use without rate, for the connector has none of its own"
	tests := []struct {
		name   string
		im     outbound.Connector
		limits outbound.Limits
		want   string
	}{
		{"no rate at all", im, all, "burst" + why + "\njitter" + why + "\nramp" + why},
		{"a recipient's only", im, outbound.Limits{Recipient: oneASecond, Jitter: time.Second}, "jitter" + why},
		{"a connector that paces recipients only", pacedIM{im, outbound.Limits{Recipient: oneASecond}}, outbound.Limits{Ramp: 1}, "ramp" + why},
		{"a configured rate", im, withRate, ""},
		{"the connector's rate", rated, all, ""},
		{"nothing given", im, outbound.Limits{}, ""},
		{"no connector", nil, all, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := tt.limits.Idle(tt.im); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
