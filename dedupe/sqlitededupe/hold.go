package sqlitededupe

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// name is what a row is found by.
type name struct{ owner, key string }

// hold is a row in somebody's hands. Its fields are guarded by the ledger's mu, except turn.
type hold struct {
	// entry is the row as it is on disk; Status 0: it is not there. Payload is nil unless the hold was taken.
	entry dedupe.Entry
	hash  int64
	stale int64 // a row of the same key that is over, to be removed when this one is written; 0: none
	fat   bool  // the row on disk has a payload
	taken bool  // a background send, which holds its lane

	token   uint64
	started bool
	lapses  time.Time // zero: never
	busy    bool      // being written: neither lapses nor changes
	adrift  bool      // started and lapsed: Unknown to all but a late Finish

	turn sync.Mutex // one change at a time
}

// given is the status of the row once it is given back with a record.
func (h *hold) given() dedupe.Status {
	if h.taken {
		return dedupe.Waiting
	}
	return dedupe.Failed
}

func (h *hold) lapsed(now time.Time) bool {
	return !h.busy && !h.lapses.IsZero() && !now.Before(h.lapses)
}

// claimed is the entry for the holder.
func (h *hold) claimed() dedupe.Entry {
	e := show(h.entry, dedupe.Claimed)
	e.Token = h.token
	return e
}

// show is a copy for a caller, without the token.
func show(e dedupe.Entry, s dedupe.Status) dedupe.Entry {
	e.Status, e.Token = s, 0
	e.Record, e.Payload = bytes.Clone(e.Record), bytes.Clone(e.Payload)
	return e
}

// hold gives the row to a caller. l.mu is locked.
func (l *Ledger) hold(h *hold, now time.Time) {
	l.serial++
	h.token, h.lapses = l.serial, l.lapse(now)
	l.held[name{h.entry.Owner, h.entry.Key}] = h
	l.ids[h.entry.ID] = h
	l.known.add(h.hash)
}

// drop ends the hold; whatever is on disk is true now. l.mu is locked.
func (l *Ledger) drop(h *hold) {
	n := name{h.entry.Owner, h.entry.Key}
	if l.held[n] == h {
		delete(l.held, n)
	}
	if l.ids[h.entry.ID] == h {
		delete(l.ids, h.entry.ID)
	}
	if h.taken && !h.adrift {
		l.waiting.free(h.entry.Lane)
	}
}

// putBack ends the hold of a row that was not sent. l.mu is locked.
func (l *Ledger) putBack(h *hold) {
	if h.taken {
		l.waiting.add(h.entry.Lane, h.entry.Seq)
	}
	l.drop(h)
}

// lapse is when a claim of now ends.
func (l *Ledger) lapse(now time.Time) time.Time {
	if l.o.Lease == 0 {
		return time.Time{}
	}
	return now.Add(l.o.Lease)
}

// reap ends the holds that lapsed. Those of started rows stay for a late Finish, but hold up nothing. l.mu is locked.
func (l *Ledger) reap(now time.Time) {
	if l.o.Lease == 0 {
		return
	}
	for _, h := range l.held {
		switch {
		case !h.lapsed(now) || h.adrift:
		case !h.started:
			l.putBack(h)
		default:
			if h.taken {
				l.waiting.free(h.entry.Lane)
			}
			h.adrift = true
		}
	}
}

// step is one of the four that a holder takes.
type step struct {
	name string
	late bool // still good when a started row has lapsed: what is known is worth keeping
}

// change lets plan say what becomes of the row that e holds, and writes it.
func (l *Ledger) change(ctx context.Context, s step, e dedupe.Entry, plan func(w *write, now time.Time)) error {
	h, err := l.seize(ctx, s, e)
	if err != nil {
		return err
	}
	defer h.turn.Unlock()
	w := &write{ledger: l, hold: h, next: h.entry}
	plan(w, l.clock.now())
	kind := sqlitefile.Settle
	if h.entry.Status == 0 {
		kind = sqlitefile.Accept
	}
	if err := l.commit(ctx, kind, w); err != nil {
		return fail(s.name, err)
	}
	return nil
}

// seize finds the hold of the entry, waits for its turn, which the caller ends, and makes it busy.
func (l *Ledger) seize(ctx context.Context, s step, e dedupe.Entry) (*hold, error) {
	if _, err := l.enter(ctx); err != nil {
		return nil, fail(s.name, err)
	}
	n := name{e.Owner, e.Key}
	l.mu.Lock()
	h := l.held[n]
	l.mu.Unlock()
	if h == nil {
		return nil, fmt.Errorf("%s: %w", s.name, dedupe.ErrLost)
	}
	h.turn.Lock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[n] != h || e.Token == 0 || h.token != e.Token || h.lapsed(l.clock.now()) && (!h.started || !s.late) {
		h.turn.Unlock()
		return nil, fmt.Errorf("%s: %w", s.name, dedupe.ErrLost)
	}
	h.busy = true
	return h, nil
}
