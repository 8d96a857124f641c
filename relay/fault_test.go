package relay_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
)

// faulty is a queue of which single calls are slow or fail.
type faulty struct {
	queue.Source

	mu     sync.Mutex
	settle func() error // called before each Settle that is tried; nil: none fails
	take   func() error
	mute   bool // Renew says of no lease that it is held
}

func (f *faulty) Renew(ctx context.Context, ls []queue.Lease) ([]queue.Lease, error) {
	f.mu.Lock()
	mute := f.mute
	f.mu.Unlock()
	held, err := f.Source.Renew(ctx, ls)
	if mute {
		return nil, err
	}
	return held, err
}

func (f *faulty) Settle(ctx context.Context, l queue.Lease, v queue.Verdict) error {
	f.mu.Lock()
	before := f.settle
	f.mu.Unlock()
	if before != nil {
		if err := before(); err != nil {
			return err
		}
	}
	return f.Source.Settle(ctx, l, v)
}

func (f *faulty) Take(ctx context.Context, w queue.Want) (queue.Taken, error) {
	f.mu.Lock()
	before := f.take
	f.mu.Unlock()
	if before != nil {
		if err := before(); err != nil {
			return queue.Taken{}, err
		}
	}
	return f.Source.Take(ctx, w)
}

// down fails for as long as the outage lasts.
func down(outage time.Duration) func() error {
	start := time.Now()
	return func() error {
		if time.Since(start) < outage {
			return fmt.Errorf("disk full: %w", queue.ErrUnavailable)
		}
		return nil
	}
}

// A settle that is slow and then fails is made again: the event is delivered once, and its lane goes on.
func TestSettleIsMadeAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(context.Context, relay.Event, int) (relay.Outcome, error) { return status(200) }}
		var once sync.Once
		f := &faulty{}
		f.settle = func() error {
			var err error
			once.Do(func() {
				f.mu.Lock()
				f.mute = true // a store may not know a lease any more that it is about to end
				f.mu.Unlock()
				<-time.After(8 * time.Second) // leases are renewed meanwhile
				err = fmt.Errorf("disk full: %w", queue.ErrUnavailable)
			})
			return err
		}
		r := newRig(t, agent, func(s *setup) {
			s.source = func(q queue.Source) queue.Source { f.Source = q; return f }
		})
		a, b := r.post("c", "1", 0), r.post("c", "2", 0)
		time.Sleep(20 * time.Second)
		if n := len(agent.of("1")); n != 1 || r.state(a).State != queue.Delivered {
			t.Errorf("first event: %d attempts, %v, want it delivered by one", n, r.state(a).State)
		}
		if got := r.state(b).State; got != queue.Delivered {
			t.Errorf("the event behind it: got %v", got)
		}
	})
}

// An outage of the store is one line in the log however many calls fail, and over by itself as soon as the store is back.
func TestStoreOutage(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		agent := &scriptAgent{answer: func(ctx context.Context, _ relay.Event, _ int) (relay.Outcome, error) {
			return work(ctx, time.Second)
		}}
		f := &faulty{}
		r := newRig(t, agent, func(s *setup) {
			s.source = func(q queue.Source) queue.Source { f.Source = q; return f }
		})
		for i := range 64 {
			r.post(fmt.Sprint(i), "1", 0)
		}
		time.Sleep(500 * time.Millisecond)
		f.mu.Lock()
		f.settle, f.take = down(30*time.Second), down(30*time.Second)
		f.mu.Unlock()
		time.Sleep(31 * time.Second)
		if n := r.logs.FilterField(zapEvent("store.failed")).Len(); n != 1 {
			t.Errorf("got %d lines, want 1", n)
		}
		stats, err := r.queue.Stats(t.Context())
		if err != nil || stats["agent"].Delivered != 64 || len(agent.seen()) != 64 {
			t.Errorf("got %+v after %d attempts, %v, want all delivered by one each", stats["agent"], len(agent.seen()), err)
		}
	})
}

// A clock that is set back does not make an outage look like a poison message.
func TestClockStepDoesNotPark(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		var step time.Duration
		clock := func() (time.Time, time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(step), time.Since(start)
		}
		agent := &scriptAgent{}
		agent.answer = func(context.Context, relay.Event, int) (relay.Outcome, error) {
			if time.Since(start) < 10*time.Second {
				return status(200)
			}
			return status(503)
		}
		r := newRig(t, agent, func(s *setup) { s.clock = clock })
		r.post("d", "0", time.Second)
		time.Sleep(20 * time.Second)
		a := r.post("c", "1", 0)
		time.Sleep(5 * time.Second)
		mu.Lock()
		step = -time.Hour
		mu.Unlock()
		time.Sleep(5 * time.Minute)
		if got := r.state(a); got.State != queue.Queued || got.Attempts < 5 {
			t.Errorf("got %v after %d attempts, want it in its place", got.State, got.Attempts)
		}
	})
}
