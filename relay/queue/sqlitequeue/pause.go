package sqlitequeue

import (
	"context"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// Pause implements queue.Pauser.
func (q *Queue) Pause(ctx context.Context, s queue.Scope, d time.Duration, reason string) error {
	if err := q.check(ctx); err != nil {
		return err
	}
	p := pause{reason: reason}
	if d > 0 {
		p.until = q.clock.Now().Add(d)
	}
	err := q.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{
		Do: func(tx *sqlitefile.Tx) error {
			_, err := tx.Exec(`INSERT OR REPLACE INTO queue_pauses VALUES (?, ?, ?, ?, ?)`,
				s.Agent, s.Account, s.Conversation, int64(p.until), reason)
			return err
		},
		Done: func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.pauses[s] = p
			q.set.Pause(s, p.until)
		},
	})
	if err != nil {
		return explain("pause lanes", err)
	}
	return nil
}

// Resume implements queue.Pauser.
func (q *Queue) Resume(ctx context.Context, s queue.Scope) error {
	if err := q.check(ctx); err != nil {
		return err
	}
	err := q.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{
		Do: func(tx *sqlitefile.Tx) error {
			_, err := tx.Exec(`DELETE FROM queue_pauses WHERE agent = ? AND account = ? AND conversation = ?`,
				s.Agent, s.Account, s.Conversation)
			return err
		},
		Done: func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			delete(q.pauses, s)
			q.set.Resume(s)
		},
	})
	if err != nil {
		return explain("resume lanes", err)
	}
	return nil
}

// Pauses implements queue.Pauser.
func (q *Queue) Pauses(ctx context.Context) ([]queue.Pause, error) {
	if err := q.check(ctx); err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	var ps []queue.Pause
	for s, p := range q.pauses {
		if p.inForce(now) {
			ps = append(ps, queue.Pause{Scope: s, Until: q.clock.Wall(p.until), Reason: p.reason})
		}
	}
	return ps, nil
}

func (p pause) inForce(now clock.Time) bool { return p.until == 0 || p.until > now }

// sweepPauses forgets pauses that ended by themselves.
func (q *Queue) sweepPauses(ctx context.Context) error {
	now := q.clock.Now()
	var ended []queue.Scope
	q.mu.Lock()
	for s, p := range q.pauses {
		if !p.inForce(now) {
			ended = append(ended, s)
		}
	}
	q.mu.Unlock()
	if len(ended) == 0 {
		return nil
	}
	return q.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{
		Do: func(tx *sqlitefile.Tx) error {
			_, err := tx.Exec(`DELETE FROM queue_pauses WHERE until > 0 AND until <= ?`, int64(now))
			return err
		},
		Done: func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			for _, s := range ended {
				if !q.pauses[s].inForce(now) {
					delete(q.pauses, s)
				}
			}
		},
	})
}
