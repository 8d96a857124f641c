package demo

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// actor is who plays.
type actor uint8

const (
	im actor = iota
	relay
	agent
)

// step is one thing on a message's way.
type step struct {
	at       time.Duration
	from, to actor
	text     string
}

// recorder keeps what happened in a scene, in its order.
type recorder struct {
	mu      sync.Mutex
	began   time.Time
	steps   []step
	changed chan struct{}
	live    func(step)
}

func newRecorder() *recorder { return &recorder{began: time.Now(), changed: make(chan struct{})} }

// begin forgets what was, and sets the clock to 0.
func (r *recorder) begin(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began, r.steps = at, nil
}

// follow calls f with each further step; nil: no more.
func (r *recorder) follow(f func(step)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live = f
}

// note records a step, and wakes who waits for something.
func (r *recorder) note(from, to actor, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := step{at: time.Since(r.began), from: from, to: to, text: text}
	r.steps = append(r.steps, s)
	if r.live != nil {
		r.live(s)
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

// taken returns the steps so far.
func (r *recorder) taken() []step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]step(nil), r.steps...)
}

// patience is how long the demo waits for what it expects.
const patience = 15 * time.Second

// await returns when cond holds, which is looked at after each step, or an error when it takes too long.
func (r *recorder) await(ctx context.Context, what string, cond func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no %s within %s", what, patience))
	defer cancel()
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}
