package sqlitededupe

import (
	"bytes"
	"context"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// write is one change of a held row.
type write struct {
	ledger *Ledger
	hold   *hold
	next   dedupe.Entry // the row afterwards; Status 0: it is removed; Seq 0: it gets a new place
	over   int64
	idle   bool   // nothing changes on disk
	then   func() // what changes in memory; l.mu is locked
}

var _ sqlitefile.Op = (*write)(nil)

// keep makes the row one of the status, with the record, until the window is over.
func (w *write) keep(s dedupe.Status, record []byte, now time.Time) {
	w.next.Status, w.next.Record = s, bytes.Clone(record)
	if s != dedupe.Waiting && w.ledger.o.Window != 0 {
		w.over = now.Add(w.ledger.o.Window).UnixNano()
	}
}

// commit returns when the change is durable. The context can stop it only before it is submitted.
func (l *Ledger) commit(ctx context.Context, k sqlitefile.Kind, w *write) error {
	if w.idle {
		w.Committed()
		return nil
	}
	c, err := l.file.Submit(ctx, k, w)
	if err == nil {
		err = c.Wait(context.WithoutCancel(ctx))
	}
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		w.hold.busy = false
	}
	return err
}

// Size implements [sqlitefile.Op].
func (w *write) Size() int {
	e := &w.next
	return 128 + len(e.Owner) + len(e.Key) + len(e.ID) + len(e.Lane) + len(e.Record) + len(e.Payload)
}

// Exec implements [sqlitefile.Op].
func (w *write) Exec(tx *sqlitefile.Tx) error {
	if err := w.store(tx); err != nil {
		return err
	}
	return w.ledger.clock.save(tx)
}

// store makes the change. The hold is busy, so nobody else changes it meanwhile.
func (w *write) store(tx *sqlitefile.Tx) error {
	was := &w.hold.entry
	switch {
	case w.next.Status == 0:
		return remove(tx, was.Seq)
	case was.Status != 0 && w.next.Seq == was.Seq:
		query := updateRow
		if w.hold.fat && w.next.Payload == nil {
			query = slimRow
		}
		n, err := tx.Exec(query, w.next.Status.String(), w.over, w.next.Record, w.next.Seq)
		if err != nil || n != 0 {
			return err
		}
		return w.insert(tx) // it was swept, since its window ended after the claim
	}
	for _, seq := range []uint64{was.Seq, uint64(w.hold.stale)} { //nolint:gosec // never negative
		if err := remove(tx, seq); err != nil {
			return err
		}
	}
	return w.insert(tx)
}

func remove(tx *sqlitefile.Tx, seq uint64) error {
	if seq == 0 {
		return nil
	}
	_, err := tx.Exec(deleteRow, seq)
	return err
}

// insert gives the row the next place. A number that a rolled back batch used is never used again.
func (w *write) insert(tx *sqlitefile.Tx) error {
	e := &w.next
	e.Seq = uint64(w.ledger.seq.Add(1)) //nolint:gosec // never negative
	_, err := tx.Exec(insertRow, e.Seq, w.hold.hash, e.Owner, e.Key, e.ID, e.Lane, e.Digest[:], e.Status.String(),
		e.Accepted.UnixNano(), w.over, e.Record, e.Payload)
	return err
}

// Committed implements [sqlitefile.Op].
func (w *write) Committed() {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	h := w.hold
	h.entry, h.stale, h.fat, h.busy = w.next, 0, w.next.Payload != nil, false
	w.ledger.changes[uint8(h.hash)]++ //nolint:gosec // the low bits
	w.then()
}
