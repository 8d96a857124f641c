package redisqueue_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
)

const soon = 20 * time.Second

func event(n int, conversation string) queue.Job {
	id := fmt.Sprintf("evt_%06d", n)
	return queue.Job{
		ID: id, Key: queue.Key{Account: "stork", Conversation: conversation, Identity: id},
		Lane: queue.Lane{Agent: "crane", Account: "stork", Conversation: conversation}, Body: []byte("body of " + id),
	}
}

func place(tb testing.TB, q *redisqueue.Queue, jobs ...queue.Job) {
	tb.Helper()
	ps, err := q.Put(tb.Context(), jobs...)
	if err != nil {
		tb.Fatalf("Put: %v", err)
	}
	for _, p := range ps {
		if !p.Fresh {
			tb.Fatalf("Put: got %+v, want it fresh", p)
		}
	}
}

// take takes whatever is due.
func take(tb testing.TB, q *redisqueue.Queue) []queue.Lease {
	tb.Helper()
	taken, err := q.Take(tb.Context(), queue.Want{Agent: "crane", Max: 10, Troubled: 10})
	if err != nil {
		tb.Fatalf("Take: %v", err)
	}
	return taken.Leases
}

var ack = queue.Verdict{Action: queue.Ack, Counted: true, Status: 200}

// book is what was delivered, lane by lane.
type book struct {
	mu   sync.Mutex
	busy map[string]bool
	last map[string]uint64
	n    int
}

// begin notes an attempt, and says what is wrong with it.
func (b *book) begin(l queue.Lease) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := l.Job.Lane.Conversation
	if b.busy[c] {
		return fmt.Errorf("%s: got a lease beside another", c)
	}
	if l.Job.Seq <= b.last[c] {
		return fmt.Errorf("%s: got job %d after %d", c, l.Job.Seq, b.last[c])
	}
	b.busy[c], b.last[c] = true, l.Job.Seq
	return nil
}

func (b *book) end(l queue.Lease) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy[l.Job.Lane.Conversation] = false
	b.n++
}

func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// TestTwoRelaysKeepLanesInOrder has two relays put and take in turn: every lane is in order, one lease at a time, and both
// hear of the other's work.
func TestTwoRelaysKeepLanesInOrder(t *testing.T) {
	t.Parallel()
	const lanes, each = 8, 40
	w := newFleet(t, 16, "--appendfsync", "no").world(nil)
	relays := []*redisqueue.Queue{w.open(t), w.open(t)}
	b := &book{busy: map[string]bool{}, last: map[string]uint64{}}
	over := make(chan struct{})
	var wg sync.WaitGroup
	for _, q := range relays {
		wg.Go(func() { deliver(t, q, b, over) })
	}
	for n := range lanes * each {
		place(t, relays[n%3%2], event(n, fmt.Sprint("c", n%lanes)))
	}
	for end := time.Now().Add(soon); b.count() < lanes*each && time.Now().Before(end); {
		<-time.After(5 * time.Millisecond)
	}
	close(over)
	wg.Wait()
	if n := b.count(); n != lanes*each {
		t.Errorf("delivered: got %d, want %d", n, lanes*each)
	}
	newAuditor(t, w).whole()
}

// deliver takes and acks, as a dispatcher does, until it is over.
func deliver(t *testing.T, q *redisqueue.Queue, b *book, over <-chan struct{}) {
	t.Helper()
	wake := q.Wake("crane")
	for {
		select {
		case <-over:
			return
		case <-wake:
		}
		taken, err := q.Take(t.Context(), queue.Want{Agent: "crane", Max: 3, Troubled: 3})
		if err != nil {
			t.Errorf("Take: %v", err)
			return
		}
		for _, l := range taken.Leases {
			if err := b.begin(l); err != nil {
				t.Error(err)
			}
			b.end(l)
			if err := q.Settle(t.Context(), l, ack); err != nil {
				t.Errorf("Settle: %v", err)
			}
		}
	}
}

// TestTheOtherHearsAtOnce: what one relay accepts and does not take itself, an idle one has within 100 ms, well before it
// would look by itself.
func TestTheOtherHearsAtOnce(t *testing.T) {
	t.Parallel()
	w := newFleet(t, 16, "--appendfsync", "no").world(nil)
	busy, idle := w.open(t), w.open(t)
	best := soon
	// A look once a second may be just due; a machine that is short of time may be late. One in ten has to be in time.
	for n := range 10 {
		wake := idle.Wake("crane")
		if len(take(t, idle)) != 0 {
			t.Fatal("Take of nothing: got a lease")
		}
		for len(wake) > 0 {
			<-wake
		}
		began := time.Now()
		place(t, busy, event(n, fmt.Sprint("c", n)))
		var got []queue.Lease
		for len(got) == 0 {
			select {
			case <-wake:
			case <-time.After(soon):
				t.Fatal("Wake of the other relay: got nothing")
			}
			got = take(t, idle)
		}
		best = min(best, time.Since(began))
		if err := idle.Settle(t.Context(), got[0], ack); err != nil {
			t.Fatalf("Settle: %v", err)
		}
	}
	if best > 100*time.Millisecond {
		t.Errorf("the other relay had a job after %v at best, want less than 100ms", best)
	}
}

// TestALapsedLeaseIsTakenOver: a relay that is gone is followed by the other as soon as its leases lapse, and what it says
// afterwards counts no more.
func TestALapsedLeaseIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newFleet(t, 16, "--appendfsync", "no").world(nil)
	w.opts.Lease = 1500 * time.Millisecond
	gone, other := w.open(t), w.open(t)
	place(t, gone, event(1, "c"), event(2, "c"))
	old := take(t, gone)
	if len(old) != 1 {
		t.Fatalf("Take: got %d leases, want 1", len(old))
	}
	began, wake := time.Now(), other.Wake("crane")
	var got []queue.Lease
	for len(got) == 0 {
		select {
		case <-wake:
		case <-time.After(soon):
			t.Fatal("Wake of the other relay: got nothing")
		}
		got = take(t, other)
	}
	if took := time.Since(began); took < w.opts.Lease-100*time.Millisecond {
		t.Errorf("taken over after %v, before the lease lapsed", took)
	}
	if got[0].Job.ID != old[0].Job.ID || got[0].Token <= old[0].Token {
		t.Errorf("taken over: got %s by token %d, want %s by one above %d", got[0].Job.ID, got[0].Token, old[0].Job.ID, old[0].Token)
	}
	if err := gone.Settle(t.Context(), old[0], ack); !errors.Is(err, queue.ErrLeaseLost) {
		t.Errorf("Settle by the one that was gone: got %v, want %v", err, queue.ErrLeaseLost)
	}
	if held, err := gone.Renew(t.Context(), old); err != nil || len(held) != 0 {
		t.Errorf("Renew by the one that was gone: got %d, %v, want none", len(held), err)
	}
	if err := other.Settle(t.Context(), got[0], ack); err != nil {
		t.Errorf("Settle: %v", err)
	}
}

// TestEmptied: a Redis that loses all it had in the middle of things leaves nothing hanging, and tokens go on.
func TestEmptied(t *testing.T) {
	t.Parallel()
	w := newFleet(t, 4, "--appendfsync", "no").world(nil)
	q, raw := w.open(t), newAuditor(t, w)
	for n := range 8 {
		place(t, q, event(n, fmt.Sprint("c", n%4)))
	}
	old := take(t, q)
	if len(old) != 4 {
		t.Fatalf("Take: got %d leases, want 4", len(old))
	}
	if err := q.Pause(t.Context(), queue.Scope{Agent: "crane"}, 0, "by the test"); err != nil {
		t.Fatalf("Pause: %v", err)
	}
	if err := raw.raw.FlushAll(t.Context()).Err(); err != nil {
		t.Fatalf("FLUSHALL: %v", err)
	}
	for _, l := range old {
		if err := q.Settle(t.Context(), l, ack); !errors.Is(err, queue.ErrLeaseLost) {
			t.Errorf("Settle: got %v, want %v", err, queue.ErrLeaseLost)
		}
	}
	if held, err := q.Renew(t.Context(), old); err != nil || len(held) != 0 {
		t.Errorf("Renew: got %d, %v, want none", len(held), err)
	}
	if _, err := q.Get(t.Context(), old[0].Job.ID); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Get: got %v, want %v", err, queue.ErrNotFound)
	}
	if got := take(t, q); len(got) != 0 {
		t.Errorf("Take: got %d leases, want none", len(got))
	}
	if err := q.Sweep(t.Context()); err != nil {
		t.Errorf("Sweep: %v", err)
	}
	raw.whole()
	for n := range 4 {
		place(t, q, event(n, fmt.Sprint("c", n)))
	}
	fresh := take(t, q)
	if len(fresh) != 4 {
		t.Fatalf("Take afterwards: got %d leases, want 4", len(fresh))
	}
	for _, l := range fresh {
		if l.Token <= old[len(old)-1].Token || l.Job.Seq <= old[len(old)-1].Job.Seq {
			t.Errorf("token and seq: got %d and %d, want them above those of before", l.Token, l.Job.Seq)
		}
		if err := q.Settle(t.Context(), l, ack); err != nil {
			t.Errorf("Settle: %v", err)
		}
	}
	raw.whole()
}

// TestAnOutageWakesNobody: a Take that fails does not wake its caller, who would ask on and on.
func TestAnOutageWakesNobody(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4, "--appendfsync", "no")
	q := f.world(nil).open(t)
	wake := q.Wake("crane")
	f.server.Kill()
	// The look of every second may come in between, but not each time.
	for range 12 {
		for len(wake) > 0 {
			<-wake
		}
		q.Mark("crane")
		if _, err := q.Take(t.Context(), queue.Want{Agent: "crane", Max: 1}); !errors.Is(err, queue.ErrUnavailable) {
			t.Fatalf("Take: got %v, want %v", err, queue.ErrUnavailable)
		}
		if len(wake) == 0 {
			return
		}
	}
	t.Error("woken: got it by each failure, want it by the looks of every second at most")
}

// TestCorrupt: a body that is not what was put is never given out.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	w := newFleet(t, 1, "--appendfsync", "no").world(nil)
	q, raw := w.open(t), newAuditor(t, w)
	place(t, q, event(1, "c"), event(2, "c"))
	if err := raw.raw.HSet(t.Context(), prefix+"job:evt_000001", "b", "another body").Err(); err != nil {
		t.Fatalf("HSET: %v", err)
	}
	var got []queue.Lease
	for end := time.Now().Add(soon); len(got) == 0 && time.Now().Before(end); {
		got = take(t, q)
	}
	if len(got) != 1 || got[0].Job.ID != "evt_000002" {
		t.Errorf("Take: got %v, want the second job alone", got)
	}
	j, err := q.Get(t.Context(), "evt_000001")
	if err != nil || j.State != queue.Dead || j.LastError != "corrupt" {
		t.Errorf("Get: got %v %q, %v, want it dead and corrupt", j.State, j.LastError, err)
	}
}

// TestLostJob: a job that is gone from under its lane does not stop the lane.
func TestLostJob(t *testing.T) {
	t.Parallel()
	w := newFleet(t, 1, "--appendfsync", "no").world(nil)
	q, raw := w.open(t), newAuditor(t, w)
	place(t, q, event(1, "c"), event(2, "c"))
	if err := raw.raw.Del(t.Context(), prefix+"job:evt_000001").Err(); err != nil {
		t.Fatalf("DEL: %v", err)
	}
	if got := take(t, q); len(got) != 1 || got[0].Job.ID != "evt_000002" {
		t.Errorf("Take: got %v, want the second job", got)
	}
	raw.whole()
}
