package onebot

import (
	"context"
	"time"

	"github.com/sethvargo/go-retry"
)

// times are the connections', short in tests.
type times struct {
	// beat is how often heartbeats come, for as long as none has said so. Between least and most one is believed.
	beat, least, most time.Duration
	// write bounds the writing of a frame.
	write time.Duration
	// again is how soon a lost connection is made again at first, and atMost how late later.
	again, atMost time.Duration
	// steady is how long a connection has to last for the next one to be made soon.
	steady time.Duration
	// alarm is how long the connection may be away before operators are told.
	alarm time.Duration
	// takeAgain is how soon an event that was not taken in is tried again at first, takeAtMost how late later, and keep
	// for how long.
	takeAgain, takeAtMost, keep time.Duration
	// last is how long what is told to end may take for it.
	last time.Duration
}

var usual = times{
	beat: 30 * time.Second, least: time.Second, most: 10 * time.Minute, write: 5 * time.Second,
	again: time.Second, atMost: time.Minute, steady: 30 * time.Second, alarm: time.Minute,
	takeAgain: 200 * time.Millisecond, takeAtMost: 5 * time.Second, keep: 10 * time.Minute, last: time.Second,
}

// silences is how many heartbeats may stay away.
const silences = 3

func backoff(first, atMost time.Duration) retry.Backoff {
	return retry.WithJitterPercent(25, retry.WithCappedDuration(atMost, retry.NewExponential(first)))
}

// pause waits, and says whether it did so to the end.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
