package astrbot

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

// poll posts the message until it is answered, and then until the answer is complete.
func (a *Agent) poll(ctx context.Context, t try) (relay.Outcome, error) {
	last, err := a.loadRun(ctx, t.event.ID)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if last.Over {
		return relay.Outcome{Status: http.StatusOK, Unasked: true}, nil
	}
	var wait time.Duration
	// While the plugin surely knows of the run, asking begins none. One look then is enough.
	if last.Begun != 0 && last.age() < a.times.window {
		r, err := a.post(ctx, t, a.wire.Timeout, t.event.Ready)
		if err != nil || !r.pending {
			return a.settle(ctx, t, r, err)
		}
		wait = a.times.patience
	}
	for {
		if wait = max(wait, last.wait(a.times)); wait > 0 {
			if out, done, err := a.await(ctx, wait); done {
				return out, err
			}
		}
		var r reading
		if r, last, err = a.begin(ctx, t, last); err != nil || !r.pending {
			return a.settle(ctx, t, r, err)
		}
		wait = a.times.patience
	}
}

// await waits before the next post. Where the attempt's time does not reach so far, the attempt is over: the agent is still
// at work, and the next one is to come when the wait is over. That is no 503 or 504, which would count as an outage.
func (a *Agent) await(ctx context.Context, wait time.Duration) (out relay.Outcome, over bool, err error) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait+a.times.look {
		return relay.Outcome{
			Status: http.StatusTooEarly, RetryAfter: wait, Reason: "AstrBot is still at work on it",
		}, true, nil
	}
	if err := pause(ctx, wait); err != nil {
		return relay.Outcome{}, true, &relay.AttemptError{
			Timeout: errors.Is(err, context.DeadlineExceeded), Reason: "ended while waiting for an answer", Err: err,
		}
	}
	return relay.Outcome{}, false, nil
}

// begin makes a post that may begin a run, if the event is still ours, and remembers so before. What surely began none is
// forgotten again.
func (a *Agent) begin(ctx context.Context, t try, last run) (reading, run, error) {
	if ready := t.event.Ready; ready != nil {
		// A relay that lost the event does not write about it either.
		if err := ready(); err != nil {
			return reading{}, last, &relay.AttemptError{Unreachable: true, Reason: "the event is another relay's", Err: err}
		}
	}
	next := run{Begun: time.Now().UnixMilli(), Count: last.Count + 1}
	if err := a.saveRun(ctx, t.event.ID, next); err != nil {
		return reading{}, last, err
	}
	r, err := a.post(ctx, t, a.wire.Timeout, t.event.Ready)
	if begunNone(r, err) {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := a.saveRun(clean, t.event.ID, last); err != nil {
			a.wire.Log.Warn("astrbot: what was not begun is not forgotten", t.fields(zap.Error(err))...)
		}
		return r, last, err
	}
	return r, next, err
}

// begunNone says that a post surely began no run: it was not written, or refused by AstrBot. A gateway between may have
// given up an answer that was still to come.
func begunNone(r reading, err error) bool {
	if err != nil {
		ee, ok := errors.AsType[*egress.Error](err)
		return !ok || !ee.Written
	}
	switch r.outcome.Status {
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout:
		return false
	}
	return !r.pending && !r.taken
}

// settle ends an attempt whose post was answered, or failed.
func (a *Agent) settle(ctx context.Context, t try, r reading, err error) (relay.Outcome, error) {
	switch {
	case err != nil:
		return relay.Outcome{}, agent.AttemptError(err)
	case !r.taken:
		return r.outcome, nil
	case len(r.items) == 0:
		// The plugin does not keep such an answer: another post would begin another run.
		a.wire.Log.Warn("astrbot: the agent said nothing that can be sent", t.fields()...)
		if err := a.saveRun(ctx, t.event.ID, run{Begun: time.Now().UnixMilli(), Count: 1, Over: true}); err != nil {
			a.wire.Log.Warn("astrbot: an answer is not remembered", t.fields(zap.Error(err))...)
		}
		return r.outcome, nil
	}
	return a.collect(ctx, t, r), nil
}

// collect looks for more of an answer until it is complete, as far as can be told: the plugin has no mark for the end. What
// is found goes out at once, for people wait; it is in the outcome too, in case it could not. What was found is kept when a
// look fails.
func (a *Agent) collect(ctx context.Context, t try, r reading) relay.Outcome {
	all := newSaid(t.event.ID, agent.ReplyTo(t.event))
	all.add(r.items)
	told := a.tell(ctx, t, all.replies, 0)
	out := r.outcome
	for quiet := 0; quiet < a.times.looks; {
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= a.times.look {
			break
		}
		if pause(ctx, a.times.look) != nil {
			break
		}
		more, err := a.post(ctx, t, a.times.looking, nil)
		if err != nil || !more.taken || len(more.items) == 0 {
			a.wire.Log.Warn("astrbot: an answer may be incomplete", t.fields(zap.Int("status", more.outcome.Status))...)
			break
		}
		out = more.outcome
		quiet++
		if all.add(more.items) {
			quiet, told = 0, a.tell(ctx, t, all.replies, told)
		}
	}
	if all.left > 0 {
		a.wire.Log.Warn("astrbot: parts of an answer cannot be sent", t.fields(zap.Int("parts", all.left))...)
	}
	out.Replies = all.replies
	return out
}

// tell sends the replies from the given one on, and returns how many are told now.
func (a *Agent) tell(ctx context.Context, t try, replies []relay.Reply, from int) int {
	if len(replies) == from {
		return from
	}
	err := a.wire.Outbox.Queue(ctx, relay.Saying{
		Agent: a.wire.Name, Chat: relay.Chat{Account: t.event.Account, Conversation: t.event.Conversation},
		EventID: t.event.ID, Sender: t.event.Note.Sender, Replies: replies[from:],
	})
	if err != nil {
		return from
	}
	return len(replies)
}

// pause waits, or says why not.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
