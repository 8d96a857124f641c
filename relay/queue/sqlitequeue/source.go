package sqlitequeue

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/lanes"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// Take implements queue.Source.
func (q *Queue) Take(ctx context.Context, w queue.Want) (queue.Taken, error) {
	if err := q.check(ctx); err != nil {
		return queue.Taken{}, err
	}
	q.mu.Lock()
	now, wall := q.clock.Instant()
	grants, next := q.set.Take(now, w)
	records := make([]*record.Record, len(grants))
	missing := 0
	for i, g := range grants {
		if records[i] = q.cache.records[g.Seq]; records[i] == nil {
			missing++
		} else {
			q.held[g.Seq] = records[i]
		}
	}
	q.mu.Unlock()
	if missing > 0 {
		if err := q.load(ctx, grants, records); err != nil {
			q.giveBack(grants)
			return queue.Taken{}, explain("take job", err)
		}
	}
	taken := queue.Taken{Next: next, Leases: make([]queue.Lease, 0, len(grants))}
	for i, g := range grants {
		l := queue.Lease{Token: g.Token, Taken: wall, Expires: wall.Add(g.Expires.Sub(now)), Troubled: g.Troubled}
		l.Job = records[i].Job(q.clock)
		l.Job.Leased = true
		if !records[i].Intact() {
			if err := q.Settle(ctx, l, queue.Verdict{Action: queue.Bury, Reason: record.Corrupt}); err != nil {
				// Its lease lapses: given back at once, the next Take would meet it at once.
				q.log.Warn("corrupt job not buried yet", zap.String("event", l.Job.ID), zap.Error(err))
			}
			continue
		}
		taken.Leases = append(taken.Leases, l)
	}
	return taken, nil
}

// load reads the records that are not in memory.
func (q *Queue) load(ctx context.Context, grants []lanes.Grant, records []*record.Record) error {
	err := q.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		for i, g := range grants {
			if records[i] != nil {
				continue
			}
			if _, err := tx.One(selectBySeq, func(r sqlitefile.Row) error {
				records[i] = readRecord(r)
				return nil
			}, g.Seq); err != nil {
				return err
			}
			if records[i] == nil { // a row that is gone can only be buried
				records[i] = &record.Record{Seq: g.Seq, Lane: g.Lane, State: queue.Queued, Sum: ^record.Sum(nil)}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, g := range grants {
		q.held[g.Seq] = records[i]
	}
	return nil
}

func (q *Queue) giveBack(grants []lanes.Grant) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, g := range grants {
		q.set.Release(g.Lane, g.Seq, g.Token)
	}
}

// Wake implements queue.Source.
func (q *Queue) Wake(agent string) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.set.Wake(agent)
}

// Renew implements queue.Source.
func (q *Queue) Renew(ctx context.Context, ls []queue.Lease) ([]queue.Lease, error) {
	if err := q.check(ctx); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now, wall := q.clock.Instant()
	return q.set.Renew(ls, now, wall), nil
}

// Rouse implements queue.Source. It is not stored: after a restart a head is due as it was last settled.
func (q *Queue) Rouse(ctx context.Context, agent string) error {
	if err := q.check(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.set.Rouse(agent, q.clock.Now())
	return nil
}

// Settle implements queue.Source.
func (q *Queue) Settle(ctx context.Context, l queue.Lease, v queue.Verdict) error {
	if err := q.check(ctx); err != nil {
		return err
	}
	op, err := q.beginSettle(l, v)
	if err != nil {
		return err
	}
	c, err := q.file.Submit(ctx, sqlitefile.Settle, op)
	if err != nil {
		op.Aborted(err)
		return explain("settle job", err)
	}
	if err := c.Wait(ctx); err != nil {
		return explain("settle job", err)
	}
	return nil
}

func (q *Queue) beginSettle(l queue.Lease, v queue.Verdict) (*settleOp, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	was := q.held[l.Job.Seq]
	if was == nil {
		return nil, fmt.Errorf("settle job: %w", queue.ErrLeaseLost)
	}
	p := q.set.Settle(was.Lane, was.Seq, l.Token, v.Action == queue.Ack)
	if p == nil {
		return nil, fmt.Errorf("settle job: %w", queue.ErrLeaseLost)
	}
	op := &settleOp{q: q, pending: p, record: *was}
	op.record.Settle(v, q.clock.Now())
	op.entry = moved(&op.record, was.State, op.record.State)
	return op, nil
}

// settleOp makes one transition durable.
type settleOp struct {
	q       *Queue
	pending *lanes.Pending
	record  record.Record
	entry   entry
}

var (
	_ sqlitefile.Op      = (*settleOp)(nil)
	_ sqlitefile.Aborter = (*settleOp)(nil)
)

// Size implements sqlitefile.Op.
func (o *settleOp) Size() int { return 0 }

// Exec implements sqlitefile.Op.
func (o *settleOp) Exec(tx *sqlitefile.Tx) error {
	o.q.books.note(o.entry)
	return o.q.pile.write(tx, &o.record)
}

// Committed implements sqlitefile.Op.
func (o *settleOp) Committed() {
	q, r := o.q, &o.record
	q.books.apply(o.entry)
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.held, r.Seq)
	if r.State == queue.Queued || r.State == queue.Parked {
		q.cache.replace(r)
	} else {
		q.cache.remove(r.Seq)
	}
	q.set.Done(o.pending, r.State, lanes.Waiting{Seq: r.Seq, Due: r.Due, NotBefore: r.NotBefore})
}

// Aborted implements sqlitefile.Aborter.
func (o *settleOp) Aborted(error) {
	q := o.q
	q.mu.Lock()
	defer q.mu.Unlock()
	q.set.Undo(o.pending, q.clock.Now())
}
