package redisqueue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

// Get implements queue.Inspector.
func (q *Queue) Get(ctx context.Context, id string) (queue.Job, error) {
	replies, err := q.everywhere(ctx, getScript, id)
	if err != nil {
		return queue.Job{}, explain("get job", err)
	}
	for n, answer := range replies {
		r := replyOf(answer)
		if !r.more() {
			continue
		}
		leased, fields := r.int() == 1, r.list()
		job := readJob(id, n, fields)
		if r.err != nil || fields.err != nil {
			return queue.Job{}, explain("get job", fmt.Errorf("%w %w", r.err, fields.err))
		}
		job.Leased = leased
		return job.Job, nil
	}
	return queue.Job{}, fmt.Errorf("get job: %w", queue.ErrNotFound)
}

// Stats implements queue.Inspector.
func (q *Queue) Stats(ctx context.Context) (map[string]queue.Counts, error) {
	replies, err := q.everywhere(ctx, statsScript)
	if err != nil {
		return nil, explain("count jobs", err)
	}
	all := map[string]queue.Counts{}
	for _, answer := range replies {
		r := replyOf(answer)
		for r.more() {
			name := unescape(r.text())
			var n [6]int
			for i := range n {
				n[i] = int(r.int())
			}
			c := queue.Counts{
				Queued: n[0], Leased: n[1], Parked: n[2], Delivered: n[3], Dead: n[4], Lanes: n[5], Oldest: wall(r.int()),
			}
			if c != (queue.Counts{}) {
				all[name] = sum(all[name], c)
			}
		}
		if r.err != nil {
			return nil, explain("count jobs", r.err)
		}
	}
	return all, nil
}

func sum(a, b queue.Counts) queue.Counts {
	return queue.Counts{
		Queued: a.Queued + b.Queued, Leased: a.Leased + b.Leased, Parked: a.Parked + b.Parked,
		Delivered: a.Delivered + b.Delivered, Dead: a.Dead + b.Dead, Lanes: a.Lanes + b.Lanes,
		Oldest: earlier(a.Oldest, b.Oldest),
	}
}

// earlier returns the earlier of two times, of which the zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Accounts implements queue.Inspector.
func (q *Queue) Accounts(ctx context.Context, conversation string) ([]string, error) {
	replies, err := q.everywhere(ctx, accountsScript, conversation)
	if err != nil {
		return nil, explain("look up accounts", err)
	}
	var accounts []string
	for _, answer := range replies {
		r := replyOf(answer)
		for r.more() {
			account, _, _ := strings.Cut(r.text(), "\x00")
			accounts = append(accounts, unescape(account))
		}
		if r.err != nil {
			return nil, explain("look up accounts", r.err)
		}
	}
	slices.Sort(accounts)
	return slices.Compact(accounts), nil
}
