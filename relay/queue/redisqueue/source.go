package redisqueue

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// Wake implements queue.Source.
func (q *Queue) Wake(agent string) <-chan struct{} { return q.serve(agent).wake }

// held is where a lease is.
type held struct {
	shard redisconn.Shard
	lane  string
	token string
	seq   string
}

// find says where a lease is; not ok: it is none of ours.
func (q *Queue) find(l queue.Lease) (held, bool) {
	token, at := numberOf(l.Token)
	seq, of := numberOf(l.Job.Seq)
	shard := q.conn.Shard(l.Job.Lane.Account, l.Job.Lane.Conversation)
	return held{
		shard: shard, lane: laneName(l.Job.Lane), token: strconv.FormatInt(token, 10), seq: strconv.FormatInt(seq, 10),
	}, at == shard.Index() && of == at && token != 0
}

// Settle implements queue.Source.
func (q *Queue) Settle(ctx context.Context, l queue.Lease, v queue.Verdict) error {
	if err := q.check(ctx); err != nil {
		return err
	}
	h, ok := q.find(l)
	if !ok {
		return fmt.Errorf("settle job: %w", queue.ErrLeaseLost)
	}
	answer, err := q.do(ctx, redisconn.Call{Script: settleScript, Shard: h.shard, Args: []any{
		h.lane, l.Job.ID, h.seq, h.token, verdictNonce(l.Token, v), int64(v.Action), bit(v.Counted), bit(v.Answered),
		v.Delay.Microseconds(), v.Hold.Microseconds(), v.Status, v.Reason,
	}})
	if err != nil {
		return explain("settle job", err)
	}
	r := replyOf(answer)
	done, wait := r.int() == 1, r.int()
	if r.err != nil {
		return explain("settle job", r.err)
	}
	if !done {
		return fmt.Errorf("settle job: %w", queue.ErrLeaseLost)
	}
	q.note(l.Job.Lane.Agent, h.shard.Index(), wait)
	return nil
}

// verdictNonce is the same for the same token and verdict only: a settle that is repeated is known by it.
func verdictNonce(token uint64, v queue.Verdict) string {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %d %t %t %d %d %d %s", token, v.Action, v.Counted, v.Answered, v.Delay, v.Hold, v.Status, v.Reason)
	return strconv.FormatUint(h.Sum64(), 36)
}

// Renew implements queue.Source.
func (q *Queue) Renew(ctx context.Context, ls []queue.Lease) ([]queue.Lease, error) {
	if err := q.check(ctx); err != nil {
		return nil, err
	}
	var calls []redisconn.Call
	var at [][]int
	call := map[int]int{}
	for i, l := range ls {
		h, ok := q.find(l)
		if !ok {
			continue
		}
		n, known := call[h.shard.Index()]
		if !known {
			n = len(calls)
			call[h.shard.Index()] = n
			calls = append(calls, redisconn.Call{Script: renewScript, Shard: h.shard, Args: []any{q.lease.Microseconds()}})
			at = append(at, nil)
		}
		calls[n].Args = append(calls[n].Args, h.lane, h.token, h.seq+" "+l.Job.ID)
		at[n] = append(at[n], i)
	}
	if len(calls) == 0 {
		return nil, nil
	}
	replies, err := q.conn.All(ctx, calls...)
	if err != nil {
		return nil, explain("renew leases", err)
	}
	until := make([]time.Time, len(ls))
	for n, answer := range replies {
		r := replyOf(answer)
		end := wall(r.int()).Add(q.lease)
		for _, i := range at[n] {
			if r.int() == 1 {
				until[i] = end
			}
		}
		if r.err != nil {
			return nil, explain("renew leases", r.err)
		}
	}
	var still []queue.Lease
	for i, l := range ls {
		if !until[i].IsZero() {
			l.Expires = until[i]
			still = append(still, l)
		}
	}
	return still, nil
}

// step is how many lanes or jobs a script looks at that goes through many.
const step = 200

// Rouse implements queue.Source. Many lanes are several steps.
func (q *Queue) Rouse(ctx context.Context, agent string) error {
	for _, shard := range q.conn.Shards() {
		roused := int64(0)
		for _, set := range []string{"calm:", "rough:", "held:", "leased:"} {
			n, err := q.rouse(ctx, agent, shard, set)
			if err != nil {
				return explain("rouse lanes", err)
			}
			roused += n
		}
		if roused > 0 {
			q.dirty(agent, shard.Index())
		}
	}
	q.desk(agent).poke()
	return nil
}

func (q *Queue) rouse(ctx context.Context, agent string, shard redisconn.Shard, set string) (int64, error) {
	roused := int64(0)
	for from := int64(0); ; {
		answer, err := q.do(ctx, redisconn.Call{Script: rouseScript, Shard: shard, Args: []any{escape(agent), set, from, step}})
		if err != nil {
			return roused, err
		}
		r := replyOf(answer)
		seen, n := r.int(), r.int()
		if r.err != nil {
			return roused, r.err
		}
		from, roused = from+seen, roused+n
		if seen < step {
			return roused, nil
		}
	}
}
