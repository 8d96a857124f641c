package lanes

import (
	"slices"

	"github.com/imrelay/imrelay/relay/queue/clock"
)

// Waiting is one waiting job.
type Waiting struct {
	Seq            uint64
	Due, NotBefore clock.Time
}

// place is a queued job: 16 bytes, since a million of them may wait. Only a job that was tried has a NotBefore, and
// its lane keeps that: it holds for all of the lane.
type place struct {
	seq uint64
	due clock.Time
}

type lease struct {
	seq      uint64
	token    uint64
	expires  clock.Time
	parked   bool
	settling bool
}

// chat is a lane without its agent.
type chat struct{ account, conversation string }

type lane struct {
	agent *agent
	chat  chat

	queued []place
	gone   int        // of queued, how many have left at the front
	hold   clock.Time // nothing of the lane is given out before; 0: it never was held
	parked []Waiting

	lease    lease    // token 0: none
	lapsed   lease    // as it was when it lapsed; still good until another is given
	ahead    *Pending // the ack that freed the lane before its commit; nil: none
	burying  bool     // a burial of some of its jobs is on its way to the disk
	troubled bool
	aside    bool   // the last one served was parked
	taken    uint64 // when it was leased last, counted in leases
	order    uint64 // the seq that it came with: breaks ties
	due      clock.Time

	in    *laneHeap
	place int
}

func (l *lane) waiting() []place { return l.queued[l.gone:] }

func (l *lane) empty() bool { return len(l.waiting()) == 0 && len(l.parked) == 0 }

func (l *lane) push(p place) { l.queued = append(l.queued, p) }

// pushFront gives a job its place at the head back.
func (l *lane) pushFront(p place) {
	if l.gone > 0 {
		l.gone--
		l.queued[l.gone] = p
		return
	}
	l.queued = slices.Insert(l.queued, 0, p)
}

// find returns the place of a queued job that is leased: it is the head, or behind one that got its place back.
func (l *lane) find(seq uint64) int {
	for i, p := range l.waiting() {
		if p.seq == seq {
			return l.gone + i
		}
	}
	return -1
}

// drop takes a queued job out.
func (l *lane) drop(seq uint64) {
	i := l.find(seq)
	if i < 0 {
		return
	}
	if i > l.gone {
		l.queued = slices.Delete(l.queued, i, i+1)
		return
	}
	l.gone++
	switch {
	case l.gone == len(l.queued):
		l.queued, l.gone = nil, 0
	case l.gone >= 32 && l.gone > len(l.queued)/2:
		l.queued, l.gone = slices.Clone(l.waiting()), 0
	}
}

// retime sets when a queued job is due again.
func (l *lane) retime(w Waiting) {
	if i := l.find(w.Seq); i >= 0 {
		l.queued[i].due = w.Due
	}
}

// keep holds the lane until then, unless it is held for longer.
func (l *lane) keep(until clock.Time) { l.hold = max(l.hold, until) }

func (l *lane) dropParked(seq uint64) (Waiting, bool) {
	i := slices.IndexFunc(l.parked, func(w Waiting) bool { return w.Seq == seq })
	if i < 0 {
		return Waiting{}, false
	}
	w := l.parked[i]
	l.parked = slices.Delete(l.parked, i, i+1)
	return w, true
}

// ripe returns the parked job that was accepted first among those due.
func (l *lane) ripe(now clock.Time, early bool) (Waiting, bool) {
	var best Waiting
	found := false
	for _, w := range l.parked {
		if (early || w.Due <= now) && (!found || w.Seq < best.Seq) {
			best, found = w, true
		}
	}
	return best, found
}

// next chooses the job to serve: the head and the parked ones in turn where both are due.
func (l *lane) next(now clock.Time, early bool) (seq uint64, parked, ok bool) {
	if now < l.hold {
		return 0, false, false
	}
	w, ripe := l.ripe(now, early)
	q := l.waiting()
	due := len(q) > 0 && (early || q[0].due <= now)
	switch {
	case ripe && (!due || !l.aside):
		return w.Seq, true, true
	case due:
		return q[0].seq, false, true
	}
	return 0, false, false
}

// redue works out when the lane is due.
func (l *lane) redue() {
	first := clock.Time(0)
	q := l.waiting()
	if len(q) > 0 {
		first = q[0].due
	}
	for i, w := range l.parked {
		if len(q) == 0 && i == 0 || w.Due < first {
			first = w.Due
		}
	}
	l.due = max(first, l.hold)
}
