package redisqueue

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// listed are the fields of a job in a listing, in the order in which the script returns them.
var listed = [...]string{"l", "m", "q", "id", "s", "t", "i", "d", "h", "f", "w", "u", "e", "p", "a"}

// lister goes down the jobs of a shard, the newest first.
type lister struct {
	shard redisconn.Shard
	top   int64 // the highest seq to look at; below 0: there are no more
	jobs  []queue.Job
}

// List implements queue.Inspector.
func (q *Queue) List(ctx context.Context, f queue.Filter) (queue.Page, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	listers := q.listers(f)
	for {
		var going []*lister
		for _, l := range listers {
			if l.top >= 0 && len(l.jobs) <= f.Limit {
				going = append(going, l)
			}
		}
		if len(going) == 0 {
			break
		}
		if err := q.goDown(ctx, f, going); err != nil {
			return queue.Page{}, explain("list jobs", err)
		}
	}
	var page queue.Page
	for _, l := range listers {
		page.Jobs = append(page.Jobs, l.jobs...)
	}
	slices.SortFunc(page.Jobs, func(a, b queue.Job) int { return cmp.Compare(b.Seq, a.Seq) })
	if len(page.Jobs) > f.Limit {
		page.Jobs = page.Jobs[:f.Limit:f.Limit]
		page.Next = page.Jobs[f.Limit-1].Seq
	}
	return page, nil
}

// listers are those of the shards that may have such jobs.
func (q *Queue) listers(f queue.Filter) []*lister {
	shards := q.conn.Shards()
	if f.Account != "" && f.Conversation != "" {
		shards = []redisconn.Shard{q.conn.Shard(f.Account, f.Conversation)}
	}
	listers := make([]*lister, len(shards))
	for i, shard := range shards {
		listers[i] = &lister{shard: shard, top: 1<<53 - 1}
		if f.Before != 0 {
			listers[i].top = below(f.Before, shard.Index())
		}
	}
	return listers
}

// below is the highest number of the shard whose seq is below another.
func below(seq uint64, shard int) int64 {
	number, of := numberOf(seq)
	if shard < of {
		return number
	}
	return number - 1
}

// goDown looks at some jobs of each.
func (q *Queue) goDown(ctx context.Context, f queue.Filter, listers []*lister) error {
	var states strings.Builder
	for s := queue.Queued; s <= queue.Dead; s++ {
		if len(f.States) == 0 || slices.Contains(f.States, s) {
			states.WriteString(strconv.Itoa(int(s)))
		}
	}
	calls := make([]redisconn.Call, len(listers))
	for i, l := range listers {
		calls[i] = redisconn.Call{Script: listScript, Shard: l.shard, Args: []any{
			l.top, min(f.Limit+1, step), states.String(), bit(f.Leased), escape(f.Agent), escape(f.Account), f.Conversation, micros(f.Since),
		}}
	}
	replies, err := q.all(ctx, calls)
	if err != nil {
		return err
	}
	for i, l := range listers {
		r := replyOf(replies[i])
		l.top = r.int()
		for r.more() {
			leased := r.int() == 1
			job := readListed(l.shard.Index(), r.list())
			job.Leased = leased
			l.jobs = append(l.jobs, job)
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// readListed makes a job of what the script returned of it.
func readListed(shard int, r *reply) queue.Job {
	id := ""
	s := newStored("", shard, func(set func(name, value string)) {
		for _, name := range listed {
			switch value := r.text(); {
			case name == "id":
				id = value
			case value != "":
				set(name, value)
			}
		}
	})
	s.ID = id
	return s.Job
}
