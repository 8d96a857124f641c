package nekro

import "time"

// Hasten makes a stream's times short, before it runs.
func (s *Stream) Hasten() *Stream {
	s.times = times{
		idle: 2 * time.Second, beat: 100 * time.Millisecond, again: 10 * time.Millisecond, atMost: 50 * time.Millisecond,
		alarm: 200 * time.Millisecond, call: 2 * time.Second, send: 2 * time.Second,
	}
	return s
}

// Beat sets how often the client shows that it is there, and Patience how long a send may take.
func (s *Stream) Beat(d time.Duration) { s.times.beat = d }

// Patience is documented at Beat.
func (s *Stream) Patience(d time.Duration) { s.times.send = d }

// Connected says whether it is, and Failures how many connections have failed or ended.
func (s *Stream) Connected() bool { return s.link.Load() != nil }

// Failures is documented at Connected.
func (s *Stream) Failures() int64 { return s.failures.Load() }

// MostChannels and MostWaiting are bounds.
const (
	MostChannels = mostChannels
	MostWaiting  = mostWaiting
)
