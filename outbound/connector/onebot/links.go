package onebot

import (
	"context"
	"slices"
	"sync"
	"time"
)

// mostLinks bounds how many connections one account has at a time.
const mostLinks = 16

// links are an account's connections, the newest last.
type links struct {
	mu  sync.Mutex
	all []*link
}

// add adds a link, if there is room for one.
func (s *links) add(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= mostLinks {
		return false
	}
	s.all = append(s.all, l)
	return true
}

func (s *links) remove(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(other *link) bool { return other == l })
}

// best is the newest link that works and takes sends; nil: there is none.
func (s *links) best() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range slices.Backward(s.all) {
		if l.sends() {
			return l
		}
	}
	return nil
}

// replace retires the links that were there before this one and are for the same.
func (s *links) replace(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.all, l)
	for _, old := range s.all[:max(i, 0)] {
		if old.role == l.role {
			old.retire(errReplaced)
		}
	}
}

// leads says that the link is the newest on which events come.
func (s *links) leads(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range slices.Backward(s.all) {
		if other.brings() {
			return other == l
		}
	}
	return true
}

// end ends all links once their calls are answered, or that time is over, and waits until they are gone.
func (s *links) end(why error, within time.Duration) {
	s.mu.Lock()
	all := slices.Clone(s.all)
	s.mu.Unlock()
	late, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for _, l := range all {
		l.retire(why)
	}
	for _, l := range all {
		select {
		case <-l.done:
		case <-late.Done():
			l.end(why)
		}
	}
	for _, l := range all {
		<-l.gone
	}
}
