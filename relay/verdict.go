package relay

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

// oursAfter is the place on the curve at which an attempt is made again that could not be made for a reason of ours: it
// takes somebody to mend that.
const oursAfter = 4

// ReasonMaxAge is why an event is dead that nobody may attempt any more.
const ReasonMaxAge = "older than retry.max_age"

// Further reasons for which an event is dead that do not come from the agent's answer.
const (
	reasonMaxAttempts = "reached retry.max_attempts"
	reasonStuck       = "stuck, and on_stuck is bury"
)

// class is what an attempt's result tells of the agent.
type class uint8

const (
	classTaken       class = iota // 2xx
	classUnasked                  // done with, and the agent was not called
	classRefused                  // refused for good
	classFailed                   // failed, and the agent itself said so
	classThrottled                // 429: up, but busy
	classBrownout                 // 502, 503, 504, a time-out, a hang-up
	classUnreachable              // not a byte was written
	classOurs                     // not made, for a reason of ours
	classStopped                  // given up by ourselves
)

// result is one attempt's end: an outcome, or an error.
type result struct {
	outcome Outcome
	err     error
}

// classify tells what the result means.
func (r result) classify() class {
	if r.err != nil {
		var ae *AttemptError
		switch {
		case errors.Is(r.err, errStopped), errors.Is(r.err, errLost), errors.Is(r.err, errStale):
			return classStopped
		case errors.As(r.err, &ae) && ae.Ours:
			return classOurs
		case errors.As(r.err, &ae) && ae.Unreachable:
			return classUnreachable
		default:
			return classBrownout
		}
	}
	switch s := r.outcome.Status; {
	case r.outcome.Unasked:
		return classUnasked
	case s >= 200 && s < 300:
		return classTaken
	case s == http.StatusTooManyRequests:
		return classThrottled
	case s == http.StatusBadGateway, s == http.StatusServiceUnavailable, s == http.StatusGatewayTimeout:
		return classBrownout
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly:
		return classFailed
	case s >= 500 && s != http.StatusNotImplemented:
		return classFailed
	default:
		return classRefused
	}
}

// reason says why it failed, in words that are safe to show.
func (r result) reason() string {
	if r.err == nil && r.outcome.Reason != "" {
		return fmt.Sprintf("agent answered %d: %s", r.outcome.Status, r.outcome.Reason)
	}
	if r.err == nil {
		return fmt.Sprintf("agent answered %d", r.outcome.Status)
	}
	if ae, ok := errors.AsType[*AttemptError](r.err); ok {
		return ae.Reason
	}
	return "attempt failed"
}

// judge turns a result into a verdict.
type judge struct {
	policy Policy
	now    time.Time     // by the store's clock
	took   time.Duration // how long ago the agent last took an event; negative: not since the start
}

// verdict decides what becomes of the job.
func (j judge) verdict(job queue.Job, r result) queue.Verdict {
	c := r.classify()
	v := queue.Verdict{Status: r.outcome.Status}
	if c == classTaken || c == classUnasked {
		v.Action = queue.Ack
		return v
	}
	v.Action, v.Reason = queue.Retry, r.reason()
	switch c {
	case classStopped:
		return v
	case classRefused:
		v.Action, v.Counted = queue.Bury, true
		return v
	case classOurs:
		v.Delay = j.policy.Next(oursAfter)
	case classUnreachable:
		v.Delay = Policy{Base: j.policy.Base, Cap: j.policy.Base}.Next(1)
	default:
		j.counted(&v, job, r)
	}
	if v.Action == queue.Bury {
		return v
	}
	if j.policy.over(job, j.now) {
		return bury(v, ReasonMaxAge)
	}
	if j.policy.MaxAge > 0 { // looked at when it is too old, not at the next turn of the curve
		v.Delay = max(min(v.Delay, job.Since.Add(j.policy.MaxAge).Sub(j.now)), v.Hold)
	}
	return v
}

// counted decides on a counted failure: when to try again, and whether in place, aside or never.
func (j judge) counted(v *queue.Verdict, job queue.Job, r result) {
	v.Counted = true
	v.Answered = r.err == nil && r.classify() == classFailed
	v.Hold = r.outcome.RetryAfter
	v.Delay = max(j.policy.Next(job.Attempts+1), v.Hold)
	if j.policy.MaxAttempts > 0 && job.Attempts+1 >= j.policy.MaxAttempts {
		*v = bury(*v, reasonMaxAttempts)
		return
	}
	if job.State == queue.Parked && j.policy.OnStuck != StuckBury {
		return
	}
	if j.stuck(job, v.Answered) {
		switch j.policy.OnStuck {
		case StuckPark:
			v.Action = queue.Park
		case StuckBury:
			*v = bury(*v, reasonStuck)
		case StuckBlock:
		}
		return
	}
	// An attempt falls on the moment from which it may be parked, so that a conversation does not wait for the curve.
	first := job.FirstFailure
	if first.IsZero() {
		first = j.now
	}
	if left := first.Add(j.policy.ParkAfter).Sub(j.now); left > 0 && j.policy.OnStuck != StuckBlock {
		v.Delay = max(min(v.Delay, left), v.Hold)
	}
}

// stuck says that the failure tells of this event and not of an outage.
func (j judge) stuck(job queue.Job, answered bool) bool {
	failing := j.now.Sub(job.FirstFailure)
	if job.FirstFailure.IsZero() || failing < j.policy.ParkAfter {
		return false
	}
	return answered || job.Answered || (j.took >= 0 && j.took < failing)
}

// bury makes v final, with both what is over and what the agent last said.
func bury(v queue.Verdict, why string) queue.Verdict {
	v.Action, v.Delay = queue.Bury, 0
	if v.Reason == "" {
		v.Reason = why
	} else {
		v.Reason = why + "; last: " + v.Reason
	}
	return v
}

// decision is the verdict in a word, for logs and metrics.
func decision(v queue.Verdict) string {
	switch v.Action {
	case queue.Ack:
		return "delivered"
	case queue.Park:
		return "parked"
	case queue.Bury:
		return "dead"
	default:
		return "retry"
	}
}
