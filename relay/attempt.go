package relay

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
)

// settleTimeout bounds one try at settling.
const settleTimeout = 10 * time.Second

// attempt makes one attempt, settles it and gives the slot back.
func (f *feed) attempt(ctx context.Context, t *try) {
	defer f.end(t)
	job := t.lease.Job
	target := f.target.Load()
	if target.Policy.over(job, t.storeNow()) {
		f.finish(ctx, t, done{verdict: bury(queue.Verdict{Reason: job.LastError}, ReasonMaxAge)})
		return
	}
	began := time.Now()
	r, made := f.circuit.do(job.Lane, func() result { return f.deliver(ctx, target, t) })
	if errors.Is(r.err, errLost) {
		f.lost(t)
		return
	}
	if !f.say(ctx, t, r) {
		return
	}
	if !made || errors.Is(r.err, errStale) {
		v := queue.Verdict{Action: queue.Retry, Delay: probeEvery, Reason: job.LastError}
		f.finish(ctx, t, done{verdict: v, silent: true})
		return
	}
	j := judge{policy: target.Policy, now: t.storeNow(), took: f.noted(r)}
	d := done{verdict: j.verdict(job, r), outcome: r.outcome, took: time.Since(began)}
	d.open = d.verdict.Action == queue.Retry && f.circuit.open()
	f.finish(ctx, t, d)
}

// say makes what the agent says durable, before the event may be settled: else a crash between the two would lose it. It
// is false when the relay stops, or the event is lost, before that is done.
func (f *feed) say(ctx context.Context, t *try, r result) bool {
	if r.err != nil || len(r.outcome.Replies) == 0 || r.outcome.Status < 200 || r.outcome.Status > 299 {
		return true
	}
	job := t.lease.Job
	saying := Saying{
		Agent: f.name, Chat: Chat{Account: job.Lane.Account, Conversation: job.Lane.Conversation}, EventID: job.ID,
		Sender: t.note.Sender, Replies: r.outcome.Replies,
	}
	for first := true; ; first = false {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		err := f.d.outbox.Queue(limited, saying)
		cancel()
		if err == nil {
			return true
		}
		if first { // takes may work meanwhile, and would make a line of every try
			f.storeFailed(ctx, err)
		}
		if !pause(ctx, storeRetry) {
			return false
		}
	}
}

// current says that enough of the lease is left to begin: a relay that was frozen since it took it does not post. A machine
// that slept may have stopped one of its clocks, so it is the longer of what both say that counts.
func (f *feed) current(t *try) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	age := max(now.Sub(t.held), now.Round(0).Sub(t.held.Round(0)))
	if age >= t.lease.Expires.Sub(t.lease.Taken)/2 {
		return errStale
	}
	return nil
}

// storeNow is the store's time.
func (t *try) storeNow() time.Time { return t.lease.Taken.Add(time.Since(t.since)) }

// deliver makes the call.
func (f *feed) deliver(ctx context.Context, target *Target, t *try) result {
	job := t.lease.Job
	if err := f.current(t); err != nil {
		return result{err: err}
	}
	out, err := target.Agent.Deliver(ctx, Event{
		ID: job.ID, Account: job.Lane.Account, Conversation: job.Lane.Conversation, Note: t.note, Body: job.Body,
		Accepted: job.Accepted, Ready: func() error { return f.current(t) },
	}, job.Attempts+1)
	if err != nil {
		if errors.Is(err, errStale) {
			return result{err: errStale}
		}
		if cause := context.Cause(ctx); errors.Is(cause, errStopped) || errors.Is(cause, errLost) {
			err = cause
		}
	}
	return result{outcome: out, err: err}
}

// noted keeps what the result says of the agent, and returns how long ago it had last taken an event before; negative:
// not since the start. That is told by the monotonic clock, which nobody sets.
func (f *feed) noted(r result) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := time.Duration(-1)
	if !f.ok.IsZero() {
		before = time.Since(f.ok)
	}
	switch r.classify() {
	case classTaken:
		f.ok, f.lastErr = time.Now(), ""
	case classStopped, classOurs, classUnasked:
	default:
		f.failed, f.lastErr = time.Now(), r.reason()
	}
	return before
}

// done is an attempt that is over, but for the settling.
type done struct {
	verdict queue.Verdict
	outcome Outcome
	took    time.Duration
	open    bool // the circuit is open
	silent  bool // nothing was attempted, there is nothing to tell
}

// finish writes the attempt's line, settles it, and tells who waits.
func (f *feed) finish(ctx context.Context, t *try, d done) {
	job := t.lease.Job
	if d.silent {
		f.settle(ctx, t, d.verdict)
		return
	}
	attempts := job.Attempts
	if d.verdict.Counted {
		attempts++
	}
	f.d.meter.Attempt(f.name, decision(d.verdict), d.took)
	if d.verdict.Action == queue.Ack {
		f.d.meter.Delivered(f.name, t.storeNow().Sub(job.Accepted))
	}
	f.record(t, d)
	f.settle(ctx, t, d.verdict)
	f.d.tell(ctx, job, t.note.Waiter, progress{
		verdict: d.verdict, outcome: d.outcome, attempts: attempts, wait: d.verdict.Delay, open: d.open,
	})
}

// settle makes the verdict durable. While the store fails it is tried again, for an attempt that is not settled is made
// again; when the relay is stopping it is not. The tries do not become rarer: the conversation waits until the store is
// back and hears of it.
func (f *feed) settle(ctx context.Context, t *try, v queue.Verdict) {
	f.mu.Lock()
	t.settling = true
	f.mu.Unlock()
	for {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		err := f.d.source.Settle(limited, t.lease, v)
		cancel()
		switch {
		case err == nil:
			f.storeDown.Store(false)
			return
		case errors.Is(err, queue.ErrLeaseLost):
			f.lost(t)
			return
		}
		f.storeFailed(ctx, err)
		if !pause(ctx, storeRetry) {
			return
		}
	}
}

// pause waits, and says whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// lost says that the event is not ours any more.
func (f *feed) lost(t *try) {
	job := t.lease.Job
	f.d.log.Warn("the lease is gone: another relay has the event, or the store has lost it", zap.String("event", "delivery.lost"),
		zap.String("eventId", job.ID), zap.String("im", job.Lane.Account), zap.String("sender", t.note.Sender),
		zap.String("conversationId", job.Lane.Conversation), zap.String("agent", f.name))
}

// attemptFields is how many fields the line of an attempt has at most.
const attemptFields = 12

// record writes the one line of an attempt, and one more when the event leaves its place.
func (f *feed) record(t *try, d done) {
	job, what := t.lease.Job, decision(d.verdict)
	fields := make([]zap.Field, 0, attemptFields)
	fields = append(fields,
		zap.String("event", "delivery.attempted"), zap.String("eventId", job.ID), zap.String("im", job.Lane.Account),
		zap.String("sender", t.note.Sender), zap.String("conversationId", job.Lane.Conversation),
		zap.String("agent", f.name), zap.Int("status", d.verdict.Status), zap.Int("attempt", job.Attempts+1),
		zap.Float64("durationMs", millis(d.took)), zap.String("decision", what))
	if d.verdict.Action == queue.Ack {
		f.d.log.Info("attempt "+what, fields...)
		return
	}
	fields = append(fields, zap.String("error", d.verdict.Reason), zap.Float64("nextMs", millis(d.verdict.Delay)))
	f.d.log.Warn("attempt failed", fields...)
	switch d.verdict.Action {
	case queue.Park:
		f.d.log.Warn("event is parked and its conversation goes on", again("delivery.parked", fields)...)
	case queue.Bury:
		f.d.log.Error("event is dead", again("delivery.dead", fields)...)
	case queue.Ack, queue.Retry:
	}
}

// again is the same line under another name.
func again(event string, fields []zap.Field) []zap.Field {
	out := append([]zap.Field(nil), fields...)
	out[0] = zap.String("event", event)
	return out
}
