package outbound_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit"
)

var errAway = errors.New("the limiter is away")

// brokenLimiter is a limiter that can be told to fail, or not to answer before the caller leaves.
type brokenLimiter struct {
	outbound.Limiter
	mu             sync.Mutex
	delay, reserve error
	silent         bool
}

func withLimiter(l outbound.Limiter) option { return func(o *outbound.Options) { o.Limiter = l } }

func (b *brokenLimiter) fail(delay, reserve error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delay, b.reserve = delay, reserve
}

func (b *brokenLimiter) hush(silent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent = silent
}

func (b *brokenLimiter) Delay(ctx context.Context, s outbound.Slot) (time.Duration, error) {
	b.mu.Lock()
	err, silent := b.delay, b.silent
	b.mu.Unlock()
	if silent {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, err
	}
	return b.Limiter.Delay(ctx, s)
}

func (b *brokenLimiter) Reserve(ctx context.Context, s outbound.Slot) (outbound.Place, error) {
	b.mu.Lock()
	err := b.reserve
	b.mu.Unlock()
	if err != nil {
		return outbound.Place{}, err
	}
	return b.Limiter.Reserve(ctx, s)
}

// TestALimiterThatIsAwayIsNoThrottle: who does not know the pace sends nothing, and says that it is the store.
func TestALimiterThatIsAwayIsNoThrottle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		delay, reserve error
	}{
		{"when a send comes in", errAway, errAway},
		{"when its turn has come", nil, errAway},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &brokenLimiter{Limiter: &limit.Limiter{}, delay: tt.delay, reserve: tt.reserve}
				r := newRig(t, &fakeIM{}, withLimiter(l))
				began := time.Now()
				e := r.refused(keyed("r-1", "hello"), outbound.CodeStoreUnavailable)
				if !errors.Is(&e, errAway) || e.RetryAfter != time.Second || e.Code.Status() != 503 {
					t.Errorf("got %v of %v, retry after %v; want 503 because of %v, and a second", e.Code.Status(), e.Err,
						e.RetryAfter, errAway)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("refused after %v, want at once", took)
				}
				r.wantCalls(0)
				l.fail(nil, nil)
				if r.mustSend(keyed("r-1", "hello")).Replayed {
					t.Error("got a replay, want a new try")
				}
				r.wantCalls(1)
			})
		})
	}
}

// TestAQueuedSendWaitsForTheLimiter: it neither fails nor runs in circles between the ledger and the line.
func TestAQueuedSendWaitsForTheLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &brokenLimiter{Limiter: &limit.Limiter{}, delay: errAway, reserve: errAway}
		r := newRig(t, &fakeIM{}, withLimiter(l)).running()
		rep := r.enqueue(request("hello"))
		pass(10*time.Second + time.Millisecond)
		r.lookup(rep.ID, outbound.StatusQueued)
		if n := r.logs.FilterMessage("send refused").Len(); n != 0 {
			t.Errorf("refused %d times while the limiter was away, want none", n)
		}
		l.fail(nil, nil)
		pass(time.Second)
		r.lookup(rep.ID, outbound.StatusSent)
		r.wantCalls(1)
	})
}

// TestWhoLeavesWhileTheLimiterThinksIsNotSent, and another with the same key is not told of an outage.
func TestWhoLeavesWhileTheLimiterThinksIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &brokenLimiter{Limiter: &limit.Limiter{}, silent: true}
		r := newRig(t, &fakeIM{}, withLimiter(l))
		ctx, leave := context.WithCancel(t.Context())
		go func() { _, _ = r.Send(ctx, keyed("r-1", "hello")) }()
		synctest.Wait()
		got := make(chan error, 1)
		go func() {
			_, err := r.Send(t.Context(), keyed("r-1", "hello"))
			got <- err
		}()
		synctest.Wait()
		l.hush(false)
		leave()
		if err := <-got; err != nil {
			t.Errorf("the second with the key: %v", err)
		}
		r.wantCalls(1)
	})
}
