package outbound

import (
	"context"
	"math"
	"slices"
	"time"
)

// The throttle of an IM that does not say for how long: it doubles with each one in a row, up to a bound. What it says
// is believed up to an hour. One that speaks of minutes does not reckon, it punishes: what it says doubles as well.
const (
	firstThrottle   = 2 * time.Second
	longestThrottle = time.Minute
	believedUpTo    = time.Hour
	punishment      = time.Minute
	longestPunished = 30 * time.Minute
)

// booked is a place in the pace that was taken, or by how much too far ahead it would have been.
type booked struct {
	Place
	due    time.Time
	beyond time.Duration
}

// reserve takes a place in the pace for one message of the head, if it comes by the bound; else it tells how long that
// would take.
func (d *desk) reserve(ctx context.Context, t *ticket, a account, bound time.Duration) (p booked, ok bool, err *Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slot := Slot{Account: d.account, Recipient: a.counted, Limits: a.Limits}
	delay, cause := d.limiter.Delay(ctx, slot)
	if cause != nil {
		return booked{}, false, errPace(ctx, cause)
	}
	if delay > bound+rounding {
		return booked{Place: Place{Delay: delay}, beyond: delay - bound}, false, nil
	}
	slot.CostAccount, slot.CostRecipient = d.cost(a, d.random())
	asked := time.Now()
	if p.Place, cause = d.limiter.Reserve(ctx, slot); cause != nil {
		return booked{}, false, errPace(ctx, cause)
	}
	p.due = asked.Add(p.Delay)
	if t.owed > 0 {
		d.owe(t, t.owed-1)
	}
	return p, true, nil
}

// starves says whether the send is the next of those that got no place for too long. They go one after the other: all at
// once would leave none for callers.
func (d *desk) starves(t *ticket) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.hungry, t) {
		d.hungry = append(d.hungry, t)
	}
	return d.hungry[0] == t
}

// fed says that the send waits for the pace no longer.
func (d *desk) fed(t *ticket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.hungry, t); i >= 0 {
		d.hungry = slices.Delete(d.hungry, i, i+1)
	}
}

// behind is the slot behind so many sends, of which nobody knows yet how much of the jitter they will get.
func (d *desk) behind(a account, account, recipient int) Slot {
	each, every := d.cost(a, 0.5)
	return Slot{
		Account: d.account, Recipient: a.counted, Limits: a.Limits,
		AheadAccount:   int(math.Ceil(float64(account) * each)),
		AheadRecipient: int(math.Ceil(float64(recipient) * every)),
	}
}

// cost is what a send takes of the account's rate and of the recipient's, with so much of the jitter.
func (d *desk) cost(a account, luck float64) (account, recipient float64) {
	now := time.Now()
	account = d.presence.slowness(a.Limits.Ramp, now) * d.lessons.factor(whole, now)
	if r := a.Limits.Account; !r.Unlimited() {
		account += luck * float64(a.Limits.Jitter) * float64(r.N) / float64(r.Per)
	}
	return account, d.lessons.factor(a.counted, now)
}

// again says that the message needs another place in the pace.
func (d *desk) again(t *ticket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owe(t, t.owed+1)
}

// hold is what stands in the way of a send, and what is closed when that may have become less.
func (d *desk) hold(a account, now time.Time) (hold, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.standstill(a, now), d.changed
}

// standstill is what stands in the way of a send for the longest.
func (d *desk) standstill(a account, now time.Time) hold {
	var longest hold
	for _, h := range []hold{
		d.throttled[whole], d.throttled[a.counted], a.Limits.Quiet.hold(now), d.presence.hold(now),
	} {
		if h.until.After(longest.until) {
			longest = h
		}
	}
	return longest
}

// through says whether a call may be made now. While the account is logged out it is a probe: the one that finds out.
func (d *desk) through(a account) (ok, probe bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.standstill(a, now).until.After(now) {
		return false, false
	}
	return true, d.presence.probed(now)
}

// stir wakes those who wait for something to be over.
func (d *desk) stir() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stirred()
}

func (d *desk) stirred() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// throttle takes note of the IM's wish, and sends away those who cannot wait that long. A throttle that comes while one
// holds is the answer to a call that was under way already: it teaches nothing new.
func (d *desk) throttle(counted string, e *SendError) {
	scope := whole
	if e.Recipient {
		scope = counted
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	h := d.throttled[scope]
	if !h.until.After(now) {
		h.times++
		d.lessons.learn(scope, now)
	}
	h.tell = errThrottled
	if until := now.Add(h.wish(e.After)); until.After(h.until) {
		h.until = until
	}
	d.prune(now)
	d.throttled[scope] = h
	for _, r := range d.rows {
		d.dismiss(r, h, func(t *ticket) bool { return scope == whole || t.counted == scope })
	}
}

// wish is for how long to stand still after so many throttles in a row.
func (h hold) wish(said time.Duration) time.Duration {
	said = min(said, believedUpTo)
	switch {
	case said <= 0:
		return min(firstThrottle<<min(h.times-1, 8), longestThrottle)
	case said >= punishment:
		return max(said, min(said<<min(h.times-1, 8), longestPunished))
	}
	return said
}

// prune forgets throttles that are long over, so that the map does not grow with the recipients.
func (d *desk) prune(now time.Time) {
	const enough = 1024
	if len(d.throttled) < enough {
		return
	}
	for to, h := range d.throttled {
		if to != whole && now.Sub(h.until) > longestThrottle {
			delete(d.throttled, to)
		}
	}
}

// flow takes note that the IM takes messages again.
func (d *desk) flow(counted string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, scope := range []string{whole, counted} {
		if h, ok := d.throttled[scope]; ok && !h.until.After(now) {
			delete(d.throttled, scope)
		}
	}
}
