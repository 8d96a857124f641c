//go:build unix

package fleet_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// A limit is one for all relays.
func TestLimitsAreShared(t *testing.T) {
	t.Parallel()
	const rate, burst = 5, 2
	f := newFleet(t, 2, redistest.Start(t).URL(""), config("", fmt.Sprintf(", limits: {rate: %d/s, burst: %d}", rate, burst)))
	f.im.Behave(func(m *fleettest.Manners) { m.Slow = 0 })
	var sending sync.WaitGroup
	var refused atomic.Int64
	began := time.Now()
	for n := range 20 {
		sending.Go(func() {
			for i := 0; time.Since(began) < 3*time.Second; i++ {
				m := fleettest.Message{Key: fmt.Sprint(n, i), To: fmt.Sprint("wxid_friend", n), Text: fmt.Sprint("text ", n, " ", i)}
				switch a := f.relays[n%2].Send(t.Context(), m); a.Status {
				case http.StatusOK:
				case http.StatusTooManyRequests:
					refused.Add(1)
					<-time.After(50 * time.Millisecond)
				default:
					t.Errorf("got %s, want 200 or 429", a)
					return
				}
			}
		})
	}
	sending.Wait()
	took := time.Since(began)
	got, most := len(f.im.Calls()), burst+int(rate*took.Seconds())+1
	t.Logf("the IM got %d in %s, and %d were refused", got, took.Round(time.Millisecond), refused.Load())
	if got > most || got < most/2 {
		t.Errorf("the IM got %d in %s, want at most %d and at least half of it", got, took, most)
	}
}

// A caller who waits at one relay hears the agent's answer also when another relay delivers.
func TestCallerHearsOfAnotherRelay(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, redistest.Start(t).URL(""), config(", concurrency: 1", ""))
	a, other := f.relays[0], f.relays[1]
	release := f.busy(a)
	defer release()
	for seq := 1; seq <= 3; seq++ {
		got := a.Push(t.Context(), fleettest.Push(99, seq), "Prefer", "wait=10")
		if want := fmt.Sprintf("lane 99 message %d", seq); got.Status != 200 || got.Get("body.heard").Str != want {
			t.Errorf("got %s, want 200 and the agent's answer %q", got, want)
		}
		if !slices.ContainsFunc(f.agent.Landed(), func(l fleettest.Landed) bool {
			return l.Lane == 99 && l.Seq == seq && l.By == other.Name
		}) {
			t.Errorf("message %d did not come over relay %s", seq, other.Name)
		}
	}
}

// busy makes a relay of concurrency 1 wait for the agent, so that it takes nothing more.
func (f *fleet) busy(r *fleettest.Relay) (release func()) {
	f.t.Helper()
	open := make(chan struct{})
	taken := make(chan string, 10)
	f.agent.Hold(func(l fleettest.Landed) <-chan struct{} {
		if l.Lane == 99 {
			return nil
		}
		taken <- l.By
		if l.By != r.Name {
			return nil
		}
		return open
	})
	for lane := range 50 {
		if got := r.Push(f.t.Context(), fleettest.Push(lane, 1), "Prefer", "respond-async"); got.Status != http.StatusAccepted {
			f.t.Fatalf("got %s, want 202", got)
		}
		if <-taken == r.Name {
			return func() { close(open) }
		}
	}
	f.t.Fatalf("relay %s never took anything", r.Name)
	return nil
}
