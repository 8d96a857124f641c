package nekro

import (
	"time"

	"go.uber.org/zap"
)

// Hasten makes a stream's times short, before it runs.
func (s *Stream) Hasten() *Stream {
	s.times = times{
		idle: 2 * time.Second, beat: 100 * time.Millisecond, again: 10 * time.Millisecond, atMost: 50 * time.Millisecond,
		alarm: 200 * time.Millisecond, call: 2 * time.Second, send: 2 * time.Second,
		arrive: time.Second, last: time.Second,
	}
	return s
}

// Beat sets how often the client shows that it is there, and Patience how long a send may take.
func (s *Stream) Beat(d time.Duration) { s.times.beat = d }

// Patience is documented at Beat.
func (s *Stream) Patience(d time.Duration) { s.times.send = d }

// Call sets how long a command of no event's may take, and Arrive how long the first connection is waited for.
func (s *Stream) Call(d time.Duration) { s.times.call = d }

// Arrive is documented at Call.
func (s *Stream) Arrive(d time.Duration) { s.times.arrive = d }

// Connected says whether it is, and Failures how many connections have failed or ended.
func (s *Stream) Connected() bool { return s.link.Load() != nil }

// Failures is documented at Connected.
func (s *Stream) Failures() int64 { return s.failures.Load() }

// Quietly logs as streams do.
func Quietly(log *zap.Logger) func(what, reason string) {
	q := &quiet{log: log, logged: map[[2]string]time.Time{}}
	return func(what, reason string) { q.warn(what, reason) }
}

// MostChannels, MostWaiting and MaxEvent are bounds.
const (
	MostChannels = mostChannels
	MostWaiting  = mostWaiting
	MaxEvent     = maxEvent
)
