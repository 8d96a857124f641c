package redisqueue

import (
	"slices"
	"sync"
	"time"
)

// desk is what this process knows of one agent: where Take has to look, and who waits for it. It knows no lane and no
// job.
type desk struct {
	agent string
	wake  chan struct{} // capacity 1
	turn  chan struct{} // capacity 1: whose turn it is to take
	// unanswered are the nonces of the last calls to the shards that told us no answer; for whose turn it is.
	unanswered []string

	mu     sync.Mutex
	served bool // somebody here takes for the agent
	spots  []spot
}

// spot is one shard, as far as the agent is concerned. Times are of the local clock.
type spot struct {
	dirty  bool      // there may be something to take
	rough  bool      // but only of troubled lanes
	since  time.Time // since when
	next   time.Time // when there will be by itself; zero: never
	lapse  time.Time // when a lease may lapse; zero: there is none
	untold bool      // since a call of ours, and the other relays do not know
	marked time.Time // when that was, by the system's clock
}

func (d *desk) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// desk returns the agent's.
func (q *Queue) desk(agent string) *desk {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.desks[agent]
	if d == nil {
		d = &desk{
			agent: agent, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1),
			spots: make([]spot, len(q.conn.Shards())), unanswered: make([]string, len(q.conn.Shards())),
		}
		q.desks[agent] = d
	}
	return d
}

// all returns the desks there are.
func (q *Queue) allDesks() []*desk {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*desk, 0, len(q.desks))
	for _, d := range q.desks {
		all = append(all, d)
	}
	return all
}

// serve says that somebody here takes for the agent, and returns its desk. What was there before has to be found.
func (q *Queue) serve(agent string) *desk {
	d := q.desk(agent)
	d.mu.Lock()
	first := !d.served
	d.served = true
	d.mu.Unlock()
	if first {
		d.lookAt(q.clock())
	}
	return d
}

func (d *desk) isServed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.served
}

// lookAt makes Take look into the shards, or into all if none is named, and wakes who takes.
func (d *desk) lookAt(now time.Time, shards ...int) {
	d.mark(now, shards...)
	d.poke()
}

// mark makes the next Take look into the shards, or into all if none is named.
func (d *desk) mark(now time.Time, shards ...int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.spots {
		if len(shards) == 0 || slices.Contains(shards, i) {
			d.spots[i].mark(now)
		}
	}
}

func (s *spot) mark(since time.Time) {
	if !s.dirty || since.Before(s.since) {
		s.since = since
	}
	s.dirty, s.rough = true, false
}

// dirty says that a call of ours made a lane takeable in the shards.
func (q *Queue) dirty(agent string, shards ...int) {
	d, now, marked := q.desk(agent), q.clock(), time.Now()
	d.mu.Lock()
	for _, i := range shards {
		s := &d.spots[i]
		s.mark(now)
		if !s.untold {
			s.untold, s.marked = true, marked
		}
	}
	d.mu.Unlock()
	d.poke()
	select {
	case q.tell <- struct{}{}:
	default:
	}
}

// later says that a lane of the shard will be takeable by itself. Who takes has to know when.
func (q *Queue) later(agent string, shard int, wait time.Duration) {
	d, at := q.desk(agent), q.clock().Add(wait)
	d.mu.Lock()
	d.spots[shard].expect(at)
	d.mu.Unlock()
	d.poke()
}

func (s *spot) expect(at time.Time) {
	if s.next.IsZero() || at.Before(s.next) {
		s.next = at
	}
}

// note is how a lane is after a script: takeable in so many µs, or, below 0, not by itself.
func (q *Queue) note(agent string, shard int, wait int64) {
	switch {
	case wait == 0:
		q.dirty(agent, shard)
	case wait > 0:
		q.later(agent, shard, micro(wait))
	}
}

// choice says which shards to ask.
type choice struct {
	now   time.Time
	most  int    // how many; 0: all
	rough bool   // also those that have only troubled lanes
	spent []bool // not these
}

// pick returns the shards in which there may be something, those where it has waited longest first. It takes them for
// clean from now on.
func (d *desk) pick(c choice) []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	var shards []int
	for i := range d.spots {
		s := &d.spots[i]
		if !s.next.IsZero() && !s.next.After(c.now) {
			s.mark(s.next)
			s.next = time.Time{}
		}
		if !s.lapse.IsZero() && !s.lapse.After(c.now) {
			s.mark(s.lapse)
			s.lapse = time.Time{}
		}
		if s.dirty && !c.spent[i] && (!s.rough || c.rough) {
			shards = append(shards, i)
		}
	}
	slices.SortStableFunc(shards, func(a, b int) int { return d.spots[a].since.Compare(d.spots[b].since) })
	if c.most > 0 && len(shards) > c.most {
		shards = shards[:c.most]
	}
	for _, i := range shards {
		s := &d.spots[i]
		s.dirty, s.rough, s.untold, s.next = false, false, false, time.Time{}
	}
	return shards
}

// found is what a look into a shard told.
type found struct {
	next  time.Time // when the next is worth it; zero: not by itself
	lapse time.Time // when a lease may lapse; zero: there is none
	more  bool      // there is more to take
	rough bool      // but only of troubled lanes
	since time.Time // since when
}

// learn notes what a look told.
func (d *desk) learn(shard int, f found) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &d.spots[shard]
	if !f.next.IsZero() {
		s.expect(f.next)
	}
	s.lapse = f.lapse
	if f.more {
		fresh := s.dirty && !s.rough
		s.mark(f.since)
		s.rough = f.rough && !fresh
	}
}

// lapsed marks the shards where a lease may have lapsed, and returns when the next may; zero: there is none.
func (d *desk) lapsed(now time.Time) time.Time {
	d.mu.Lock()
	var next time.Time
	found := false
	for i := range d.spots {
		s := &d.spots[i]
		if s.lapse.IsZero() {
			continue
		}
		if s.lapse.After(now) {
			next = earlier(next, s.lapse)
			continue
		}
		s.mark(s.lapse)
		s.lapse, found = time.Time{}, true
	}
	d.mu.Unlock()
	if found {
		d.poke()
	}
	return next
}

// ahead returns how long until a shard will have something by itself, 0 if none will, and says whether one has now.
func (d *desk) ahead(now time.Time) (next time.Duration, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.spots {
		more = more || s.dirty && !s.rough
		if s.next.IsZero() {
			continue
		}
		if wait := max(s.next.Sub(now), time.Microsecond); next == 0 || wait < next {
			next = wait
		}
	}
	return next, more
}

// untold returns the shards that the other relays have to hear of: those of them that were marked before some time. It
// says whether there are others that were marked since.
func (d *desk) untold(before time.Time) (shards []int, more bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.spots {
		s := &d.spots[i]
		switch {
		case !s.dirty || !s.untold:
		case s.marked.After(before):
			more = true
		default:
			s.untold = false
			shards = append(shards, i)
		}
	}
	return shards, more
}
