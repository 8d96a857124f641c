package redisqueue_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/memqueue"
	"github.com/imrelay/imrelay/relay/queue/queuetest"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
)

var keep = queue.Retention{Window: time.Hour, Delivered: time.Hour, Dead: 2 * time.Hour, MaxBytes: 1 << 20}

// modelled is two relays on one Redis, and the queue in memory that does the same.
type modelled struct {
	*testing.T

	r      *rand.Rand
	w      *world
	relays []*redisqueue.Queue
	model  *memqueue.Queue
	n, v   int
	ids    []string
	leases []twin
	log    []string
}

// twin is one lease in Redis and in the model.
type twin struct{ ours, theirs queue.Lease }

// TestLikeTheModel: whatever two relays do in whatever order, they are told what the queue in memory tells, and what is
// stored is whole.
func TestLikeTheModel(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 4} {
		f := newFleet(t, shards, "--appendfsync", "no")
		for range 3 {
			seed := rand.Uint64()
			t.Run(fmt.Sprintf("shards=%d,seed=%d", shards, seed), func(t *testing.T) {
				t.Parallel()
				runModel(t, f.world(queuetest.NewClock()), seed)
			})
		}
	}
}

func runModel(t *testing.T, w *world, seed uint64) {
	t.Helper()
	w.opts = redisqueue.Options{Retention: keep, Lease: 10 * time.Second}
	m := &modelled{
		T: t, r: rand.New(rand.NewPCG(seed, 1)), w: w, relays: []*redisqueue.Queue{w.open(t), w.open(t)},
		model: memqueue.New(memqueue.Options{Retention: keep, Lease: 10 * time.Second, Clock: w.clock.Read}),
	}
	audit := newAuditor(t, w)
	for step := range 300 {
		w.clock.Advance(time.Millisecond)
		// The model forgets lanes whose hold is over only when somebody takes.
		if _, err := m.model.Take(t.Context(), queue.Want{Agent: "nobody"}); err != nil {
			t.Fatalf("Take: %v", err)
		}
		m.step()
		if step%10 == 0 {
			m.compare()
			audit.whole()
		}
		if t.Failed() {
			t.Fatalf("step %d after: %s", step, strings.Join(m.log[max(0, len(m.log)-40):], "; "))
		}
	}
}

func (m *modelled) say(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *modelled) relay() *redisqueue.Queue { return m.relays[m.r.IntN(len(m.relays))] }

func (m *modelled) agent() string { return []string{"crane", "heron/%"}[m.r.IntN(2)] }

func (m *modelled) conversation() string { return fmt.Sprint("c/", m.r.IntN(5)) }

// same fails unless both print alike.
func (m *modelled) same(what string, got, want any) {
	m.Helper()
	g, w := strings.Split(fmt.Sprint(got), "\n"), strings.Split(fmt.Sprint(want), "\n")
	for _, line := range g {
		if !slices.Contains(w, line) {
			m.Errorf("%s: got %s, want not", what, line)
		}
	}
	for _, line := range w {
		if !slices.Contains(g, line) {
			m.Errorf("%s: got not, want %s", what, line)
		}
	}
}

// kind is the sentinel of an error.
func kind(err error) error {
	for _, known := range []error{queue.ErrLeaseLost, queue.ErrState, queue.ErrNotFound, queue.ErrUnavailable} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}

func (m *modelled) step() {
	moves := []struct {
		weight int
		run    func()
	}{
		{30, m.put},
		{3, m.remember},
		{25, m.take},
		{35, m.settle},
		{5, m.renew},
		{2, m.rouse},
		{3, m.revive},
		{2, m.drop},
		{2, m.expire},
		{3, m.pause},
		{3, m.resume},
		{1, m.sweep},
		{10, m.pass},
	}
	total := 0
	for _, v := range moves {
		total += v.weight
	}
	n := m.r.IntN(total)
	for _, v := range moves {
		if n -= v.weight; n < 0 {
			v.run()
			return
		}
	}
}

func (m *modelled) put() {
	var jobs []queue.Job
	for range 1 + m.r.IntN(3) {
		m.n++
		c := m.conversation()
		j := queue.Job{
			ID: fmt.Sprintf("evt_%05d", m.n), Lane: queue.Lane{Agent: m.agent(), Account: "st/ork", Conversation: c},
			Meta: []byte("meta"), Body: []byte("body of " + fmt.Sprint(m.n)),
		}
		if m.r.IntN(3) > 0 {
			j.Key = queue.Key{Account: "st/ork", Conversation: c, Identity: fmt.Sprint(m.r.IntN(150))}
		}
		if m.r.IntN(3) == 0 {
			j.Aliases = []queue.Key{{Account: "st/ork", Conversation: m.conversation(), Identity: fmt.Sprint(m.r.IntN(20))}}
		}
		jobs = append(jobs, j)
		m.ids = append(m.ids, j.ID)
	}
	m.say("put %s…%d", jobs[0].ID, len(jobs))
	got, err := m.relay().Put(m.Context(), jobs...)
	want, wantErr := m.model.Put(m.Context(), jobs...)
	m.same("Put", []any{got, kind(err)}, []any{want, kind(wantErr)})
}

func (m *modelled) remember() {
	k := queue.Key{Account: "st/ork", Conversation: m.conversation(), Identity: fmt.Sprint(m.r.IntN(20))}
	m.say("remember %v", k)
	m.same("Remember", m.relay().Remember(m.Context(), k), m.model.Remember(m.Context(), k))
}

func (m *modelled) take() {
	w := queue.Want{Agent: m.agent(), Max: 1000, Troubled: 1000}
	switch m.r.IntN(6) {
	case 0:
		w.Troubled = 0
	case 1:
		w.Early = true
	case 2:
		w.Max = 0
	}
	q := m.relay()
	q.LookEverywhere(w.Agent)
	got, err := q.Take(m.Context(), w)
	want, wantErr := m.model.Take(m.Context(), w)
	m.same("Take", kind(err), kind(wantErr))
	describe := func(ls []queue.Lease) []string {
		var all []string
		for _, l := range ls {
			j := l.Job
			j.Seq, j.Due = 0, time.Time{} // the model does not tell what Rouse did to it
			all = append(all, fmt.Sprint(j, l.Troubled, l.Taken.UnixMilli(), l.Expires.Sub(l.Taken)))
		}
		slices.Sort(all)
		return all
	}
	m.say("take %+v: %d leases", w, len(got.Leases))
	m.same(fmt.Sprintf("leases of %+v", w), strings.Join(describe(got.Leases), "\n"), strings.Join(describe(want.Leases), "\n"))
	for _, l := range got.Leases {
		i := slices.IndexFunc(want.Leases, func(o queue.Lease) bool { return o.Job.ID == l.Job.ID })
		if i >= 0 {
			m.leases = append(m.leases, twin{l, want.Leases[i]})
		}
	}
}

func (m *modelled) settle() {
	if len(m.leases) == 0 {
		return
	}
	i := m.r.IntN(len(m.leases))
	l := m.leases[i]
	if m.r.IntN(8) > 0 {
		m.leases = slices.Delete(m.leases, i, i+1)
	}
	m.v++
	v := queue.Verdict{
		Action: queue.Action(1 + m.r.IntN(4)), Counted: m.r.IntN(3) > 0, Answered: m.r.IntN(2) == 0,
		Delay: time.Duration(m.r.IntN(4)) * 7 * time.Second, Status: m.v,
	}
	if m.r.IntN(4) == 0 {
		v.Hold = 11 * time.Second
	}
	if v.Action != queue.Ack {
		v.Reason = fmt.Sprint("reason ", m.v)
	}
	m.say("settle %s %+v", l.ours.Job.ID, v)
	m.same("Settle "+l.ours.Job.ID, kind(m.relay().Settle(m.Context(), l.ours, v)), kind(m.model.Settle(m.Context(), l.theirs, v)))
}

func (m *modelled) renew() {
	var ours, theirs []queue.Lease
	for _, l := range m.leases {
		if m.r.IntN(2) == 0 {
			ours, theirs = append(ours, l.ours), append(theirs, l.theirs)
		}
	}
	got, err := m.relay().Renew(m.Context(), ours)
	want, wantErr := m.model.Renew(m.Context(), theirs)
	names := func(ls []queue.Lease) []string {
		var all []string
		for _, l := range ls {
			all = append(all, fmt.Sprint(l.Job.ID, l.Expires.UnixMilli()))
		}
		return all
	}
	m.say("renew %d", len(ours))
	m.same("Renew", []any{names(got), kind(err)}, []any{names(want), kind(wantErr)})
}

func (m *modelled) rouse() {
	a := m.agent()
	m.say("rouse %s", a)
	m.same("Rouse", m.relay().Rouse(m.Context(), a), m.model.Rouse(m.Context(), a))
}

// some are some of the ids there ever were, the later more likely.
func (m *modelled) some() []string {
	var ids []string
	for range 10 {
		if n := len(m.ids); n > 0 {
			ids = append(ids, m.ids[n-1-m.r.IntN(min(n, 60))])
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (m *modelled) revive() {
	ids, gap := m.some(), time.Duration(m.r.IntN(2))*time.Second
	got, err := m.relay().Revive(m.Context(), ids, gap)
	want, wantErr := m.model.Revive(m.Context(), ids, gap)
	m.say("revive %v: %d", ids, got)
	m.same("Revive", []any{got, kind(err)}, []any{want, kind(wantErr)})
}

func (m *modelled) drop() {
	ids := m.some()
	got, err := m.relay().Drop(m.Context(), ids)
	want, wantErr := m.model.Drop(m.Context(), ids)
	m.say("drop %v: %d", ids, got)
	m.same("Drop", []any{got, kind(err)}, []any{want, kind(wantErr)})
}

func (m *modelled) expire() {
	a := m.agent()
	got, err := m.relay().Expire(m.Context(), a, time.Minute, "too old")
	want, wantErr := m.model.Expire(m.Context(), a, time.Minute, "too old")
	m.say("expire %s: %d", a, got)
	// The model ends what is left of lapsed leases of all jobs that it looks at.
	m.leases = slices.DeleteFunc(m.leases, func(l twin) bool { return l.ours.Job.Lane.Agent == a })
	m.same("Expire", []any{got, kind(err)}, []any{want, kind(wantErr)})
}

func (m *modelled) scope() queue.Scope {
	if m.r.IntN(2) == 0 {
		return queue.Scope{Agent: m.agent()}
	}
	return queue.Scope{Account: "st/ork", Conversation: m.conversation()}
}

func (m *modelled) pause() {
	s, d := m.scope(), time.Duration(m.r.IntN(3))*9*time.Second
	m.say("pause %+v %v", s, d)
	m.same("Pause", m.relay().Pause(m.Context(), s, d, "by the test"), m.model.Pause(m.Context(), s, d, "by the test"))
}

func (m *modelled) resume() {
	s := m.scope()
	m.say("resume %+v", s)
	m.same("Resume", m.relay().Resume(m.Context(), s), m.model.Resume(m.Context(), s))
}

func (m *modelled) sweep() {
	m.say("sweep")
	m.same("Sweep", m.relay().Sweep(m.Context()), m.model.Sweep(m.Context()))
}

func (m *modelled) pass() {
	d := time.Duration(m.r.IntN(8000)) * time.Millisecond
	if m.r.IntN(20) == 0 {
		d = 30 * time.Minute
	}
	m.say("pass %v", d)
	m.w.clock.Advance(d)
}

// compare compares all that can be looked at.
func (m *modelled) compare() {
	m.Helper()
	list := func(q queue.Queue) string {
		var all []string
		for f := (queue.Filter{Limit: 37}); ; {
			p, err := q.List(m.Context(), f)
			if err != nil {
				m.Fatalf("List: %v", err)
			}
			for _, j := range p.Jobs {
				j.Seq = 0
				all = append(all, fmt.Sprint(j))
			}
			if f.Before = p.Next; p.Next == 0 {
				slices.Sort(all)
				return strings.Join(all, "\n")
			}
		}
	}
	m.same("List", list(m.relay()), list(m.model))
	got, err := m.relay().Stats(m.Context())
	want, wantErr := m.model.Stats(m.Context())
	m.same("Stats", []any{got, err}, []any{want, wantErr})
	pauses := func(q queue.Queue) []string {
		ps, err := q.Pauses(m.Context())
		all := []string{fmt.Sprint(err)}
		for _, p := range ps {
			all = append(all, fmt.Sprint(p))
		}
		slices.Sort(all)
		return all
	}
	m.same("Pauses", pauses(m.relay()), pauses(m.model))
}
