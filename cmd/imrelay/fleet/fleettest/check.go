package fleettest

import (
	"time"
)

// MaxRepeats is how often events of one conversation may come again for one fault: the last two may.
const MaxRepeats = 2

// Check holds what was promised against what came.
type Check struct {
	// Wrong is called with each thing that must not be.
	Wrong    func(format string, args ...any)
	Accepted [][]Accepted
	Landed   []Landed
	// Aside are the events that the relays show as parked or dead.
	Aside map[string]bool
	// MaxRepeats is how many repeats a conversation may have for each fault; 0: MaxRepeats.
	MaxRepeats int
	// Replayed says that the store may have lost what became of deliveries: events may come again however often.
	Replayed bool
	// Forgotten is when the store last lost something else. What was pushed before may be lost, or come again under another
	// id, however often: it is counted. It may come late too, for a relay that has it in hand when the store forgets the
	// lease is not known to the others.
	Forgotten time.Time
}

// replayed says that repeats are counted only.
func (c *Check) replayed() bool { return c.Replayed || !c.Forgotten.IsZero() }

// Sum is what a check counted.
type Sum struct {
	Accepted, Repeats, Lost int
	// Slowest is the longest time from an acceptance to the first arrival.
	Slowest time.Duration
}

// All checks everything.
func (c *Check) All() Sum {
	for _, l := range c.Landed {
		if !l.Intact || l.Signed != nil {
			c.Wrong("lane %d message %d: intact %t, signature %v", l.Lane, l.Seq, l.Intact, l.Signed)
		}
	}
	var s Sum
	for n := range c.Accepted {
		l := lane{Check: c, n: n, first: map[int]Landed{}, inEpoch: map[int]int{}}
		l.check(&s)
	}
	return s
}

// lane is what is known of one conversation.
type lane struct {
	*Check

	n       int
	first   map[int]Landed // arrivals
	inEpoch map[int]int    // repeats
	highest int
	before  []int // before[e] is the highest first arrival before epoch e
}

func (l *lane) check(s *Sum) {
	for _, d := range l.Landed {
		if d.Lane == l.n {
			l.arrival(d, s)
		}
	}
	most := l.MaxRepeats
	if most == 0 {
		most = MaxRepeats
	}
	for epoch, n := range l.inEpoch {
		if n > most && !l.replayed() {
			l.Wrong("lane %d: got %d repeats after fault %d, want at most %d", l.n, n, epoch, most)
		}
	}
	s.Accepted += len(l.accepted())
	for i, a := range l.accepted() {
		d, came := l.first[i+1]
		switch {
		case came:
			s.Slowest = max(s.Slowest, d.At.Sub(a.At))
			if d.Event != a.ID && !l.forgotten(i+1) {
				l.Wrong("lane %d message %d was accepted as %s and came as %s", l.n, i+1, a.ID, d.Event)
			}
		case l.Aside[a.ID]:
		case l.forgotten(i + 1):
			s.Lost++
		default:
			l.Wrong("lane %d message %d (%s) was accepted and lost", l.n, i+1, a.ID)
		}
	}
}

func (l *lane) accepted() []Accepted { return l.Accepted[l.n] }

// arrival checks one arrival against those before it.
func (l *lane) arrival(d Landed, s *Sum) {
	for len(l.before) <= d.Epoch {
		l.before = append(l.before, l.highest)
	}
	first, again := l.first[d.Seq]
	if !again {
		l.inOrder(d)
		l.first[d.Seq], l.highest = d, max(l.highest, d.Seq)
		return
	}
	s.Repeats++
	l.inEpoch[d.Epoch]++
	if first.Event != d.Event && !l.forgotten(d.Seq) {
		l.Wrong("lane %d message %d came as %s and as %s", l.n, d.Seq, first.Event, d.Event)
	}
	if d.Epoch == 0 || d.Seq < l.before[d.Epoch]-1 && !l.replayed() {
		l.Wrong("lane %d message %d came again after fault %d, and was not under way: the last was %d",
			l.n, d.Seq, d.Epoch, l.before[d.Epoch])
	}
}

// inOrder checks a first arrival against the ones before it. Only what was put aside or forgotten may come late, or be
// missing.
func (l *lane) inOrder(d Landed) {
	if d.Seq < l.highest && !l.aside(d.Seq) && !l.forgotten(d.Seq) {
		l.Wrong("lane %d message %d came after %d", l.n, d.Seq, l.highest)
	}
	for seq := l.highest + 1; seq < d.Seq; seq++ {
		if !l.aside(seq) && !l.forgotten(seq) {
			l.Wrong("lane %d message %d came after %d", l.n, d.Seq, l.highest)
			return
		}
	}
}

func (l *lane) aside(seq int) bool {
	a := l.accepted()
	return seq <= len(a) && l.Aside[a[seq-1].ID]
}

// forgotten says that the store may have lost the message.
func (l *lane) forgotten(seq int) bool {
	a := l.accepted()
	return seq <= len(a) && a[seq-1].Asked.Before(l.Forgotten)
}

// Books checks what the relays say of the events, once all is quiet, and returns those that are parked or dead: nothing is
// in between, and nothing is there that nobody was promised, but for one message a conversation whose answer got lost when
// the feed stopped.
func (c *Check) Books(events []Event) map[string]bool {
	aside, known, delivered := map[string]bool{}, 0, 0
	for _, ids := range c.Accepted {
		known += len(ids)
	}
	for _, e := range events {
		switch e.State {
		case "delivered":
			delivered++
		case "parked", "dead":
			aside[e.ID] = true
		default:
			c.Wrong("event %s: still %s", e.ID, e.State)
		}
	}
	if extra := delivered + len(aside) - known; c.Forgotten.IsZero() && (extra < 0 || extra > len(c.Accepted)) {
		c.Wrong("got %d delivered and %d aside for %d accepted", delivered, len(aside), known)
	}
	return aside
}
