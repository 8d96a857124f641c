// Package memdedupe is the send ledger in memory: for tests and for trying things out. What it holds is gone with the
// process; [Ledger.Crash] shows what a durable one would have kept. It looks through all its rows where a real store
// has an index.
package memdedupe

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/imrelay/imrelay/dedupe"
)

// Options are the ledger's settings. The zero value is one that never forgets and whose claims never lapse.
type Options struct {
	// Window is how long a finished row is kept. 0: for good.
	Window time.Duration
	// Lease is how long a claim lasts unless it is renewed. 0: for good.
	Lease time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Ledger is a ledger in memory. All methods are safe for concurrent use.
type Ledger struct {
	o Options

	mu     sync.Mutex
	rows   map[name]*row
	serial uint64
	closed bool
}

var _ dedupe.Store = (*Ledger)(nil)

// name is what a row is found by.
type name struct{ owner, key string }

// row is what is true of a key if nobody holds it, and who holds it.
type row struct {
	// entry's Status is where the row stands without its holder: 0 (nowhere), Waiting, Done, Unknown or Failed, which
	// is also what a released row with a record is.
	entry dedupe.Entry
	over  time.Time // the end of its window; zero: none

	token   uint64 // 0: nobody holds it
	started bool
	lapses  time.Time // zero: never
}

// New returns an empty ledger.
func New(o Options) *Ledger {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Ledger{o: o, rows: map[name]*row{}}
}

// Crash closes the ledger and returns a new one with what a durable store would find after the process was lost.
func (l *Ledger) Crash() *Ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	next := New(l.o)
	next.serial = l.serial
	for n, r := range l.rows {
		if r.entry.Status != 0 {
			next.rows[n] = &row{entry: r.entry, over: r.over}
		}
	}
	return next
}

// Claim implements [dedupe.Ledger].
func (l *Ledger) Claim(ctx context.Context, c dedupe.Claim) (dedupe.Entry, error) {
	now, done, err := l.enter(ctx, "claim key")
	if err != nil {
		return dedupe.Entry{}, err
	}
	defer done()
	n := name{c.Owner, c.Key}
	r := l.look(n, now)
	if r == nil {
		r = &row{entry: dedupe.Entry{
			Owner: c.Owner, Key: c.Key, ID: c.ID, Lane: c.Lane, Digest: c.Digest, Accepted: now,
		}}
		l.rows[n] = r
	}
	switch s := r.status(now); {
	case r.entry.Digest != c.Digest:
		return r.show(dedupe.Conflict), nil
	case s == dedupe.Running, s == dedupe.Waiting, s == dedupe.Done, s == dedupe.Unknown && !c.Resend:
		return r.show(s), nil
	}
	if c.Payload != nil {
		r.queue(l.next(), c.Payload)
		return r.show(dedupe.Waiting), nil
	}
	return l.hold(r, now), nil
}

// Start implements [dedupe.Ledger].
func (l *Ledger) Start(ctx context.Context, e dedupe.Entry, record []byte) error {
	return l.change(ctx, step{name: "start"}, e, func(r *row, now time.Time) {
		r.started = true
		r.lapses = l.after(now, l.o.Lease)
		r.keep(dedupe.Unknown, record, l.after(now, l.o.Window))
	})
}

// Note implements [dedupe.Ledger].
func (l *Ledger) Note(ctx context.Context, e dedupe.Entry, record []byte) error {
	return l.change(ctx, step{name: "note"}, e, func(r *row, now time.Time) {
		r.started = false
		r.lapses = l.after(now, l.o.Lease)
		r.keep(r.free(), record, l.after(now, l.o.Window))
	})
}

// Finish implements [dedupe.Ledger].
func (l *Ledger) Finish(ctx context.Context, e dedupe.Entry, s dedupe.Status, record []byte) error {
	if s != dedupe.Done && s != dedupe.Unknown && s != dedupe.Failed {
		return fmt.Errorf("finish as %v: %w", s, dedupe.ErrUnavailable)
	}
	return l.change(ctx, step{name: "finish", late: true}, e, func(r *row, now time.Time) {
		r.drop()
		r.entry.Payload = nil
		r.keep(s, record, l.after(now, l.o.Window))
	})
}

// Release implements [dedupe.Ledger].
func (l *Ledger) Release(ctx context.Context, e dedupe.Entry, record []byte) error {
	return l.change(ctx, step{name: "release"}, e, func(r *row, now time.Time) {
		r.drop()
		if record == nil && r.entry.Payload == nil {
			delete(l.rows, name{e.Owner, e.Key})
			return
		}
		r.keep(r.free(), record, l.after(now, l.o.Window))
	})
}

// Take implements [dedupe.Mailbox].
func (l *Ledger) Take(ctx context.Context, limit int) ([]dedupe.Entry, error) {
	now, done, err := l.enter(ctx, "take")
	if err != nil {
		return nil, err
	}
	defer done()
	busy := map[string]bool{}
	var waiting []*row
	for _, r := range l.rows {
		switch s := r.status(now); {
		case s == dedupe.Waiting:
			waiting = append(waiting, r)
		case s == dedupe.Running && r.entry.Payload != nil:
			busy[r.entry.Lane] = true
		}
	}
	slices.SortFunc(waiting, func(a, b *row) int { return cmp.Compare(a.entry.Seq, b.entry.Seq) })
	var es []dedupe.Entry
	for _, r := range waiting {
		if len(es) < limit && !busy[r.entry.Lane] {
			busy[r.entry.Lane] = true
			es = append(es, l.hold(r, now))
		}
	}
	return es, nil
}

// Find implements [dedupe.Mailbox].
func (l *Ledger) Find(ctx context.Context, owner, id string) (dedupe.Entry, error) {
	now, done, err := l.enter(ctx, "find message")
	if err != nil {
		return dedupe.Entry{}, err
	}
	defer done()
	for n, r := range l.rows {
		if n.owner != owner || r.entry.ID != id {
			continue
		}
		if r = l.look(n, now); r != nil {
			return r.show(r.status(now)), nil
		}
	}
	return dedupe.Entry{}, fmt.Errorf("find message: %w", dedupe.ErrNotFound)
}

// Renew implements [dedupe.Mailbox].
func (l *Ledger) Renew(ctx context.Context, es []dedupe.Entry) ([]dedupe.Entry, error) {
	now, done, err := l.enter(ctx, "renew claims")
	if err != nil {
		return nil, err
	}
	defer done()
	var held []dedupe.Entry
	for _, e := range es {
		r := l.rows[name{e.Owner, e.Key}]
		if r != nil && e.Token != 0 && r.token == e.Token && !r.lapsed(now) {
			r.lapses = l.after(now, l.o.Lease)
			held = append(held, e)
		}
	}
	return held, nil
}

// Waiting implements [dedupe.Mailbox].
func (l *Ledger) Waiting(ctx context.Context) (int, error) {
	now, done, err := l.enter(ctx, "count waiting")
	if err != nil {
		return 0, err
	}
	defer done()
	n := 0
	for _, r := range l.rows {
		if r.status(now) == dedupe.Waiting {
			n++
		}
	}
	return n, nil
}

// Abandon implements [dedupe.Mailbox].
func (l *Ledger) Abandon(e dedupe.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := name{e.Owner, e.Key}
	r := l.rows[n]
	if r == nil || e.Token == 0 || r.token != e.Token {
		return
	}
	if r.drop(); r.entry.Status == 0 {
		delete(l.rows, n)
	}
}

// Sweep implements [dedupe.Store].
func (l *Ledger) Sweep(ctx context.Context) error {
	now, done, err := l.enter(ctx, "sweep")
	if err != nil {
		return err
	}
	defer done()
	for _, n := range slices.Collect(maps.Keys(l.rows)) {
		l.look(n, now)
	}
	return nil
}

// Close implements [dedupe.Store].
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}

// enter locks the ledger, and says what time it is and how to leave.
func (l *Ledger) enter(ctx context.Context, what string) (now time.Time, leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return now, nil, fmt.Errorf("%s: %w: %w", what, dedupe.ErrUnavailable, err)
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return now, nil, fmt.Errorf("%s: %w: %w", what, dedupe.ErrUnavailable, errClosed)
	}
	return l.o.Now(), l.mu.Unlock, nil
}

var errClosed = errors.New("closed")

// step is one of the four that a holder takes.
type step struct {
	name string
	late bool // still good when a started row has lapsed: what is known is worth keeping
}

// change lets f change the row that e holds.
func (l *Ledger) change(ctx context.Context, s step, e dedupe.Entry, f func(r *row, now time.Time)) error {
	now, done, err := l.enter(ctx, s.name)
	if err != nil {
		return err
	}
	defer done()
	r := l.rows[name{e.Owner, e.Key}]
	switch {
	case r == nil || e.Token == 0 || r.token != e.Token:
	case r.lapsed(now) && (!r.started || !s.late):
	default:
		f(r, now)
		return nil
	}
	return fmt.Errorf("%s: %w", s.name, dedupe.ErrLost)
}

// look returns the row, or nil, and forgets it if it is over: its window ended, or the only claim of a new key lapsed.
func (l *Ledger) look(n name, now time.Time) *row {
	r := l.rows[n]
	if r == nil {
		return nil
	}
	if s := r.status(now); s == 0 || s != dedupe.Running && !r.over.IsZero() && !now.Before(r.over) {
		delete(l.rows, n)
		return nil
	}
	return r
}

// hold gives the row to the caller.
func (l *Ledger) hold(r *row, now time.Time) dedupe.Entry {
	r.token, r.started, r.lapses = l.next(), false, l.after(now, l.o.Lease)
	e := r.show(dedupe.Claimed)
	e.Token = r.token
	return e
}

func (l *Ledger) next() uint64 {
	l.serial++
	return l.serial
}

func (l *Ledger) after(now time.Time, d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return now.Add(d)
}

// status is where the row stands: Running while it is held; 0 for a row that only its lapsed holder wanted.
func (r *row) status(now time.Time) dedupe.Status {
	if r.token != 0 && !r.lapsed(now) {
		return dedupe.Running
	}
	return r.entry.Status
}

func (r *row) lapsed(now time.Time) bool { return !r.lapses.IsZero() && !now.Before(r.lapses) }

// free is the status of a row that is given back.
func (r *row) free() dedupe.Status {
	if r.entry.Payload != nil {
		return dedupe.Waiting
	}
	return dedupe.Failed
}

// queue makes the row a background send.
func (r *row) queue(seq uint64, payload []byte) {
	r.drop()
	r.entry.Status, r.entry.Seq, r.over = dedupe.Waiting, seq, time.Time{}
	r.entry.Payload = append([]byte{}, payload...)
}

// keep stores what is true of the row without its holder.
func (r *row) keep(s dedupe.Status, record []byte, over time.Time) {
	r.entry.Status, r.entry.Record, r.over = s, bytes.Clone(record), over
	if s == dedupe.Waiting {
		r.over = time.Time{}
	}
}

func (r *row) drop() { r.token, r.started, r.lapses = 0, false, time.Time{} }

// show is a copy for the caller.
func (r *row) show(s dedupe.Status) dedupe.Entry {
	e := r.entry
	e.Status, e.Record, e.Payload = s, bytes.Clone(e.Record), bytes.Clone(e.Payload)
	return e
}
