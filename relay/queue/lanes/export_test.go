package lanes

import "fmt"

// Check says whether every lane is in exactly the set that it belongs to, and whether the counts are right.
func (s *Set) Check() error {
	for i, l := range s.empty.lanes {
		if l.place != i || l.in != &s.empty || l.agent.lanes[l.chat] != l {
			return fmt.Errorf("lane %v is among the empty ones and does not know", l.chat)
		}
	}
	for name, a := range s.agents {
		queued, parked, leased := 0, 0, 0
		member := map[*lane]*laneHeap{}
		for _, h := range []*laneHeap{&a.calm, &a.rough, &a.leased} {
			for i, l := range h.lanes {
				if member[l] != nil || l.in != h || l.place != i {
					return fmt.Errorf("lane %v is in two heaps, or does not know in which", l.chat)
				}
				member[l] = h
			}
		}
		for c, l := range a.lanes {
			if l.in == &s.empty {
				member[l] = &s.empty
			}
			if err := s.checkLane(l, member[l]); err != nil {
				return fmt.Errorf("agent %s, lane %v: %w", name, c, err)
			}
			queued += len(l.waiting())
			parked += len(l.parked)
			if l.lease.token != 0 {
				leased++
			}
			delete(member, l)
		}
		if len(member) > 0 {
			return fmt.Errorf("agent %s: %d lanes are in heaps only", name, len(member))
		}
		if queued != a.queued || parked != a.parked || leased != a.leases {
			return fmt.Errorf("agent %s counts %d queued, %d parked, %d leased, has %d, %d, %d",
				name, a.queued, a.parked, a.leases, queued, parked, leased)
		}
	}
	return nil
}

func (s *Set) checkLane(l *lane, in *laneHeap) error {
	a := l.agent
	var want *laneHeap
	switch {
	case l.lease.token != 0:
		if !l.lease.settling {
			want = &a.leased
		}
	case l.burying:
	case l.empty():
		if l.ahead == nil {
			if l.hold == 0 {
				return fmt.Errorf("it has no work")
			}
			want = &s.empty
		}
	case s.held(l.chat):
	case l.troubled:
		want = &a.rough
	default:
		want = &a.calm
	}
	if in != want {
		return fmt.Errorf("it is in another set than its own")
	}
	if want == &a.calm || want == &a.rough {
		due := l.due
		if l.redue(); l.due != due {
			return fmt.Errorf("it is due at %d, its place is of %d", l.due, due)
		}
	}
	return nil
}

// Len counts the lanes.
func (s *Set) Len() int {
	n := 0
	for _, a := range s.agents {
		n += len(a.lanes)
	}
	return n
}
