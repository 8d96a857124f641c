package outbound

import (
	"context"
	"time"
)

// overslept is how late a place may be used. Who was stopped for longer takes another, or all who had places would go at
// once when the process goes on.
const overslept = time.Second

// place waits for the part's place in the pace.
func (s *Sender) place(ctx context.Context, d *desk, j *job) *Error {
	began := time.Now()
	defer j.fed(d)
	for {
		if err := s.clear(ctx, d, j); err != nil {
			return err
		}
		p, ok, err := d.reserve(ctx, j.ticket, s.account(j), s.reach(d, j))
		if !ok {
			if err := s.queueUp(ctx, j, p, err); err != nil {
				return err
			}
			continue
		}
		if err := s.wait(ctx, nil, p.Delay); err != nil {
			p.Cancel()
			return err
		}
		if time.Since(p.due) < overslept {
			s.observer.Held(j.Account, time.Since(began))
			return nil
		}
		d.again(j.ticket)
	}
}

// queueUp waits until a place may be asked for again, if the message may wait that long; why is the limiter's error, or nil
// if the place was too far ahead.
func (s *Sender) queueUp(ctx context.Context, j *job, p booked, why *Error) *Error {
	pause := p.beyond
	switch {
	case why != nil && !j.background:
		return why
	case why != nil:
		// Given back, it would be taken again at once, and so on.
		pause = why.RetryAfter
	case !j.lasting():
		return errRateLimited(p.Delay)
	case j.hungry.IsZero():
		j.hungry = time.Now()
	}
	if j.background {
		left := time.Until(s.patience(j))
		if left <= 0 {
			return errRateLimited(pause)
		}
		pause = min(pause, left)
	}
	return s.wait(ctx, nil, pause)
}

// lasting says that the message waits for a place without a bound of its own: it is queued, or it has begun.
func (j *job) lasting() bool { return j.background || len(j.rec.IDs) > 0 }

// fed says that the message waits for the pace no longer.
func (j *job) fed(d *desk) {
	if !j.hungry.IsZero() {
		j.hungry = time.Time{}
		d.fed(j.ticket)
	}
}

// reach is how far ahead a place may be taken. A caller's send was let into the line because it could go in time; it is
// not sent away for having been wrong by less than that again. One that lasts does not take places so far ahead that
// callers' sends would be refused because of it; only if it got none for a hold it goes before them, one at a time.
func (s *Sender) reach(d *desk, j *job) time.Duration {
	switch {
	case j.lasting() && !j.hungry.IsZero() && time.Since(j.hungry) >= s.hold && d.starves(j.ticket):
		return 3 * s.hold
	case j.lasting():
		return s.hold / 2
	case j.tried:
		return max(0, time.Until(j.deadline))
	}
	return max(0, time.Until(j.deadline)) + s.hold
}

// lookAgain is after how long what is in the way is looked at again: the clock on the wall, by which quiet hours end, may be
// set, and it goes on while a machine sleeps.
const lookAgain = 30 * time.Second

// clear waits until nothing stands in the way: the IM's throttles, quiet hours, being logged out.
func (s *Sender) clear(ctx context.Context, d *desk, j *job) *Error {
	for {
		now := time.Now()
		h, changed := d.hold(s.account(j), now)
		if !h.until.After(now) {
			return nil
		}
		wait := h.until.Sub(now)
		if j.background {
			left := s.patience(j).Sub(now)
			if left <= 0 {
				return h.tell(wait)
			}
			wait = min(wait, left)
		} else if err := h.refusal(now, j.deadline); err != nil {
			return err
		}
		j.fed(d)
		if err := s.wait(ctx, changed, min(wait, lookAgain)); err != nil {
			return err
		}
	}
}

// patience is until when a background send is held up: for a day, of which this process has seen all.
func (s *Sender) patience(j *job) time.Time {
	if anew := s.made.Add(maxAge); anew.After(j.deadline) {
		return anew
	}
	return j.deadline
}
