package astrbot

import "time"

// Hasten makes what the agent waits for so many times shorter, but what a call may take.
func (a *Agent) Hasten(times time.Duration) {
	for _, d := range []*time.Duration{
		&a.times.hold, &a.times.window, &a.times.patience, &a.times.longest, &a.times.look, &a.times.reread,
	} {
		*d /= times
	}
}

// Again sets how long no refresh follows another.
func (a *Agent) Again(d time.Duration) { a.times.again = d }
