package sqlitequeue

import (
	"context"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/lanes"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// rebuild makes the memory of what is on disk. It reads the rows of what waits, not those of what is over.
func (q *Queue) rebuild(ctx context.Context, o Options) error {
	return q.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		floor, err := q.readState(tx, o)
		if err != nil {
			return err
		}
		for _, step := range []func(*sqlitefile.Tx) error{q.readTallies, q.readKeys, q.readPauses} {
			if err := step(tx); err != nil {
				return err
			}
		}
		return q.readLanes(tx, floor)
	})
}

func (q *Queue) readState(tx *sqlitefile.Tx, o Options) (floor uint64, err error) {
	b := &books{noted: map[string]tally{}, tallies: map[string]tally{}}
	q.books, q.seen = b, newSeen(q.file, q.keep.Window)
	_, err = tx.One(`SELECT seq, floor, merged, clock_store, clock_wall FROM queue_state`, func(r sqlitefile.Row) error {
		b.limit, floor, q.seen.merged = r.Uint(0), r.Uint(1), r.Uint(2)
		q.clock = clock.New(o.Clock, clock.Mark{Store: clock.Time(r.Int(3)), Wall: clock.Time(r.Int(4))})
		return nil
	})
	// What of the seqs set aside was used is not known: all of them were.
	b.clock, b.seq, b.next = q.clock, b.limit, b.limit
	// Tokens of an earlier process must never hold again.
	q.set = lanes.New(o.Lease, uint64(q.clock.Now())<<16) //nolint:gosec // after 1970
	return floor, err
}

func (q *Queue) readTallies(tx *sqlitefile.Tx) error {
	return tx.Each(`SELECT agent, delivered, dead, bytes FROM queue_tallies`, func(r sqlitefile.Row) error {
		q.books.tallies[r.Text(0)] = tally{r.Int(1), r.Int(2), r.Int(3)}
		return nil
	})
}

func (q *Queue) readKeys(tx *sqlitefile.Tx) error {
	err := tx.Each(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'queue_keys_%'`,
		func(r sqlitefile.Row) error {
			period, err := parsePeriod(r.Text(0))
			if err == nil {
				q.seen.tables = append(q.seen.tables, newKeyTable(period))
			}
			return err
		})
	if err != nil {
		return err
	}
	q.seen.sort()
	return tx.Each(`SELECT seq, key, id, accepted FROM jobs WHERE seq > ? AND key IS NOT NULL`,
		func(r sqlitefile.Row) error {
			q.seen.staged[keyOf(r.Bytes(1))] = sighting{id: r.Text(2), at: clock.Time(r.Int(3)), seq: r.Uint(0)}
			return nil
		}, q.seen.merged)
}

func (q *Queue) readPauses(tx *sqlitefile.Tx) error {
	return tx.Each(`SELECT agent, account, conversation, until, reason FROM queue_pauses`, func(r sqlitefile.Row) error {
		s := queue.Scope{Agent: r.Text(0), Account: r.Text(1), Conversation: r.Text(2)}
		p := pause{until: clock.Time(r.Int(3)), reason: r.Text(4)}
		if p.inForce(q.clock.Now()) {
			q.set.Pause(s, p.until)
		}
		q.pauses[s] = p
		return nil
	})
}

const waitingColumns = `SELECT seq, lane, accepted, due, not_before, last_error IS NOT NULL AND last_error <> '' FROM jobs `

// readLanes fills the lanes: the queued jobs in their order, then the parked ones.
func (q *Queue) readLanes(tx *sqlitefile.Tx, floor uint64) error {
	names := map[int64]queue.Lane{}
	each := func(add func(queue.Lane, lanes.Waiting, bool)) func(sqlitefile.Row) error {
		return func(r sqlitefile.Row) error {
			at, err := laneName(tx, names, r.Int(1))
			if err != nil {
				return err
			}
			w := lanes.Waiting{Seq: r.Uint(0), Due: clock.Time(r.Int(3)), NotBefore: clock.Time(r.Int(4))}
			if r.Null(3) {
				w.Due = clock.Time(r.Int(2))
			}
			add(at, w, r.Int(5) != 0)
			return nil
		}
	}
	if err := tx.Each(waitingColumns+`WHERE seq >= ? AND state = 1 ORDER BY seq`, each(q.set.Add), floor); err != nil {
		return err
	}
	return tx.Each(waitingColumns+`INDEXED BY jobs_aside WHERE state IN (2, 4) AND state = 2 ORDER BY seq`, each(q.set.AddParked))
}

func laneName(tx *sqlitefile.Tx, names map[int64]queue.Lane, id int64) (queue.Lane, error) {
	if l, ok := names[id]; ok {
		return l, nil
	}
	var l queue.Lane
	_, err := tx.One(`SELECT agent, account, conversation FROM lanes WHERE id = ?`, func(r sqlitefile.Row) error {
		l = queue.Lane{Agent: r.Text(0), Account: r.Text(1), Conversation: r.Text(2)}
		return nil
	}, id)
	names[id] = l
	return l, err
}
