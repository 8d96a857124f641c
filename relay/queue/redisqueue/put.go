package redisqueue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/lanes"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// echo is what a key of our own message is known as, in place of an id.
const echo = "-"

// parcel is what one call of Put has for one shard.
type parcel struct {
	shard redisconn.Shard
	at    []int // places of the jobs in the call
	args  []any
}

// Put implements queue.Putter. The jobs of a call that belong to one shard are one commit; a job whose id exists already
// fails the call with ErrState, and nothing of its shard is stored. Redis does nothing else while it stores a shard's jobs,
// for about 20 µs each: callers bound how many they give at once.
func (q *Queue) Put(ctx context.Context, jobs ...queue.Job) ([]queue.Placed, error) {
	if err := q.check(ctx); err != nil {
		return nil, err
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	hints, err := q.hints(ctx, jobs)
	if err != nil {
		return nil, explain("look up aliases", err)
	}
	parcels, err := q.pack(jobs, hints)
	if err != nil {
		return nil, err
	}
	calls := make([]redisconn.Call, len(parcels))
	for i, p := range parcels {
		calls[i] = redisconn.Call{Script: putScript, Shard: p.shard, Args: p.args, Sync: true}
	}
	replies, err := q.all(ctx, calls)
	if err != nil {
		return nil, explain("put job", err)
	}
	placed := make([]queue.Placed, len(jobs))
	var failed error
	for i, p := range parcels {
		if err := q.unpack(p, replies[i], jobs, placed); err != nil {
			failed = err
		}
	}
	if failed != nil {
		return nil, failed
	}
	return placed, nil
}

// pack sorts the jobs by their shards.
func (q *Queue) pack(jobs []queue.Job, hints []string) ([]*parcel, error) {
	var parcels []*parcel
	byShard := map[int]*parcel{}
	shardOf := map[string]int{}
	nonce := q.nonce()
	window, kept := q.keep.Window.Microseconds(), (q.keep.Window + slack).Milliseconds()
	for i, j := range jobs {
		shard := q.conn.Shard(j.Lane.Account, j.Lane.Conversation)
		if len(jobs) > 1 {
			if other, twice := shardOf[j.ID]; twice && other != shard.Index() {
				return nil, fmt.Errorf("put job %s: id exists: %w", j.ID, queue.ErrState)
			}
			shardOf[j.ID] = shard.Index()
		}
		p := byShard[shard.Index()]
		if p == nil {
			p = &parcel{shard: shard, args: make([]any, 0, 3+8*(len(jobs)-i))}
			p.args = append(p.args, nonce, window, kept)
			byShard[shard.Index()] = p
			parcels = append(parcels, p)
		}
		p.at = append(p.at, i)
		hint := ""
		if hints != nil {
			hint = hints[i]
		}
		p.args = append(p.args, j.ID, laneName(j.Lane), sumName(j.Key), q.aliasesIn(shard, j), hint, j.Meta, j.Body,
			int64(record.Sum(j.Body)))
	}
	return parcels, nil
}

// aliasesIn are the sums of the job's aliases that the shard knows of.
func (q *Queue) aliasesIn(shard redisconn.Shard, j queue.Job) string {
	var all strings.Builder
	for _, k := range j.Aliases {
		if !k.IsZero() && q.conn.Shard(k.Account, k.Conversation) == shard {
			all.WriteString(sumName(k))
			all.WriteByte(',')
		}
	}
	return all.String()
}

// unpack reads what became of a parcel's jobs, and notes what can be taken now.
func (q *Queue) unpack(p *parcel, answer any, jobs []queue.Job, placed []queue.Placed) error {
	r := replyOf(answer)
	if len(r.values) == 2 && r.values[0] == "id" {
		return fmt.Errorf("put job %v: id exists: %w", r.values[1], queue.ErrState)
	}
	for _, i := range p.at {
		code, id, wait, armed, braked := r.int(), r.text(), r.int(), r.int() == 1, r.int() == 1
		switch code {
		case 0:
			placed[i] = queue.Placed{ID: jobs[i].ID, Fresh: true, Braked: braked, Wait: waitOf(wait)}
			switch {
			case wait > 0:
				q.later(jobs[i].Lane.Agent, p.shard.Index(), micro(wait))
			case wait == 0 && armed:
				q.dirty(jobs[i].Lane.Agent, p.shard.Index())
			}
		case 1:
			placed[i] = queue.Placed{ID: id}
		default:
			placed[i] = queue.Placed{Echo: true}
		}
	}
	if r.err != nil {
		return explain("put job", r.err)
	}
	return nil
}

// waitOf is a wait as scripts tell it.
func waitOf(wait int64) time.Duration {
	if wait < 0 {
		return lanes.Indefinite
	}
	return micro(wait)
}

func micro(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// Remember implements queue.Putter.
func (q *Queue) Remember(ctx context.Context, keys ...queue.Key) error {
	byShard := map[int]*redisconn.Call{}
	var order []int
	for _, k := range keys {
		if k.IsZero() {
			continue
		}
		shard := q.conn.Shard(k.Account, k.Conversation)
		c := byShard[shard.Index()]
		if c == nil {
			c = &redisconn.Call{Script: rememberScript, Shard: shard, Sync: true}
			c.Args = append(c.Args, (q.keep.Window + slack).Milliseconds())
			byShard[shard.Index()] = c
			order = append(order, shard.Index())
		}
		c.Args = append(c.Args, sumName(k))
	}
	var calls []redisconn.Call
	for _, n := range order {
		calls = append(calls, *byShard[n])
	}
	if err := q.check(ctx); err != nil || len(calls) == 0 {
		return err
	}
	if _, err := q.conn.All(ctx, calls...); err != nil {
		return explain("remember keys", err)
	}
	return nil
}
