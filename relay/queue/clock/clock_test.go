package clock_test

import (
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue/clock"
)

// system is two clocks that the test moves.
type system struct {
	wall    time.Time
	elapsed time.Duration
}

func (s *system) read() (time.Time, time.Duration) { return s.wall, s.elapsed }

func (s *system) pass(d time.Duration) { s.wall, s.elapsed = s.wall.Add(d), s.elapsed+d }

func TestStepsMoveNothing(t *testing.T) {
	t.Parallel()
	for _, step := range []time.Duration{-24 * time.Hour, -2 * time.Second, 0, 2 * time.Second, 24 * time.Hour} {
		s := &system{wall: time.UnixMilli(1_700_000_000_000)}
		c := clock.New(s.read, clock.Mark{})
		start := c.Now()
		s.pass(time.Minute)
		s.wall = s.wall.Add(step)
		if got := c.Now().Sub(start); got != time.Minute {
			t.Errorf("step %v: got %v passed, want a minute", step, got)
		}
		if got := c.Wall(c.Now()); !got.Equal(s.wall) {
			t.Errorf("step %v: now is shown as %v, want %v", step, got, s.wall)
		}
		if got := c.Store(c.Wall(start)); got != start {
			t.Errorf("step %v: there and back: got %d, want %d", step, got, start)
		}
	}
}

func TestSlowDriftDoesNotJitter(t *testing.T) {
	t.Parallel()
	s := &system{wall: time.UnixMilli(1_700_000_000_000)}
	c := clock.New(s.read, clock.Mark{})
	at := c.Now()
	before := c.Wall(at)
	s.wall = s.wall.Add(300 * time.Millisecond)
	c.Now()
	if got := c.Wall(at); !got.Equal(before) {
		t.Errorf("shown time after a drift: got %v, want %v", got, before)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		gap  time.Duration // as the wall clock tells it
		want time.Duration
	}{
		{"an hour later", time.Hour, time.Hour},
		{"at once", 0, 0},
		{"set back by a day", -24 * time.Hour, 0},
		{"booted without a clock", -50 * 365 * 24 * time.Hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &system{wall: time.UnixMilli(1_700_000_000_000)}
			c := clock.New(s.read, clock.Mark{})
			s.pass(time.Minute)
			mark := c.Mark()
			s.wall, s.elapsed = s.wall.Add(tt.gap), 7*time.Second
			c = clock.New(s.read, mark)
			if got := c.Now().Sub(mark.Store); got != tt.want {
				t.Errorf("passed: got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNoTime(t *testing.T) {
	t.Parallel()
	c := clock.New(nil, clock.Mark{})
	if got := c.Wall(0); !got.IsZero() {
		t.Errorf("Wall(0): got %v, want the zero time", got)
	}
	if got := c.Store(time.Time{}); got != 0 {
		t.Errorf("Store of the zero time: got %d, want 0", got)
	}
}
