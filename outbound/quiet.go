package outbound

import "time"

// begunGrace is how long a message in parts that has begun may go on into quiet hours.
const begunGrace = 30 * time.Minute

// over keeps the connector's own limits where the configuration says nothing.
func (l Limits) over(own Limits) Limits {
	l.Account = l.Account.over(own.Account)
	l.Recipient = l.Recipient.over(own.Recipient)
	if l.MaxText <= 0 {
		l.MaxText = own.MaxText
	}
	if l.Jitter <= 0 {
		l.Jitter = own.Jitter
	}
	if l.Ramp <= 0 {
		l.Ramp = own.Ramp
	}
	if l.Quiet.From == l.Quiet.To {
		l.Quiet = own.Quiet
	}
	return l
}

// over keeps the connector's own rate, or its own burst, where the configuration says nothing: the IM that counts how much
// comes at once does so at another rate too.
func (r Rate) over(own Rate) Rate {
	if r.Unlimited() {
		r.N, r.Per = own.N, own.Per
	}
	if r.Burst <= 0 {
		r.Burst = own.Burst
	}
	return r
}

// later are the quiet hours for a message that has begun: it may go on for so long into them, for half of it in the evening
// and half in the morning helps nobody.
func (q Quiet) later(grace time.Duration) Quiet {
	const day = 24 * time.Hour
	if (q.To-q.From+day)%day <= grace {
		return Quiet{}
	}
	q.From = (q.From + grace) % day
	return q
}

// End is when the quiet hours are over that it is in; ok says whether it is in any. The hours are those that a clock on the
// wall shows, so that they are an hour longer or shorter in a night in which it is put back or forward.
func (q Quiet) End(now time.Time) (end time.Time, ok bool) {
	if q.From == q.To {
		return time.Time{}, false
	}
	if q.In != nil {
		now = now.In(q.In)
	} else {
		now = now.Local()
	}
	at := func(day int, clock time.Duration) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()+day, 0, int(clock/time.Minute), 0, 0, now.Location())
	}
	overnight := 0
	if q.From > q.To {
		overnight = 1
	}
	for _, day := range []int{-overnight, 0} {
		if end = at(day+overnight, q.To); !now.Before(at(day, q.From)) && now.Before(end) {
			return end, true
		}
	}
	return time.Time{}, false
}

// hold is what the quiet hours mean for a send.
func (q Quiet) hold(now time.Time) hold {
	end, ok := q.End(now)
	if !ok {
		return hold{}
	}
	return hold{until: end, tell: errQuiet}
}

func errQuiet(after time.Duration) *Error {
	return refuseFor(CodeRateLimited, after, "the account is silent at this time of the day; it was not sent, repeat it later")
}
