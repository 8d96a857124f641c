package limit

import (
	"time"

	"github.com/imrelay/imrelay/outbound"
)

// ages is the longest time that is reckoned with; the sum of two is a Duration still.
const ages = time.Duration(1 << 61)

// bucket is a rate's tokens, as the time at which none will be missing. A full one says nothing that a new one would not.
type bucket struct {
	rate outbound.Rate
	full time.Time
}

// place is what was taken of a bucket.
type place struct {
	*bucket
	// at is when its time comes, and until when the bucket would be full if nobody took another.
	at, until time.Time
	took      time.Duration
}

// span is how long the rate takes for so many sends.
func span(r outbound.Rate, sends float64) time.Duration {
	interval := max(1, r.Per/time.Duration(r.N))
	return time.Duration(min(float64(ages), sends*float64(interval)))
}

func burst(r outbound.Rate) int {
	if r.Burst > 0 {
		return r.Burst
	}
	return r.N
}

func (b *bucket) debt(now time.Time) time.Duration { return max(0, b.full.Sub(now)) }

// delay is how long one send would wait behind so many others.
func (b *bucket) delay(now time.Time, ahead int) time.Duration {
	return max(0, min(ages, b.debt(now)+span(b.rate, float64(ahead)+1))-span(b.rate, float64(burst(b.rate))))
}

// take takes a place. What it costs over one makes only those behind wait.
func (b *bucket) take(now time.Time, cost float64) place {
	p := place{bucket: b, at: now.Add(b.delay(now, 0)), took: span(b.rate, max(1, cost))}
	b.full = now.Add(min(ages, b.debt(now)+p.took))
	p.until = b.full
	return p
}

// giveBack returns a place whose time has not come. One that others stand behind stays taken: they keep their times.
func (p place) giveBack(now time.Time) {
	if p.at.After(now) && p.full.Equal(p.until) {
		p.full = p.full.Add(-p.took)
	}
}

// change goes over to another rate with the tokens that there are.
func (b *bucket) change(now time.Time, to outbound.Rate) {
	missing := float64(b.debt(now))/float64(span(b.rate, 1)) + float64(burst(to)-burst(b.rate))
	b.rate = to
	b.full = now.Add(span(to, max(0, missing)))
}
