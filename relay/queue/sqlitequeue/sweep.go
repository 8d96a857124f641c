package sqlitequeue

import (
	"context"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

const (
	// sweepStep bounds the rows that one op removes, so that no commit waits more than a few milliseconds for it.
	sweepStep = 200
	// sweepAgain is how long the broom trusts that it left nothing behind it.
	sweepAgain = clock.Time(60 * 60 * 1000)
)

// broom is where the sweeps are. Jobs are over about in the order of their seqs, so a sweep goes on where the last one
// ended; those that are over later than their neighbours are found by the round that starts every hour.
type broom struct {
	jobs, bodies uint64
	round        clock.Time
}

// Sweep implements queue.Queue. It returns when nothing is left to remove.
func (q *Queue) Sweep(ctx context.Context) error {
	q.sweeping.Lock()
	defer q.sweeping.Unlock()
	if now := q.clock.Now(); now-q.broom.round >= sweepAgain {
		q.broom = broom{round: now}
	}
	for _, step := range []func(context.Context) error{
		q.saveState, q.sweepDelivered, q.sweepBodies, q.sweepDead, q.sweepKeys, q.sweepPauses,
	} {
		if err := q.check(ctx); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return explain("sweep queue", err)
		}
	}
	return nil
}

// swept is a row to look at.
type swept struct {
	seq               uint64
	state             queue.State
	accepted, updated clock.Time
	entry             entry
	body              bool
}

const sweptColumns = `SELECT j.seq, j.state, j.accepted, coalesce(j.updated, j.accepted), j.size, l.agent,
	EXISTS (SELECT 1 FROM bodies b WHERE b.seq = j.seq) FROM jobs j `

const sweptLanes = `JOIN lanes l ON l.id = j.lane WHERE `

func (q *Queue) look(ctx context.Context, query string, args ...any) ([]swept, error) {
	var rows []swept
	err := q.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		return tx.Each(query, func(r sqlitefile.Row) error {
			s := swept{
				seq:      r.Uint(0),
				state:    queue.State(r.Int(1)), //nolint:gosec // 1 to 4
				accepted: clock.Time(r.Int(2)), updated: clock.Time(r.Int(3)), body: r.Int(6) != 0,
			}
			s.entry.agent = r.Text(5)
			if s.state == queue.Delivered && s.body {
				s.entry.tally.bytes = -r.Int(4)
			}
			rows = append(rows, s)
			return nil
		}, append(args, sweepStep)...)
	})
	return rows, err
}

// sweepDelivered removes delivered jobs that were kept long enough.
func (q *Queue) sweepDelivered(ctx context.Context) error {
	end := q.clock.Now() - clock.Time(q.keep.Delivered.Milliseconds())
	for {
		rows, err := q.look(ctx, sweptColumns+sweptLanes+`j.seq > ? ORDER BY j.seq LIMIT ?`, q.broom.jobs)
		if err != nil {
			return err
		}
		var over []swept
		last := len(rows) < sweepStep
		for _, r := range rows {
			if last = last || r.accepted > end; r.accepted > end {
				break
			}
			q.broom.jobs = r.seq
			if r.state == queue.Delivered && r.updated <= end {
				r.entry.tally.delivered = -1
				over = append(over, r)
			}
		}
		if err := q.remove(ctx, over); err != nil || last {
			return err
		}
	}
}

// sweepDead removes dead jobs that were kept long enough.
func (q *Queue) sweepDead(ctx context.Context) error {
	end := q.clock.Now() - clock.Time(q.keep.Dead.Milliseconds())
	for from := uint64(0); ; {
		rows, err := q.look(ctx, sweptColumns+`INDEXED BY jobs_aside `+sweptLanes+
			`j.state IN (2, 4) AND j.state = 4 AND j.seq > ? ORDER BY j.seq LIMIT ?`, from)
		if err != nil {
			return err
		}
		var over []swept
		for _, r := range rows {
			from = r.seq
			if r.updated <= end {
				r.entry.tally.dead = -1
				over = append(over, r)
			}
		}
		if err := q.remove(ctx, over); err != nil || len(rows) < sweepStep {
			return err
		}
	}
}

// remove deletes rows, their bodies and their place in the books, unless they changed since they were looked at.
func (q *Queue) remove(ctx context.Context, rows []swept) error {
	if len(rows) == 0 {
		return nil
	}
	if err := q.keepKeys(ctx, rows[len(rows)-1].seq); err != nil {
		return err
	}
	return q.eachSwept(ctx, rows, func(tx *sqlitefile.Tx, r swept) (bool, error) {
		n, err := tx.Exec(`DELETE FROM jobs WHERE seq = ? AND state = ?`, r.seq, uint8(r.state))
		if err != nil || n == 0 {
			return false, err
		}
		_, err = tx.Exec(`DELETE FROM bodies WHERE seq = ?`, r.seq)
		return true, err
	})
}

// eachSwept calls the function for every row in one op, and books those for which it says that something was removed.
func (q *Queue) eachSwept(ctx context.Context, rows []swept, remove func(*sqlitefile.Tx, swept) (bool, error)) error {
	var done []entry
	return q.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{
		Do: func(tx *sqlitefile.Tx) error {
			done = done[:0]
			for _, r := range rows {
				removed, err := remove(tx, r)
				if err != nil {
					return err
				}
				if removed {
					q.books.note(r.entry)
					done = append(done, r.entry)
				}
			}
			return nil
		},
		Done: func() {
			for _, e := range done {
				q.books.apply(e)
			}
		},
	})
}

// sweepBodies removes the oldest bodies of delivered jobs while there are too many bytes of them.
func (q *Queue) sweepBodies(ctx context.Context) error {
	for again := true; ; {
		excess := q.books.bytes() - q.keep.MaxBytes
		if excess <= 0 {
			return nil
		}
		rows, err := q.look(ctx, sweptColumns+sweptLanes+`j.seq > ? ORDER BY j.seq LIMIT ?`, q.broom.bodies)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			if !again {
				return nil
			}
			q.broom.bodies, again = 0, false
			continue
		}
		var over []swept
		for _, r := range rows {
			if excess <= 0 {
				break
			}
			q.broom.bodies = r.seq
			if r.state == queue.Delivered && r.body {
				excess += r.entry.tally.bytes
				over = append(over, r)
			}
		}
		if err := q.removeBodies(ctx, over); err != nil {
			return err
		}
	}
}

func (q *Queue) removeBodies(ctx context.Context, rows []swept) error {
	return q.eachSwept(ctx, rows, func(tx *sqlitefile.Tx, r swept) (bool, error) {
		n, err := tx.Exec(`DELETE FROM bodies WHERE seq = ?`, r.seq)
		return n == 1, err
	})
}

// sweepKeys empties the tables whose periods are over, in steps, and drops them.
func (q *Queue) sweepKeys(ctx context.Context) error {
	now := q.clock.Now()
	var gone []*keyTable
	err := q.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: func(*sqlitefile.Tx) error {
		gone = gone[:0]
		for _, t := range q.seen.tables {
			if q.seen.over(t.period, now) {
				gone = append(gone, t)
			}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	for _, t := range gone {
		if err := q.dropTable(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) dropTable(ctx context.Context, t *keyTable) error {
	for n := int64(1); n > 0; {
		err := q.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: func(tx *sqlitefile.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM `+t.name+` WHERE hi IN (SELECT hi FROM `+t.name+` ORDER BY hi LIMIT ?)`, sweepStep)
			return err
		}})
		if err != nil {
			return err
		}
	}
	return q.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{
		Do: func(tx *sqlitefile.Tx) error {
			_, err := tx.Exec(`DROP TABLE ` + t.name)
			return err
		},
		Done: func() { q.seen.drop(t) },
	})
}
