package egress

import (
	"sync"
	"time"
)

// maxIdle is how many unused connections are kept for a route. It is above any number of calls that a configuration
// makes at the same time, so that a burst does not close what the next one needs.
const maxIdle = 512

// pool keeps unused connections. The last one used is the first one to be used again, so that what a burst left over
// grows old and is closed.
type pool struct {
	limit time.Duration

	mu     sync.Mutex
	idle   map[route][]*conn
	sweep  *time.Timer // nil: nothing is idle
	closed bool
}

// get takes a connection that the other side has not closed, and sets its deadline; nil: there is none.
func (p *pool) get(r route, end time.Time) *conn {
	for {
		c := p.pop(r)
		if c == nil {
			return nil
		}
		if time.Since(c.idleSince) < p.limit && alive(c.raw.Conn, end) {
			return c
		}
		c.close()
	}
}

func (p *pool) pop(r route) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[r]
	if len(list) == 0 {
		return nil
	}
	last := len(list) - 1
	c := list[last]
	list[last] = nil
	p.idle[r] = list[:last]
	return c
}

// put keeps a connection, or closes it where enough are kept.
func (p *pool) put(r route, c *conn) {
	c.idleSince = time.Now()
	p.mu.Lock()
	keep := !p.closed && len(p.idle[r]) < maxIdle
	if keep {
		p.idle[r] = append(p.idle[r], c)
		if p.sweep == nil {
			p.sweep = time.AfterFunc(p.limit, p.expire)
		}
	}
	p.mu.Unlock()
	if !keep {
		c.close()
	}
}

// expire closes what was unused for too long, and comes again while something is left.
func (p *pool) expire() {
	p.mu.Lock()
	var old []*conn
	for r, list := range p.idle {
		n := 0
		for n < len(list) && time.Since(list[n].idleSince) >= p.limit {
			n++
		}
		old = append(old, list[:n]...)
		if n == len(list) {
			delete(p.idle, r)
			continue
		}
		p.idle[r] = append(list[:0:0], list[n:]...)
	}
	if len(p.idle) == 0 || p.closed {
		p.sweep = nil
	} else {
		p.sweep.Reset(p.limit/4 + time.Millisecond)
	}
	p.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

// close closes all and keeps nothing any more.
func (p *pool) close() {
	p.mu.Lock()
	all := p.idle
	p.idle, p.closed = map[route][]*conn{}, true
	if p.sweep != nil {
		p.sweep.Stop()
		p.sweep = nil
	}
	p.mu.Unlock()
	for _, list := range all {
		for _, c := range list {
			c.close()
		}
	}
}
