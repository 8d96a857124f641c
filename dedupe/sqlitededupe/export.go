package sqlitededupe

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// What a piece of an export has at most: so many rows, and no further one once it has so many bytes.
const (
	pieceRows  = 200
	pieceBytes = 1 << 20
)

const nextRows = columns + `WHERE seq > ? ORDER BY seq LIMIT ?`

var _ dedupe.Exporter = (*Ledger)(nil)

// errFull ends the reading of a piece that has enough bytes.
var errFull = errors.New("piece is full")

// Export implements [dedupe.Exporter]: the rows as they are on disk, in which a row that is held stands as it would if
// its holder were lost. Each piece is a read of its own. A row that cannot be read is left out, with a line in the log.
func (l *Ledger) Export(ctx context.Context, yield func([]dedupe.Stored) error) error {
	for last := int64(0); ; {
		now, err := l.enter(ctx)
		if err != nil {
			return fail("export ledger", err)
		}
		rows, next, err := l.rowsAfter(ctx, last, now)
		if err != nil {
			return fail("export ledger", err)
		}
		if len(rows) > 0 {
			if err := yield(rows); err != nil {
				return err
			}
		}
		if next == last {
			return nil
		}
		last = next
	}
}

// rowsAfter reads a piece, and says what the last row was that it looked at.
func (l *Ledger) rowsAfter(ctx context.Context, after int64, now time.Time) (rows []dedupe.Stored, last int64, err error) {
	last = after
	err = l.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		size := 0
		err := tx.Each(nextRows, func(r sqlitefile.Row) error {
			last = r.Int(0)
			f, err := decode(r, 0)
			if err != nil {
				l.o.Log.Error("a row of the ledger is lost", zap.Error(err))
				return nil
			}
			if f = f.asOf(now); f.entry.Status == 0 {
				return nil
			}
			s := dedupe.Stored{Entry: f.entry}
			if f.over != 0 {
				s.Over = l.clock.wall(time.Unix(0, f.over))
			}
			rows = append(rows, s)
			if size += len(s.Record) + len(s.Payload); size >= pieceBytes {
				return errFull
			}
			return nil
		}, after, pieceRows)
		if errors.Is(err, errFull) {
			return nil
		}
		return err
	})
	return rows, last, err
}
