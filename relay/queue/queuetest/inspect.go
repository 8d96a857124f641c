package queuetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

var inspectChecks = []check{
	{"inspect/pages are whole while jobs arrive", pages},
	{"inspect/filters choose", filters},
	{"inspect/counts", counts},
	{"inspect/accounts of a conversation", accounts},
	{"inspect/a job that is not there", notFound},
}

var keepChecks = []check{
	{"keep/delivered jobs go after their time", keepDelivered},
	{"keep/dead jobs go after their time", keepDead},
	{"keep/the oldest bodies go first", keepBytes},
	{"keep/what waits stays", keepWaiting},
}

var lifeChecks = []check{
	{"life/closing twice is fine, calls fail then", closes},
	{"life/a restart keeps all", restart},
}

func pages(f *fixture) {
	var want []string
	for range 25 {
		want = append(want, f.put("c")...)
	}
	slices.Reverse(want)
	var got []string
	filter := queue.Filter{Limit: 10}
	for n := 0; ; n++ {
		p := f.list(filter)
		for _, j := range p.Jobs {
			got = append(got, j.ID)
			if j.Body != nil {
				f.Errorf("List: got a body, want none")
			}
		}
		if p.Next == 0 {
			f.equal("pages", n+1, 3)
			break
		}
		filter.Before = p.Next
		f.put("c", "d")
	}
	f.equal("jobs", got, want)
}

func filters(f *fixture) {
	dead := f.kill("dead")
	f.put("parked")
	f.settle(f.take(), park(time.Hour))
	f.put("done")
	f.settle(f.take(), ack)
	f.put("held")
	f.take()
	f.h.Advance(time.Hour)
	later := f.get(f.put("late")[0]).Accepted
	other := f.job("late")
	other.Lane.Agent, other.Lane.Account = "heron", "ibis"
	f.place(other)
	for _, c := range []struct {
		name   string
		filter queue.Filter
		want   []string
	}{
		{"none", queue.Filter{}, []string{"late", "late", "held", "done", "parked", "dead"}},
		{"dead", queue.Filter{States: []queue.State{queue.Dead}}, []string{"dead"}},
		{"parked and dead", queue.Filter{States: []queue.State{queue.Parked, queue.Dead}}, []string{"parked", "dead"}},
		{"queued", queue.Filter{States: []queue.State{queue.Queued}}, []string{"late", "late", "held"}},
		{"delivered", queue.Filter{States: []queue.State{queue.Delivered}}, []string{"done"}},
		{"leased", queue.Filter{Leased: true}, []string{"held"}},
		{"agent", queue.Filter{Agent: "heron"}, []string{"late"}},
		{"account", queue.Filter{Account: "stork", States: []queue.State{queue.Queued}}, []string{"late", "held"}},
		{"conversation", queue.Filter{Conversation: "late"}, []string{"late", "late"}},
		{"since", queue.Filter{Since: later}, []string{"late", "late"}},
		{"since, and dead", queue.Filter{Since: later, States: []queue.State{queue.Dead}}, nil},
	} {
		var got []string
		for _, j := range f.list(c.filter).Jobs {
			got = append(got, j.Lane.Conversation)
		}
		f.equal("filter "+c.name, got, c.want)
	}
	j := f.list(queue.Filter{States: []queue.State{queue.Dead}}).Jobs[0]
	f.equal("listed job", []any{j.ID, j.LastError, string(j.Meta)}, []any{dead, "answered 400", `{"kind":"text"}`})
}

func counts(f *fixture) {
	f.equal("at first", len(f.stats()), 0)
	f.kill("dead")
	f.put("parked")
	f.settle(f.take(), park(time.Hour))
	f.put("done")
	f.settle(f.take(), ack)
	first := f.get(f.put("a")[0]).Accepted
	f.h.Advance(time.Minute)
	f.put("a", "b")
	f.take()
	want := queue.Counts{Queued: 3, Leased: 1, Parked: 1, Delivered: 1, Dead: 1, Lanes: 3, Oldest: first}
	f.equal("counts", f.stats(), map[string]queue.Counts{agent: want})
	if f.reopen() {
		f.endLeases()
		want.Leased = 0
		f.equal("counts after a restart", f.stats(), map[string]queue.Counts{agent: want})
	}
}

func accounts(f *fixture) {
	for _, account := range []string{"stork", "ibis", "stork"} {
		j := f.job("c")
		j.Lane.Account = account
		j.Key = queue.Key{}
		f.place(j)
	}
	f.put("other")
	f.reopen()
	for conversation, want := range map[string][]string{"c": {"ibis", "stork"}, "other": {"stork"}, "none": nil} {
		got, err := f.q().Accounts(f.Context(), conversation)
		if err != nil {
			f.Fatalf("Accounts: %v", err)
		}
		f.equal("accounts of "+conversation, got, want)
	}
}

func notFound(f *fixture) {
	_, err := f.q().Get(f.Context(), "evt_none")
	f.is("Get", err, queue.ErrNotFound)
}

func keepDelivered(f *fixture) {
	f.with(func(o *Options) { o.Retention.Delivered = time.Hour })
	got := f.put("c", "c")
	f.settle(f.take(), ack)
	f.h.Advance(30 * time.Minute)
	f.settle(f.take(), ack)
	f.h.Advance(30 * time.Minute)
	f.sweep()
	_, err := f.q().Get(f.Context(), got[0])
	f.is("Get of the older", err, queue.ErrNotFound)
	f.equal("the younger", string(f.get(got[1]).Body), "body of "+got[1])
	f.equal("delivered", f.stats()[agent].Delivered, 1)
	again := f.job("c")
	again.Key = key("c", got[0])
	f.reopen()
	f.equal("Put of the key of the older", f.place(again)[0], queue.Placed{ID: got[0]})
}

func keepDead(f *fixture) {
	f.with(func(o *Options) { o.Retention.Dead = time.Hour })
	old := f.kill("c")
	f.h.Advance(time.Hour)
	young := f.kill("c")
	f.sweep()
	_, err := f.q().Get(f.Context(), old)
	f.is("Get of the older", err, queue.ErrNotFound)
	f.equal("the younger", f.get(young).State, queue.Dead)
	f.equal("dead", f.stats()[agent].Dead, 1)
}

func keepBytes(f *fixture) {
	f.with(func(o *Options) { o.Retention.MaxBytes = 2500 })
	var got []string
	for range 4 {
		j := f.job("c")
		j.Body = make([]byte, 1000)
		f.place(j)
		got = append(got, j.ID)
		f.settle(f.take(), ack)
	}
	waiting := f.job("c")
	waiting.Body = make([]byte, 9000)
	f.place(waiting)
	f.sweep()
	f.reopen()
	var sizes []int
	for _, id := range append(got, waiting.ID) {
		sizes = append(sizes, len(f.get(id).Body))
	}
	f.equal("bytes left", sizes, []int{0, 0, 1000, 1000, 9000})
}

func keepWaiting(f *fixture) {
	f.with(func(o *Options) {
		o.Retention = queue.Retention{Window: time.Minute, Delivered: time.Minute, Dead: time.Minute, MaxBytes: 1}
	})
	got := f.put("a", "b", "c")
	f.settle(f.take(), park(0))
	f.settle(f.take(), retry(0))
	f.h.Advance(240 * time.Hour)
	f.sweep()
	f.reopen()
	left := map[string]bool{}
	for _, l := range f.want(all).Leases {
		left[l.Job.ID] = string(l.Job.Body) == "body of "+l.Job.ID
	}
	f.equal("left", left, map[string]bool{got[0]: true, got[1]: true, got[2]: true})
}

func closes(f *fixture) {
	f.put("c")
	l := f.take()
	q := f.q()
	for range 2 {
		if err := q.Close(); err != nil {
			f.Fatalf("Close: %v", err)
		}
	}
	ctx := f.Context()
	for name, call := range map[string]func(context.Context) error{
		"Put":    func(ctx context.Context) error { _, err := q.Put(ctx, f.job("c")); return err },
		"Take":   func(ctx context.Context) error { _, err := q.Take(ctx, all); return err },
		"Settle": func(ctx context.Context) error { return q.Settle(ctx, l, ack) },
		"Get":    func(ctx context.Context) error { _, err := q.Get(ctx, l.Job.ID); return err },
		"List":   func(ctx context.Context) error { _, err := q.List(ctx, queue.Filter{}); return err },
		"Sweep":  q.Sweep,
	} {
		if err := call(ctx); !errors.Is(err, queue.ErrUnavailable) {
			f.Errorf("%s after Close: got %v, want %v", name, err, queue.ErrUnavailable)
		}
	}
}

func restart(f *fixture) {
	f.kill("dead")
	f.put("a", "a", "b", "late")
	ls := f.want(all).Leases
	f.settle(ls[0], ack)
	f.settle(ls[1], park(time.Minute))
	f.settle(ls[2], retry(time.Hour))
	shot := func() []queue.Job {
		jobs := f.list(queue.Filter{}).Jobs
		for i := range jobs {
			jobs[i] = f.get(jobs[i].ID)
		}
		return jobs
	}
	before := shot()
	for range 3 {
		f.reopen()
		f.equal("jobs after a restart", shot(), before)
	}
	f.put("a")
	f.equal("the newest", f.list(queue.Filter{Limit: 1}).Jobs[0].Seq > before[0].Seq, true)
}
