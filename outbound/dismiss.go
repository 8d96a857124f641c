package outbound

import "time"

// stick says that the background send at the head waits until then for the IM to be there, and sends away those behind
// it who cannot.
func (d *desk) stick(t *ticket, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rows[t.to]
	r.stuck = hold{until: until, tell: errUnavailable}
	d.dismiss(r, r.stuck, func(*ticket) bool { return true })
}

// dismiss tells callers who are not at the head that their turn will come too late.
func (d *desk) dismiss(r *row, h hold, meant func(*ticket) bool) {
	now := time.Now()
	for _, t := range r.tickets {
		if t.background || t.called || !meant(t) {
			continue
		}
		if err := h.refusal(now, t.deadline); err != nil {
			t.called = true
			t.turn <- err
		}
	}
}
