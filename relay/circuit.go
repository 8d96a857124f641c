package relay

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/imrelay/imrelay/relay/queue"
)

// When an agent's circuit opens, and how often it is tried then.
const (
	unreachableToOpen = 3
	brownoutsToOpen   = 10
	brownoutLanes     = 2
	probeEvery        = time.Second
)

var (
	errOutage  = errors.New("outage")
	errNeutral = errors.New("says nothing of the agent")
)

// circuit tells an outage of one agent from a failing event. Open means: no attempts but one probe a second.
type circuit struct {
	breaker *gobreaker.CircuitBreaker[result]

	mu          sync.Mutex
	unreachable int
	brownouts   int
	lanes       map[queue.Lane]struct{} // of the brownouts in a row; at most brownoutLanes
}

// newCircuit returns a closed circuit. changed is called with true when it opens and with false when it closes.
func newCircuit(agent string, changed func(open bool)) *circuit {
	c := &circuit{lanes: map[queue.Lane]struct{}{}}
	c.breaker = gobreaker.NewCircuitBreaker[result](gobreaker.Settings{
		Name:        agent,
		MaxRequests: 1,
		Timeout:     probeEvery,
		ReadyToTrip: func(gobreaker.Counts) bool { return c.down() },
		IsSuccessful: func(err error) bool {
			return !errors.Is(err, errOutage)
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errNeutral) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed:
				changed(true)
			case to == gobreaker.StateClosed:
				changed(false)
			}
		},
	})
	return c
}

// state is the breaker's state; asking for it moves an open circuit on to half-open when it is time.
func (c *circuit) state() gobreaker.State { return c.breaker.State() }

// open says that no ordinary attempts are made.
func (c *circuit) open() bool { return c.state() != gobreaker.StateClosed }

// do makes the attempt if the circuit lets it, and counts what came of it. ok is false if it was not made.
func (c *circuit) do(lane queue.Lane, attempt func() result) (r result, ok bool) {
	r, err := c.breaker.Execute(func() (result, error) {
		r := attempt()
		return r, c.count(lane, r.classify())
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return result{}, false
	}
	return r, true
}

// count keeps the rows of failures and says what the breaker is to make of this one.
func (c *circuit) count(lane queue.Lane, k class) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch k {
	case classStopped, classOurs, classUnasked:
		return errNeutral
	case classUnreachable:
		c.unreachable++
		return errOutage
	case classBrownout:
		c.brownouts++
		c.unreachable = 0
		if len(c.lanes) < brownoutLanes {
			c.lanes[lane] = struct{}{}
		}
		return errOutage
	default:
		if c.brownouts > 0 || c.unreachable > 0 {
			c.unreachable, c.brownouts = 0, 0
			clear(c.lanes)
		}
		return nil
	}
}

// down says that the failures in a row mean an outage.
func (c *circuit) down() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unreachable >= unreachableToOpen || (c.brownouts >= brownoutsToOpen && len(c.lanes) >= brownoutLanes)
}
