package queuetest

import (
	"fmt"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

var settleChecks = []check{
	{"settle/only counted attempts count", countedOnly},
	{"settle/what an attempt leaves on the job", marks},
	{"settle/the first failure and the answer stay", stickyMarks},
	{"settle/bury ends it and the lane goes on", buried},
}

var dueChecks = []check{
	{"due/a retry keeps its place until it is due", retryKeepsPlace},
	{"due/next tells when", nextTells},
	{"due/the longest due comes first", longestDue},
	{"due/early takes go round the lanes", earlyRound},
	{"due/early takes honour not-before and pauses", earlyHonours},
	{"due/a hold holds the whole lane", holdsLane},
	{"due/a hold outlives the lane's last job", holdsEmptyLane},
	{"due/rouse makes heads due, but not before", rouses},
}

var parkChecks = []check{
	{"park/the lane goes on", parkedAside},
	{"park/head and parked are served in turn", inTurn},
	{"park/a retry of a parked job leaves it parked", parkedRetry},
	{"park/parked jobs come in order of acceptance", parkedOrder},
	{"park/a parked job is never beside its lane's head", parkedAlone},
}

func countedOnly(f *fixture) {
	id := f.put("c")[0]
	for _, counted := range []bool{true, false, true, false} {
		v := retry(0)
		v.Counted = counted
		f.settle(f.take(), v)
	}
	f.equal("attempts", f.get(id).Attempts, 2)
	f.reopen()
	l := f.take()
	f.equal("attempts", l.Job.Attempts, 2)
	f.settle(l, ack)
	f.equal("attempts with the ack", f.get(id).Attempts, 3)
}

func marks(f *fixture) {
	id := f.put("c")[0]
	f.h.Advance(time.Minute)
	l := f.take()
	f.settle(l, queue.Verdict{
		Action: queue.Retry, Counted: true, Delay: time.Minute, Hold: 20 * time.Second, Status: 503, Reason: "answered 503",
	})
	f.reopen()
	j := f.get(id)
	f.equal("job", []any{j.State, j.Attempts, j.Answered, j.Status, j.LastError, j.Leased},
		[]any{queue.Queued, 1, false, 503, "answered 503", false})
	f.equal("times since taken", []any{j.Due.Sub(l.Taken), j.NotBefore.Sub(l.Taken), j.FirstFailure.Sub(l.Taken), j.Updated.Sub(l.Taken)},
		[]any{time.Minute, 20 * time.Second, time.Duration(0), time.Duration(0)})
	f.equal("age", j.Since.Equal(j.Accepted), true)
	f.h.Advance(time.Minute)
	f.settle(f.take(), ack)
	f.reopen()
	j = f.get(id)
	f.equal("delivered job", []any{j.State, j.Status, j.LastError, j.Due.IsZero()}, []any{queue.Delivered, 200, "", true})
}

func stickyMarks(f *fixture) {
	id := f.put("c")[0]
	v := retry(0)
	v.Counted = false
	f.settle(f.take(), v)
	f.equal("first failure after an uncounted one", f.get(id).FirstFailure.IsZero(), true)
	v.Counted, v.Answered = true, true
	f.settle(f.take(), v)
	first := f.get(id).FirstFailure
	f.h.Advance(time.Hour)
	v.Answered = false
	f.settle(f.take(), v)
	f.reopen()
	j := f.get(id)
	f.equal("first failure and answered", []any{j.FirstFailure, j.Answered}, []any{first, true})
}

func buried(f *fixture) {
	got := f.put("c", "c")
	f.settle(f.take(), bury)
	f.reopen()
	j := f.get(got[0])
	f.equal("job", []any{j.State, j.Status, j.LastError, j.Attempts}, []any{queue.Dead, 400, "answered 400", 1})
	f.expect("after the burial", got[1])
}

func retryKeepsPlace(f *fixture) {
	got := f.put("c", "c")
	f.settle(f.take(), retry(time.Minute))
	f.reopen()
	f.idle("before the head is due")
	f.h.Advance(59 * time.Second)
	f.idle("just before the head is due")
	f.h.Advance(time.Second)
	f.settle(f.take(), ack)
	f.equal("delivered", f.get(got[0]).State, queue.Delivered)
	f.expect("then", got[1])
}

func nextTells(f *fixture) {
	f.equal("next of nothing", f.want(all).Next, time.Duration(0))
	f.put("a", "b")
	ls := f.want(all).Leases
	f.settle(ls[0], retry(time.Minute))
	f.settle(ls[1], retry(5*time.Second))
	f.equal("next", f.want(all).Next, 5*time.Second)
	f.h.Advance(time.Second)
	f.equal("next a second later", f.want(all).Next, 4*time.Second)
}

func longestDue(f *fixture) {
	got := f.put("a", "b", "c")
	ls := f.want(all).Leases
	f.settle(ls[0], retry(30*time.Second))
	f.settle(ls[1], retry(10*time.Second))
	f.settle(ls[2], retry(20*time.Second))
	f.h.Advance(time.Minute)
	f.expect("when all are due", got[1], got[2], got[0])
}

func earlyRound(f *fixture) {
	got := f.put("a", "b", "c")
	for range got {
		f.settle(f.take(), retry(time.Hour))
		f.h.Advance(time.Millisecond)
	}
	early := queue.Want{Agent: agent, Max: 1, Troubled: 1, Early: true}
	var round []string
	for range 6 {
		ls := f.want(early).Leases
		if len(ls) != 1 {
			f.Fatalf("early Take: got %d leases, want 1", len(ls))
		}
		round = append(round, ls[0].Job.ID)
		f.settle(ls[0], retry(time.Hour))
		f.h.Advance(time.Millisecond)
	}
	f.equal("early takes", round, append(got, got...))
}

func earlyHonours(f *fixture) {
	f.put("a", "b")
	hold := retry(time.Hour)
	hold.Hold = 30 * time.Second
	for _, l := range f.want(all).Leases {
		f.settle(l, hold)
	}
	early := queue.Want{Agent: agent, Max: 5, Troubled: 5, Early: true}
	f.equal("early before not-before", len(f.want(early).Leases), 0)
	f.h.Advance(30 * time.Second)
	pause(f, queue.Scope{Account: "stork", Conversation: "a"}, 0)
	ls := f.want(early).Leases
	if len(ls) != 1 || ls[0].Job.Lane != lane("b") {
		f.Errorf("early with a paused conversation: got %v, want the one of b", ids(ls))
	}
	pause(f, queue.Scope{Agent: agent}, 0)
	f.equal("early with a paused agent", len(f.want(early).Leases), 0)
}

// holdsLane: what held the lane was one job, but nothing of the lane is given out, whatever became of the job, and also
// after a reopening while the job waits.
func holdsLane(f *fixture) {
	for _, v := range []queue.Verdict{retry(time.Second), park(time.Second), bury} {
		c := fmt.Sprint("hold by ", v.Action)
		got := f.put(c, c, c)
		f.settle(f.take(), park(0))
		v.Hold = 30 * time.Second
		f.settle(f.take(), v)
		if v.Action != queue.Bury {
			f.reopen()
		}
		f.h.Advance(29 * time.Second)
		if err := f.q().Rouse(f.Context(), agent); err != nil {
			f.Fatalf("Rouse: %v", err)
		}
		f.idle("while the lane is held")
		f.equal("early while the lane is held", len(f.want(queue.Want{Agent: agent, Max: 5, Troubled: 5, Early: true}).Leases), 0)
		f.h.Advance(time.Second)
		f.equal("given when the hold ends", len(f.want(all).Leases), 1)
		if _, err := f.q().Drop(f.Context(), got); err != nil {
			f.Fatalf("Drop: %v", err)
		}
		f.reopen()
		f.h.Advance(time.Hour)
		for ls := f.want(all).Leases; len(ls) > 0; ls = f.want(all).Leases {
			for _, l := range ls {
				f.settle(l, ack)
			}
		}
	}
}

// holdsEmptyLane: what comes into a lane that is held waits, although nothing was left in it.
func holdsEmptyLane(f *fixture) {
	f.put("c")
	v := bury
	v.Hold = 30 * time.Second
	f.settle(f.take(), v)
	f.h.Advance(10 * time.Second)
	next := f.job("c")
	f.equal("wait", f.place(next)[0].Wait, 20*time.Second)
	f.equal("next", f.want(all).Next, 20*time.Second)
	f.h.Advance(19 * time.Second)
	f.idle("while the lane is held")
	f.equal("early while the lane is held", len(f.want(queue.Want{Agent: agent, Max: 5, Troubled: 5, Early: true}).Leases), 0)
	f.equal("lanes", f.stats()[agent].Lanes, 1)
	f.h.Advance(time.Second)
	f.settle(f.expect("when the hold ends", next.ID)[0], ack)
	f.equal("lanes", f.stats()[agent].Lanes, 0)
}

func rouses(f *fixture) {
	got := f.put("a", "b")
	ls := f.want(all).Leases
	f.settle(ls[0], retry(time.Hour))
	hold := retry(time.Hour)
	hold.Hold = 10 * time.Second
	f.settle(ls[1], hold)
	if err := f.q().Rouse(f.Context(), agent); err != nil {
		f.Fatalf("Rouse: %v", err)
	}
	f.expect("after Rouse", got[0])
	f.h.Advance(10 * time.Second)
	for _, l := range f.want(all).Leases {
		if l.Job.ID == got[1] {
			return
		}
	}
	f.Errorf("Take at its not-before: %s was not given", got[1])
}

func parkedAside(f *fixture) {
	got := f.put("c", "c")
	f.settle(f.take(), park(time.Minute))
	f.reopen()
	f.equal("state", f.get(got[0]).State, queue.Parked)
	f.settle(f.expect("beside a parked job", got[1])[0], ack)
	f.idle("before the parked job is due")
	f.h.Advance(time.Minute)
	f.settle(f.expect("when it is due", got[0])[0], ack)
	f.equal("state", f.get(got[0]).State, queue.Delivered)
}

func inTurn(f *fixture) {
	got := f.put("c", "c", "c", "c", "c")
	for range 2 {
		f.settle(f.take(), park(time.Second))
	}
	f.h.Advance(time.Second)
	var aside []bool
	for range 4 {
		l := f.take()
		aside = append(aside, l.Job.State == queue.Parked)
		f.settle(l, ack)
	}
	if aside[0] == aside[1] || aside[0] != aside[2] || aside[1] != aside[3] {
		f.Errorf("parked in four takes: got %v, want them in turn", aside)
	}
	f.expect("at the end", got[4])
}

func parkedRetry(f *fixture) {
	id := f.put("c")[0]
	f.settle(f.take(), park(0))
	l := f.take()
	f.equal("state when taken", l.Job.State, queue.Parked)
	f.settle(l, retry(time.Minute))
	f.equal("state after the retry", f.get(id).State, queue.Parked)
	f.equal("attempts", f.get(id).Attempts, 2)
	f.idle("before it is due")
	f.h.Advance(time.Minute)
	f.expect("when it is due", id)
}

func parkedOrder(f *fixture) {
	got := f.put("c", "c", "c")
	for after := 30 * time.Second; after > 0; after -= 10 * time.Second {
		f.settle(f.take(), park(after))
	}
	f.h.Advance(20 * time.Second)
	var order []string
	for range 2 {
		l := f.take()
		order = append(order, l.Job.ID)
		f.settle(l, ack)
	}
	f.equal("of those due", order, got[1:])
	f.idle("before the first is due")
	f.h.Advance(10 * time.Second)
	f.expect("then", got[0])
}

func parkedAlone(f *fixture) {
	got := f.put("c", "c")
	f.settle(f.take(), park(0))
	l := f.take()
	f.idle("while one of the lane is leased")
	f.settle(l, ack)
	other := got[0]
	if l.Job.ID == other {
		other = got[1]
	}
	f.expect("then the other", other)
}
