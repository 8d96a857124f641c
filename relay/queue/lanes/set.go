package lanes

import (
	"math"
	"slices"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
)

// Indefinite is how long [Set.Wait] says that a pause without an end holds: longer than any caller waits.
const Indefinite = 365 * 24 * time.Hour

// never is the end of a pause that only Resume ends.
const never = clock.Time(math.MaxInt64)

// Set is all lanes of a store.
type Set struct {
	leaseFor time.Duration
	agents   map[string]*agent
	chats    map[chat]clock.Time // paused conversations and their ends
	ends     clock.Time          // no pause ends before
	empty    laneHeap            // lanes without work that are still held
	token    uint64
	leases   uint64 // how many were given
}

type agent struct {
	name   string
	lanes  map[chat]*lane
	calm   laneHeap
	rough  laneHeap
	leased laneHeap
	paused clock.Time // 0: it is not
	wake   chan struct{}

	queued, parked, leases int
}

// New returns an empty set whose leases last leaseFor. Tokens count up from token, which must be beyond those of any
// earlier set on the same jobs.
func New(leaseFor time.Duration, token uint64) *Set {
	return &Set{
		leaseFor: leaseFor, agents: map[string]*agent{}, chats: map[chat]clock.Time{}, ends: never,
		empty: laneHeap{less: byHold}, token: token,
	}
}

func (s *Set) agent(name string) *agent {
	a := s.agents[name]
	if a == nil {
		a = &agent{
			name: name, lanes: map[chat]*lane{}, wake: make(chan struct{}, 1),
			calm: laneHeap{less: byDue}, rough: laneHeap{less: byDue}, leased: laneHeap{less: byExpiry},
		}
		s.agents[name] = a
	}
	return a
}

func (a *agent) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Wake returns the agent's signal (see [queue.Source]).
func (s *Set) Wake(name string) <-chan struct{} { return s.agent(name).wake }

func (s *Set) find(at queue.Lane) *lane {
	a := s.agents[at.Agent]
	if a == nil {
		return nil
	}
	return a.lanes[chat{at.Account, at.Conversation}]
}

func (s *Set) lane(at queue.Lane, seq uint64) *lane {
	a, c := s.agent(at.Agent), chat{at.Account, at.Conversation}
	l := a.lanes[c]
	if l == nil {
		l = &lane{agent: a, chat: c, order: seq}
		a.lanes[c] = l
	}
	return l
}

// Add puts a queued job at the end of its lane. troubled is for a job that was tried before the set was made.
func (s *Set) Add(at queue.Lane, w Waiting, troubled bool) {
	l := s.lane(at, w.Seq)
	head := len(l.waiting()) == 0
	l.push(place{seq: w.Seq, due: w.Due})
	l.agent.queued++
	l.troubled = l.troubled || troubled
	l.keep(w.NotBefore)
	if head || w.NotBefore != 0 {
		s.put(l)
	}
}

// AddParked puts a job aside in its lane.
func (s *Set) AddParked(at queue.Lane, w Waiting, troubled bool) {
	l := s.lane(at, w.Seq)
	l.troubled = l.troubled || troubled && l.empty()
	l.parked = append(l.parked, w)
	l.agent.parked++
	l.keep(w.NotBefore)
	s.put(l)
}

// Withhold takes a parked job out that nobody has leased, so that it can be dropped, and returns it. AddParked undoes
// it.
func (s *Set) Withhold(at queue.Lane, seq uint64) (Waiting, bool) {
	l := s.find(at)
	if l == nil || l.lease.token != 0 && l.lease.seq == seq {
		return Waiting{}, false
	}
	w, ok := l.dropParked(seq)
	if !ok {
		return Waiting{}, false
	}
	l.agent.parked--
	if l.lapsed.seq == seq {
		l.lapsed = lease{}
	}
	s.put(l)
	return w, true
}

// put brings a lane into the set where it belongs now, and tells the agent if there is something to take.
func (s *Set) put(l *lane) {
	l.leave()
	a := l.agent
	switch {
	case l.lease.token != 0:
		if !l.lease.settling {
			a.leased.add(l)
		}
	case l.burying:
	case l.empty():
		switch {
		case l.ahead != nil:
		case l.hold != 0: // what comes next has to wait too
			s.empty.add(l)
		default:
			delete(a.lanes, l.chat)
		}
	case s.held(l.chat):
		if s.chats[l.chat] != never {
			a.poke() // the next Take tells when the pause ends
		}
	default:
		l.redue()
		if l.troubled {
			a.rough.add(l)
		} else {
			a.calm.add(l)
		}
		if a.paused != never {
			a.poke()
		}
	}
}

func (s *Set) held(c chat) bool {
	if len(s.chats) == 0 {
		return false
	}
	_, ok := s.chats[c]
	return ok
}

// forget drops the empty lanes that are not held any more.
func (s *Set) forget(now clock.Time) {
	for l := s.empty.first(); l != nil && l.hold <= now; l = s.empty.first() {
		l.leave()
		delete(l.agent.lanes, l.chat)
	}
}

// Wait returns how long the job has to wait, as far as is known, for its lane's head to be due, or for a hold or a pause
// to end.
func (s *Set) Wait(at queue.Lane, seq uint64, now clock.Time) time.Duration {
	l := s.find(at)
	if l == nil {
		return 0
	}
	until := l.agent.paused
	if end, ok := s.chats[l.chat]; ok {
		until = max(until, end)
	}
	if until == never {
		return Indefinite
	}
	if q := l.waiting(); len(q) > 0 && l.lease.token == 0 {
		until = max(until, l.hold)
		if q[0].seq != seq {
			until = max(until, q[0].due)
		}
	}
	return max(0, until.Sub(now))
}

// Leased says whether the job is.
func (s *Set) Leased(at queue.Lane, seq uint64) bool {
	l := s.find(at)
	return l != nil && l.lease.token != 0 && l.lease.seq == seq
}

// LeasedSeqs returns the jobs that are leased, the newest first.
func (s *Set) LeasedSeqs() []uint64 {
	var seqs []uint64
	for _, a := range s.agents {
		for _, l := range a.lanes {
			if l.lease.token != 0 {
				seqs = append(seqs, l.lease.seq)
			}
		}
	}
	slices.Sort(seqs)
	slices.Reverse(seqs)
	return seqs
}

// Due returns when a waiting head is due, which Rouse may have changed.
func (s *Set) Due(at queue.Lane, seq uint64) (clock.Time, bool) {
	l := s.find(at)
	if l == nil {
		return 0, false
	}
	if q := l.waiting(); len(q) > 0 && q[0].seq == seq {
		return q[0].due, true
	}
	return 0, false
}

// Floor returns the lowest seq of a job that the disk may hold as queued; 0: there is none.
func (s *Set) Floor() uint64 {
	floor := uint64(0)
	for _, a := range s.agents {
		for _, l := range a.lanes {
			if l.ahead != nil && (floor == 0 || l.ahead.job.Seq < floor) {
				floor = l.ahead.job.Seq
			}
			if q := l.waiting(); len(q) > 0 && (floor == 0 || q[0].seq < floor) {
				floor = q[0].seq
			}
		}
	}
	return floor
}

// Counts are the numbers of one agent's waiting jobs.
type Counts struct {
	Queued, Parked, Leased, Lanes int
	// Oldest is the lowest seq of a queued job; 0: none.
	Oldest uint64
}

// Counts returns the numbers of every agent that has lanes.
func (s *Set) Counts() map[string]Counts {
	all := make(map[string]Counts, len(s.agents))
	for name, a := range s.agents {
		c := Counts{Queued: a.queued, Parked: a.parked, Leased: a.leases}
		for _, l := range a.lanes {
			if !l.empty() {
				c.Lanes++
			}
			if q := l.waiting(); len(q) > 0 && (c.Oldest == 0 || q[0].seq < c.Oldest) {
				c.Oldest = q[0].seq
			}
		}
		if c != (Counts{}) {
			all[name] = c
		}
	}
	return all
}
