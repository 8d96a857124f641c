package connector

import (
	"context"
	"time"

	"github.com/sethvargo/go-retry"
)

// Backoff is how long those wait who try again and again: first at first, then ever longer, and at most atMost.
func Backoff(first, atMost time.Duration) retry.Backoff {
	return retry.WithJitterPercent(25, retry.WithCappedDuration(atMost, retry.NewExponential(first)))
}

// Pause waits, and says whether it did so to the end.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
