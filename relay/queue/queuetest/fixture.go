package queuetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

const agent = "crane"

// fixture is one test's queue and what it says in one line. Its methods end the test when the queue fails.
type fixture struct {
	*testing.T
	h     Harness
	open  Open
	count atomic.Int64
}

func (f *fixture) q() queue.Queue { return f.h.Queue }

// with replaces the queue by one with other options.
func (f *fixture) with(change func(o *Options)) {
	o := usual
	change(&o)
	f.h = f.open(f.T, o)
}

// lane returns a lane of the agent by its conversation.
func lane(conversation string) queue.Lane {
	return queue.Lane{Agent: agent, Account: "stork", Conversation: conversation}
}

// key returns the key of a message in the conversation.
func key(conversation, identity string) queue.Key {
	return queue.Key{Account: "stork", Conversation: conversation, Identity: identity}
}

// job makes a job for a conversation. Its body is its id.
func (f *fixture) job(conversation string) queue.Job {
	id := fmt.Sprintf("evt_%06d", f.count.Add(1))
	return queue.Job{
		ID: id, Key: key(conversation, id), Lane: lane(conversation),
		Meta: []byte(`{"kind":"text"}`), Body: []byte("body of " + id),
	}
}

// put puts one fresh job for each conversation, in one call each, and returns their ids. No two come at the same time, for
// then a store of several parts has no order between them.
func (f *fixture) put(conversations ...string) []string {
	f.Helper()
	var ids []string
	for _, c := range conversations {
		j := f.job(c)
		if p := f.place(j)[0]; !p.Fresh || p.ID != j.ID {
			f.Fatalf("Put %s: got %+v, want it fresh", j.ID, p)
		}
		ids = append(ids, j.ID)
		f.h.Advance(time.Millisecond)
	}
	return ids
}

func (f *fixture) place(jobs ...queue.Job) []queue.Placed {
	f.Helper()
	ps, err := f.q().Put(f.Context(), jobs...)
	if err != nil {
		f.Fatalf("Put: %v", err)
	}
	if len(ps) != len(jobs) {
		f.Fatalf("Put: got %d answers, want %d", len(ps), len(jobs))
	}
	return ps
}

// all wants whatever is due.
var all = queue.Want{Agent: agent, Max: 1000, Troubled: 1000}

func (f *fixture) want(w queue.Want) queue.Taken {
	f.Helper()
	taken, err := f.q().Take(f.Context(), w)
	if err != nil {
		f.Fatalf("Take: %v", err)
	}
	return taken
}

// take returns one lease, and fails if there is none.
func (f *fixture) take() queue.Lease {
	f.Helper()
	w := all
	w.Max = 1
	ls := f.want(w).Leases
	if len(ls) != 1 {
		f.Fatalf("Take: got %d leases, want 1", len(ls))
	}
	return ls[0]
}

// idle fails if anything is due.
func (f *fixture) idle(when string) {
	f.Helper()
	if ls := f.want(all).Leases; len(ls) != 0 {
		f.Fatalf("Take %s: got %v, want none", when, ids(ls))
	}
}

// expect takes whatever is due and compares the ids in their order.
func (f *fixture) expect(when string, want ...string) []queue.Lease {
	f.Helper()
	ls := f.want(all).Leases
	if got := ids(ls); fmt.Sprint(got) != fmt.Sprint(want) {
		f.Fatalf("Take %s: got %v, want %v", when, got, want)
	}
	return ls
}

func ids(ls []queue.Lease) []string {
	var out []string
	for _, l := range ls {
		out = append(out, l.Job.ID)
	}
	return out
}

func (f *fixture) settle(l queue.Lease, v queue.Verdict) {
	f.Helper()
	if err := f.q().Settle(f.Context(), l, v); err != nil {
		f.Fatalf("Settle %s: %v", l.Job.ID, err)
	}
}

// ack, retry, park and bury are the usual verdicts.
var ack = queue.Verdict{Action: queue.Ack, Counted: true, Status: 200}

func retry(after time.Duration) queue.Verdict {
	return queue.Verdict{Action: queue.Retry, Counted: true, Delay: after, Status: 500, Reason: "answered 500"}
}

func park(after time.Duration) queue.Verdict {
	v := retry(after)
	v.Action, v.Answered = queue.Park, true
	return v
}

var bury = queue.Verdict{Action: queue.Bury, Counted: true, Answered: true, Status: 400, Reason: "answered 400"}

// kill puts a job for the conversation and buries it.
func (f *fixture) kill(conversation string) string {
	f.Helper()
	id := f.put(conversation)[0]
	f.settle(f.take(), bury)
	return id
}

func (f *fixture) get(id string) queue.Job {
	f.Helper()
	j, err := f.q().Get(f.Context(), id)
	if err != nil {
		f.Fatalf("Get %s: %v", id, err)
	}
	return j
}

func (f *fixture) list(filter queue.Filter) queue.Page {
	f.Helper()
	p, err := f.q().List(f.Context(), filter)
	if err != nil {
		f.Fatalf("List: %v", err)
	}
	return p
}

func (f *fixture) stats() map[string]queue.Counts {
	f.Helper()
	s, err := f.q().Stats(f.Context())
	if err != nil {
		f.Fatalf("Stats: %v", err)
	}
	return s
}

func (f *fixture) sweep() {
	f.Helper()
	if err := f.q().Sweep(f.Context()); err != nil {
		f.Fatalf("Sweep: %v", err)
	}
}

// reopen does so where the data outlives the queue, and says whether it did.
func (f *fixture) reopen() bool {
	f.Helper()
	if f.h.Reopen == nil {
		return false
	}
	f.h.Queue = f.h.Reopen(f.T)
	return true
}

// endLeases lets the leases of before a reopening end, where that does not.
func (f *fixture) endLeases() {
	f.Helper()
	if f.h.Shared {
		f.h.Advance(usual.Lease)
		f.want(queue.Want{Agent: agent})
	}
}

// is fails unless the error is the wanted one.
func (f *fixture) is(what string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// equal fails unless both print alike.
func (f *fixture) equal(what string, got, want any) {
	f.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		f.Errorf("%s: got %s, want %s", what, g, w)
	}
}
