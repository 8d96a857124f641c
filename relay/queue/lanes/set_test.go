package lanes_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/lanes"
)

const leaseFor = 10 * time.Second

// held is a lease of the model, or a settle on its way.
type held struct {
	grant   lanes.Grant
	pending *lanes.Pending
	to      queue.State
}

// model is what the set must look like, told without lanes' cleverness: what waits where, and who holds what.
type model struct {
	t       *testing.T
	random  *rand.Rand
	set     *lanes.Set
	now     clock.Time
	seq     uint64
	queued  map[queue.Lane][]uint64
	parked  map[queue.Lane]map[uint64]bool
	held    map[uint64]*held // by token
	holder  map[queue.Lane]uint64
	first   map[queue.Lane]uint64 // the newest job whose first attempt was made
	paused  map[queue.Scope]clock.Time
	hold    map[queue.Lane]clock.Time
	settled int
	burial  *lanes.Burial
	buried  int
}

func newModel(t *testing.T, seed uint64) *model {
	return &model{
		t: t, random: rand.New(rand.NewPCG(seed, 7)), set: lanes.New(leaseFor, 100), now: 1_000_000,
		queued: map[queue.Lane][]uint64{}, parked: map[queue.Lane]map[uint64]bool{}, held: map[uint64]*held{},
		holder: map[queue.Lane]uint64{}, first: map[queue.Lane]uint64{}, paused: map[queue.Scope]clock.Time{},
		hold: map[queue.Lane]clock.Time{},
	}
}

var agents = []string{"crane", "heron"}

func (m *model) lane() queue.Lane {
	return queue.Lane{Agent: agents[m.random.IntN(2)], Account: "stork", Conversation: fmt.Sprint("c", m.random.IntN(5))}
}

func (m *model) pick() *held {
	tokens := slices.Sorted(maps.Keys(m.held))
	if len(tokens) == 0 {
		return nil
	}
	return m.held[tokens[m.random.IntN(len(tokens))]]
}

func (m *model) add() {
	l := m.lane()
	m.seq++
	m.queued[l] = append(m.queued[l], m.seq)
	m.set.Add(l, lanes.Waiting{Seq: m.seq, Due: m.now}, false)
}

func (m *model) isPaused(l queue.Lane) bool {
	for _, s := range []queue.Scope{{Agent: l.Agent}, {Account: l.Account, Conversation: l.Conversation}} {
		if end, ok := m.paused[s]; ok && (end == 0 || end > m.now) {
			return true
		}
	}
	return false
}

func (m *model) take() {
	w := queue.Want{Agent: agents[m.random.IntN(2)], Max: 1 + m.random.IntN(3), Troubled: m.random.IntN(3), Early: m.random.IntN(6) == 0}
	grants, _ := m.set.Take(m.now, w)
	rough := 0
	for _, g := range grants {
		if g.Troubled {
			rough++
		}
		if t, ok := m.holder[g.Lane]; ok {
			h := m.held[t]
			if h.pending != nil || h.grant.Expires > m.now {
				m.t.Fatalf("lane %v: leased twice", g.Lane)
			}
			delete(m.held, t)
		}
		if m.hold[g.Lane] > m.now {
			m.t.Fatalf("lane %v: leased while held", g.Lane)
		}
		if m.isPaused(g.Lane) {
			m.t.Fatalf("lane %v: leased while paused", g.Lane)
		}
		if m.burial != nil && slices.Contains(m.burial.Seqs, g.Seq) {
			m.t.Fatalf("lane %v: job %d leased while it is buried", g.Lane, g.Seq)
		}
		q := m.queued[g.Lane]
		switch {
		case m.parked[g.Lane][g.Seq]:
		case len(q) == 0 || q[0] != g.Seq:
			m.t.Fatalf("lane %v: leased job %d, its head is in %v", g.Lane, g.Seq, q)
		default:
			m.first[g.Lane] = max(m.first[g.Lane], g.Seq)
		}
		m.held[g.Token] = &held{grant: g}
		m.holder[g.Lane] = g.Token
	}
	if len(grants) > w.Max || rough > w.Troubled {
		m.t.Fatalf("take of %+v gave %d leases, %d troubled", w, len(grants), rough)
	}
}

func (m *model) settle() {
	h := m.pick()
	if h == nil || h.pending != nil {
		return
	}
	to := []queue.State{queue.Queued, queue.Parked, queue.Delivered, queue.Delivered, queue.Delivered, queue.Dead}[m.random.IntN(6)]
	if to == queue.Queued && m.parked[h.grant.Lane][h.grant.Seq] {
		to = queue.Parked
	}
	h.to = to
	h.pending = m.set.Settle(h.grant.Lane, h.grant.Seq, h.grant.Token, to == queue.Delivered)
	if h.pending == nil {
		m.t.Fatalf("lane %v: settle of the holder was refused", h.grant.Lane)
	}
	if m.set.Settle(h.grant.Lane, h.grant.Seq, h.grant.Token, true) != nil {
		m.t.Fatalf("lane %v: settled twice", h.grant.Lane)
	}
	m.done(h)
}

// done ends a settle: its commit comes, or fails. (That takes may come between is what the queue's own tests show.)
func (m *model) done(h *held) {
	l, seq := h.grant.Lane, h.grant.Seq
	if m.random.IntN(8) == 0 {
		m.set.Undo(h.pending, m.now)
		h.pending = nil
		return
	}
	w := lanes.Waiting{Seq: seq, Due: m.now + clock.Time(m.random.IntN(20_000))}
	if h.to != queue.Delivered && m.random.IntN(3) == 0 {
		w.NotBefore = m.now + clock.Time(m.random.IntN(10_000))
		m.hold[l] = max(m.hold[l], w.NotBefore)
	}
	m.set.Done(h.pending, h.to, w)
	delete(m.held, h.grant.Token)
	delete(m.holder, l)
	m.settled++
	if h.to == queue.Queued {
		return
	}
	m.queued[l] = slices.DeleteFunc(m.queued[l], func(s uint64) bool { return s == seq })
	delete(m.parked[l], seq)
	if h.to == queue.Parked {
		if m.parked[l] == nil {
			m.parked[l] = map[uint64]bool{}
		}
		m.parked[l][seq] = true
	}
}

func (m *model) renew() {
	if h := m.pick(); h != nil {
		if len(renew(m.set, h.grant, m.now)) != 1 {
			m.t.Fatalf("lane %v: renewal of the holder was refused", h.grant.Lane)
		}
		h.grant.Expires = m.now.Add(leaseFor)
	}
}

func renew(s *lanes.Set, g lanes.Grant, now clock.Time) []queue.Lease {
	l := queue.Lease{Job: queue.Job{Lane: g.Lane, Seq: g.Seq}, Token: g.Token}
	return s.Renew([]queue.Lease{l}, now, time.UnixMilli(int64(now)))
}

func (m *model) withhold() {
	l := m.lane()
	for _, seq := range slices.Sorted(maps.Keys(m.parked[l])) {
		t, leased := m.holder[l]
		if leased && m.held[t].grant.Seq == seq {
			continue
		}
		if _, ok := m.set.Withhold(l, seq); !ok {
			m.t.Fatalf("lane %v: parked job %d could not be withheld", l, seq)
		}
		delete(m.parked[l], seq)
		return
	}
}

// bury begins a burial, or ends the one that is under way: some of its jobs die, others do not.
func (m *model) bury() {
	if m.burial == nil {
		m.burial = m.set.Bury(lanes.Aged{Agent: agents[m.random.IntN(2)], Top: m.random.Uint64N(m.seq + 1), Max: 1 + m.random.IntN(4)}, m.now)
		for token, h := range m.held {
			if slices.Contains(m.burial.Seqs, h.grant.Seq) {
				if h.grant.Expires > m.now {
					m.t.Fatalf("lane %v: job %d is leased and to be buried", h.grant.Lane, h.grant.Seq)
				}
				delete(m.held, token)
				delete(m.holder, h.grant.Lane)
			}
		}
		return
	}
	dead := map[uint64]bool{}
	for _, seq := range m.burial.Seqs {
		dead[seq] = m.random.IntN(3) > 0
	}
	m.set.Buried(m.burial, dead)
	m.burial = nil
	for l := range m.queued {
		m.queued[l] = slices.DeleteFunc(m.queued[l], func(s uint64) bool { return dead[s] })
	}
	for l := range m.parked {
		maps.DeleteFunc(m.parked[l], func(s uint64, _ bool) bool { return dead[s] })
	}
	m.buried += len(dead)
}

func (m *model) pause() {
	l := m.lane()
	s := queue.Scope{Agent: l.Agent}
	if m.random.IntN(2) == 0 {
		s = queue.Scope{Account: l.Account, Conversation: l.Conversation}
	}
	if m.random.IntN(2) == 0 {
		delete(m.paused, s)
		m.set.Resume(s)
		return
	}
	end := clock.Time(0)
	if m.random.IntN(2) == 0 {
		end = m.now + clock.Time(1+m.random.IntN(20_000))
	}
	m.paused[s] = end
	m.set.Pause(s, end)
}

// TestRandomWalk does at random whatever can be done, and looks after each step whether every lane is in exactly one set.
func TestRandomWalk(t *testing.T) {
	t.Parallel()
	for range 40 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := newModel(t, seed)
			steps := []func(){
				m.add, m.add, m.take, m.take, m.take, m.settle, m.settle, m.settle, m.renew, m.withhold, m.pause, m.bury,
				func() { m.set.Rouse(agents[m.random.IntN(2)], m.now) },
				func() { m.now += clock.Time(m.random.IntN(3000)) },
			}
			for i := range 3000 {
				steps[m.random.IntN(len(steps))]()
				if err := m.set.Check(); err != nil {
					t.Fatalf("after step %d: %v", i, err)
				}
			}
			if m.settled < 100 || m.buried < 20 {
				t.Errorf("settled and buried: got %d and %d, want at least 100 and 20", m.settled, m.buried)
			}
			m.drain()
		})
	}
}

// drain resumes all and acks until nothing is left: no lane may have been forgotten.
func (m *model) drain() {
	if m.burial != nil {
		m.bury()
	}
	for s := range m.paused {
		m.set.Resume(s)
	}
	clear(m.paused)
	m.now += clock.Time(time.Hour.Milliseconds())
	for {
		n := 0
		for _, a := range agents {
			grants, _ := m.set.Take(m.now, queue.Want{Agent: a, Max: 100, Troubled: 100})
			for _, g := range grants {
				n++
				m.set.Done(m.set.Settle(g.Lane, g.Seq, g.Token, true), queue.Delivered, lanes.Waiting{})
			}
		}
		if n == 0 {
			break
		}
	}
	if n := m.set.Len(); n != 0 {
		m.t.Errorf("lanes after draining: got %d, want none", n)
	}
	if got := m.set.Counts(); len(got) != 0 {
		m.t.Errorf("after draining: got %+v, want nothing left", got)
	}
}

// BenchmarkMillion measures what a waiting job costs in memory, and a take and an ack among 100,000 lanes.
func BenchmarkMillion(b *testing.B) {
	set := lanes.New(leaseFor, 0)
	at := make([]queue.Lane, 100_000)
	for i := range at {
		at[i] = queue.Lane{Agent: "crane", Account: "stork", Conversation: fmt.Sprint("wxid_", i)}
	}
	for seq := range uint64(1_000_000) {
		set.Add(at[seq%uint64(len(at))], lanes.Waiting{Seq: seq + 1, Due: clock.Time(seq)}, false)
	}
	seq := uint64(1_000_000)
	for b.Loop() {
		grants, _ := set.Take(2_000_000, queue.Want{Agent: "crane", Max: 1})
		for _, g := range grants {
			set.Done(set.Settle(g.Lane, g.Seq, g.Token, true), queue.Delivered, lanes.Waiting{})
			seq++
			set.Add(g.Lane, lanes.Waiting{Seq: seq, Due: clock.Time(seq)}, false)
		}
	}
}
