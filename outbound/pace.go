package outbound

import (
	"context"
	"time"
)

// The throttle of an IM that does not say for how long: it doubles with each one in a row, up to a bound. What it says
// is believed up to an hour.
const (
	firstThrottle   = 2 * time.Second
	longestThrottle = time.Minute
	believedUpTo    = time.Hour
)

// reserve takes a place in the pace for one message of the head, if it comes by the bound; else it tells how long that
// would take.
func (d *desk) reserve(ctx context.Context, t *ticket, l Limits, bound time.Duration) (p Place, ok bool, err *Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	slot := Slot{Account: d.account, Recipient: t.to, Limits: l}
	delay, cause := d.limiter.Delay(ctx, slot)
	if cause != nil {
		return Place{}, false, errPace(ctx, cause)
	}
	if delay > bound+rounding {
		return Place{Delay: delay}, false, nil
	}
	if p, cause = d.limiter.Reserve(ctx, slot); cause != nil {
		return Place{}, false, errPace(ctx, cause)
	}
	if r := d.rows[t.to]; t.owed > 0 {
		d.owe(r, t, t.owed-1)
	}
	return p, true, nil
}

// hold is what the IM's throttles mean for a recipient.
func (d *desk) hold(to string) hold {
	d.mu.Lock()
	defer d.mu.Unlock()
	account, recipient := d.throttled[""], d.throttled[to]
	if recipient.until.After(account.until) {
		return recipient
	}
	return account
}

// throttle takes note of the IM's wish, and sends away those who cannot wait that long.
func (d *desk) throttle(to string, e *SendError) {
	scope := ""
	if e.Recipient {
		scope = to
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	h := d.throttled[scope]
	after := min(e.After, believedUpTo)
	if after <= 0 {
		after = min(firstThrottle<<min(h.times, 8), longestThrottle)
	}
	h.times++
	h.tell = errThrottled
	if until := now.Add(after); until.After(h.until) {
		h.until = until
	}
	d.prune(now)
	d.throttled[scope] = h
	for _, r := range d.rows {
		d.dismiss(r, h, func(t *ticket) bool { return scope == "" || t.to == scope })
	}
}

// prune forgets throttles that are long over, so that the map does not grow with the recipients.
func (d *desk) prune(now time.Time) {
	const enough = 1024
	if len(d.throttled) < enough {
		return
	}
	for to, h := range d.throttled {
		if now.Sub(h.until) > longestThrottle {
			delete(d.throttled, to)
		}
	}
}

// flow takes note that the IM takes messages again.
func (d *desk) flow(to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, scope := range []string{"", to} {
		if h, ok := d.throttled[scope]; ok && !h.until.After(now) {
			delete(d.throttled, scope)
		}
	}
}

// stick says that the background send at the head waits until then for the IM to be there, and sends away those behind
// it who cannot.
func (d *desk) stick(t *ticket, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rows[t.to]
	r.stuck = hold{until: until, tell: errUnavailable}
	d.dismiss(r, r.stuck, func(*ticket) bool { return true })
}

// dismiss tells callers who are not at the head that their turn will come too late.
func (d *desk) dismiss(r *row, h hold, meant func(*ticket) bool) {
	now := time.Now()
	for _, t := range r.tickets {
		if t.background || t.called || !meant(t) {
			continue
		}
		if err := h.refusal(now, t.deadline); err != nil {
			t.called = true
			t.turn <- err
		}
	}
}
