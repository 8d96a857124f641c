package daemon

import (
	"context"
	"fmt"
	"sync"

	"github.com/imrelay/imrelay/relay/seat"
)

// resident is who has a long connection of its own: an agent, or an IM account's connector.
type resident interface {
	// Run keeps the connection until ctx ends.
	Run(ctx context.Context)
}

// tenant is a resident, what it was made with, which tells it from every other, and whether only one relay may keep its
// connection at a time.
type tenant struct {
	resident

	made  any
	alone bool
}

// residents keeps the connections of those that have one.
type residents struct {
	// kind is what they are, in seats' names and errors.
	kind  string
	seats seat.Keeper
	// here are those whose seat this relay has.
	here sync.Map

	mu     sync.Mutex
	byName map[string]*residence
}

// residence is one connection; made is nil when it only ends yet.
type residence struct {
	made any
	stop context.CancelFunc
	done chan struct{}
}

// over says that it has ended.
func (x *residence) over() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// settle makes these the residents, until ctx ends. One that is another than before, or is gone, is told to end; who comes
// after it begins when it has.
func (r *residents) settle(ctx context.Context, all map[string]tenant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := map[string]*residence{}
	for name, old := range r.byName {
		switch {
		case old.made != nil && old.made == all[name].made:
			next[name] = old
		case !old.over():
			old.stop()
			next[name] = &residence{stop: old.stop, done: old.done}
		}
	}
	for name, who := range all {
		if old := next[name]; old == nil || old.made == nil {
			next[name] = r.begin(ctx, name, who, old)
		}
	}
	r.byName = next
}

// begin begins one, after the one before it; nil: there was none.
func (r *residents) begin(ctx context.Context, name string, who tenant, before *residence) *residence {
	x := &residence{made: who.made, done: make(chan struct{})}
	ctx, x.stop = context.WithCancel(ctx)
	go func() {
		defer close(x.done)
		if before != nil {
			<-before.done
		}
		keeper := r.seats
		if !who.alone {
			keeper = seat.Alone{}
		}
		keeper.Sit(ctx, r.kind+"/"+name, func(ctx context.Context) {
			r.here.Store(name, nil)
			defer r.here.Delete(name)
			who.Run(ctx)
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
			return fmt.Errorf("close the connection of %s %s: %w", r.kind, name, ctx.Err())
		}
	}
	clear(r.byName)
	return nil
}

// away says that it is another relay's to serve.
func (r *residents) away(name string) bool {
	_, here := r.here.Load(name)
	return !here
}
