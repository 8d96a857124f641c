package relay

import (
	"sync"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

// progress is news of an event for who waits for it.
type progress struct {
	// verdict and outcome are of an attempt of its own; the zero verdict: of something ahead of it.
	verdict queue.Verdict
	outcome Outcome
	// attempts are the counted ones so far.
	attempts int
	// wait is how long from now its next attempt is due at the earliest; open says that nobody knows.
	wait time.Duration
	open bool
}

// watch is one caller's wait for one event.
type watch struct {
	id   string
	lane queue.Lane
	news chan progress // room for one; what is final is never dropped for what is not
}

// watches are the events that callers wait for in this process.
type watches struct {
	over chan struct{} // closed when no more news will come

	mu   sync.Mutex
	byID map[string]*watch
}

// add starts a watch. It must be removed.
func (w *watches) add(id string, lane queue.Lane) *watch {
	x := &watch{id: id, lane: lane, news: make(chan progress, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byID[id] = x
	return x
}

// remove ends a watch.
func (w *watches) remove(x *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byID, x.id)
}

// settled tells of an attempt, and tells those behind it in its lane how long they wait.
func (w *watches) settled(job queue.Job, p progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.byID[job.ID]; x != nil {
		x.tell(p)
	}
	if p.verdict.Action != queue.Retry || job.State == queue.Parked {
		return
	}
	for _, x := range w.byID {
		if x.lane == job.Lane && x.id > job.ID {
			x.tell(progress{wait: p.wait, open: p.open})
		}
	}
}

// opened tells all who wait for the agent that its circuit is open, but for those whose attempt is under way: they hear
// of its end.
func (w *watches) opened(agent string, underWay map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.byID {
		if x.lane.Agent == agent && !underWay[x.id] {
			x.tell(progress{open: true})
		}
	}
}

// tell leaves the newest news, without blocking.
func (x *watch) tell(p progress) {
	select {
	case x.news <- p:
		return
	default:
	}
	select {
	case old := <-x.news:
		if old.final() {
			p = old
		}
	default:
	}
	select {
	case x.news <- p:
	default:
	}
}

// final says that no more news will come.
func (p progress) final() bool {
	return p.verdict.Action == queue.Ack || p.verdict.Action == queue.Bury
}
