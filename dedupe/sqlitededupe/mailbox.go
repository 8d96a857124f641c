package sqlitededupe

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// spot is a row that was taken out of the backlog.
type spot struct {
	lane string
	seq  uint64
}

// Take implements [dedupe.Mailbox]. It writes nothing.
func (l *Ledger) Take(ctx context.Context, limit int) ([]dedupe.Entry, error) {
	if _, err := l.enter(ctx); err != nil {
		return nil, fail("take messages", err)
	}
	spots := l.pick(limit)
	if len(spots) == 0 {
		return nil, nil
	}
	rows := make([]found, len(spots))
	damaged := make([]error, len(spots))
	err := l.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		for i, s := range spots {
			if err := readSpot(tx, s, &rows[i], &damaged[i]); err != nil {
				return err
			}
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		for _, s := range spots {
			l.waiting.add(s.lane, s.seq)
			l.waiting.free(s.lane)
		}
		return nil, fail("take messages", err)
	}
	return l.takeOver(spots, rows, damaged), nil
}

// pick takes up to limit rows out of the backlog.
func (l *Ledger) pick(limit int) []spot {
	l.mu.Lock()
	defer l.mu.Unlock()
	var spots []spot
	for len(spots) < limit {
		lane, seq, ok := l.waiting.next()
		if !ok {
			break
		}
		spots = append(spots, spot{lane, seq})
	}
	return spots
}

// readSpot reads one row. That it is damaged is no failure of the reading.
func readSpot(tx *sqlitefile.Tx, s spot, f *found, damaged *error) error {
	ok, err := tx.One(rowOfSeq, func(r sqlitefile.Row) error {
		*f, *damaged = decode(r, name{r.Text(1), r.Text(2)}.hash())
		return nil
	}, s.seq)
	if !ok && err == nil {
		*damaged = errMissing
	}
	return err
}

var errMissing = errors.New("row is missing")

// takeOver makes the rows those of the caller. A row that cannot be read is left out: it would hold up its lane. l.mu is
// locked.
func (l *Ledger) takeOver(spots []spot, rows []found, damaged []error) []dedupe.Entry {
	now := l.clock.now()
	es := make([]dedupe.Entry, 0, len(spots))
	for i, f := range rows {
		if damaged[i] != nil {
			l.o.Log.Error("queued message is lost", zap.Uint64("seq", spots[i].seq), zap.Error(damaged[i]))
			l.waiting.free(spots[i].lane)
			continue
		}
		h := &hold{entry: f.entry, hash: f.hash, fat: true, taken: true}
		l.hold(h, now)
		es = append(es, h.claimed())
	}
	return es
}

// Find implements [dedupe.Mailbox].
func (l *Ledger) Find(ctx context.Context, owner, id string) (dedupe.Entry, error) {
	now, err := l.enter(ctx)
	if err != nil {
		return dedupe.Entry{}, fail("find message", err)
	}
	key, err := l.keyOf(ctx, owner, id)
	if err != nil {
		return dedupe.Entry{}, err
	}
	f, err := l.look(ctx, name{owner, key}, now)
	if err != nil {
		return dedupe.Entry{}, fail("find message", err)
	}
	l.mu.Unlock()
	if f.entry.ID != id {
		return dedupe.Entry{}, errNotFound()
	}
	return f.entry, nil
}

// keyOf returns the key under which the owner's message with the id is to be found, if it is the owner's at all, and if
// it is still that message.
func (l *Ledger) keyOf(ctx context.Context, owner, id string) (key string, err error) {
	key, ok := l.heldKey(id)
	if ok {
		return key, nil
	}
	err = l.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		ok, err = tx.One(keyOfID, func(r sqlitefile.Row) error {
			key = r.Text(0)
			return nil
		}, id, owner)
		return err
	})
	if err != nil {
		return "", fail("find message", err)
	}
	if !ok {
		return "", errNotFound()
	}
	return key, nil
}

func (l *Ledger) heldKey(id string) (key string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.ids[id]
	if h == nil {
		return "", false
	}
	return h.entry.Key, true
}

func errNotFound() error { return fmt.Errorf("find message: %w", dedupe.ErrNotFound) }

// Renew implements [dedupe.Mailbox].
func (l *Ledger) Renew(ctx context.Context, es []dedupe.Entry) ([]dedupe.Entry, error) {
	now, err := l.enter(ctx)
	if err != nil {
		return nil, fail("renew claims", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []dedupe.Entry
	for _, e := range es {
		h := l.held[name{e.Owner, e.Key}]
		if h != nil && e.Token != 0 && h.token == e.Token && !h.adrift {
			h.lapses = l.lapse(now)
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// Abandon implements [dedupe.Mailbox]. From now on the row is what is on disk.
func (l *Ledger) Abandon(e dedupe.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.held[name{e.Owner, e.Key}]
	switch {
	case h == nil || e.Token == 0 || h.token != e.Token || h.busy:
	case h.started:
		l.drop(h)
	default:
		l.putBack(h)
	}
}

// Waiting implements [dedupe.Mailbox].
func (l *Ledger) Waiting(ctx context.Context) (int, error) {
	if _, err := l.enter(ctx); err != nil {
		return 0, fail("count waiting", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.count, nil
}
