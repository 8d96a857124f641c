package relay

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
)

// errStopped is the cause of an attempt's end when the relay stops before the agent has answered.
var errStopped = errors.New("relay is stopping")

// errLost is the cause of an attempt's end when its lease is another's.
var errLost = errors.New("lease lost")

// errStale is the end of an attempt that was called off before its first byte: too little of its lease is left.
var errStale = errors.New("too little of the lease is left")

// Target is one agent and how it is to be treated.
type Target struct {
	// Agent makes the attempts.
	Agent Agent
	// Policy repeats them.
	Policy Policy
	// Concurrency is how many conversations may be in flight; those whose last attempt failed share at most half.
	Concurrency int
	// Away says that the agent is another relay's to serve; nil: it never is.
	Away func() bool
}

// DispatcherOptions are what a Dispatcher is made of.
type DispatcherOptions struct {
	// Source gives the events.
	Source queue.Source
	// Targets are the agents by name. Their names do not change while the dispatcher lives.
	Targets map[string]Target
	// Drain is how long attempts under way may go on after Run's context has ended.
	Drain time.Duration
	// Herald carries news between relays; nil: this one has the queue for itself.
	Herald Herald
	// Outbox sends what agents say in their answers.
	Outbox Outbox
	// Meter counts.
	Meter Meter
	// Log gets one line an attempt.
	Log *zap.Logger
}

// Dispatcher takes due events from the queue, attempts each once, and settles it. One Dispatcher serves all agents of
// a process; each agent has a feed of its own, so that none waits for another.
type Dispatcher struct {
	source  queue.Source
	drain   time.Duration
	herald  Herald
	outbox  Outbox
	meter   Meter
	log     *zap.Logger
	feeds   map[string]*feed
	watches watches
}

// NewDispatcher returns a dispatcher that does nothing until Run.
func NewDispatcher(o DispatcherOptions) *Dispatcher {
	d := &Dispatcher{
		source: o.Source, drain: o.Drain, herald: o.Herald, outbox: o.Outbox, meter: o.Meter, log: o.Log, feeds: map[string]*feed{},
		watches: watches{over: make(chan struct{}), byID: map[string]*watch{}},
	}
	for name, t := range o.Targets {
		d.feeds[name] = newFeed(d, name, t)
	}
	if d.herald != nil {
		d.herald.Hear(d.hear)
	}
	return d
}

// Reload takes over new agents, policies and concurrencies for the names that the dispatcher was made with; attempts
// under way end with the old ones.
func (d *Dispatcher) Reload(targets map[string]Target) {
	for name, t := range targets {
		if f := d.feeds[name]; f != nil {
			f.target.Store(&t)
			f.nudge()
		}
	}
}

// Run delivers until ctx ends, then lets the attempts under way finish for at most the drain time, cuts off those that
// have not, and returns when all are settled. An attempt that was cut off is not counted. Whoever still waits for an
// outcome then waits no longer. Run is called once.
func (d *Dispatcher) Run(ctx context.Context) {
	defer close(d.watches.over)
	attempts, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(errStopped)
	var feeding, trying sync.WaitGroup
	for _, f := range d.feeds {
		feeding.Go(func() { f.run(ctx, attempts, &trying) })
	}
	var renewing sync.WaitGroup
	renewed, stopRenewing := context.WithCancel(attempts)
	defer stopRenewing()
	for _, f := range d.feeds {
		renewing.Go(func() { f.renew(renewed) })
	}
	feeding.Wait()
	cut := time.AfterFunc(d.drain, func() { stop(errStopped) })
	trying.Wait()
	cut.Stop()
	stopRenewing()
	renewing.Wait()
}

// AgentStatus is how one agent stands, as this process sees it.
type AgentStatus struct {
	Name string
	// Open says that the circuit is open: the agent is taken to be down, and is tried once a second.
	Open bool
	// InFlight counts the attempts under way.
	InFlight int
	// LastTaken is when it last took an event, LastFailed when an attempt last failed; zero: not since the start.
	LastTaken, LastFailed time.Time
	// LastError is why the last failed attempt failed; empty since it last took one.
	LastError string
}

// Agents returns the status of every agent, by name.
func (d *Dispatcher) Agents() []AgentStatus {
	var out []AgentStatus
	for _, name := range slices.Sorted(maps.Keys(d.feeds)) {
		out = append(out, d.feeds[name].status())
	}
	return out
}

// held says that no ordinary attempts are made at the agent.
func (d *Dispatcher) held(agent string) bool {
	f := d.feeds[agent]
	return f == nil || f.circuit.open()
}

// trouble says why the agent's last attempt failed; empty: it did not.
func (d *Dispatcher) trouble(agent string) string {
	if f := d.feeds[agent]; f != nil {
		return f.status().LastError
	}
	return "no such agent is configured"
}
