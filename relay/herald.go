package relay

import (
	"context"
	"encoding/json"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
)

// heraldTime bounds the telling of one piece of news: an agent's worker waits for it.
const heraldTime = time.Second

// Herald carries news of events between the relays that share a queue: one may attempt what another's caller waits for.
// News that is lost costs that caller an answer in time, and nothing else.
type Herald interface {
	// Name is this relay's, as the others may call it.
	Name() string
	// Tell sends news to the relay of that name, if it is there.
	Tell(ctx context.Context, relay string, news []byte) error
	// Hear calls with each piece of news for this relay, until the herald is closed.
	Hear(call func(news []byte))
}

// bulletin is a piece of news as it travels.
type bulletin struct {
	Event       string        `json:"event"`
	State       queue.State   `json:"state"`
	Lane        queue.Lane    `json:"lane"`
	Verdict     queue.Verdict `json:"verdict"`
	Attempts    int           `json:"attempts"`
	Wait        time.Duration `json:"wait"`
	Open        bool          `json:"open"`
	ContentType string        `json:"contentType"`
	Body        []byte        `json:"body"`
}

// tell tells who waits for the event, here or at another relay, what became of an attempt at it.
func (d *Dispatcher) tell(ctx context.Context, job queue.Job, waiter string, p progress) {
	d.watches.settled(job, p)
	if d.herald == nil || waiter == "" || waiter == d.herald.Name() {
		return
	}
	news, err := json.Marshal(bulletin{
		Event: job.ID, State: job.State, Lane: job.Lane, Verdict: p.verdict, Attempts: p.attempts, Wait: p.wait,
		Open: p.open, ContentType: p.outcome.ContentType, Body: p.outcome.Body,
	})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), heraldTime)
		defer cancel()
		err = d.herald.Tell(ctx, waiter, news)
	}
	if err != nil {
		d.log.Warn("another relay was not told what became of an event", zap.String("event", "delivery.untold"),
			zap.String("eventId", job.ID), zap.Error(err))
	}
}

// hear takes in what another relay tells.
func (d *Dispatcher) hear(news []byte) {
	var b bulletin
	if err := json.Unmarshal(news, &b); err != nil {
		d.log.Warn("another relay's news are unreadable", zap.String("event", "delivery.untold"), zap.Error(err))
		return
	}
	d.watches.settled(queue.Job{ID: b.Event, State: b.State, Lane: b.Lane}, progress{
		verdict: b.Verdict, outcome: Outcome{Status: b.Verdict.Status, ContentType: b.ContentType, Body: b.Body},
		attempts: b.Attempts, wait: b.Wait, open: b.Open,
	})
}

// name is what other relays may tell news to; empty: there are none.
func (d *Dispatcher) name() string {
	if d.herald == nil {
		return ""
	}
	return d.herald.Name()
}
