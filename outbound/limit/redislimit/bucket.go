package redislimit

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/outbound"
)

// redis_rate keeps one time a bucket: until when it is in debt. Whether it grants is a question of the burst, which comes
// with each call and is not kept. A burst of nothing grants nothing, and so only asks for the debt. One without a bottom
// grants always, and the debt tells when the place comes: that is a place ahead of its time.
const (
	nothing  = 0
	anything = 1 << 30
)

// grain is how many parts of a send a cost may be given in. A bucket is a time, so who counts whole sends reads it as well.
const grain = 1000

// farthest is how far ahead of its time no place is ever taken, for nobody holds a send that long. A debt beyond it, and
// beyond what the dearest of sends may have left, is none: the clock of Redis went back.
const (
	farthest = 10 * time.Minute
	dearest  = 32
)

// bucket is where one of a slot's two rates is kept, what a send takes of it, and how many will take their places before.
type bucket struct {
	key   string
	rate  outbound.Rate
	cost  int // in grains
	ahead int
	// most is the greatest debt that can be.
	most time.Duration
}

// buckets are those of the rates that bound something. The key names the rate: a debt in another rate's time says nothing.
func buckets(s outbound.Slot) []bucket {
	var out []bucket
	if r := s.Limits.Account; !r.Unlimited() {
		b := bucket{key: "imrelay:account:" + name(r) + ":" + s.Account, rate: r, ahead: s.AheadAccount}
		out = append(out, b.costing(s.CostAccount, s.Limits.Jitter))
	}
	if r := s.Limits.Recipient; !r.Unlimited() {
		b := bucket{key: "imrelay:to:" + name(r) + ":" + s.Account + ":" + s.Recipient, rate: r, ahead: s.AheadRecipient}
		out = append(out, b.costing(s.CostRecipient, 0))
	}
	return out
}

// costing is the bucket for a send that takes so much, and for limits that may add so much to each.
func (b bucket) costing(sends float64, jitter time.Duration) bucket {
	b.cost = int(math.Round(max(1, sends) * grain))
	b.most = b.depth() + farthest + dearest*b.interval() + jitter
	return b
}

func name(r outbound.Rate) string {
	return fmt.Sprintf("%d/%v/%d", r.N, r.Per, burst(r))
}

func burst(r outbound.Rate) int {
	if r.Burst > 0 {
		return r.Burst
	}
	return r.N
}

// interval is from one send to the next once the burst is used up.
func (b bucket) interval() time.Duration { return max(1, b.rate.Per/time.Duration(b.rate.N)) }

// depth is the debt at which the burst is used up.
func (b bucket) depth() time.Duration { return time.Duration(burst(b.rate)) * b.interval() }

// delay is how long the last of n sends has to wait on top of the debt. What Redis reckons with is wrong by less than a
// microsecond.
func (b bucket) delay(debt time.Duration, n int) time.Duration {
	return max(0, debt+time.Duration(n)*b.interval()-b.depth()).Round(time.Microsecond)
}

// extra is what a send takes beyond a place: the debt that those behind wait for, and the send itself does not.
func (b bucket) extra() time.Duration { return b.took() - b.interval() }

// took is the debt that a send makes.
func (b bucket) took() time.Duration {
	return time.Duration(float64(b.cost) / grain * float64(b.interval()))
}

// limit is the rate in grains, with a burst in grains.
func (b bucket) limit(burst int) redis_rate.Limit {
	return redis_rate.Limit{Rate: b.rate.N * grain, Period: b.rate.Per, Burst: burst}
}

// ask takes one place if the burst lets it, and tells the debt.
func (l *Limiter) ask(ctx context.Context, b bucket, burst int) (time.Duration, error) {
	r, err := l.rates.AllowN(ctx, b.key, b.limit(burst), b.cost)
	if err != nil || r.ResetAfter <= b.most {
		return debtOf(r), err
	}
	l.log.Warn("limit forgotten, for the clock of Redis went back", zap.Duration("debt", r.ResetAfter))
	if err := l.rates.Reset(ctx, b.key); err != nil {
		return 0, err
	}
	r, err = l.rates.AllowN(ctx, b.key, b.limit(burst), b.cost)
	return debtOf(r), err
}

func debtOf(r *redis_rate.Result) time.Duration {
	if r == nil {
		return 0
	}
	return r.ResetAfter
}

// place is one that was taken, and until when its bucket is in debt if nobody takes another.
type place struct {
	bucket
	until time.Time
}

// giveBack returns places whose time has not come. One that others stand behind stays taken: two of them would get the
// same time otherwise. Nobody hears of an error, for what is not given back only makes the next ones wait.
func (l *Limiter) giveBack(taken []place) {
	_ = l.try(context.Background(), func(ctx context.Context) error {
		for _, p := range taken {
			left := time.Until(p.until)
			if left <= p.depth()+p.extra() {
				continue
			}
			// A cost below zero lowers the debt, and is refused if more than the burst would be left of it: half a send more
			// than there was before, for who stands behind has added a whole one.
			before := left - p.took() + p.interval()/2
			burst := int(grain * float64(before) / float64(p.interval()))
			if _, err := l.rates.AllowN(ctx, p.key, p.limit(burst), -p.cost); err != nil {
				return err
			}
		}
		return nil
	})
}
