package telegram

import "time"

// Hasten makes a Poller wait a hundredth of what it usually waits, so that its tests need not.
func (p *Poller) Hasten() {
	p.times = times{
		poll: time.Second, slack: 500 * time.Millisecond, again: 10 * time.Millisecond, atMost: 100 * time.Millisecond,
		slow: 50 * time.Millisecond, empty: 10 * time.Millisecond, alarm: 200 * time.Millisecond,
		calm: 300 * time.Millisecond,
	}
}
