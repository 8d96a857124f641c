package memqueue

import (
	"context"
	"fmt"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/lanes"
	"github.com/imrelay/imrelay/relay/queue/record"
)

// Take implements queue.Source.
func (q *Queue) Take(ctx context.Context, w queue.Want) (queue.Taken, error) {
	now, err := q.enter(ctx)
	if err != nil {
		return queue.Taken{}, err
	}
	defer q.mu.Unlock()
	grants, next := q.set.Take(now, w)
	taken := queue.Taken{Next: next}
	_, wall := q.clock.Instant()
	for _, g := range grants {
		r := q.bySeq(g.Seq)
		if !r.Intact() {
			q.settle(r, g.Token, queue.Verdict{Action: queue.Bury, Reason: record.Corrupt}, now)
			continue
		}
		j := r.Job(q.clock)
		j.Leased = true
		taken.Leases = append(taken.Leases, queue.Lease{
			Job: j, Token: g.Token, Taken: wall, Expires: wall.Add(g.Expires.Sub(now)), Troubled: g.Troubled,
		})
	}
	return taken, nil
}

// Wake implements queue.Source.
func (q *Queue) Wake(agent string) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.set.Wake(agent)
}

// Settle implements queue.Source.
func (q *Queue) Settle(ctx context.Context, l queue.Lease, v queue.Verdict) error {
	now, err := q.enter(ctx)
	if err != nil {
		return err
	}
	defer q.mu.Unlock()
	r := q.bySeq(l.Job.Seq)
	if r == nil || !q.settle(r, l.Token, v, now) {
		return fmt.Errorf("settle job: %w", queue.ErrLeaseLost)
	}
	return nil
}

func (q *Queue) settle(r *record.Record, token uint64, v queue.Verdict, now clock.Time) bool {
	p := q.set.Settle(r.Lane, r.Seq, token, v.Action == queue.Ack)
	if p == nil {
		return false
	}
	r.Settle(v, now)
	q.set.Done(p, r.State, lanes.Waiting{Seq: r.Seq, Due: r.Due, NotBefore: r.NotBefore})
	return true
}

// Renew implements queue.Source.
func (q *Queue) Renew(ctx context.Context, ls []queue.Lease) ([]queue.Lease, error) {
	now, err := q.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer q.mu.Unlock()
	_, wall := q.clock.Instant()
	return q.set.Renew(ls, now, wall), nil
}

// Rouse implements queue.Source.
func (q *Queue) Rouse(ctx context.Context, agent string) error {
	now, err := q.enter(ctx)
	if err != nil {
		return err
	}
	defer q.mu.Unlock()
	q.set.Rouse(agent, now)
	return nil
}

// Revive implements queue.Mender.
func (q *Queue) Revive(ctx context.Context, ids []string, gap time.Duration) (int, error) {
	now, err := q.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer q.mu.Unlock()
	n := 0
	for _, id := range ids {
		r := q.jobs[id]
		if r == nil || r.State != queue.Dead {
			continue
		}
		r.Revive(now, time.Duration(n)*gap)
		q.set.AddParked(r.Lane, lanes.Waiting{Seq: r.Seq, Due: r.Due}, false)
		n++
	}
	return n, nil
}

// Expire implements queue.Expirer.
func (q *Queue) Expire(ctx context.Context, agent string, age time.Duration, reason string) (int, error) {
	now, err := q.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer q.mu.Unlock()
	b := q.set.Bury(lanes.Aged{Agent: agent, Top: q.seq, Max: len(q.order)}, now)
	dead := map[uint64]bool{}
	for _, seq := range b.Seqs {
		if r := q.bySeq(seq); now.Sub(r.Since) >= age {
			r.Expire(reason, now)
			dead[seq] = true
		}
	}
	q.set.Buried(b, dead)
	return len(dead), nil
}

// Drop implements queue.Mender.
func (q *Queue) Drop(ctx context.Context, ids []string) (int, error) {
	if _, err := q.enter(ctx); err != nil {
		return 0, err
	}
	defer q.mu.Unlock()
	n := 0
	for _, id := range ids {
		r := q.jobs[id]
		if r == nil || !q.droppable(r) {
			continue
		}
		delete(q.jobs, id)
		q.forget(r.Seq)
		n++
	}
	return n, nil
}

func (q *Queue) droppable(r *record.Record) bool {
	if r.State == queue.Parked {
		_, ok := q.set.Withhold(r.Lane, r.Seq)
		return ok
	}
	return r.State == queue.Dead
}

// Pause implements queue.Pauser.
func (q *Queue) Pause(ctx context.Context, s queue.Scope, d time.Duration, reason string) error {
	now, err := q.enter(ctx)
	if err != nil {
		return err
	}
	defer q.mu.Unlock()
	p := pause{reason: reason}
	if d > 0 {
		p.until = now.Add(d)
	}
	q.pauses[s] = p
	q.set.Pause(s, p.until)
	return nil
}

// Resume implements queue.Pauser.
func (q *Queue) Resume(ctx context.Context, s queue.Scope) error {
	if _, err := q.enter(ctx); err != nil {
		return err
	}
	defer q.mu.Unlock()
	delete(q.pauses, s)
	q.set.Resume(s)
	return nil
}

// Pauses implements queue.Pauser.
func (q *Queue) Pauses(ctx context.Context) ([]queue.Pause, error) {
	now, err := q.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer q.mu.Unlock()
	var ps []queue.Pause
	for s, p := range q.pauses {
		if p.until == 0 || p.until > now {
			ps = append(ps, queue.Pause{Scope: s, Until: q.clock.Wall(p.until), Reason: p.reason})
		}
	}
	return ps, nil
}
