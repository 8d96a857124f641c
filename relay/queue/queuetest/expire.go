package queuetest

import (
	"fmt"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

const tooOld = "older than an hour"

func (f *fixture) expire() int {
	f.Helper()
	n, err := f.q().Expire(f.Context(), agent, time.Hour, tooOld)
	if err != nil {
		f.Fatalf("Expire: %v", err)
	}
	return n
}

func expires(f *fixture) {
	old := f.put("c", "c", "d")
	f.settle(f.take(), retry(0))
	f.h.Advance(30 * time.Minute)
	young := f.put("c", "e", "c")
	other := f.job("c")
	other.Lane.Agent = "heron"
	f.place(other)
	f.h.Advance(30*time.Minute - time.Second)
	f.equal("expired a second before", f.expire(), 0)
	f.h.Advance(time.Second)
	wake := f.q().Wake(agent)
	for len(wake) > 0 {
		<-wake
	}
	f.equal("expired", f.expire(), 3)
	f.equal("woken", len(wake), 1)
	f.equal("expired again", f.expire(), 0)
	for range 2 {
		for i, id := range old {
			j, want := f.get(id), tooOld
			if i == 0 {
				want += "; last: answered 500"
			}
			f.equal("job", []any{j.State, j.LastError, j.Leased, j.Due.IsZero()}, []any{queue.Dead, want, false, true})
		}
		c := f.stats()[agent]
		f.equal("counts", []int{c.Queued, c.Dead, c.Lanes}, []int{3, 3, 2})
		f.reopen()
	}
	f.settle(f.expect("of the rest", young[0], young[1])[0], ack)
	f.expect("then", young[2])
	f.equal("the first of them", f.get(young[0]).State, queue.Delivered)
	f.equal("another agent's", ids(f.want(queue.Want{Agent: "heron", Max: 1}).Leases), []string{other.ID})
}

func expireParked(f *fixture) {
	revived := f.kill("c")
	parked := f.put("c")[0]
	f.settle(f.take(), park(48*time.Hour))
	f.h.Advance(59 * time.Minute)
	f.revive(0, revived)
	f.h.Advance(time.Minute)
	f.equal("expired", f.expire(), 1)
	f.equal("states", []any{f.get(parked).State, f.get(revived).State}, []any{queue.Dead, queue.Parked})
	f.reopen()
	f.h.Advance(59*time.Minute - time.Second)
	f.equal("expired before its time", f.expire(), 0)
	f.h.Advance(time.Second)
	f.equal("expired in its time", f.expire(), 1)
	f.equal("counts", f.stats()[agent], queue.Counts{Dead: 2})
	f.idle("of expired jobs")
	f.equal("revived", f.revive(0, parked), 1)
	f.expect("after a revival", parked)
}

func expirePaused(f *fixture) {
	for _, s := range []queue.Scope{{Agent: agent}, {Account: "stork", Conversation: "c"}} {
		pause(f, s, 0)
		old := f.put("c", "c")
		f.h.Advance(time.Hour)
		young := f.put("c")
		f.reopen()
		f.equal("expired", f.expire(), 2)
		f.equal("states", []any{f.get(old[0]).State, f.get(old[1]).State}, []any{queue.Dead, queue.Dead})
		f.idle("of what is paused")
		resume(f, s)
		f.settle(f.expect("after Resume", young[0])[0], ack)
	}
}

func expireLeased(f *fixture) {
	got := f.put("c", "c", "d")
	l := f.take()
	f.h.Advance(time.Hour)
	held, err := f.q().Renew(f.Context(), []queue.Lease{l})
	if err != nil || len(held) != 1 {
		f.Fatalf("Renew: got %v, %v, want one lease", ids(held), err)
	}
	f.equal("expired beside an attempt", f.expire(), 1)
	f.equal("states", []any{f.get(got[0]).State, f.get(got[1]).State, f.get(got[2]).State},
		[]any{queue.Queued, queue.Queued, queue.Dead})
	f.settle(held[0], retry(0))
	l = f.expect("after the attempt", got[0])[0]
	f.h.Advance(usual.Lease)
	f.equal("expired when the lease has lapsed", f.expire(), 2)
	f.is("Settle of an expired job", f.q().Settle(f.Context(), l, ack), queue.ErrLeaseLost)
	f.equal("state", f.get(got[0]).State, queue.Dead)
	f.idle("at the end")
}

func expireMany(f *fixture) {
	const n = 1500
	var jobs []queue.Job
	for i := range n {
		j := f.job(fmt.Sprint("c", i%7))
		j.Body = nil
		jobs = append(jobs, j)
	}
	f.place(jobs...)
	f.h.Advance(time.Hour)
	young := f.put("c3")
	f.equal("expired", f.expire(), n)
	f.equal("counts", []int{f.stats()[agent].Queued, f.stats()[agent].Dead}, []int{1, n})
	f.expect("of what is left", young...)
}
