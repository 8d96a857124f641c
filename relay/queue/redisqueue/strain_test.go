package redisqueue_test

import (
	"errors"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/queuetest"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
)

var wantAll = queue.Want{Agent: "crane", Max: 100, Troubled: 100}

// takeAll takes what can be taken, wherever it is.
func takeAll(t *testing.T, q *redisqueue.Queue) []queue.Lease {
	t.Helper()
	q.LookEverywhere("crane")
	taken, err := q.Take(t.Context(), wantAll)
	if err != nil {
		t.Fatalf("Take: %v", err)
	}
	return taken.Leases
}

// A Redis whose memory is full takes nothing in, and lets out what it has: with each event the room grows.
func TestAFullRedisDrains(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4)
	q := f.world(nil).open(t)
	for n := range 20 {
		if _, err := q.Put(t.Context(), sample(n, 5)); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
	limit := func(bytes string) {
		t.Helper()
		if err := f.server.Client().ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatalf("CONFIG SET: %v", err)
		}
	}
	limit("1mb")
	if _, err := q.Put(t.Context(), sample(20, 5)); !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("Put into a full Redis: got %v, want %v", err, queue.ErrUnavailable)
	}
	for done := 0; done < 20; {
		leases := takeAll(t, q)
		if len(leases) == 0 {
			t.Fatalf("Take from a full Redis: got nothing after %d events", done)
		}
		held, err := q.Renew(t.Context(), leases)
		if err != nil || len(held) != len(leases) {
			t.Fatalf("Renew in a full Redis: got %d, %v, want %d", len(held), err, len(leases))
		}
		for _, l := range held {
			if err := q.Settle(t.Context(), l, queue.Verdict{Action: queue.Ack}); err != nil {
				t.Fatalf("Settle in a full Redis: %v", err)
			}
			done++
		}
	}
	if err := q.Sweep(t.Context()); err != nil {
		t.Errorf("Sweep of a full Redis: %v", err)
	}
	limit("0")
	if _, err := q.Put(t.Context(), sample(20, 5)); err != nil {
		t.Errorf("Put when there is room again: %v", err)
	}
}

// A clock of Redis that is set back, or that of another server which is behind, holds nothing up.
func TestTheTimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	w := newFleet(t, 4).world(queuetest.NewClock())
	q := w.open(t)
	put := func(n int) {
		t.Helper()
		j := sample(n, 1)
		if ps, err := q.Put(t.Context(), j); err != nil || !ps[0].Fresh || ps[0].Wait != 0 {
			t.Fatalf("Put: got %+v, %v, want it fresh and due", ps, err)
		}
	}
	put(1)
	lost := takeAll(t, q)
	put(2)
	for range 2 {
		w.clock.Step(-time.Hour)
		for range 2 { // the first look finds out
			if got := takeAll(t, q); len(got) != 0 {
				t.Fatalf("Take of a lane that is leased: got %d", len(got))
			}
			w.clock.Advance(9 * time.Second)
		}
		got := takeAll(t, q)
		if len(got) != 1 || got[0].Job.ID != lost[0].Job.ID {
			t.Fatalf("Take when the lease has lapsed: got %+v, want %s", got, lost[0].Job.ID)
		}
		if age := got[0].Taken.Sub(got[0].Job.Accepted); age < 10*time.Second || age > time.Minute {
			t.Errorf("age: got %v, want the time that has passed", age)
		}
	}
}
