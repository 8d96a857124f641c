// Package queuetest is the suite that every queue has to pass, whatever it stands on. It says what package queue
// promises, in code; it starts no server and makes no file: the caller's Open does. Time passes by the harness's clock,
// never by sleeping.
package queuetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
)

// Options says what kind of queue a test needs.
type Options struct {
	Retention queue.Retention
	// Lease is how long a lease lasts.
	Lease time.Duration
}

// Harness is a queue under test and the world around it.
type Harness struct {
	Queue queue.Queue
	// Advance lets the store's time pass.
	Advance func(d time.Duration)
	// Reopen closes the queue and returns another on the same data; nil where nothing outlives a queue.
	Reopen func(t *testing.T) queue.Queue
	// Shared says that others may have the data open too, so that leases outlive a reopening until they lapse.
	Shared bool
}

// Open makes an empty queue, which is closed when the test ends.
type Open func(t *testing.T, o Options) Harness

// Clock is a system clock that the test moves: a [clock.Source] by its Read.
type Clock struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

// NewClock returns a clock that stands at a fixed time.
func NewClock() *Clock { return &Clock{wall: time.UnixMilli(1_700_000_000_000)} }

var _ clock.Source = (*Clock)(nil).Read

// Read implements clock.Source.
func (c *Clock) Read() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall, c.elapsed
}

// Advance lets time pass.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(d), c.elapsed+d
}

// Step sets the wall clock, as NTP or an operator would; no time passes.
func (c *Clock) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// The options that a test gets unless it asks for others.
var usual = Options{
	Retention: queue.Retention{Window: 48 * time.Hour, Delivered: 48 * time.Hour, MaxBytes: 1 << 30, Dead: 720 * time.Hour},
	Lease:     10 * time.Second,
}

type check struct {
	name string
	run  func(f *fixture)
}

// Run runs the suite.
func Run(t *testing.T, open Open) {
	checks := slices.Concat(putChecks, keyChecks, takeChecks, leaseChecks, settleChecks, dueChecks, parkChecks,
		pauseChecks, mendChecks, inspectChecks, keepChecks, lifeChecks)
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(&fixture{T: t, h: open(t, usual), open: open})
		})
	}
}
