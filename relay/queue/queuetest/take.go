package queuetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

var takeChecks = []check{
	{"take/a lane is in order, one at a time", laneOrder},
	{"take/lanes do not wait for each other", laneIsolation},
	{"take/two takers never share a lane", takersRace},
	{"take/max bounds the leases", maxBounds},
	{"take/troubled lanes are bounded", troubledBounded},
	{"take/agents have their own lanes", agentsApart},
	{"take/wake fires", wakes},
}

var leaseChecks = []check{
	{"lease/a lapsed one is taken again", lapsedIsTaken},
	{"lease/a lapsed one that nobody took is good", lapsedIsGood},
	{"lease/a late settle changes nothing", lateSettle},
	{"lease/it is settled once", settledOnce},
	{"lease/renewing prolongs those still held", renewing},
	{"lease/it is held until its settle is durable", heldWhileSettled},
	{"lease/none outlives a restart", leasesEnd},
}

func laneOrder(f *fixture) {
	want := f.put("c", "c", "c")
	for _, id := range want {
		l := f.take()
		f.equal("head", l.Job.ID, id)
		f.idle("while the lane is leased")
		f.settle(l, ack)
	}
	f.idle("when the lane is empty")
}

func laneIsolation(f *fixture) {
	a := f.put("a", "a")
	f.h.Advance(time.Second)
	b := f.put("b")
	ls := f.expect("of two lanes", a[0], b[0])
	f.settle(ls[0], retry(time.Hour))
	f.settle(ls[1], ack)
	more := f.put("b", "d")
	f.expect("beside a waiting lane", more...)
}

func takersRace(f *fixture) {
	const lanes, each = 20, 10
	for i := range lanes * each {
		f.put(fmt.Sprint("c", i%lanes))
	}
	var mu sync.Mutex
	busy, done := map[queue.Lane]bool{}, 0
	work := func() {
		for {
			taken, err := f.q().Take(f.Context(), queue.Want{Agent: agent, Max: 3, Troubled: 3})
			if err != nil {
				f.Errorf("Take: %v", err)
				return
			}
			mu.Lock()
			over := done == lanes*each
			for _, l := range taken.Leases {
				if busy[l.Job.Lane] {
					f.Errorf("lane %v: got a second lease", l.Job.Lane)
				}
				busy[l.Job.Lane] = true
			}
			mu.Unlock()
			if over {
				return
			}
			for _, l := range taken.Leases {
				mu.Lock()
				busy[l.Job.Lane] = false
				done++
				mu.Unlock()
				if err := f.q().Settle(f.Context(), l, ack); err != nil {
					f.Errorf("Settle: %v", err)
				}
			}
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(work)
	}
	wg.Wait()
	f.equal("delivered", f.stats()[agent].Delivered, lanes*each)
}

func maxBounds(f *fixture) {
	var want []string
	for i := range 5 {
		want = append(want, f.put(fmt.Sprint("c", i))...)
		f.h.Advance(time.Millisecond)
	}
	got := f.want(queue.Want{Agent: agent, Max: 3, Troubled: 3}).Leases
	f.equal("the longest due", ids(got), want[:3])
	f.expect("the rest", want[3:]...)
}

func troubledBounded(f *fixture) {
	var bad []string
	for i := range 4 {
		bad = append(bad, f.put(fmt.Sprint("bad", i))...)
	}
	for _, l := range f.expect("at first", bad...) {
		f.settle(l, retry(0))
	}
	f.h.Advance(time.Second)
	good := f.put("good0", "good1")
	ls := f.want(queue.Want{Agent: agent, Max: 10, Troubled: 1}).Leases
	got := map[string]bool{}
	for _, l := range ls {
		got[l.Job.ID] = l.Troubled
	}
	f.equal("with one troubled", got, map[string]bool{bad[0]: true, good[0]: false, good[1]: false})
	f.settle(ls[0], ack)
	f.put("bad0")
	f.equal("after an ack", f.want(queue.Want{Agent: agent, Max: 10}).Leases[0].Troubled, false)
}

func agentsApart(f *fixture) {
	j := f.job("c")
	j.Lane.Agent = "heron"
	f.place(j)
	f.idle("of another agent")
	got := f.want(queue.Want{Agent: "heron", Max: 1, Troubled: 1}).Leases
	f.equal("its own", ids(got), []string{j.ID})
}

func wakes(f *fixture) {
	wake := f.q().Wake(agent)
	woken := func(what string) {
		f.Helper()
		select {
		case <-wake:
		case <-time.After(10 * time.Second):
			f.Fatalf("Wake after %s: got nothing", what)
		}
	}
	f.put("c", "c")
	woken("Put")
	l := f.take()
	f.settle(l, ack)
	woken("Settle")
	f.settle(f.take(), retry(time.Hour))
	if err := f.q().Rouse(f.Context(), agent); err != nil {
		f.Fatalf("Rouse: %v", err)
	}
	woken("Rouse")
	pause(f, queue.Scope{Agent: agent}, 0)
	resume(f, queue.Scope{Agent: agent})
	woken("Resume")
	f.settle(f.take(), bury)
	for len(wake) > 0 {
		<-wake
	}
	f.revive(0, f.list(queue.Filter{States: []queue.State{queue.Dead}}).Jobs[0].ID)
	woken("Revive")
}

func lapsedIsTaken(f *fixture) {
	id := f.put("c")[0]
	first := f.take()
	f.h.Advance(usual.Lease - time.Second)
	f.idle("before the lease lapses")
	f.h.Advance(time.Second)
	second := f.take()
	f.equal("job", second.Job.ID, id)
	f.equal("attempts after a lapsed lease", second.Job.Attempts, 0)
	if second.Token == first.Token {
		f.Errorf("token: got %d twice", first.Token)
	}
	f.is("Settle by the first", f.q().Settle(f.Context(), first, ack), queue.ErrLeaseLost)
	f.settle(second, ack)
}

func lapsedIsGood(f *fixture) {
	f.put("c")
	l := f.take()
	f.h.Advance(2 * usual.Lease)
	if taken := f.want(queue.Want{Agent: agent}); len(taken.Leases) != 0 {
		f.Fatalf("Take of none: got %v", ids(taken.Leases))
	}
	f.settle(l, ack)
	f.idle("after a late ack")
	f.equal("state", f.get(l.Job.ID).State, queue.Delivered)
}

func lateSettle(f *fixture) {
	f.put("c")
	old := f.take()
	f.h.Advance(usual.Lease)
	held := f.take()
	before := f.get(old.Job.ID)
	for _, v := range []queue.Verdict{ack, retry(time.Hour), park(0), bury} {
		f.is("Settle", f.q().Settle(f.Context(), old, v), queue.ErrLeaseLost)
	}
	f.equal("job", f.get(old.Job.ID), before)
	f.settle(held, ack)
}

func settledOnce(f *fixture) {
	for _, v := range []queue.Verdict{ack, retry(0), park(0), bury} {
		f.put("c")
		l := f.take()
		f.settle(l, v)
		f.is("second Settle", f.q().Settle(f.Context(), l, retry(time.Hour)), queue.ErrLeaseLost)
		before := f.get(l.Job.ID)
		if err := f.q().Settle(f.Context(), l, v); err != nil && !errors.Is(err, queue.ErrLeaseLost) {
			f.Errorf("Settle with the same verdict: got %v, want nothing or %v", err, queue.ErrLeaseLost)
		}
		f.equal("job after it was settled thrice", f.get(l.Job.ID), before)
		for _, l := range f.want(all).Leases {
			f.settle(l, ack)
		}
	}
}

func renewing(f *fixture) {
	f.put("a", "b")
	ls := f.want(all).Leases
	f.h.Advance(usual.Lease / 2)
	renewed, err := f.q().Renew(f.Context(), ls[:1])
	if err != nil || len(renewed) != 1 {
		f.Fatalf("Renew: got %v, %v, want one lease", renewed, err)
	}
	f.equal("prolonged by", renewed[0].Expires.Sub(ls[0].Expires), usual.Lease/2)
	f.h.Advance(usual.Lease / 2)
	f.expect("of the one not renewed", ls[1].Job.ID)
	held, err := f.q().Renew(f.Context(), ls)
	if err != nil {
		f.Fatalf("Renew: %v", err)
	}
	f.equal("still held", ids(held), []string{ls[0].Job.ID})
	f.settle(held[0], ack)
}

func heldWhileSettled(f *fixture) {
	for _, c := range []struct {
		verdict queue.Verdict
		want    queue.State
	}{{ack, queue.Delivered}, {park(time.Hour), queue.Parked}, {bury, queue.Dead}} {
		id := f.put("c")[0]
		l := f.take()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := f.q().Settle(f.Context(), l, c.verdict); err != nil {
				f.Errorf("Settle: %v", err)
			}
		})
		for held := []queue.Lease{l}; len(held) > 0; {
			var err error
			if held, err = f.q().Renew(f.Context(), held); err != nil {
				f.Fatalf("Renew: %v", err)
			}
		}
		f.equal("state when it is not held any more", f.get(id).State, c.want)
		wg.Wait()
	}
}

func leasesEnd(f *fixture) {
	id := f.put("c")[0]
	f.settle(f.take(), retry(0))
	l := f.take()
	if !f.reopen() {
		return
	}
	f.endLeases()
	f.equal("leased", f.get(id).Leased, false)
	again := f.take()
	f.equal("job and attempts", []any{again.Job.ID, again.Job.Attempts, again.Troubled}, []any{id, 1, true})
	f.is("Settle by a lease of before", f.q().Settle(f.Context(), l, ack), queue.ErrLeaseLost)
}
