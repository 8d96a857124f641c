package sqlitequeue

import (
	"context"
	"slices"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/lanes"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// mendStep bounds the jobs of one op of Revive and Drop.
const mendStep = 100

// Revive implements queue.Mender. Many ids are several commits; on an error those before it stay done.
func (q *Queue) Revive(ctx context.Context, ids []string, gap time.Duration) (int, error) {
	n := 0
	for chunk := range slices.Chunk(ids, mendStep) {
		if err := q.check(ctx); err != nil {
			return n, err
		}
		op := &reviveOp{q: q, ids: chunk, gap: gap, first: n}
		if err := q.file.Do(ctx, sqlitefile.Settle, op); err != nil {
			return n, explain("revive job", err)
		}
		n += len(op.revived)
	}
	return n, nil
}

type reviveOp struct {
	q       *Queue
	ids     []string
	gap     time.Duration
	first   int
	revived []*record.Record
}

// Size implements sqlitefile.Op.
func (o *reviveOp) Size() int { return 0 }

// Exec implements sqlitefile.Op.
func (o *reviveOp) Exec(tx *sqlitefile.Tx) error {
	o.revived = o.revived[:0]
	now := o.q.clock.Now()
	for _, id := range o.ids {
		var rec *record.Record
		_, err := tx.One(`SELECT `+recordColumns+fromJobs+` WHERE j.id = ?`, func(r sqlitefile.Row) error {
			rec = readRecord(r)
			return nil
		}, id)
		if err != nil {
			return err
		}
		if rec == nil || rec.State != queue.Dead {
			continue
		}
		rec.Revive(now, time.Duration(o.first+len(o.revived))*o.gap)
		if err := writeRecord(tx, rec); err != nil {
			return err
		}
		o.q.books.note(moved(rec, queue.Dead, queue.Parked))
		o.revived = append(o.revived, rec)
	}
	return nil
}

// Committed implements sqlitefile.Op.
func (o *reviveOp) Committed() {
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	for _, r := range o.revived {
		o.q.books.apply(moved(r, queue.Dead, queue.Parked))
		o.q.set.AddParked(r.Lane, lanes.Waiting{Seq: r.Seq, Due: r.Due}, false)
	}
}

// Drop implements queue.Mender. Many ids are several commits; on an error those before it stay done.
func (q *Queue) Drop(ctx context.Context, ids []string) (int, error) {
	n := 0
	for chunk := range slices.Chunk(ids, mendStep) {
		if err := q.check(ctx); err != nil {
			return n, err
		}
		dropped, err := q.drop(ctx, chunk)
		if err != nil {
			return n, explain("drop job", err)
		}
		n += dropped
	}
	return n, nil
}

func (q *Queue) drop(ctx context.Context, ids []string) (int, error) {
	op := &dropOp{q: q}
	top := uint64(0)
	err := q.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		for _, id := range ids {
			_, err := tx.One(`SELECT `+recordColumns+fromJobs+` WHERE j.id = ?`, func(r sqlitefile.Row) error {
				op.found = append(op.found, readRecord(r))
				return nil
			}, id)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, r := range op.found {
		top = max(top, r.Seq)
	}
	if err := q.keepKeys(ctx, top); err != nil {
		return 0, err
	}
	q.mu.Lock()
	for _, r := range op.found {
		if w, ok := q.set.Withhold(r.Lane, r.Seq); ok {
			op.withheld = append(op.withheld, withheld{r, w})
		}
	}
	q.mu.Unlock()
	c, err := q.file.Submit(ctx, sqlitefile.Settle, op)
	if err != nil {
		op.Aborted(err)
		return 0, err
	}
	if err := c.Wait(ctx); err != nil {
		return 0, err
	}
	return op.dropped, nil
}

// keepKeys makes sure that the keys of the jobs up to a seq outlive their rows.
func (q *Queue) keepKeys(ctx context.Context, top uint64) error {
	merged := uint64(0)
	err := q.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: func(*sqlitefile.Tx) error {
		merged = q.seen.merged
		return nil
	}})
	if err != nil || top <= merged {
		return err
	}
	return q.seen.merge(ctx)
}

type withheld struct {
	record  *record.Record
	waiting lanes.Waiting
}

// dropOp removes dead jobs, and parked ones that were withheld from takers before.
type dropOp struct {
	q        *Queue
	found    []*record.Record
	withheld []withheld
	entries  []entry
	dropped  int
}

// Size implements sqlitefile.Op.
func (o *dropOp) Size() int { return 0 }

// Exec implements sqlitefile.Op.
func (o *dropOp) Exec(tx *sqlitefile.Tx) error {
	o.dropped, o.entries = 0, o.entries[:0]
	for _, r := range o.found {
		n, err := tx.Exec(`DELETE FROM jobs WHERE seq = ? AND state = 4`, r.Seq)
		if err != nil {
			return err
		}
		if n == 1 {
			e := moved(r, queue.Dead, 0)
			o.q.books.note(e)
			o.entries = append(o.entries, e)
		} else if n, err = o.dropParked(tx, r); err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if _, err := tx.Exec(`DELETE FROM bodies WHERE seq = ?`, r.Seq); err != nil {
			return err
		}
		o.dropped++
	}
	return nil
}

func (o *dropOp) dropParked(tx *sqlitefile.Tx, r *record.Record) (int64, error) {
	if !slices.ContainsFunc(o.withheld, func(w withheld) bool { return w.record == r }) {
		return 0, nil
	}
	return tx.Exec(`DELETE FROM jobs WHERE seq = ? AND state = 2`, r.Seq)
}

// Committed implements sqlitefile.Op.
func (o *dropOp) Committed() {
	for _, e := range o.entries {
		o.q.books.apply(e)
	}
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	for _, w := range o.withheld {
		o.q.cache.remove(w.record.Seq)
		delete(o.q.held, w.record.Seq)
	}
}

// Aborted implements sqlitefile.Aborter.
func (o *dropOp) Aborted(error) {
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	for _, w := range o.withheld {
		o.q.set.AddParked(w.record.Lane, w.waiting, w.record.Troubled())
	}
}
