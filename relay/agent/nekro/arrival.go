package nekro

import (
	"context"
	"sync"
	"time"
)

// arrival is over when the first connection of a run is made, or was in vain.
type arrival struct {
	mu   sync.Mutex
	over bool
	done chan struct{}
}

// begin is called before a run, and so at the end of another.
func (a *arrival) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over || a.done == nil {
		a.over, a.done = false, make(chan struct{})
	}
}

func (a *arrival) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		a.over = true
		close(a.done)
	}
}

// wait waits for it, but not for longer than that.
func (a *arrival) wait(ctx context.Context, most time.Duration) {
	a.mu.Lock()
	done := a.done
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// outlast ends some time after ctx, for what must still be said then.
func outlast(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if pause(last, d) {
			cancel()
		}
	})
	return last, func() {
		stop()
		cancel()
	}
}
