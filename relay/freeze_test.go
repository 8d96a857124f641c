package relay_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
)

// deaf is a store that does not renew while it is deaf: to a relay that is frozen every store is.
type deaf struct {
	queue.Source

	on atomic.Bool
}

func (d *deaf) Renew(ctx context.Context, ls []queue.Lease) ([]queue.Lease, error) {
	if d.on.Load() {
		return nil, errors.New("not heard")
	}
	return d.Source.Renew(ctx, ls)
}

// An attempt that took long to begin is called off when half of its lease is gone and was not renewed, is not counted,
// and is made again.
func TestNothingBeginsOnAStaleLease(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		deaf  bool
		first int // attempts until one is made
	}{
		{"renewed all the while", false, 1},
		{"not renewed", true, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) {
				var store deaf
				store.on.Store(row.deaf)
				agent := &scriptAgent{}
				agent.answer = func(_ context.Context, e relay.Event, _ int) (relay.Outcome, error) {
					if len(agent.seen()) == 1 {
						<-time.After(6 * time.Second) // half of the lease is 5 s
					}
					store.on.Store(false)
					if err := e.Ready(); err != nil {
						return relay.Outcome{}, &relay.AttemptError{Unreachable: true, Reason: "called off", Err: err}
					}
					return status(200)
				}
				r := newRig(t, agent, func(s *setup) {
					s.source = func(q queue.Source) queue.Source {
						store.Source = q
						return &store
					}
				})
				a := r.post("c", "1", 20*time.Second)
				if got := len(agent.seen()); !a.Answered || got != row.first {
					t.Errorf("answered %v after %d attempts, want true after %d", a.Answered, got, row.first)
				}
				if j := r.state(a); j.State != queue.Delivered || j.Attempts != 0 {
					t.Errorf("got %v with %d counted attempts, want it delivered and none counted", j.State, j.Attempts)
				}
				if n := r.logs.FilterMessage("attempt failed").Len(); n != 0 {
					t.Errorf("got %d lines of failed attempts, want none: nothing was attempted", n)
				}
			})
		})
	}
}
