package daemon

import (
	"context"
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

// settle makes these agents the residents, until ctx ends. One that is another than before is ended first.
func (r *residents) settle(ctx context.Context, targets map[string]relay.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[string]*residence{}
	for name, t := range targets {
		a, ok := t.Agent.(relay.Resident)
		if old := r.byName[name]; old != nil && old.agent == a {
			next[name] = old
			delete(r.byName, name)
		} else if ok {
			next[name] = &residence{agent: a}
		}
	}
	for _, old := range r.byName {
		old.end()
	}
	for name, x := range next {
		if x.stop == nil {
			r.begin(ctx, name, x)
		}
	}
	r.byName = next
}

func (r *residents) begin(ctx context.Context, name string, x *residence) {
	ctx, x.stop = context.WithCancel(ctx)
	x.done = make(chan struct{})
	go func() {
		defer close(x.done)
		r.seats.Sit(ctx, "agent/"+name, func(ctx context.Context) {
			r.here.Store(name, nil)
			defer r.here.Delete(name)
			x.agent.Run(ctx)
		})
	}()
}

// end closes the connection and gives the seat back.
func (x *residence) end() {
	x.stop()
	<-x.done
}

// close ends all.
func (r *residents) close() { r.settle(context.Background(), nil) }

// away says that the agent is another relay's to serve.
func (r *residents) away(name string) bool {
	_, here := r.here.Load(name)
	return !here
}
