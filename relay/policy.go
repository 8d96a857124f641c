package relay

import (
	"time"

	"github.com/sethvargo/go-retry"

	"github.com/imrelay/imrelay/relay/queue"
)

// jitterPercent spreads retries; it lies outside the cap, so that capped retries do not fall on one instant.
const jitterPercent = 20

// curveSteps is how far the curve is stepped: past it every base has reached the longest cap.
const curveSteps = 62

// Stuck is what happens to an event that would be parked.
type Stuck uint8

// The choices.
const (
	StuckPark  Stuck = iota // aside, still retried
	StuckBlock              // in its place, its conversation waits
	StuckBury               // dead
)

// Policy says how one agent's failed attempts are repeated.
type Policy struct {
	// Base and Cap bound the exponential curve between two attempts.
	Base, Cap time.Duration
	// ParkAfter is how long after its first counted failure an event may be parked.
	ParkAfter time.Duration
	// MaxAge is how long after acceptance, or the last replay, an event is given up; 0: never.
	MaxAge time.Duration
	// MaxAttempts is how many counted attempts an event gets; 0: no bound.
	MaxAttempts int
	// OnStuck is what happens to an event that would be parked.
	OnStuck Stuck
}

// Next is the pause after the given number of counted attempts: Base after the first, doubled after each further one
// up to Cap, give or take a fifth. It keeps no state, so it goes on where it was after a restart.
func (p Policy) Next(attempts int) time.Duration {
	curve := retry.WithCappedDuration(p.Cap, retry.NewExponential(p.Base))
	for range min(max(attempts-1, 0), curveSteps) {
		curve.Next()
	}
	next, _ := retry.WithJitterPercent(jitterPercent, curve).Next()
	return next
}

// over says that the job is too old to be attempted again.
func (p Policy) over(job queue.Job, now time.Time) bool {
	return p.MaxAge > 0 && now.Sub(job.Since) >= p.MaxAge
}
