package daemon

import (
	"context"
	"fmt"
	"sync"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/seat"
)

// residents keeps the connections of agents that have one, each at one relay at a time.
type residents struct {
	seats seat.Keeper
	// here are the agents whose seat this relay has.
	here sync.Map

	mu     sync.Mutex
	byName map[string]*residence
}

// residence is one agent's connection.
type residence struct {
	agent relay.Resident
	stop  context.CancelFunc
	done  chan struct{}
}

// settle makes these agents the residents, until ctx ends. One that is another than before is told to end; who comes after
// it begins when it has.
func (r *residents) settle(ctx context.Context, targets map[string]relay.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[string]*residence{}
	for name, t := range targets {
		a, ok := t.Agent.(relay.Resident)
		old := r.byName[name]
		if old != nil && old.agent == a {
			next[name] = old
			continue
		}
		if old != nil {
			old.stop()
		}
		if ok {
			next[name] = r.begin(ctx, name, a, old)
		}
	}
	r.byName = next
}

// begin begins one, after the one before it; nil: there was none.
func (r *residents) begin(ctx context.Context, name string, a relay.Resident, before *residence) *residence {
	x := &residence{agent: a, done: make(chan struct{})}
	ctx, x.stop = context.WithCancel(ctx)
	go func() {
		defer close(x.done)
		if before != nil {
			<-before.done
		}
		r.seats.Sit(ctx, "agent/"+name, func(ctx context.Context) {
			r.here.Store(name, nil)
			defer r.here.Delete(name)
			x.agent.Run(ctx)
		})
	}()
	return x
}

// close ends all, and waits until they have closed their connections and given their seats back, or ctx ends.
func (r *residents) close(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.byName {
		x.stop()
	}
	for name, x := range r.byName {
		select {
		case <-x.done:
		case <-ctx.Done():
			return fmt.Errorf("close the connection of agent %s: %w", name, ctx.Err())
		}
	}
	clear(r.byName)
	return nil
}

// away says that the agent is another relay's to serve.
func (r *residents) away(name string) bool {
	_, here := r.here.Load(name)
	return !here
}
