package lanes

import (
	"cmp"
	"slices"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
)

// Grant is a lease that was given.
type Grant struct {
	Lane     queue.Lane
	Seq      uint64
	Token    uint64
	Expires  clock.Time
	Troubled bool
}

// Take leases lanes as [queue.Source] says, after it took lapsed leases and ended pauses back. next is how long until
// another look is worth it by the mere passing of time: a lane will be due, a lease will lapse, or a pause will end; 0:
// never.
func (s *Set) Take(now clock.Time, w queue.Want) (grants []Grant, next time.Duration) {
	s.endPauses(now)
	s.forget(now)
	a := s.agents[w.Agent]
	if a == nil {
		return nil, 0
	}
	s.lapse(a, now)
	if a.paused == 0 {
		if w.Early {
			grants = s.takeEarly(a, now, w)
		} else {
			grants = s.takeDue(a, now, w)
		}
	}
	return grants, s.next(a, now)
}

func (s *Set) lapse(a *agent, now clock.Time) {
	for l := a.leased.first(); l != nil && l.lease.expires <= now; l = a.leased.first() {
		l.lapsed, l.lease = l.lease, lease{}
		l.troubled = true
		a.leases--
		s.put(l)
	}
}

func (s *Set) takeDue(a *agent, now clock.Time, w queue.Want) []Grant {
	var grants []Grant
	rough := 0
	for len(grants) < w.Max {
		l := a.calm.first()
		if r := a.rough.first(); r != nil && rough < w.Troubled && (l == nil || byDue(r, l)) {
			l = r
		}
		if l == nil || l.due > now {
			break
		}
		if l.troubled {
			rough++
		}
		grants = append(grants, s.lend(l, now, false))
	}
	return grants
}

func (s *Set) takeEarly(a *agent, now clock.Time, w queue.Want) []Grant {
	var able []*lane
	for _, h := range []*laneHeap{&a.calm, &a.rough} {
		for _, l := range h.lanes {
			if _, _, ok := l.next(now, true); ok {
				able = append(able, l)
			}
		}
	}
	slices.SortFunc(able, func(x, y *lane) int {
		return cmp.Or(cmp.Compare(x.taken, y.taken), cmp.Compare(x.order, y.order))
	})
	var grants []Grant
	rough := 0
	for _, l := range able {
		if len(grants) >= w.Max {
			break
		}
		if l.troubled {
			if rough >= w.Troubled {
				continue
			}
			rough++
		}
		grants = append(grants, s.lend(l, now, true))
	}
	return grants
}

// lend leases the lane's next job. The lane has one.
func (s *Set) lend(l *lane, now clock.Time, early bool) Grant {
	seq, parked, _ := l.next(now, early)
	s.token++
	s.leases++
	l.lapsed = lease{}
	l.lease = lease{seq: seq, token: s.token, expires: now.Add(s.leaseFor), parked: parked}
	l.taken, l.aside = s.leases, parked
	l.agent.leases++
	s.put(l)
	return Grant{
		Lane: queue.Lane{Agent: l.agent.name, Account: l.chat.account, Conversation: l.chat.conversation},
		Seq:  seq, Token: s.token, Expires: l.lease.expires, Troubled: l.troubled,
	}
}

func (s *Set) next(a *agent, now clock.Time) time.Duration {
	at := never
	sooner := func(t clock.Time) {
		if t > now && t < at {
			at = t
		}
	}
	if a.paused != 0 {
		sooner(a.paused)
	} else {
		for _, h := range []*laneHeap{&a.calm, &a.rough} {
			if l := h.first(); l != nil {
				sooner(l.due)
			}
		}
		if l := a.leased.first(); l != nil {
			sooner(l.lease.expires)
		}
		sooner(s.ends)
	}
	if at == never {
		return 0
	}
	return at.Sub(now)
}

// Renew prolongs the leases as [queue.Source] says and returns those that are still held. now and wall are the same
// moment. One that lapsed but was not taken by another is a lease again.
func (s *Set) Renew(ls []queue.Lease, now clock.Time, wall time.Time) []queue.Lease {
	var held []queue.Lease
	for _, l := range ls {
		if s.renew(l.Job.Lane, l.Job.Seq, l.Token, now) {
			l.Expires = wall.Add(s.leaseFor)
			held = append(held, l)
		}
	}
	return held
}

// renew prolongs one lease. One whose transition is on its way to the disk is held too: should that fail, it has to be
// there for another settle.
func (s *Set) renew(at queue.Lane, seq, token uint64, now clock.Time) bool {
	l := s.find(at)
	if l == nil || token == 0 {
		return false
	}
	if p := l.ahead; p != nil && p.lease.token == token && p.lease.seq == seq {
		p.lease.expires = now.Add(s.leaseFor)
		return true
	}
	if !s.regain(l, seq, token) {
		return false
	}
	l.lease.expires = now.Add(s.leaseFor)
	s.put(l)
	return true
}

// regain says whether the token still holds the lane, and gives a lapsed lease that nobody took back to its holder.
func (s *Set) regain(l *lane, seq, token uint64) bool {
	if token == 0 {
		return false
	}
	if l.lease.token == 0 && l.lapsed.token == token && l.lapsed.seq == seq {
		l.lease, l.lapsed = l.lapsed, lease{}
		l.agent.leases++
		s.put(l)
	}
	return l.lease.token == token && l.lease.seq == seq
}

// Release gives a lease back as if it had not been taken.
func (s *Set) Release(at queue.Lane, seq, token uint64) {
	l := s.find(at)
	if l == nil || !s.regain(l, seq, token) || l.lease.settling {
		return
	}
	l.lease = lease{}
	l.agent.leases--
	s.put(l)
}

// Rouse makes the waiting heads of the agent's lanes due.
func (s *Set) Rouse(name string, now clock.Time) {
	a := s.agents[name]
	if a == nil {
		return
	}
	for _, l := range a.lanes {
		q := l.waiting()
		if len(q) == 0 || q[0].due <= now || l.lease.token != 0 && l.lease.seq == q[0].seq {
			continue
		}
		q[0].due = now
		s.put(l)
	}
}
