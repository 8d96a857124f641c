// Package sqlitededupe is the send ledger in the embedded store's file. The file, its lock and its writer belong to
// whoever opened the [sqlitefile.File].
//
// # What is on disk
//
// The table sends has what is true of each key when nobody holds it; who holds it is known in memory only, since only
// one process can have the file open. So nothing has to be put right after a crash, and what was held is by itself what
// the states of package dedupe want it to be:
//
//	            on disk                          when the process is lost
//	Claim       nothing, or what was there       free, or what it was before
//	Take        waiting                          waiting, in its old place
//	Start       unknown                          unknown
//	Note        failed, or waiting               claimable with its record, or waiting
//	Finish      done, unknown or failed          the same
//	Release     nothing, failed or waiting       the same
//
// A send with a new key is therefore two commits, Start and Finish. A claim writes nothing, and that of a new key hardly
// ever reads; a replay is one read. Of the background sends that wait memory has only numbers, lane by lane; the messages
// are read when they are taken.
//
// The table ledger_clock has where the rows' clock was, so that setting the system's clock ends no window early.
package sqlitededupe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// Options are the ledger's settings.
type Options struct {
	// Window is how long a finished row is kept. 0: for good.
	Window time.Duration
	// Lease is how long a claim lasts unless it is renewed. 0: until its holder ends it or the process does, which is
	// what a store with one process wants.
	Lease time.Duration
	// Clock is read for the time; nil: the system's. For tests.
	Clock Clock
	// Log gets a line for a row that cannot be read; nil: none.
	Log *zap.Logger
}

// Ledger is the ledger in one file. All methods are safe for concurrent use. A change that was submitted is waited for
// even when the context ends, which takes one sync of the disk: a row must not be held by a caller who has gone.
type Ledger struct {
	file  *sqlitefile.File
	o     Options
	clock *ledgerClock
	seq   atomic.Int64 // the last number given to a row

	mu      sync.Mutex
	held    map[name]*hold
	ids     map[string]*hold
	waiting backlog
	known   filter
	changes [256]uint64 // how often a row of these keys was changed on disk
	serial  uint64      // the last token
	closed  bool
}

var _ dedupe.Store = (*Ledger)(nil)

// New makes the tables if they are missing and finds what waits. Closing the ledger leaves the file open.
func New(ctx context.Context, file *sqlitefile.File, o Options) (*Ledger, error) {
	if o.Clock == nil {
		o.Clock = systemClock()
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	l := &Ledger{
		file: file, o: o, held: map[name]*hold{}, ids: map[string]*hold{}, known: newFilter(),
		serial: uint64(time.Now().UnixNano()),
	}
	if err := file.Migrate(ctx, schema); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := file.Read(ctx, l.load); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

// Claim implements [dedupe.Ledger].
func (l *Ledger) Claim(ctx context.Context, c dedupe.Claim) (dedupe.Entry, error) {
	n := name{c.Owner, c.Key}
	now, err := l.enter(ctx)
	if err != nil {
		return dedupe.Entry{}, fail("claim key", err)
	}
	found, err := l.look(ctx, n, now)
	if err != nil {
		return dedupe.Entry{}, fail("claim key", err)
	}
	e, h := l.decide(found, c, now)
	l.mu.Unlock()
	if h == nil || c.Payload == nil {
		return e, nil
	}
	return l.enqueue(ctx, h, c.Payload)
}

// decide answers a claim of what look found, and makes the hold if there is to be one. l.mu is locked.
func (l *Ledger) decide(f found, c dedupe.Claim, now time.Time) (dedupe.Entry, *hold) {
	h := &hold{entry: f.entry, hash: f.hash, fat: f.fat}
	if f.entry.Status == 0 {
		h.stale = f.stale
		h.entry = dedupe.Entry{
			Owner: c.Owner, Key: c.Key, ID: c.ID, Lane: c.Lane, Digest: c.Digest, Accepted: now,
		}
	}
	switch s := f.entry.Status; {
	case h.entry.Digest != c.Digest:
		return show(f.entry, dedupe.Conflict), nil
	case s == dedupe.Running, s == dedupe.Waiting, s == dedupe.Done, s == dedupe.Unknown && !c.Resend:
		return show(f.entry, s), nil
	}
	h.entry.Payload = nil
	h.busy = c.Payload != nil
	l.hold(h, now)
	return h.claimed(), h
}

// enqueue stores a background send and lets go of it. A row that was there before gets a new place.
func (l *Ledger) enqueue(ctx context.Context, h *hold, payload []byte) (dedupe.Entry, error) {
	w := &write{ledger: l, hold: h, next: h.entry}
	w.next.Status, w.next.Seq = dedupe.Waiting, 0
	w.next.Payload = append([]byte{}, payload...)
	w.then = func() {
		l.drop(h)
		l.waiting.add(h.entry.Lane, h.entry.Seq)
	}
	if err := l.commit(ctx, sqlitefile.Accept, w); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drop(h)
		return dedupe.Entry{}, fail("queue message", err)
	}
	return show(h.entry, dedupe.Waiting), nil
}

// Start implements [dedupe.Ledger].
func (l *Ledger) Start(ctx context.Context, e dedupe.Entry, record []byte) error {
	return l.change(ctx, step{name: "start"}, e, func(w *write, now time.Time) {
		w.keep(dedupe.Unknown, record, now)
		w.then = func() { w.hold.started, w.hold.lapses = true, l.lapse(now) }
	})
}

// Note implements [dedupe.Ledger].
func (l *Ledger) Note(ctx context.Context, e dedupe.Entry, record []byte) error {
	return l.change(ctx, step{name: "note"}, e, func(w *write, now time.Time) {
		w.keep(w.hold.given(), record, now)
		w.then = func() { w.hold.started, w.hold.lapses = false, l.lapse(now) }
	})
}

// Finish implements [dedupe.Ledger].
func (l *Ledger) Finish(ctx context.Context, e dedupe.Entry, s dedupe.Status, record []byte) error {
	if s != dedupe.Done && s != dedupe.Unknown && s != dedupe.Failed {
		return fail("finish", fmt.Errorf("%v is no end", s))
	}
	return l.change(ctx, step{name: "finish", late: true}, e, func(w *write, now time.Time) {
		w.keep(s, record, now)
		w.next.Payload = nil
		w.then = func() { l.drop(w.hold) }
	})
}

// Release implements [dedupe.Ledger].
func (l *Ledger) Release(ctx context.Context, e dedupe.Entry, record []byte) error {
	return l.change(ctx, step{name: "release"}, e, func(w *write, now time.Time) {
		w.keep(w.hold.given(), record, now)
		if record == nil && !w.hold.taken {
			w.next.Status = 0
		}
		w.idle = record == nil && w.hold.entry.Record == nil && w.next.Status == w.hold.entry.Status
		w.then = func() { l.putBack(w.hold) }
	})
}

// Close implements [dedupe.Store]. The file stays open.
func (l *Ledger) Close() error {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	if was {
		return nil
	}
	// A file that takes nothing now has the place of a moment ago, which makes a row live longer by that moment.
	if err := l.saveClock(context.Background()); err != nil {
		l.o.Log.Warn("the ledger's clock is not saved", zap.Error(err))
	}
	return nil
}

// saveClock keeps the clock's place although nothing else is written.
func (l *Ledger) saveClock(ctx context.Context) error {
	return l.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: l.clock.save})
}

// enter says what time it is, and refuses a call that cannot do anything.
func (l *Ledger) enter(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return time.Time{}, errClosed
	}
	now := l.clock.now()
	l.reap(now)
	return now, nil
}

var errClosed = errors.New("ledger closed")

// fail says what could not be done.
func fail(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, dedupe.ErrUnavailable, err)
}
