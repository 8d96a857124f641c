// Package clock is the time of a store: a time that no step of the system's clock can move. It runs with the monotonic
// clock from where it was anchored, so within a process it only goes forward, a day set forward does not end anything
// early, and a day set back stalls nothing. It keeps nothing on disk: a store saves a [Mark] now and then and anchors
// the next clock at it.
//
// What is shown to people is the system's clock all the same: [Clock.Wall] shifts a stored time by the difference that
// the two clocks have now. So after a step all times of a job are right by the new clock, and their distances stay.
//
// Between two processes only the wall clock tells how long the gap was. If it says "less than nothing", the gap counts
// as nothing; a step forward in the gap cannot be told from a long gap, and counts as one.
package clock

import (
	"sync/atomic"
	"time"
)

// Time is a store time in milliseconds. While nobody sets the clock it is Unix time. 0: none.
type Time int64

// Add returns the time d later, to the millisecond.
func (t Time) Add(d time.Duration) Time { return t + Time(d.Milliseconds()) }

// Sub returns how much later t is than u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Millisecond }

// Source reads the system's two clocks at once: what a wall clock shows, and how long some fixed moment ago is.
type Source func() (wall time.Time, elapsed time.Duration)

// System is the source for everything but tests.
func System() Source {
	start := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now, now.Sub(start)
	}
}

// Mark is where a clock was: what a store keeps over a restart.
type Mark struct {
	// Store is the store time, Wall the Unix milliseconds of the same moment. Zero: there is no mark.
	Store, Wall Time
}

// step is the least difference that counts as a step of the wall clock: below it the two clocks just drift.
const step = 1000

// Clock tells the store time. It is safe for concurrent use.
type Clock struct {
	source Source
	base   Time         // store time at elapsed 0
	offset atomic.Int64 // wall minus store time
}

// New anchors a clock. A nil source is the system's.
func New(source Source, last Mark) *Clock {
	if source == nil {
		source = System()
	}
	wall, elapsed := source()
	now := Time(wall.UnixMilli())
	start := now
	if last != (Mark{}) {
		start = last.Store + max(0, now-last.Wall)
	}
	c := &Clock{source: source, base: start - Time(elapsed.Milliseconds())}
	c.offset.Store(int64(now - start))
	return c
}

// Now returns the store time.
func (c *Clock) Now() Time {
	t, _ := c.read()
	return t
}

// Mark returns what to save.
func (c *Clock) Mark() Mark {
	t, wall := c.read()
	return Mark{Store: t, Wall: Time(wall.UnixMilli())}
}

// Instant returns the store time and the system's time of the same moment, with its monotonic reading.
func (c *Clock) Instant() (Time, time.Time) { return c.read() }

func (c *Clock) read() (Time, time.Time) {
	wall, elapsed := c.source()
	t := c.base + Time(elapsed.Milliseconds())
	off := wall.UnixMilli() - int64(t)
	if d := off - c.offset.Load(); d > step || d < -step {
		c.offset.Store(off)
	}
	return t, wall
}

// Wall returns what the system's clock would have shown at t, had it always been as it is now; zero for none.
func (c *Clock) Wall(t Time) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t) + c.offset.Load()).UTC()
}

// Store is the inverse of Wall.
func (c *Clock) Store(w time.Time) Time {
	if w.IsZero() {
		return 0
	}
	return Time(w.UnixMilli() - c.offset.Load())
}
