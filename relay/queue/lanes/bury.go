package lanes

import (
	"slices"

	"github.com/imrelay/imrelay/relay/queue/clock"
)

// Aged says which jobs [Set.Bury] takes.
type Aged struct {
	// Agent is whose jobs they are.
	Agent string
	// Top is the highest seq.
	Top uint64
	// Max is how many at most.
	Max int
	// Skip are those to pass over.
	Skip map[uint64]bool
}

// Burial is jobs that nobody has leased and that are to be made dead. Their lanes give nothing out until it ends.
type Burial struct {
	// Seqs are the jobs.
	Seqs  []uint64
	lanes []*lane
}

// Bury begins a burial: of queued and parked jobs, of lanes that nobody has leased. Buried must follow. What is left of a
// lapsed lease of such a job ends.
func (s *Set) Bury(w Aged, now clock.Time) *Burial {
	b := &Burial{}
	a := s.agents[w.Agent]
	if a == nil {
		return b
	}
	s.lapse(a, now)
	for _, l := range a.lanes {
		if l.lease.token != 0 || l.burying {
			continue
		}
		before := len(b.Seqs)
		if b.gather(l, w); len(b.Seqs) == before {
			continue
		}
		if slices.Contains(b.Seqs[before:], l.lapsed.seq) {
			l.lapsed = lease{}
		}
		l.burying = true
		b.lanes = append(b.lanes, l)
		s.put(l)
	}
	return b
}

func (b *Burial) gather(l *lane, w Aged) {
	add := func(seq uint64) {
		if len(b.Seqs) < w.Max && seq <= w.Top && !w.Skip[seq] {
			b.Seqs = append(b.Seqs, seq)
		}
	}
	for _, p := range l.waiting() {
		if p.seq > w.Top || len(b.Seqs) >= w.Max {
			break
		}
		add(p.seq)
	}
	for _, p := range l.parked {
		add(p.Seq)
	}
}

// Buried ends a burial: the jobs that are dead now leave their lanes, the others stay in their places.
func (s *Set) Buried(b *Burial, dead map[uint64]bool) {
	for _, l := range b.lanes {
		l.burying = false
		gone := l.clear(dead)
		l.agent.queued -= gone.queued
		l.agent.parked -= gone.parked
		s.put(l)
	}
}

type cleared struct{ queued, parked int }

// clear takes the jobs out, wherever in the lane they are.
func (l *lane) clear(seqs map[uint64]bool) cleared {
	var n cleared
	if slices.ContainsFunc(l.waiting(), func(p place) bool { return seqs[p.seq] }) {
		before := len(l.waiting())
		l.queued = slices.DeleteFunc(slices.Clone(l.waiting()), func(p place) bool { return seqs[p.seq] })
		l.gone = 0
		n.queued = before - len(l.queued)
	}
	before := len(l.parked)
	l.parked = slices.DeleteFunc(l.parked, func(w Waiting) bool { return seqs[w.Seq] })
	n.parked = before - len(l.parked)
	return n
}
