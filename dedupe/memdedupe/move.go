package memdedupe

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/imrelay/imrelay/dedupe"
)

// What a piece of an export has at most: so many rows, and no further one once it has so many bytes.
const (
	pieceRows  = 200
	pieceBytes = 1 << 20
)

var (
	_ dedupe.Exporter = (*Ledger)(nil)
	_ dedupe.Importer = (*Ledger)(nil)
)

// Export implements [dedupe.Exporter]. A row that is held comes as it would be if its holder were lost.
func (l *Ledger) Export(ctx context.Context, yield func([]dedupe.Stored) error) error {
	rows, err := l.stored(ctx)
	if err != nil {
		return err
	}
	for len(rows) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := 0
		for size := 0; n < min(len(rows), pieceRows) && size < pieceBytes; n++ {
			size += len(rows[n].Record) + len(rows[n].Payload)
		}
		if err := yield(rows[:n:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// stored is all rows that are not over.
func (l *Ledger) stored(ctx context.Context) ([]dedupe.Stored, error) {
	now, done, err := l.enter(ctx, "export ledger")
	if err != nil {
		return nil, err
	}
	defer done()
	var rows []dedupe.Stored
	for _, r := range l.rows {
		if r.entry.Status == 0 || !r.over.IsZero() && !now.Before(r.over) {
			continue
		}
		s := dedupe.Stored{Entry: r.show(r.entry.Status), Over: r.over}
		if s.Status != dedupe.Waiting {
			s.Payload = nil
		}
		rows = append(rows, s)
	}
	slices.SortFunc(rows, func(a, b dedupe.Stored) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Key, b.Key))
	})
	return rows, nil
}

// Import implements [dedupe.Importer].
func (l *Ledger) Import(ctx context.Context, rows []dedupe.Stored) error {
	_, done, err := l.enter(ctx, "import ledger")
	if err != nil {
		return err
	}
	defer done()
	for _, s := range rows {
		n := name{s.Owner, s.Key}
		if l.rows[n] != nil {
			continue
		}
		r := &row{entry: s.Entry, over: s.Over}
		r.entry.Token, r.entry.Seq = 0, l.next()
		r.entry.Record, r.entry.Payload = bytes.Clone(s.Record), bytes.Clone(s.Payload)
		l.rows[n] = r
	}
	return nil
}
