package lanes

import (
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
)

// Pending is a transition on its way to the disk.
type Pending struct {
	lane     *lane
	lease    lease
	job      Waiting
	ahead    bool
	troubled bool
}

// Settle ends a lease with a transition that is now to be made durable. It returns nil if the token does not hold the
// lane any more. Done or Undo must follow.
func (s *Set) Settle(at queue.Lane, seq, token uint64, ack bool) *Pending {
	l := s.find(at)
	if l == nil || l.lease.settling || !s.regain(l, seq, token) {
		return nil
	}
	p := &Pending{lane: l, lease: l.lease, job: Waiting{Seq: seq}, troubled: l.troubled}
	if !ack || l.ahead != nil {
		l.lease.settling = true
		s.put(l)
		return p
	}
	p.ahead = true
	l.ahead = p
	s.remove(l, p.lease)
	s.free(l, false)
	return p
}

// remove takes a leased job out of its lane.
func (s *Set) remove(l *lane, held lease) {
	if held.parked {
		l.dropParked(held.seq)
		l.agent.parked--
		return
	}
	l.drop(held.seq)
	l.agent.queued--
}

// free ends the lane's lease.
func (s *Set) free(l *lane, troubled bool) {
	l.lease, l.troubled = lease{}, troubled
	l.agent.leases--
	s.put(l)
}

// Done says that the transition is durable: the job's state is now to, and it waits as w says if it still does. The
// lane is held until w.NotBefore whatever became of the job.
func (s *Set) Done(p *Pending, to queue.State, w Waiting) {
	l := p.lane
	l.keep(w.NotBefore)
	if p.ahead {
		l.ahead = nil
		if l.empty() {
			s.put(l)
		}
		return
	}
	switch to {
	case queue.Queued:
		l.retime(w)
	case queue.Parked:
		s.remove(l, p.lease)
		l.parked = append(l.parked, w)
		l.agent.parked++
	case queue.Delivered, queue.Dead:
		s.remove(l, p.lease)
	}
	s.free(l, to != queue.Delivered)
}

// Undo says that the transition was not made. The lease is as before, unless the lane was leased again meanwhile: then
// its job just waits again.
func (s *Set) Undo(p *Pending, now clock.Time) {
	l := p.lane
	if !p.ahead {
		l.lease.settling = false
		s.put(l)
		return
	}
	l.ahead = nil
	w := Waiting{Seq: p.job.Seq, Due: now}
	if p.lease.parked {
		l.parked = append(l.parked, w)
		l.agent.parked++
	} else {
		l.pushFront(place{seq: w.Seq, due: w.Due})
		l.agent.queued++
	}
	if l.lease.token == 0 {
		l.lease, l.lapsed, l.troubled = p.lease, lease{}, p.troubled
		l.agent.leases++
	}
	s.put(l)
}
