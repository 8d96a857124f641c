package outbound

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// rounding is what a token bucket's arithmetic may be wrong by.
const rounding = time.Millisecond

// ticket is a send's place in a line.
type ticket struct {
	to string
	// counted is the name under which the IM counts to.
	counted string
	// turn gets nil when the ticket is at the head, or the reason why it will not get there in time.
	turn chan *Error
	// owed is how many messages, parts counted, still need a place in the pace.
	owed int
	// deadline is until when a caller's send may wait; background sends may always.
	deadline   time.Time
	background bool
	// manned says that somebody waits for turn. A background ticket is not at first: it stands for a row in the ledger.
	manned, called bool
	// owner and id are those of the row; since is when the ticket was made.
	owner, id string
	since     time.Time
	// probe, if not 0, marks a ticket that stands for rows which may be there: see [desk.retire].
	probe uint64
}

// row is the line of one recipient.
type row struct {
	tickets []*ticket
	// stuck is what holds up the background send at the head, and until when.
	stuck hold
}

// hold says until when nothing can be sent, and what to tell those who cannot wait.
type hold struct {
	until time.Time
	tell  func(after time.Duration) *Error
	// times counts throttles in a row.
	times int
}

// refusal is the error for a send that may wait until the deadline; nil: it may wait.
func (h hold) refusal(now, deadline time.Time) *Error {
	if h.tell == nil || !h.until.After(deadline) || !h.until.After(now) {
		return nil
	}
	return h.tell(h.until.Sub(now))
}

// desk keeps the lines of one account. A line is a recipient's sends in order of arrival, callers' and background ones;
// only its head acts.
type desk struct {
	account string
	limiter Limiter
	// random is from 0 to 1.
	random func() float64

	mu   sync.Mutex
	rows map[string]*row
	// owed counts the messages that callers wait to have sent, throttled are the IM's throttles and lessons what they have
	// taught: by recipient as the IM counts them, and [whole] is the account.
	owed      map[string]int
	throttled map[string]hold
	lessons   lessons
	presence  presence
	// out is whether it is away, for who must not wait for mu.
	out atomic.Bool
	// changed is closed when less may be in the way than before.
	changed chan struct{}
	// hungry are those that have waited for a place in the pace for a hold, the first of which goes before callers.
	hungry []*ticket
	// fence, while not 0, is given to a probe at the head of every new line: the ledger may hold older sends.
	fence uint64

	// telling keeps the order of what the alarm is told.
	telling sync.Mutex
}

// whole is the account where recipients are meant else: none has an empty name.
const whole = ""

func newDesk(account string, limiter Limiter, fence uint64) *desk {
	return &desk{
		account: account, limiter: limiter, fence: fence, rows: map[string]*row{}, owed: map[string]int{},
		throttled: map[string]hold{}, lessons: lessons{}, changed: make(chan struct{}),
	}
}

// enter puts a caller's send at the end of its line, or says that it could not go in time.
func (d *desk) enter(ctx context.Context, t *ticket, a account) *Error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	r := d.row(t.to)
	if err := d.judge(ctx, t, r, a); err != nil {
		d.tidy(t.to, r)
		return err
	}
	t.manned, t.since = true, now
	d.push(r, t)
	return nil
}

// judge finds out whether what is ahead leaves the send a chance. Background sends in other lines do not count: they
// never take places further ahead than callers wait.
func (d *desk) judge(ctx context.Context, t *ticket, r *row, a account) *Error {
	now := time.Now()
	for _, h := range []hold{d.standstill(a, now), r.stuck} {
		if err := h.refusal(now, t.deadline); err != nil {
			return err
		}
	}
	ahead := 0
	for _, other := range r.tickets {
		if other.background {
			ahead += other.owed
		}
	}
	delay, err := d.limiter.Delay(ctx, d.behind(a, d.owed[whole]+ahead, d.owed[t.counted]+ahead))
	if err != nil {
		return errPace(ctx, err)
	}
	if now.Add(delay).After(t.deadline.Add(rounding)) {
		return errRateLimited(delay)
	}
	return nil
}

// queue puts a ticket for a background send at the end of its line before its row is made.
func (d *desk) queue(t *ticket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.row(t.to)
	t.background, t.since = true, time.Now()
	d.push(r, t)
}

// man gives a row that was taken from the ledger the first background ticket of its line that nobody waits for; known
// says that it was queued here. There may be none for a row that another relay queued: it goes last.
func (d *desk) man(to string, owed int) (t *ticket, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.row(to)
	i := slices.IndexFunc(r.tickets, func(t *ticket) bool { return t.background && !t.manned })
	if i >= 0 {
		t = r.tickets[i]
		d.owe(t, owed)
		known = t.probe == 0
	} else {
		t = &ticket{to: to, turn: make(chan *Error, 1), owed: owed, background: true, since: time.Now()}
		d.push(r, t)
	}
	t.manned = true
	r.call()
	return t, known
}

// retire ends a background send that had no ticket of its own. More of its kind may follow in the ledger, so a probe
// stays at the head until a look into the ledger that began later has found none.
func (d *desk) retire(t *ticket, look uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rows[t.to]
	i := slices.Index(r.tickets, t)
	d.owe(t, 0)
	r.tickets[i] = &ticket{to: t.to, turn: make(chan *Error, 1), background: true, since: time.Now(), probe: look}
}

// settle removes the probes that a look into the ledger has answered.
func (d *desk) settle(look uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fence = 0
	for to, r := range d.rows {
		if i := slices.IndexFunc(r.tickets, func(t *ticket) bool { return t.probe != 0 && !t.manned && t.probe < look }); i >= 0 {
			d.remove(r, i)
			d.tidy(to, r)
		}
	}
}

// leave takes a ticket out of its line, wherever it stands.
func (d *desk) leave(t *ticket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(t)
}

func (d *desk) drop(t *ticket) {
	r := d.rows[t.to]
	if r == nil {
		return
	}
	if i := slices.Index(r.tickets, t); i >= 0 {
		d.remove(r, i)
		d.tidy(t.to, r)
	}
}

// abandon takes a background ticket out of its line, unless somebody has come with a row for it.
func (d *desk) abandon(t *ticket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !t.manned {
		d.drop(t)
	}
}

// orphans are the heads that have stood for a row since then, and nobody came with it.
func (d *desk) orphans(before time.Time) []*ticket {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*ticket
	for _, r := range d.rows {
		if h := r.tickets[0]; h.background && !h.manned && h.probe == 0 && h.since.Before(before) {
			out = append(out, h)
		}
	}
	return out
}

// row returns the recipient's line. A line that is made before the ledger was looked through begins with a probe.
func (d *desk) row(to string) *row {
	r := d.rows[to]
	if r == nil {
		r = &row{}
		d.rows[to] = r
		if d.fence != 0 {
			r.tickets = append(r.tickets, &ticket{to: to, turn: make(chan *Error, 1), background: true, probe: d.fence})
		}
	}
	return r
}

func (d *desk) push(r *row, t *ticket) {
	r.tickets = append(r.tickets, t)
	d.count(t, t.owed)
	r.call()
}

func (d *desk) remove(r *row, i int) {
	d.owe(r.tickets[i], 0)
	r.tickets = slices.Delete(r.tickets, i, i+1)
	r.call()
}

// owe sets what a ticket owes.
func (d *desk) owe(t *ticket, owed int) {
	d.count(t, owed-t.owed)
	t.owed = owed
}

// count counts what callers wait for.
func (d *desk) count(t *ticket, more int) {
	if t.background {
		return
	}
	for _, of := range []string{whole, t.counted} {
		if d.owed[of] += more; d.owed[of] == 0 {
			delete(d.owed, of)
		}
	}
}

func (d *desk) tidy(to string, r *row) {
	if len(r.tickets) == 0 {
		delete(d.rows, to)
	}
}

// call tells the head that it is its turn.
func (r *row) call() {
	if len(r.tickets) == 0 {
		return
	}
	if h := r.tickets[0]; h.manned && !h.called {
		h.called = true
		h.turn <- nil
	}
}
