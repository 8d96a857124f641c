// Package limit keeps the pace of sends in this process: a token bucket for each account and each recipient. It holds
// nobody up and refuses nothing: it says how long to wait. Its buckets are empty of history after a restart, and know
// nothing of other relays.
package limit

import (
	"context"
	"sync"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

// firstSweep is how many buckets there are before idle ones are thrown away.
const firstSweep = 1024

type key struct{ account, recipient string }

// Limiter is an [outbound.Limiter]. The zero value is ready to use.
type Limiter struct {
	mu      sync.Mutex
	buckets map[key]*bucket
	// sweepAt is how many buckets make the next sweep.
	sweepAt int
}

var _ outbound.Limiter = (*Limiter)(nil)

// Delay implements [outbound.Limiter].
func (l *Limiter) Delay(_ context.Context, s outbound.Slot) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var longest time.Duration
	if b := l.bucket(key{account: s.Account}, s.Limits.Account, now); b != nil {
		longest = b.delay(now, s.AheadAccount)
	}
	if b := l.bucket(key{s.Account, s.Recipient}, s.Limits.Recipient, now); b != nil {
		longest = max(longest, b.delay(now, s.AheadRecipient))
	}
	return longest, nil
}

// Reserve implements [outbound.Limiter].
func (l *Limiter) Reserve(_ context.Context, s outbound.Slot) (outbound.Place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var taken []place
	var longest time.Duration
	take := func(k key, r outbound.Rate, cost float64) {
		if b := l.bucket(k, r, now); b != nil {
			p := b.take(now, cost)
			taken = append(taken, p)
			longest = max(longest, p.at.Sub(now))
		}
	}
	take(key{account: s.Account}, s.Limits.Account, s.CostAccount)
	take(key{s.Account, s.Recipient}, s.Limits.Recipient, s.CostRecipient)
	cancel := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, p := range taken {
			p.giveBack(time.Now())
		}
	}
	return outbound.Place{Delay: longest, Cancel: cancel}, nil
}

// bucket returns the key's bucket with the rate of now; nil: the rate bounds nothing.
func (l *Limiter) bucket(k key, r outbound.Rate, now time.Time) *bucket {
	if r.Unlimited() {
		return nil
	}
	b := l.buckets[k]
	switch {
	case b == nil:
		l.sweep(now)
		b = &bucket{rate: r}
		l.buckets[k] = b
	case b.rate != r:
		b.change(now, r)
	}
	return b
}

// sweep throws full buckets away each time that the number of buckets has doubled.
func (l *Limiter) sweep(now time.Time) {
	if l.buckets == nil {
		l.buckets, l.sweepAt = map[key]*bucket{}, firstSweep
	}
	if len(l.buckets) < l.sweepAt {
		return
	}
	for k, b := range l.buckets {
		if b.debt(now) == 0 {
			delete(l.buckets, k)
		}
	}
	l.sweepAt = max(firstSweep, 2*len(l.buckets))
}

// Len is the number of buckets kept.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.buckets)
}
