package queuetest

import (
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

var pauseChecks = []check{
	{"pause/an agent's lanes are held and go on", pauseAgent},
	{"pause/a conversation's lanes are held and go on", pauseConversation},
	{"pause/a leased lane is let finish", pauseLeased},
	{"pause/it ends by itself", pauseEnds},
	{"pause/who has nothing to do is told of its end", pauseEndTold},
	{"pause/a second one replaces the first", pauseTwice},
	{"pause/it is durable and listed", pauseListed},
}

var mendChecks = []check{
	{"revive/a dead job is parked and young again", revives},
	{"revive/the gap spreads them", reviveGap},
	{"revive/only dead jobs move", reviveOnlyDead},
	{"revive/a replay while the lane is leased", reviveLeased},
	{"drop/dead and parked jobs go, their keys stay", drops},
	{"drop/leased and other jobs stay", dropOthers},
	{"expire/the old go, the rest keep their order", expires},
	{"expire/parked jobs by the age of their revival", expireParked},
	{"expire/paused lanes and agents", expirePaused},
	{"expire/a lane with an attempt is left alone", expireLeased},
	{"expire/many", expireMany},
}

func pause(f *fixture, s queue.Scope, d time.Duration) {
	f.Helper()
	if err := f.q().Pause(f.Context(), s, d, "by the test"); err != nil {
		f.Fatalf("Pause: %v", err)
	}
}

func resume(f *fixture, s queue.Scope) {
	f.Helper()
	if err := f.q().Resume(f.Context(), s); err != nil {
		f.Fatalf("Resume: %v", err)
	}
}

func (f *fixture) revive(gap time.Duration, ids ...string) int {
	f.Helper()
	n, err := f.q().Revive(f.Context(), ids, gap)
	if err != nil {
		f.Fatalf("Revive: %v", err)
	}
	return n
}

func (f *fixture) drop(ids ...string) int {
	f.Helper()
	n, err := f.q().Drop(f.Context(), ids)
	if err != nil {
		f.Fatalf("Drop: %v", err)
	}
	return n
}

func pauseAgent(f *fixture) {
	got := f.put("a", "b")
	s := queue.Scope{Agent: agent}
	pause(f, s, 0)
	f.idle("of a paused agent")
	other := f.job("a")
	other.Lane.Agent = "heron"
	f.place(other)
	f.equal("another agent's", ids(f.want(queue.Want{Agent: "heron", Max: 1}).Leases), []string{other.ID})
	resume(f, s)
	resume(f, s)
	f.expect("after Resume", got...)
}

func pauseConversation(f *fixture) {
	s := queue.Scope{Account: "stork", Conversation: "a"}
	pause(f, s, 0)
	got := f.put("a", "b")
	f.expect("beside a paused conversation", got[1])
	f.reopen()
	f.put("a")
	for _, l := range f.want(all).Leases {
		if l.Job.Lane.Conversation == "a" {
			f.Errorf("Take: got %s of a paused conversation", l.Job.ID)
		}
	}
	resume(f, s)
	f.expect("after Resume", got[0])
}

func pauseLeased(f *fixture) {
	for _, s := range []queue.Scope{{Agent: agent}, {Account: "stork", Conversation: "c"}} {
		got := f.put("c", "c")
		l := f.take()
		pause(f, s, 0)
		f.settle(l, ack)
		f.idle("of what follows in a paused lane")
		resume(f, s)
		ls := f.expect("after Resume", got[1])
		pause(f, s, 0)
		f.h.Advance(usual.Lease)
		f.idle("of a lapsed lease in a paused lane")
		resume(f, s)
		f.is("Settle of the lapsed one", f.q().Settle(f.Context(), ls[0], ack), nil)
	}
}

// pauseEndTold: a taker with nothing to do learns of a pause that ends by itself when something comes to wait for it.
func pauseEndTold(f *fixture) {
	for i, s := range []queue.Scope{{Agent: agent}, {Account: "stork", Conversation: "c"}} {
		if next := f.want(all).Next; next != 0 {
			f.Errorf("round %d: Next of an idle queue: got %v, want 0", i, next)
		}
		pause(f, s, time.Minute)
		wake := f.q().Wake(agent)
		select {
		case <-wake:
		default:
		}
		got := f.put("c")
		select {
		case <-wake:
		case <-time.After(5 * time.Second):
			f.Fatalf("round %d: Put into a pause that ends woke nobody", i)
		}
		taken := f.want(all)
		if len(taken.Leases) != 0 || taken.Next <= 0 || taken.Next > time.Minute {
			f.Errorf("round %d: got %d leases and Next %v, want none and the pause's end", i, len(taken.Leases), taken.Next)
		}
		f.h.Advance(taken.Next)
		f.settle(f.expect("when the pause ends", got[0])[0], ack)
	}
}

func pauseEnds(f *fixture) {
	got := f.put("a", "b")
	pause(f, queue.Scope{Agent: agent}, time.Minute)
	f.idle("of a paused agent")
	f.reopen()
	f.h.Advance(time.Minute)
	f.expect("when the pause is over", got...)
	pause(f, queue.Scope{Account: "stork", Conversation: "z"}, time.Minute)
	z := f.put("z")
	f.idle("of a paused conversation")
	f.h.Advance(time.Minute)
	for _, l := range f.want(all).Leases {
		if l.Job.ID == z[0] {
			return
		}
	}
	f.Errorf("Take when the pause is over: %s was not given", z[0])
}

func pauseTwice(f *fixture) {
	got := f.put("a")
	pause(f, queue.Scope{Agent: agent}, 0)
	pause(f, queue.Scope{Agent: agent}, time.Second)
	f.h.Advance(time.Second)
	f.expect("when the second is over", got...)
}

func pauseListed(f *fixture) {
	list := func() []queue.Pause {
		f.Helper()
		ps, err := f.q().Pauses(f.Context())
		if err != nil {
			f.Fatalf("Pauses: %v", err)
		}
		return ps
	}
	f.equal("at first", len(list()), 0)
	s := queue.Scope{Account: "stork", Conversation: "a"}
	pause(f, s, time.Hour)
	f.reopen()
	ps := list()
	if len(ps) != 1 || ps[0].Scope != s || ps[0].Reason != "by the test" || ps[0].Until.IsZero() {
		f.Fatalf("Pauses: got %+v, want the one of %+v", ps, s)
	}
	f.h.Advance(time.Hour)
	f.equal("when it is over", len(list()), 0)
	f.sweep()
	pause(f, queue.Scope{Agent: agent}, 0)
	if ps := list(); len(ps) != 1 || !ps[0].Until.IsZero() {
		f.Errorf("Pauses: got %+v, want one without an end", ps)
	}
	resume(f, queue.Scope{Agent: agent})
	f.equal("after Resume", len(list()), 0)
}

func revives(f *fixture) {
	id := f.kill("c")
	died := f.get(id).Updated
	f.h.Advance(time.Hour)
	f.equal("moved", f.revive(0, id), 1)
	f.reopen()
	j := f.get(id)
	f.equal("job", []any{j.State, j.Attempts, j.Answered, j.FirstFailure.IsZero()}, []any{queue.Parked, 0, false, true})
	f.equal("age began after its death", j.Since.Sub(died), time.Hour)
	l := f.take()
	f.equal("body", string(l.Job.Body), "body of "+id)
	f.settle(l, ack)
	f.equal("state", f.get(id).State, queue.Delivered)
}

func reviveGap(f *fixture) {
	var dead []string
	for range 3 {
		dead = append(dead, f.kill("c"))
	}
	f.equal("moved", f.revive(time.Minute, dead[0], "no such job", dead[1], dead[2]), 3)
	for i, id := range dead {
		if i > 0 {
			f.idle("between")
			f.h.Advance(time.Minute)
		}
		f.settle(f.expect("in its turn", id)[0], ack)
	}
}

func reviveOnlyDead(f *fixture) {
	got := f.put("a", "b", "c")
	ls := f.want(all).Leases
	f.settle(ls[0], ack)
	f.settle(ls[1], park(time.Hour))
	f.equal("moved", f.revive(0, got...), 0)
	f.equal("leased job", f.get(got[2]).Leased, true)
}

func reviveLeased(f *fixture) {
	id := f.kill("c")
	got := f.put("c", "c")
	l := f.expect("of the head", got[0])[0]
	f.revive(0, id)
	f.idle("while the lane is leased")
	f.settle(l, ack)
	seen := map[string]bool{}
	for range 2 {
		l := f.take()
		f.idle("while the lane is leased again")
		seen[l.Job.ID] = true
		f.settle(l, ack)
	}
	f.equal("then", seen, map[string]bool{id: true, got[1]: true})
}

func drops(f *fixture) {
	dead := f.kill("c")
	parked := f.put("c")[0]
	f.settle(f.take(), park(0))
	f.equal("removed", f.drop(dead, parked, "no such job"), 2)
	f.idle("of a dropped job")
	for range 2 {
		for _, id := range []string{dead, parked} {
			_, err := f.q().Get(f.Context(), id)
			f.is("Get", err, queue.ErrNotFound)
			again := f.job("c")
			again.Key = key("c", id)
			f.equal("Put of its key", f.place(again)[0], queue.Placed{ID: id})
		}
		f.reopen()
	}
	f.equal("counts", f.stats()[agent], queue.Counts{})
}

func dropOthers(f *fixture) {
	got := f.put("a", "b", "c")
	ls := f.want(all).Leases
	f.settle(ls[0], ack)
	f.settle(ls[1], park(0))
	held := f.take()
	got = append(got, f.put("d")...)
	f.equal("removed", f.drop(got...), 0)
	f.settle(held, ack)
	f.settle(ls[2], ack)
	f.expect("afterwards", got[3])
}
