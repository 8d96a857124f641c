package outbound

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Rate lets N sends go in each Per. The zero value bounds nothing.
type Rate struct {
	N   int
	Per time.Duration
	// Burst is how many may go at once; 0: the connector's own, else N.
	Burst int
}

// Unlimited says that the rate bounds nothing.
func (r Rate) Unlimited() bool { return r.N <= 0 || r.Per <= 0 }

// Limits bound what an account sends. The zero value bounds nothing.
type Limits struct {
	// Account is for all sends of the account together, Recipient for those to one recipient.
	Account, Recipient Rate
	// MaxText is the longest text of one message in characters; 0: no bound but the connector's.
	MaxText int
	// Jitter is the most that is added to the pause after a send of the account, at random.
	Jitter time.Duration
	// Ramp is how long after a login the account goes slower than its rate: a quarter of it at first.
	Ramp time.Duration
	// Quiet is when nothing goes.
	Quiet Quiet
}

// Idle says which of the limits do nothing with the connector: those that shape the account's rate where it has none.
// Its error names each key as the configuration does. Of no connector it says nothing.
func (l Limits) Idle(c Connector) error {
	if c == nil {
		return nil
	}
	var own Limits
	if p, ok := c.(Paced); ok {
		own, _ = p.Pace(whole)
	}
	if !l.over(own).Account.Unlimited() {
		return nil
	}
	var errs []error
	for _, k := range []struct {
		name  string
		given bool
	}{{"burst", l.Account.Burst > 0}, {"jitter", l.Jitter > 0}, {"ramp", l.Ramp > 0}} {
		if k.given {
			errs = append(errs, fmt.Errorf("%s: is of no use without rate, for the connector has none of its own", k.name))
		}
	}
	return errors.Join(errs...)
}

// Quiet is the part of each day in which an account is silent. The zero value is none.
type Quiet struct {
	// From and To are times since midnight; From after To goes over midnight, and equal ones are none.
	From, To time.Duration
	// In is where; nil: where the relay runs.
	In *time.Location
}

// Slot is a place in an account's pace.
type Slot struct {
	Account, Recipient string
	// Limits are those of the moment; a limiter follows when they change.
	Limits Limits
	// CostAccount and CostRecipient are what the send takes of the account's and of the recipient's rate, in sends; under
	// 1: one. They make the pause after it longer, never shorter, and tell nothing of the wait before it.
	CostAccount, CostRecipient float64
	// AheadAccount and AheadRecipient are how many sends that have no place yet will take theirs before.
	AheadAccount, AheadRecipient int
}

// Place is a reserved slot.
type Place struct {
	// Delay is how long to wait for it.
	Delay time.Duration
	// Cancel gives it back to those who come later, if its time has not come yet.
	Cancel func()
}

// Limiter keeps the pace. Both methods are quick: an account's line stands still meanwhile, and while a limiter that
// others share is out of reach they fail at once. An error means that nothing may be sent, for nobody knows the pace. They
// are safe for concurrent use.
type Limiter interface {
	// Delay tells how long a send would wait for the slot, and takes nothing.
	Delay(ctx context.Context, s Slot) (time.Duration, error)
	// Reserve takes the slot; Ahead… do not count.
	Reserve(ctx context.Context, s Slot) (Place, error)
}
