package onebot

import "time"

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
	// for how long, where it is not the store that is away.
	takeAgain, takeAtMost, keep time.Duration
	// last is how long what is told to end may take for it, and farewell how long events that wait then still do.
	last, farewell time.Duration
}

var usual = times{
	beat: 30 * time.Second, least: time.Second, most: 10 * time.Minute, write: 5 * time.Second,
	again: time.Second, atMost: 10 * time.Second, steady: 30 * time.Second, alarm: time.Minute,
	takeAgain: 200 * time.Millisecond, takeAtMost: 5 * time.Second, keep: 10 * time.Minute, last: time.Second,
	farewell: 10 * time.Second,
}

// silences is how many heartbeats may stay away.
const silences = 3
