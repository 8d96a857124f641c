package lanes

import (
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
)

// Pause holds the scope's lanes until the time, or until Resume if it is 0. Leased lanes are let finish.
func (s *Set) Pause(scope queue.Scope, until clock.Time) {
	if until == 0 {
		until = never
	}
	s.ends = min(s.ends, until)
	if scope.Agent != "" {
		s.agent(scope.Agent).paused = until
		return
	}
	c := chat{scope.Account, scope.Conversation}
	s.chats[c] = until
	s.replace(c)
}

// Resume ends the scope's pause.
func (s *Set) Resume(scope queue.Scope) {
	if scope.Agent != "" {
		a := s.agent(scope.Agent)
		a.paused = 0
		a.poke()
		return
	}
	c := chat{scope.Account, scope.Conversation}
	delete(s.chats, c)
	s.replace(c)
}

// replace looks anew where the conversation's lanes belong.
func (s *Set) replace(c chat) {
	for _, a := range s.agents {
		if l := a.lanes[c]; l != nil && l.lease.token == 0 {
			s.put(l)
		}
	}
}

// endPauses ends those whose time has come.
func (s *Set) endPauses(now clock.Time) {
	if now < s.ends {
		return
	}
	s.ends = never
	for name, a := range s.agents {
		switch {
		case a.paused == 0:
		case a.paused <= now:
			s.Resume(queue.Scope{Agent: name})
		default:
			s.ends = min(s.ends, a.paused)
		}
	}
	for c, end := range s.chats {
		if end <= now {
			s.Resume(queue.Scope{Account: c.account, Conversation: c.conversation})
			continue
		}
		s.ends = min(s.ends, end)
	}
}
