package outbound

import (
	"context"
	"time"

	"github.com/sethvargo/go-retry"

	"github.com/imrelay/imrelay/dedupe"
)

const (
	// unavailableFor is when to ask again after the IM could not be reached and did not say.
	unavailableFor = 5 * time.Second
	// repeats is how often a message of unknown outcome is repeated where the IM drops repeats.
	repeats = 2
)

// try is what is known of a part's attempts.
type try struct {
	attempt int
	backoff retry.Backoff
	// uncertain says that one of them may have reached the IM.
	uncertain bool
	// last is why the last one failed.
	last Reason
}

// verdict is what follows from a failed call: another one after a while, or the end.
type verdict struct {
	wait time.Duration
	// held says that it is the desk that holds it up, and knows when that is over.
	held bool
	// stick says that those behind in the line are told.
	stick bool
	final *Error
	// state is how the ledger keeps a final failure; 0: it does not.
	state dedupe.Status
	// decided says it in a word for the log.
	decided string
}

// judge decides what follows from a failed call.
func (s *Sender) judge(d *desk, j *job, c call, t *try) verdict {
	e := c.err
	s.heard(d, c)
	wait, _ := t.backoff.Next()
	now := time.Now()
	until := j.until(now)
	j.tried, t.last = true, e.Reason
	var (
		final *Error
		held  bool
	)
	switch e.Reason {
	case Rejected:
		// Where the IM drops repeats, this is its word on the first call too.
		return j.end(errRejected(e))
	case Throttled:
		a := s.account(j)
		d.throttle(a.counted, e)
		h, _ := d.hold(a, now)
		wait, final, held = h.until.Sub(now), h.refusal(now, until), true
	case NotSent:
		if h, _ := d.hold(s.account(j), now); e.Offline && h.until.After(now) {
			wait, final, held = h.until.Sub(now), h.refusal(now, until), true
			break
		}
		if wait = max(wait, min(e.After, believedUpTo)); now.Add(wait).After(until) {
			final = errUnavailable(max(e.After, unavailableFor))
		}
	default:
		t.uncertain = true
		if t.attempt > repeats || s.account(j).idempotent <= callBound+wait || now.Add(wait).After(until) {
			return inDoubt()
		}
	}
	switch {
	case final == nil:
		return verdict{wait: wait, held: held, stick: j.background && !held && e.Reason == NotSent, decided: "retry"}
	case t.uncertain:
		return inDoubt()
	}
	return j.end(final)
}

// heard takes note of what a failed call says about the account's being logged in.
func (s *Sender) heard(d *desk, c call) {
	switch {
	case c.err.Ours && c.probe:
		d.unasked()
	case c.err.Ours:
	case c.err.Offline:
		s.loggedOut(d, c.began)
	case c.err.Reason == Rejected, c.err.Reason == Throttled:
		s.loggedIn(d, c.began)
	}
}

func inDoubt() verdict {
	return verdict{final: errUnknown(), state: dedupe.Unknown, decided: "unknown"}
}

// end gives up: a caller's key is free again, a background send has failed.
func (j *job) end(err *Error) verdict {
	if j.background {
		return verdict{final: err, state: dedupe.Failed, decided: "failed"}
	}
	return verdict{final: err, decided: "refused"}
}

// settle stores a final failure.
func (s *Sender) settle(ctx context.Context, j *job, v verdict) *Error {
	if v.state == 0 {
		s.release(ctx, j)
		return v.final
	}
	j.rec.Fail = &failure{Code: v.final.Code, Message: v.final.Message, Upstream: v.final.Upstream}
	s.finish(ctx, j, v.state)
	return v.final
}

// giveUp ends a part whose next call was not made.
func (s *Sender) giveUp(ctx context.Context, j *job, t try, err *Error) *Error {
	if t.uncertain {
		return s.settle(ctx, j, inDoubt())
	}
	if err.Code == CodeRateLimited && t.last == NotSent {
		err = errUnavailable(err.RetryAfter)
	}
	return s.unstarted(ctx, j, err)
}

// unstarted gives the key back: nothing is under way.
func (s *Sender) unstarted(ctx context.Context, j *job, err *Error) *Error {
	if j.background && outOfPatience(err.Code) {
		return s.settle(ctx, j, j.end(err))
	}
	if err.Code == CodeStoreUnavailable && !j.background {
		s.releaseLater(ctx, j)
		return err
	}
	s.release(ctx, j)
	return err
}

// outOfPatience says that a background send with the code has failed: it has waited for as long as it may.
func outOfPatience(c Code) bool {
	return c == CodeRateLimited || c == CodeUpstreamRateLimited || c == CodeUpstreamUnavailable
}
