package sqlitequeue

import (
	"context"
	"fmt"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// Get implements queue.Inspector.
func (q *Queue) Get(ctx context.Context, id string) (queue.Job, error) {
	if err := q.check(ctx); err != nil {
		return queue.Job{}, err
	}
	var rec *record.Record
	err := q.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		_, err := tx.One(selectByID, func(r sqlitefile.Row) error {
			rec = readRecord(r)
			return nil
		}, id)
		return err
	})
	if err != nil {
		return queue.Job{}, explain("get job", err)
	}
	if rec == nil {
		return queue.Job{}, fmt.Errorf("get job: %w", queue.ErrNotFound)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.job(rec), nil
}

// job adds what only the memory knows. The caller has the lock.
func (q *Queue) job(r *record.Record) queue.Job {
	j := r.Job(q.clock)
	if r.State != queue.Queued && r.State != queue.Parked {
		return j
	}
	j.Leased = q.set.Leased(r.Lane, r.Seq)
	if due, ok := q.set.Due(r.Lane, r.Seq); ok {
		j.Due = q.clock.Wall(due)
	}
	return j
}

// Stats implements queue.Inspector.
func (q *Queue) Stats(ctx context.Context) (map[string]queue.Counts, error) {
	if err := q.check(ctx); err != nil {
		return nil, err
	}
	q.mu.Lock()
	counts := q.set.Counts()
	q.mu.Unlock()
	all := map[string]queue.Counts{}
	err := q.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		for name, c := range counts {
			n := queue.Counts{Queued: c.Queued, Leased: c.Leased, Parked: c.Parked, Lanes: c.Lanes}
			if _, err := tx.One(`SELECT accepted FROM jobs WHERE seq = ?`, func(r sqlitefile.Row) error {
				n.Oldest = q.clock.Wall(clock.Time(r.Int(0)))
				return nil
			}, c.Oldest); err != nil {
				return err
			}
			all[name] = n
		}
		return nil
	})
	if err != nil {
		return nil, explain("count jobs", err)
	}
	for name, t := range q.books.snapshot() {
		if t != (tally{}) {
			n := all[name]
			n.Delivered, n.Dead = int(t.delivered), int(t.dead)
			all[name] = n
		}
	}
	return all, nil
}

// Accounts implements queue.Inspector.
func (q *Queue) Accounts(ctx context.Context, conversation string) ([]string, error) {
	if err := q.check(ctx); err != nil {
		return nil, err
	}
	var accounts []string
	err := q.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		return tx.Each(`SELECT DISTINCT account FROM lanes WHERE conversation = ? ORDER BY account`,
			func(r sqlitefile.Row) error {
				accounts = append(accounts, r.Text(0))
				return nil
			}, conversation)
	})
	if err != nil {
		return nil, explain("look up accounts", err)
	}
	return accounts, nil
}
