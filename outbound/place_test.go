package outbound_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit"
)

// crowd sends to others all the time until the test says that it is over.
func crowd(t *testing.T, r *rig, n int) (over func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := r.Send(t.Context(), to(fmt.Sprint("other", i), "x")); err != nil {
					pass(300 * time.Millisecond)
				}
			}
		})
	}
	return func() {
		close(stop)
		wg.Wait()
	}
}

// TestCallersDoNotStarveWhatWaits: queued sends and the rest of a message in parts get places, each after a few callers,
// and callers get some all the while.
func TestCallersDoNotStarveWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{}
		limits := outbound.Limits{Account: outbound.Rate{N: 1, Per: time.Second, Burst: 1}, MaxText: 10}
		r := newRig(t, im, withLimits(limits)).running()
		began := time.Now()
		var parts sync.WaitGroup
		parts.Go(func() {
			if _, err := r.Send(t.Context(), to("wxid_long", "one two three four five six seven")); err != nil {
				t.Errorf("send a message in parts: %v", err)
			}
			if took := time.Since(began); took > 5*time.Minute {
				t.Errorf("a message in parts took %v, want under 5m", took)
			}
		})
		synctest.Wait() // it has begun
		over := crowd(t, r, 3)
		pass(5 * time.Second)
		var ids []string
		for i := range 40 {
			ids = append(ids, r.enqueue(to(fmt.Sprint("wxid_", i), "queued")).ID)
		}
		pass(10 * time.Minute)
		for _, id := range ids {
			r.lookup(id, outbound.StatusSent)
		}
		over()
		parts.Wait()
		callers := 0
		for i, at := range im.times() {
			if m := im.sent()[i]; m.Text == "x" && at.After(began) && at.Before(began.Add(time.Minute)) {
				callers++
			}
		}
		if callers < 30 {
			t.Errorf("callers' sends in the first minute: got %d, want half of the places", callers)
		}
	})
}

// TestACallerBehindAQueuedSendIsNotHeldForEver: he hears within two holds that it does not go.
func TestACallerBehindAQueuedSendIsNotHeldForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := &fakeIM{takes: 20 * time.Second}
		r := newRig(t, im).running()
		r.enqueue(request("slow"))
		pass(time.Second)
		began := time.Now()
		r.refused(keyed("r-1", "hello"), outbound.CodeRateLimited)
		if took := time.Since(began); took != 2*testHold {
			t.Errorf("refused after %v, want %v", took, 2*testHold)
		}
		pass(20 * time.Second)
		r.mustSend(keyed("r-1", "hello"))
		wantTexts(t, im.texts(), "slow", "hello")
	})
}

// TestWhatWaitsForThePaceIsGivenUpAfterADay.
func TestWhatWaitsForThePaceIsGivenUpAfterADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{}, withLimits(outbound.Limits{Account: outbound.Rate{N: 1, Per: 48 * time.Hour}})).running()
		r.enqueue(request("one"))
		id := r.enqueue(request("two")).ID
		pass(24*time.Hour - time.Minute)
		r.lookup(id, outbound.StatusQueued)
		pass(2 * time.Minute)
		if rep := r.lookup(id, outbound.StatusFailed); rep.Err.Code != outbound.CodeRateLimited {
			t.Errorf("got %v, want %s", rep.Err, outbound.CodeRateLimited)
		}
		r.wantCalls(1)
	})
}

// stopping is a limiter in whose first answers the process was stopped for a while.
type stopping struct {
	limit.Limiter
	times int
	taken []time.Time
}

func (s *stopping) Reserve(ctx context.Context, slot outbound.Slot) (outbound.Place, error) {
	p, err := s.Limiter.Reserve(ctx, slot)
	if s.taken = append(s.taken, time.Now()); len(s.taken) <= s.times {
		pass(time.Minute)
	}
	return p, err
}

// TestAPlaceWhoseTimeIsOverIsNotUsed: another is taken, so that a process that was stopped does not make up for it.
func TestAPlaceWhoseTimeIsOverIsNotUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im, l := &fakeIM{}, &stopping{times: 1}
		// Nobody else looks at the line meanwhile: it stands still while the limiter answers.
		r := newRig(t, im, withLimits(outbound.Limits{Recipient: oneASecond}), withLimiter(l))
		r.mustSend(request("hello"))
		if len(l.taken) != 2 || im.times()[0].Before(l.taken[1]) {
			t.Errorf("places taken: got %d, want a second before it was sent", len(l.taken))
		}
	})
}
