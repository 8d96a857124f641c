package memqueue

import (
	"context"
	"fmt"
	"slices"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/record"
)

// Get implements queue.Inspector.
func (q *Queue) Get(ctx context.Context, id string) (queue.Job, error) {
	if _, err := q.enter(ctx); err != nil {
		return queue.Job{}, err
	}
	defer q.mu.Unlock()
	r := q.jobs[id]
	if r == nil {
		return queue.Job{}, fmt.Errorf("get job: %w", queue.ErrNotFound)
	}
	return q.job(r), nil
}

func (q *Queue) job(r *record.Record) queue.Job {
	j := r.Job(q.clock)
	j.Leased = q.set.Leased(r.Lane, r.Seq)
	if due, ok := q.set.Due(r.Lane, r.Seq); ok {
		j.Due = q.clock.Wall(due)
	}
	return j
}

// List implements queue.Inspector.
func (q *Queue) List(ctx context.Context, f queue.Filter) (queue.Page, error) {
	if _, err := q.enter(ctx); err != nil {
		return queue.Page{}, err
	}
	defer q.mu.Unlock()
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	var page queue.Page
	for _, r := range slices.Backward(q.order) {
		if f.Before != 0 && r.Seq >= f.Before || !q.matches(r, f, q.clock.Store(f.Since)) {
			continue
		}
		if len(page.Jobs) == limit {
			page.Next = page.Jobs[limit-1].Seq
			break
		}
		j := q.job(r)
		j.Body = nil
		page.Jobs = append(page.Jobs, j)
	}
	return page, nil
}

func (q *Queue) matches(r *record.Record, f queue.Filter, since clock.Time) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, r.State)) &&
		(f.Agent == "" || f.Agent == r.Lane.Agent) &&
		(f.Account == "" || f.Account == r.Lane.Account) &&
		(f.Conversation == "" || f.Conversation == r.Lane.Conversation) &&
		(since == 0 || r.Accepted >= since) &&
		(!f.Leased || q.set.Leased(r.Lane, r.Seq))
}

// Stats implements queue.Inspector.
func (q *Queue) Stats(ctx context.Context) (map[string]queue.Counts, error) {
	if _, err := q.enter(ctx); err != nil {
		return nil, err
	}
	defer q.mu.Unlock()
	all := map[string]queue.Counts{}
	for name, c := range q.set.Counts() {
		n := queue.Counts{Queued: c.Queued, Leased: c.Leased, Parked: c.Parked, Lanes: c.Lanes}
		if r := q.bySeq(c.Oldest); r != nil {
			n.Oldest = q.clock.Wall(r.Accepted)
		}
		all[name] = n
	}
	for _, r := range q.order {
		n := all[r.Lane.Agent]
		switch r.State {
		case queue.Delivered:
			n.Delivered++
		case queue.Dead:
			n.Dead++
		case queue.Queued, queue.Parked:
		}
		all[r.Lane.Agent] = n
	}
	return all, nil
}

// Accounts implements queue.Inspector.
func (q *Queue) Accounts(ctx context.Context, conversation string) ([]string, error) {
	if _, err := q.enter(ctx); err != nil {
		return nil, err
	}
	defer q.mu.Unlock()
	return slices.Clone(q.known[conversation]), nil
}

// forget takes the record with the seq out of the order.
func (q *Queue) forget(seq uint64) {
	q.order = slices.DeleteFunc(q.order, func(r *record.Record) bool { return r.Seq == seq })
}
