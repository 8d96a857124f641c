package sqlitededupe

import (
	"context"
	"time"

	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// sweepStep bounds what one snapshot, and one transaction, looks at.
const sweepStep = 500

const (
	rowsAfter  = `SELECT seq, accepted, over FROM sends WHERE seq > ? ORDER BY seq LIMIT ?`
	deleteOver = `DELETE FROM sends WHERE seq = ? AND over > 0 AND over <= ?`
)

// Sweep implements [dedupe.Store]. Rows stand in the order in which they were made, and none is over before it is a
// window old, so it begins with the oldest and ends at the first that is younger than that. A row that is held may go
// too: its holder's next write makes it anew.
func (l *Ledger) Sweep(ctx context.Context) error {
	if l.o.Window == 0 {
		return nil
	}
	now, err := l.enter(ctx)
	for after, more := int64(0), true; more && err == nil; {
		var over []int64
		after, over, err = l.overAfter(ctx, after, now)
		more = after != 0
		if err == nil && len(over) > 0 {
			err = l.forget(ctx, over, now)
		}
	}
	if err == nil {
		err = l.saveClock(ctx)
	}
	if err != nil {
		return fail("sweep", err)
	}
	return nil
}

// overAfter looks at the next rows, and returns those that are over and where to go on; 0: nowhere.
func (l *Ledger) overAfter(ctx context.Context, after int64, now time.Time) (last int64, over []int64, err error) {
	young := now.Add(-l.o.Window).UnixNano()
	seen := 0
	err = l.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		return tx.Each(rowsAfter, func(r sqlitefile.Row) error {
			if r.Int(1) > young {
				return nil
			}
			seen++
			last = r.Int(0)
			if end := r.Int(2); end > 0 && end <= now.UnixNano() {
				over = append(over, last)
			}
			return nil
		}, after, sweepStep)
	})
	if seen < sweepStep {
		last = 0
	}
	return last, over, err
}

// forget removes the rows, unless they were changed meanwhile.
func (l *Ledger) forget(ctx context.Context, seqs []int64, now time.Time) error {
	return l.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{
		Do: func(tx *sqlitefile.Tx) error {
			for _, seq := range seqs {
				if _, err := tx.Exec(deleteOver, seq, now.UnixNano()); err != nil {
					return err
				}
			}
			return nil
		},
		Bytes: 8 * len(seqs),
	})
}
