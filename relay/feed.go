package relay

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
)

// Times of a feed.
const (
	renewEvery = 3 * time.Second        // of the leases of attempts under way
	storeRetry = 500 * time.Millisecond // between two tries at a store that fails
	awayEvery  = 500 * time.Millisecond // between two looks whether an agent is ours to serve
)

// feed brings one agent its events.
type feed struct {
	d       *Dispatcher
	name    string
	target  atomic.Pointer[Target]
	circuit *circuit
	idle    chan *try     // to a worker that has nothing to do
	freed   chan struct{} // a slot is free, or something else changed; room for one
	back    atomic.Bool   // the agent is back, and its lanes are not yet told

	storeDown atomic.Bool // the last call of the store failed

	mu       sync.Mutex
	tries    map[uint64]*try // by lease token
	troubled int             // of them, those of troubled lanes
	probes   int             // of them, those that test an open circuit
	ok       time.Time       // the last attempt that was taken, by our clock
	failed   time.Time       // when one last was not
	lastErr  string
}

// try is one attempt under way.
type try struct {
	lease queue.Lease
	note  Note
	since time.Time // when the lease was asked for, by our clock
	probe bool

	// The feed's lock guards these.
	held     time.Time               // when the store last said that the lease is ours, by our clock, or before that
	cancel   context.CancelCauseFunc // nil: no worker has it yet
	settling bool                    // over, but for the store
}

func newFeed(d *Dispatcher, name string, t Target) *feed {
	f := &feed{d: d, name: name, idle: make(chan *try), freed: make(chan struct{}, 1), tries: map[uint64]*try{}}
	f.target.Store(&t)
	f.circuit = newCircuit(name, f.circuitChanged)
	return f
}

// run takes and starts attempts until ctx ends. attempts is the context of the attempts themselves.
func (f *feed) run(ctx, attempts context.Context, trying *sync.WaitGroup) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	wake := f.d.source.Wake(f.name)
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-f.freed:
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
		timer.Stop()
		if f.back.CompareAndSwap(true, false) && !f.rouse(ctx) {
			f.back.Store(true)
		}
		if next := f.fill(ctx, attempts, trying); next > 0 {
			timer.Reset(next)
		}
	}
}

// fill starts as many attempts as there are slots and due lanes, and returns when to look again by itself; 0: when
// something happens.
func (f *feed) fill(ctx, attempts context.Context, trying *sync.WaitGroup) time.Duration {
	for {
		want, pause := f.want()
		if want.Max <= 0 {
			return pause
		}
		asked := time.Now()
		taken, err := f.d.source.Take(ctx, want)
		if err != nil {
			f.storeFailed(ctx, err)
			return storeRetry
		}
		f.storeDown.Store(false)
		for _, l := range taken.Leases {
			t := f.begin(l, asked, want.Early)
			select {
			case f.idle <- t:
			default:
				trying.Go(func() { f.work(ctx, attempts, t) })
			}
		}
		if len(taken.Leases) < want.Max {
			if want.Early {
				return probeEvery
			}
			return taken.Next
		}
	}
}

// want is what to take now: what the slots leave room for, one early head for a probe, or nothing while the circuit
// is open; then it also says when to ask again.
func (f *feed) want() (queue.Want, time.Duration) {
	state := f.circuit.state()
	target := f.target.Load()
	if target.Away != nil && target.Away() {
		return queue.Want{}, awayEvery
	}
	slots := max(target.Concurrency, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case state == gobreaker.StateOpen:
		return queue.Want{}, probeEvery / 4
	case state == gobreaker.StateHalfOpen && f.probes > 0:
		return queue.Want{}, 0
	case state == gobreaker.StateHalfOpen:
		return queue.Want{Agent: f.name, Max: 1, Troubled: 1, Early: true}, 0
	default:
		return queue.Want{
			Agent: f.name, Max: slots - len(f.tries), Troubled: max(max(slots/2, 1)-f.troubled, 0),
		}, 0
	}
}

// work makes one attempt after another until ctx ends. A worker is kept, and its stack and its context with it, for most
// attempts take less time than making them would.
func (f *feed) work(ctx, attempts context.Context, t *try) {
	for {
		trying, cancel := context.WithCancelCause(attempts)
		for ; t != nil && trying.Err() == nil; t = f.next(ctx) {
			f.assign(t, cancel)
			f.attempt(trying, t)
		}
		cancel(nil)
		if t == nil {
			return
		}
	}
}

// next waits for another try; nil: there will be none.
func (f *feed) next(ctx context.Context) *try {
	select {
	case <-ctx.Done():
		return nil
	case t := <-f.idle:
		return t
	}
}

// begin takes a slot for the lease, which the store was asked for at that time.
func (f *feed) begin(l queue.Lease, asked time.Time, probe bool) *try {
	t := &try{lease: l, since: asked, held: asked, probe: probe}
	var err error
	if t.note, err = ReadNote(l.Job.Meta); err != nil {
		f.d.log.Error("a job's note is unreadable", zap.String("eventId", l.Job.ID), zap.Error(err))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries[l.Token] = t
	f.count(t, 1)
	return t
}

// assign gives the try the means to end its attempt.
func (f *feed) assign(t *try, cancel context.CancelCauseFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.cancel = cancel
}

// count adds n to the numbers that the try belongs to.
func (f *feed) count(t *try, n int) {
	if t.lease.Troubled {
		f.troubled += n
	}
	if t.probe {
		f.probes += n
	}
}

// end gives the slot back.
func (f *feed) end(t *try) {
	f.mu.Lock()
	delete(f.tries, t.lease.Token)
	f.count(t, -1)
	f.mu.Unlock()
	f.nudge()
}

// nudge makes run look again.
func (f *feed) nudge() {
	select {
	case f.freed <- struct{}{}:
	default:
	}
}

// renew keeps the leases of attempts under way, and ends those that are lost.
func (f *feed) renew(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked, at := f.leases(), time.Now()
		if len(asked) == 0 {
			continue
		}
		held, err := f.d.source.Renew(ctx, asked)
		if err != nil {
			continue // they are renewed at the next tick, or lapse
		}
		f.renewed(asked, held, at)
	}
}

// leases are those that need renewing: of attempts that have been under way for a while.
func (f *feed) leases() []queue.Lease {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []queue.Lease
	for _, t := range f.tries {
		if time.Since(t.since) >= renewEvery/2 {
			out = append(out, t.lease)
		}
	}
	return out
}

// renewed ends the attempts whose lease was asked for, at that time, and is not held any more.
func (f *feed) renewed(asked, held []queue.Lease, at time.Time) {
	kept := make(map[uint64]bool, len(held))
	for _, l := range held {
		kept[l.Token] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range asked {
		t := f.tries[l.Token]
		switch {
		case t == nil:
		case kept[l.Token]:
			t.held = at
		case t.cancel != nil && !t.settling:
			t.cancel(errLost)
		}
	}
}

// circuitChanged tells the world that the agent is down, or is back.
func (f *feed) circuitChanged(open bool) {
	if open {
		f.d.log.Warn("agent is down: attempts stop but for one a second", zap.String("event", "agent.down"),
			zap.String("agent", f.name))
		f.d.watches.opened(f.name, f.underWay())
		return
	}
	f.d.log.Info("agent is back", zap.String("event", "agent.up"), zap.String("agent", f.name))
	f.back.Store(true)
	f.nudge()
}

// underWay are the ids of the events whose attempt is.
func (f *feed) underWay() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make(map[string]bool, len(f.tries))
	for _, t := range f.tries {
		ids[t.lease.Job.ID] = true
	}
	return ids
}

// rouse makes all waiting lanes due after an outage, and says whether that worked.
func (f *feed) rouse(ctx context.Context) bool {
	err := f.d.source.Rouse(ctx, f.name)
	if err != nil {
		f.storeFailed(ctx, err)
	}
	return err == nil
}

// storeFailed says once an outage that the store does not do its work.
func (f *feed) storeFailed(ctx context.Context, err error) {
	if ctx.Err() != nil || f.storeDown.Swap(true) {
		return
	}
	f.d.log.Error("the store does not do its work; it is tried again", zap.String("event", "store.failed"), zap.String("agent", f.name),
		zap.Error(err))
}

// status is how the agent stands.
func (f *feed) status() AgentStatus {
	open := f.circuit.open()
	f.mu.Lock()
	defer f.mu.Unlock()
	return AgentStatus{
		Name: f.name, Open: open, InFlight: len(f.tries), LastTaken: f.ok, LastFailed: f.failed, LastError: f.lastErr,
	}
}
