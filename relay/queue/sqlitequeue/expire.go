package sqlitequeue

import (
	"context"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/lanes"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// expireStep bounds the jobs of one op of Expire.
const expireStep = 200

// Expire implements queue.Expirer.
func (q *Queue) Expire(ctx context.Context, agent string, age time.Duration, reason string) (int, error) {
	if err := q.check(ctx); err != nil {
		return 0, err
	}
	end := q.clock.Now().Add(-age)
	top, err := q.newest(ctx, end)
	if err != nil {
		return 0, explain("expire jobs", err)
	}
	n := 0
	for skip := map[uint64]bool{}; top > 0; {
		if err := q.check(ctx); err != nil {
			return n, err
		}
		op := &expireOp{q: q, end: end, reason: reason, dead: map[uint64]bool{}}
		q.mu.Lock()
		op.burial = q.set.Bury(lanes.Aged{Agent: agent, Top: top, Max: expireStep, Skip: skip}, q.clock.Now())
		q.mu.Unlock()
		if len(op.burial.Seqs) == 0 {
			break
		}
		if err := q.expire(ctx, op); err != nil {
			return n, explain("expire jobs", err)
		}
		n += len(op.dead)
		for _, seq := range op.burial.Seqs {
			if !op.dead[seq] {
				skip[seq] = true
			}
		}
	}
	return n, nil
}

// newest returns the newest job accepted at or before end; 0: none. Seqs are in the order of acceptance.
func (q *Queue) newest(ctx context.Context, end clock.Time) (uint64, error) {
	low := uint64(0) // at or below it: accepted before
	err := q.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		high := uint64(1)
		_, err := tx.One(`SELECT max(seq) + 1 FROM jobs`, func(r sqlitefile.Row) error {
			high = max(1, r.Uint(0))
			return nil
		})
		for err == nil && high-low > 1 {
			mid := low + (high-low)/2
			_, err = tx.One(`SELECT seq, accepted FROM jobs WHERE seq >= ? ORDER BY seq LIMIT 1`, func(r sqlitefile.Row) error {
				if clock.Time(r.Int(1)) > end {
					high = mid
				} else {
					low = max(mid, r.Uint(0))
				}
				return nil
			}, mid)
		}
		return err
	})
	return low, err
}

// expire makes one burial durable.
func (q *Queue) expire(ctx context.Context, op *expireOp) error {
	if err := op.look(ctx); err != nil || len(op.records) == 0 {
		op.Aborted(err)
		return err
	}
	c, err := q.file.Submit(ctx, sqlitefile.Settle, op)
	if err != nil {
		op.Aborted(err)
		return err
	}
	return c.Wait(ctx)
}

// expireOp buries jobs whose lanes are held for it.
type expireOp struct {
	q       *Queue
	burial  *lanes.Burial
	end     clock.Time
	reason  string
	records []*record.Record
	entries []entry
	dead    map[uint64]bool
}

var (
	_ sqlitefile.Op      = (*expireOp)(nil)
	_ sqlitefile.Aborter = (*expireOp)(nil)
)

// look reads the jobs and leaves those out that are not old: they were revived.
func (o *expireOp) look(ctx context.Context) error {
	return o.q.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		for _, seq := range o.burial.Seqs {
			if _, err := tx.One(`SELECT `+recordColumns+fromJobs+` WHERE j.seq = ?`, func(r sqlitefile.Row) error {
				if rec := readRecord(r); rec.Since <= o.end {
					o.records = append(o.records, rec)
				}
				return nil
			}, seq); err != nil {
				return err
			}
		}
		return nil
	})
}

// Size implements sqlitefile.Op.
func (o *expireOp) Size() int { return 0 }

// Exec implements sqlitefile.Op. A job that was dropped meanwhile is passed over.
func (o *expireOp) Exec(tx *sqlitefile.Tx) error {
	o.entries = o.entries[:0]
	clear(o.dead)
	now := o.q.clock.Now()
	for _, was := range o.records {
		rec := *was
		rec.Expire(o.reason, now)
		n, err := tx.Exec(`UPDATE jobs SET state = ?, due = 0, not_before = 0, updated = ?, last_error = ?
	WHERE seq = ? AND state IN (1, 2)`, uint8(rec.State), int64(rec.Updated), rec.LastError, rec.Seq)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		e := moved(&rec, was.State, queue.Dead)
		o.q.books.note(e)
		o.entries = append(o.entries, e)
		o.dead[rec.Seq] = true
	}
	return nil
}

// Committed implements sqlitefile.Op.
func (o *expireOp) Committed() {
	for _, e := range o.entries {
		o.q.books.apply(e)
	}
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	for seq := range o.dead {
		o.q.cache.remove(seq)
		delete(o.q.held, seq)
	}
	o.q.set.Buried(o.burial, o.dead)
}

// Aborted implements sqlitefile.Aborter.
func (o *expireOp) Aborted(error) {
	clear(o.dead)
	o.q.mu.Lock()
	defer o.q.mu.Unlock()
	o.q.set.Buried(o.burial, nil)
}
