package fleettest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

// noon is when everything was accepted, second by second.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func land(seq, epoch int) fleettest.Landed {
	return fleettest.Landed{Seq: seq, Epoch: epoch, Event: fmt.Sprint("evt_", seq), Intact: true, At: noon.Add(time.Minute)}
}

// good is a conversation of four messages in which two came again after a fault.
func good(wrong func(format string, args ...any)) *fleettest.Check {
	c := &fleettest.Check{
		Wrong: wrong, Aside: map[string]bool{}, Accepted: [][]fleettest.Accepted{nil},
		Landed: []fleettest.Landed{land(1, 0), land(2, 0), land(3, 0), land(2, 1), land(3, 1), land(4, 1)},
	}
	for seq := range 4 {
		c.Accepted[0] = append(c.Accepted[0], fleettest.Accepted{
			ID: fmt.Sprint("evt_", seq+1), Asked: noon.Add(time.Duration(seq) * time.Second),
			At: noon.Add(time.Duration(seq+1) * time.Second),
		})
	}
	return c
}

// TestCheckSees shows that the checks are not blind.
func TestCheckSees(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		do   func(c *fleettest.Check)
		want int // at least, and none for 0
	}{
		{"all is well", func(*fleettest.Check) {}, 0},
		{"lost", func(c *fleettest.Check) { c.Landed = c.Landed[:5] }, 1},
		{"lost in the middle", func(c *fleettest.Check) {
			c.Landed = slices.Delete(c.Landed, 1, 2)
			c.Landed[2].Epoch = 1
		}, 1},
		{"lost after the store forgot", func(c *fleettest.Check) {
			c.Landed, c.Forgotten = c.Landed[:5], noon.Add(time.Second)
		}, 1},
		{"lost before the store forgot", func(c *fleettest.Check) {
			c.Landed, c.Forgotten = c.Landed[1:], noon.Add(500*time.Millisecond)
		}, 0},
		{"not lost but aside", func(c *fleettest.Check) { c.Landed = c.Landed[:5]; c.Aside["evt_4"] = true }, 0},
		{"changed", func(c *fleettest.Check) { c.Landed[2].Intact = false }, 1},
		{"badly signed", func(c *fleettest.Check) { c.Landed[2].Signed = errors.New("bad signature") }, 1},
		{"out of order", func(c *fleettest.Check) { c.Landed[0], c.Landed[1] = c.Landed[1], c.Landed[0] }, 1},
		{"out of order after the store forgot", func(c *fleettest.Check) {
			c.Landed[1], c.Landed[2], c.Forgotten = c.Landed[2], c.Landed[1], noon.Add(500*time.Millisecond)
		}, 1},
		{"out of order before the store forgot", func(c *fleettest.Check) {
			c.Landed[0], c.Landed[1], c.Forgotten = c.Landed[1], c.Landed[0], noon.Add(500*time.Millisecond)
		}, 0},
		{"parked, so in any order", func(c *fleettest.Check) {
			c.Landed = []fleettest.Landed{land(2, 0), land(1, 0), land(3, 0), land(4, 0)}
			c.Aside["evt_1"] = true
		}, 0},
		{"repeated without a fault", func(c *fleettest.Check) { c.Landed[3].Epoch = 0 }, 1},
		{"repeated long after", func(c *fleettest.Check) { c.Landed[3] = land(1, 1) }, 1},
		{"repeated long after by a store that lost it", func(c *fleettest.Check) { c.Landed[3], c.Replayed = land(1, 1), true }, 0},
		{"repeated under another id", func(c *fleettest.Check) { c.Landed[4].Event = "evt_9" }, 1},
		{"repeated too often", func(c *fleettest.Check) { c.Landed = append(c.Landed, land(4, 1)) }, 1},
		{"repeated often by a store that lost it", func(c *fleettest.Check) {
			c.Landed, c.Replayed = append(c.Landed, land(4, 1)), true
		}, 0},
		{"repeated more often than this fault may", func(c *fleettest.Check) { c.MaxRepeats = 1 }, 1},
		{"arrived under another id", func(c *fleettest.Check) { c.Landed[5].Event = "evt_9" }, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var wrong []string
			c := good(func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) })
			row.do(c)
			c.All()
			if len(wrong) < row.want || row.want == 0 && len(wrong) > 0 {
				t.Errorf("got %q, want %d complaints", wrong, row.want)
			}
		})
	}
}

func TestCheckCounts(t *testing.T) {
	t.Parallel()
	c := good(t.Errorf)
	c.Landed, c.Forgotten = c.Landed[1:], noon.Add(500*time.Millisecond)
	want := fleettest.Sum{Accepted: 4, Repeats: 2, Lost: 1, Slowest: 58 * time.Second}
	if got := c.All(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCheckBooks(t *testing.T) {
	t.Parallel()
	books := func(states ...string) (events []fleettest.Event) {
		for i, s := range states {
			events = append(events, fleettest.Event{ID: fmt.Sprint("evt_", i+1), State: s})
		}
		return events
	}
	const d = "delivered"
	for _, row := range []struct {
		name   string
		events []fleettest.Event
		want   int
		aside  int
	}{
		{"all delivered", books(d, d, d, d), 0, 0},
		{"some aside", books(d, "dead", "parked", d), 0, 2},
		{"one more whose answer got lost", books(d, d, d, d, d), 0, 0},
		{"in between", books(d, d, d, "delivering"), 2, 0},
		{"waiting", books(d, d, d, d, "queued"), 1, 0},
		{"one too few", books(d, d, d), 1, 0},
		{"more than were promised", books(d, d, d, d, d, d), 1, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var wrong []string
			c := good(func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) })
			if aside := c.Books(row.events); len(aside) != row.aside || len(wrong) != row.want {
				t.Errorf("got %v aside and %q, want %d aside and %d complaints", aside, wrong, row.aside, row.want)
			}
		})
	}
}
