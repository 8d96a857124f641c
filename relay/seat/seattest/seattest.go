// Package seattest is the conformance suite of [seat.Keeper] for relays that share something. What only one
// implementation can show belongs in that implementation's own tests.
package seattest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/seat"
)

// Lease is how long the seats of a subject are kept for a relay that is not heard of.
const Lease = 3 * time.Second

const (
	// soon is what a relay needs to see that a seat was given back, on a machine that has much to do.
	soon = Lease / 2
	// late is when a seat that was not given back is another's at the latest.
	late = Lease + soon
)

// Relay is one that wants to sit.
type Relay struct {
	Keeper seat.Keeper
	// Crash lets nobody hear of the relay any more. Its Sit goes on until its context ends.
	Crash func()
}

// Subject is what relays share.
type Subject struct {
	// Join makes a relay.
	Join func() Relay
	// Away takes what they share out of their reach, Back brings it back as it was.
	Away, Back func()
}

// Harness makes a new subject. What it needs to undo it leaves to t.Cleanup.
type Harness func(t *testing.T) Subject

// Run checks every promise of [seat.Keeper], each on a subject of its own, in parallel.
func Run(t *testing.T, open Harness) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(p *probe)
	}{
		{"one at a time, and each in the end", turns},
		{"a seat that was given back is another's at once", handOver},
		{"work that returns late keeps the seat until then", lateReturn},
		{"work that returns is called again, and the seat is kept", returns},
		{"seats of different names", names},
		{"a relay that is not heard of any more", crash},
		{"what they share is away", away},
		{"a context that has ended", ended},
		{"a context that ends while it waits", waiting},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(&probe{T: t, Subject: open(t)})
		})
	}
}

// probe is a subject with shorthands.
type probe struct {
	*testing.T
	Subject
}

// chair watches one seat: that never two are on it.
type chair struct {
	t         *testing.T
	name      string
	busy      atomic.Int32
	sat, left chan string
	// linger is how long work takes to return.
	linger time.Duration
}

func (p *probe) chair(name string) *chair {
	return &chair{t: p.T, name: name, sat: make(chan string, 1000), left: make(chan string, 1000)}
}

// work sits until its context ends.
func (c *chair) work(who string) func(context.Context) {
	return func(ctx context.Context) {
		if n := c.busy.Add(1); n != 1 {
			c.t.Errorf("%s: %s works beside %d others", c.name, who, n-1)
		}
		c.sat <- who
		<-ctx.Done()
		if c.linger > 0 {
			<-time.After(c.linger)
		}
		c.busy.Add(-1)
		c.left <- who
	}
}

// sit lets a relay want the chair. stop ends that and returns when Sit has.
func (p *probe) sit(r Relay, c *chair, who string) (stop func()) {
	p.Helper()
	return p.start(r, c.name, c.work(who))
}

func (p *probe) start(r Relay, name string, work func(context.Context)) (stop func()) {
	p.Helper()
	ctx, cancel := context.WithCancel(p.Context())
	var sitting sync.WaitGroup
	sitting.Go(func() { r.Keeper.Sit(ctx, name, work) })
	stop = func() { cancel(); sitting.Wait() }
	p.Cleanup(stop)
	return stop
}

// expect waits for one to sit down or to leave, and returns who it was.
func (p *probe) expect(what string, from <-chan string, within time.Duration) string {
	p.Helper()
	select {
	case who := <-from:
		return who
	case <-time.After(within):
		p.Fatalf("%s: got nobody within %v", what, within)
		return ""
	}
}

// nobody wants nobody to sit down or leave for a while.
func (p *probe) nobody(what string, from <-chan string, within time.Duration) {
	p.Helper()
	select {
	case who := <-from:
		p.Errorf("%s: got %s, want nobody", what, who)
	case <-time.After(within):
	}
}

func turns(p *probe) {
	c := p.chair("agent/heron")
	stops := map[string]func(){}
	for i := range 4 {
		who := fmt.Sprint("relay ", i)
		stops[who] = p.sit(p.Join(), c, who)
	}
	for len(stops) > 0 {
		who := p.expect("sit down", c.sat, soon)
		if stops[who] == nil {
			p.Fatalf("sit down: got %s, who has gone", who)
		}
		p.nobody("beside "+who, c.sat, Lease/3)
		stops[who]()
		delete(stops, who)
	}
}

func handOver(p *probe) {
	c := p.chair("agent/heron")
	a, b := p.Join(), p.Join()
	stop := p.sit(a, c, "a")
	p.expect("sit down", c.sat, soon)
	p.sit(b, c, "b")
	p.nobody("longer than a lease", c.sat, Lease+Lease/3)
	stop()
	if who := p.expect("take over", c.sat, soon); who != "b" {
		p.Errorf("take over: got %s, want b", who)
	}
	p.sit(a, c, "a again")
	p.nobody("beside b", c.sat, Lease/3)
}

func lateReturn(p *probe) {
	c := p.chair("agent/heron")
	c.linger = Lease + Lease/2
	stop := p.sit(p.Join(), c, "a")
	p.expect("sit down", c.sat, soon)
	p.sit(p.Join(), c, "b")
	began := time.Now()
	stop()
	if took := time.Since(began); took < c.linger {
		p.Errorf("Sit returned after %v, before work, which takes %v", took, c.linger)
	}
	c.linger = 0
	p.expect("take over", c.sat, soon)
}

func returns(p *probe) {
	c := p.chair("agent/heron")
	again, calls := make(chan struct{}), make(chan string, 10)
	p.start(p.Join(), c.name, func(ctx context.Context) {
		calls <- "a"
		select {
		case <-ctx.Done():
		case <-again:
		}
	})
	p.expect("sit down", calls, soon)
	p.sit(p.Join(), c, "b")
	for range 5 {
		again <- struct{}{}
		p.expect("call again", calls, soon)
		p.nobody("in between", c.sat, Lease/4)
	}
}

func names(p *probe) {
	a, b := p.Join(), p.Join()
	var all []*chair
	for i := range 8 {
		c := p.chair(fmt.Sprint("agent/", i))
		all = append(all, c)
		p.sit([]Relay{a, b}[i%2], c, "one")
		p.sit([]Relay{a, b}[(i+1)%2], c, "other")
	}
	for _, c := range all {
		p.expect("sit on "+c.name, c.sat, soon)
	}
}

func crash(p *probe) {
	c := p.chair("agent/heron")
	a := p.Join()
	p.sit(a, c, "a")
	p.expect("sit down", c.sat, soon)
	p.sit(p.Join(), c, "b")
	a.Crash()
	if who := p.expect("end the work of who crashed", c.left, Lease); who != "a" {
		p.Errorf("end of work: got %s's, want a's", who)
	}
	if who := p.expect("take over", c.sat, late); who != "b" {
		p.Errorf("take over: got %s, want b", who)
	}
}

func away(p *probe) {
	c := p.chair("agent/heron")
	p.sit(p.Join(), c, "a")
	p.expect("sit down", c.sat, soon)
	p.sit(p.Join(), c, "b")
	for range 2 {
		p.Away()
		p.expect("end the work", c.left, Lease)
		p.nobody("while it is away", c.sat, Lease/2)
		p.Back()
		p.expect("sit down when it is back", c.sat, late)
	}
}

func ended(p *probe) {
	ctx, cancel := context.WithCancel(p.Context())
	cancel()
	p.Join().Keeper.Sit(ctx, "agent/heron", func(context.Context) { p.Error("work was called") })
}

func waiting(p *probe) {
	c := p.chair("agent/heron")
	p.sit(p.Join(), c, "a")
	p.expect("sit down", c.sat, soon)
	stop := p.sit(p.Join(), c, "b")
	p.nobody("beside a", c.sat, Lease/4)
	began := time.Now()
	stop()
	if took := time.Since(began); took > time.Second {
		p.Errorf("Sit returned %v after its context ended, want at once", took)
	}
}
