//go:build unix

package fleet_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// Some relays without any fault: order over all of them, repeats known to each, nothing twice.
func TestRelaysShareTheWork(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint(n, " relays"), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, n, redistest.Start(t).URL(""), "")
			f.agent.Slow(120 * time.Millisecond) // so that conversations have something waiting
			f.load()
			f.run(4 * time.Second)
			f.sentOnce()
			sum := f.verify(f.quiet())
			if sum.Accepted < 100 {
				t.Errorf("got only %d accepted: this proves nothing", sum.Accepted)
			}
			if r := slices.Concat(f.feed.Refused(), f.sends.Refused()); len(r) > 0 {
				t.Errorf("got %d refused, want none; the first: %s", len(r), r[0].Answer)
			}
			for _, r := range f.relays {
				f.ownFolder(r)
				if !slices.ContainsFunc(f.agent.Landed(), func(l fleettest.Landed) bool { return l.By == r.Name }) {
					t.Errorf("relay %s delivered nothing", r.Name)
				}
			}
		})
	}
}

func TestCopiesOverTwoRelaysAreOneEvent(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, redistest.Start(t).URL(""), "")
	const rounds, copies = 5, 20
	for seq := range rounds {
		var pushing sync.WaitGroup
		answers := make([]fleettest.Answer, copies)
		for i := range answers {
			pushing.Go(func() { answers[i] = f.relays[i%2].Push(t.Context(), fleettest.Push(1, seq)) })
		}
		pushing.Wait()
		first := answers[0].Get("eventId").Str
		for _, a := range answers {
			if a.Status/100 != 2 || a.Get("eventId").Str != first || first == "" {
				t.Errorf("got %s, want a 2xx with the event id %q", a, first)
			}
		}
	}
	for _, r := range f.relays {
		if err := r.Drained(t.Context(), fleettest.Patience); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(f.agent.Landed()); got != rounds {
		t.Errorf("got %d deliveries, want %d", got, rounds)
	}
}

func TestSendsOverTwoRelaysAreOneCall(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, redistest.Start(t).URL(""), "")
	const rounds, copies = 5, 20
	for n := range rounds {
		var sending sync.WaitGroup
		m := fleettest.Message{Key: fmt.Sprint("k-", n), To: "wxid_alice", Text: fmt.Sprint("once ", n)}
		answers := make([]fleettest.Answer, copies)
		for i := range answers {
			sending.Go(func() { answers[i] = f.relays[i%2].Send(t.Context(), m) })
		}
		sending.Wait()
		for _, a := range answers {
			if a.Status != 200 || a.String() != answers[0].String() {
				t.Errorf("got %s beside %s, want 200 and the same", a, answers[0])
			}
		}
		if got := f.im.Count(m.Text); got != 1 {
			t.Errorf("the IM was called %d times, want once", got)
		}
	}
}

// A relay is killed with deliveries under way. The others have its conversations once its leases have lapsed.
func TestKilledRelay(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, redistest.Start(t).URL(""), config(unhurried, ""))
	f.load()
	f.run(time.Second)
	release, held := f.held("a")
	f.agent.Fault()
	f.relays[0].Kill()
	killed := time.Now()
	release()
	f.feed.Over(f.relays[1])
	f.run(2 * time.Second)
	f.relays[0].Start()
	f.feed.Over(f.relays...)
	f.takenOver(killed, held())
	f.run(time.Second)
	f.sentOnce()
	if sum := f.verify(f.quiet()); sum.Slowest > takeover+time.Second {
		t.Errorf("delivered after %s at the slowest, want at most %s", sum.Slowest, takeover+time.Second)
	}
}

// takenOver waits until other deliveries have come in the place of those that were under way at a fault.
func (f *fleet) takenOver(since time.Time, held []fleettest.Landed) {
	f.t.Helper()
	var slowest time.Duration
	for _, h := range held {
		at := f.agent.After(since, func(l fleettest.Landed) bool { return l.Event == h.Event })
		if at.IsZero() {
			f.t.Errorf("lane %d message %d never came again", h.Lane, h.Seq)
			return
		}
		slowest = max(slowest, at.Sub(since))
	}
	f.t.Logf("%d deliveries under way were taken over within %s", len(held), slowest.Round(time.Millisecond))
	if slowest > takeover {
		f.t.Errorf("taken over after %s, want at most %s", slowest, takeover)
	}
}

// A relay stops for longer than its leases last and goes on: it must find out before it does anything with them.
func TestFrozenRelay(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, redistest.Start(t).URL(""), config(unhurried, ""))
	f.feed.Within, f.sends.Within = 3*time.Second, 5*time.Second
	f.load()
	f.run(time.Second)
	a, b := f.relays[0], f.relays[1]
	release, held := f.held(a.Name)
	f.agent.Fault()
	a.Freeze()
	frozen := time.Now()
	under := held()
	release()
	f.run(500 * time.Millisecond)
	f.feed.Over(b)
	f.takenOver(frozen, under)
	f.run(time.Until(frozen.Add(15 * time.Second)))
	f.agent.Slow(300 * time.Millisecond) // so that others are at work in most conversations
	f.run(500 * time.Millisecond)
	thawed := time.Now()
	a.Thaw()
	f.run(time.Second)
	f.agent.Slow(4 * time.Millisecond)
	f.feed.Over(a, b)
	f.run(2 * time.Second)
	f.sentOnce()
	c := f.quiet()
	c.MaxRepeats = 1
	f.verify(c)
	f.nothingStale(a.Name, thawed)
}

// nothingStale checks that a relay brought nothing after a thaw that others had brought before, and that it works again.
func (f *fleet) nothingStale(name string, thawed time.Time) {
	f.t.Helper()
	before := map[string]bool{}
	fresh := 0
	for _, l := range f.agent.Landed() {
		switch {
		case l.At.Before(thawed):
			before[l.Event] = true
		case l.By == name && before[l.Event]:
			f.t.Errorf("lane %d message %d: relay %s posted it again with a stale lease", l.Lane, l.Seq, name)
		case l.By == name:
			fresh++
		}
	}
	if fresh == 0 {
		f.t.Errorf("relay %s delivered nothing after it was thawed", name)
	}
}
