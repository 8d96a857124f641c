package relay_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/memqueue"
)

// arrival is one attempt as the agent saw it.
type arrival struct {
	at           time.Time
	id           string
	conversation string
	message      string
	attempt      int
	body         string
}

// scriptAgent answers as its script says and remembers what came.
type scriptAgent struct {
	answer func(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error)

	mu       sync.Mutex
	arrivals []arrival
	inFlight map[string]int // by conversation
	overlaps []string
}

func (a *scriptAgent) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	a.mu.Lock()
	a.arrivals = append(a.arrivals, arrival{
		at: time.Now(), id: e.ID, conversation: e.Conversation, message: e.Note.MessageID, attempt: attempt,
		body: string(e.Body),
	})
	if a.inFlight == nil {
		a.inFlight = map[string]int{}
	}
	if a.inFlight[e.Conversation]++; a.inFlight[e.Conversation] > 1 {
		a.overlaps = append(a.overlaps, e.Conversation)
	}
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		a.inFlight[e.Conversation]--
		a.mu.Unlock()
	}()
	return a.answer(ctx, e, attempt)
}

// seen returns the attempts so far.
func (a *scriptAgent) seen() []arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]arrival(nil), a.arrivals...)
}

// of returns the attempts at one message.
func (a *scriptAgent) of(message string) []arrival {
	var out []arrival
	for _, x := range a.seen() {
		if x.message == message {
			out = append(out, x)
		}
	}
	return out
}

// firsts returns the messages of one conversation in the order of their first attempts.
func (a *scriptAgent) firsts(conversation string) []string {
	var out []string
	known := map[string]bool{}
	for _, x := range a.seen() {
		if x.conversation == conversation && !known[x.message] {
			known[x.message] = true
			out = append(out, x.message)
		}
	}
	return out
}

// Answers of a scripted agent.
func status(code int) (relay.Outcome, error) { return relay.Outcome{Status: code}, nil }

func unreachable() (relay.Outcome, error) {
	return relay.Outcome{}, &relay.AttemptError{Unreachable: true, Reason: "connection refused"}
}

// hang waits for d, or for the attempt's end, and is a time-out then.
func hang(ctx context.Context, d time.Duration) (relay.Outcome, error) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return relay.Outcome{}, &relay.AttemptError{Timeout: true, Reason: "no answer in time"}
	case <-ctx.Done():
		return relay.Outcome{}, &relay.AttemptError{Reason: "gave up", Err: ctx.Err()}
	}
}

// work takes d and succeeds.
func work(ctx context.Context, d time.Duration) (relay.Outcome, error) {
	if out, err := hang(ctx, d); errors.Is(err, context.Canceled) {
		return out, err
	}
	return status(200)
}

// lineFormat reads "conversation/message" bodies: each rig message is one.
type lineFormat struct{}

func (lineFormat) Read(body []byte, _ string) ([]relay.Envelope, error) {
	var conv, id string
	if _, err := fmt.Sscanf(string(body), "%s %s", &conv, &id); err != nil {
		return nil, relay.ErrNotJSON
	}
	return []relay.Envelope{{
		MessageID: id, Identity: id, Conversation: conv, Sender: "alice", Kind: "text", Raw: body,
	}}, nil
}

// scriptOutbox takes what agents say, as its script says, and keeps what it took.
type scriptOutbox struct {
	relay.Outbox // a dispatcher only queues

	mu    sync.Mutex
	queue func(ctx context.Context, s relay.Saying) error // called before each that is tried; nil: none fails
	tried int
	said  []relay.Saying
}

func (o *scriptOutbox) Queue(ctx context.Context, s relay.Saying) error {
	o.mu.Lock()
	o.tried++
	before := o.queue
	o.mu.Unlock()
	if before != nil {
		if err := before(ctx, s); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said = append(o.said, s)
	return nil
}

// taken returns what was queued, and how often that was tried.
func (o *scriptOutbox) taken() ([]relay.Saying, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]relay.Saying(nil), o.said...), o.tried
}

// nullMeter counts nothing.
type nullMeter struct{}

func (nullMeter) Inbound(string, string)                {}
func (nullMeter) Braked(string)                         {}
func (nullMeter) Attempt(string, string, time.Duration) {}
func (nullMeter) Delivered(string, time.Duration)       {}

// brakeMeter counts pauses only.
type brakeMeter struct {
	nullMeter

	pauses atomic.Int32
}

// Braked implements relay.Meter.
func (m *brakeMeter) Braked(string) { m.pauses.Add(1) }

// rig is an acceptor and a dispatcher over a memory queue, with one scripted agent called "agent".
type rig struct {
	t     *testing.T
	queue queue.Queue
	disp  *relay.Dispatcher
	acc   *relay.Acceptor
	brake *relay.Brake
	meter *brakeMeter // the acceptor's
	agent *scriptAgent
	said  *scriptOutbox
	logs  *observer.ObservedLogs
	stop  func()
}

// setup changes what a rig is made of.
type setup struct {
	policy      relay.Policy
	concurrency int
	drain       time.Duration
	brake       relay.BrakeOptions
	account     relay.Account
	idle        bool // the dispatcher is not run
	clock       clock.Source
	source      func(queue.Source) queue.Source // what the dispatcher sees of the queue
	herald      relay.Herald
	away        func() bool
}

// policy is the default one of the tests.
func policy() relay.Policy {
	return relay.Policy{Base: time.Second, Cap: 5 * time.Minute, ParkAfter: time.Minute, MaxAge: 24 * time.Hour}
}

// newRig starts a rig. It must be called in a synctest bubble.
func newRig(t *testing.T, agent *scriptAgent, change func(*setup)) *rig {
	t.Helper()
	s := setup{
		policy: policy(), concurrency: 64, drain: 10 * time.Second,
		account: relay.Account{Name: "im", Format: lineFormat{}},
		source:  func(q queue.Source) queue.Source { return q },
	}
	if change != nil {
		change(&s)
	}
	q := memqueue.New(memqueue.Options{Clock: s.clock, Retention: queue.Retention{
		Window: 48 * time.Hour, Delivered: 48 * time.Hour, MaxBytes: 1 << 30, Dead: 30 * 24 * time.Hour,
	}})
	core, logs := observer.New(zapcore.DebugLevel)
	log := zap.New(core)
	said := &scriptOutbox{}
	disp := relay.NewDispatcher(relay.DispatcherOptions{
		Source:  s.source(q),
		Targets: map[string]relay.Target{"agent": {Agent: agent, Policy: s.policy, Concurrency: s.concurrency, Away: s.away}},
		Drain:   s.drain, Herald: s.herald, Outbox: said, Meter: nullMeter{}, Log: log,
	})
	brake, meter := relay.NewBrake(q, s.brake, log), &brakeMeter{}
	acc := relay.NewAcceptor(relay.AcceptorOptions{
		Queue: q, Dispatcher: disp, Brake: brake, Meter: meter, Log: log,
		Router: &relay.Router{
			Accounts: map[string]*relay.Account{"im": &s.account}, Routes: []relay.Route{{Agent: "agent"}},
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		if !s.idle {
			disp.Run(ctx)
		}
	}()
	r := &rig{t: t, queue: q, disp: disp, acc: acc, brake: brake, meter: meter, agent: agent, said: said, logs: logs}
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-over
	})
	t.Cleanup(func() {
		r.stop()
		if err := q.Close(); err != nil {
			t.Errorf("close queue: %v", err)
		}
	})
	return r
}

// post accepts a message and fails the test if it is refused.
func (r *rig) post(conversation, message string, wait time.Duration) relay.Acceptance {
	r.t.Helper()
	a, err := r.acc.Accept(r.t.Context(), relay.Post{
		Account: "im", Body: []byte(conversation + " " + message), Wait: wait,
	})
	if err != nil {
		r.t.Fatalf("accept %s/%s: %v", conversation, message, err)
	}
	return a
}

// sent notes a send to the conversation.
func (r *rig) sent(conversation string) {
	r.t.Helper()
	if err := r.brake.Sent(r.t.Context(), "im", conversation); err != nil {
		r.t.Fatalf("note a send to %s: %v", conversation, err)
	}
}

// state returns the job of an acceptance's first event.
func (r *rig) state(a relay.Acceptance) queue.Job {
	r.t.Helper()
	job, err := r.queue.Get(r.t.Context(), a.EventIDs[0])
	if err != nil {
		r.t.Fatalf("get %s: %v", a.EventIDs[0], err)
	}
	return job
}

// bubble runs f in a bubble of its own.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// numbers are "1" … "n".
func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i + 1)
	}
	return out
}
