package redisqueue

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// mendStep bounds the jobs of one step of Revive and Drop.
const mendStep = 100

// places returns the shard and the state of each of the jobs that exist.
func (q *Queue) places(ctx context.Context, ids []string) (map[string]place, error) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	replies, err := q.everywhere(ctx, statesScript, args...)
	if err != nil {
		return nil, err
	}
	all := map[string]place{}
	for n, answer := range replies {
		r := replyOf(answer)
		for _, id := range ids {
			if state, ok := parse(r.text()); ok {
				all[id] = place{shard: n, state: queue.State(state)} //nolint:gosec // 1 to 4
			}
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return all, nil
}

type place struct {
	shard int
	state queue.State
}

// sorted makes one call for each shard in which there are jobs, with the arguments of each.
func (q *Queue) sorted(s *redisconn.Script, ids []string, at map[string]place, args func(id string) []any) []redisconn.Call {
	calls := map[int]*redisconn.Call{}
	nonce := q.nonce()
	for _, id := range ids {
		p, there := at[id]
		if !there {
			continue
		}
		c := calls[p.shard]
		if c == nil {
			c = &redisconn.Call{Script: s, Shard: q.conn.Shards()[p.shard], Args: []any{nonce}}
			calls[p.shard] = c
		}
		c.Args = append(c.Args, args(id)...)
	}
	var all []redisconn.Call
	for i := range q.conn.Shards() {
		if c := calls[i]; c != nil {
			all = append(all, *c)
		}
	}
	return all
}

// Revive implements queue.Mender. Many ids are several commits; on an error those before it stay done.
func (q *Queue) Revive(ctx context.Context, ids []string, gap time.Duration) (int, error) {
	moved, nth := 0, 0
	for chunk := range slices.Chunk(ids, mendStep) {
		at, err := q.places(ctx, chunk)
		if err != nil {
			return moved, explain("revive jobs", err)
		}
		var dead []string
		delays := map[string]time.Duration{}
		for _, id := range chunk {
			if _, twice := delays[id]; !twice && at[id].state == queue.Dead {
				dead, delays[id] = append(dead, id), time.Duration(nth)*gap
				nth++
			}
		}
		calls := q.sorted(reviveScript, dead, at, func(id string) []any { return []any{id, delays[id].Microseconds()} })
		n, err := q.revive(ctx, calls)
		moved += n
		if err != nil {
			return moved, explain("revive jobs", err)
		}
	}
	return moved, nil
}

func (q *Queue) revive(ctx context.Context, calls []redisconn.Call) (int, error) {
	if len(calls) == 0 {
		return 0, nil
	}
	replies, err := q.all(ctx, calls)
	if err != nil {
		return 0, err
	}
	moved := 0
	for i, answer := range replies {
		r := replyOf(answer)
		moved += int(r.int())
		for r.more() {
			agent := unescape(r.text())
			q.note(agent, calls[i].Shard.Index(), r.int())
		}
		if r.err != nil {
			return moved, r.err
		}
	}
	return moved, nil
}

// Drop implements queue.Mender. Many ids are several commits; on an error those before it stay done.
func (q *Queue) Drop(ctx context.Context, ids []string) (int, error) {
	removed := 0
	for chunk := range slices.Chunk(ids, mendStep) {
		at, err := q.places(ctx, chunk)
		if err != nil {
			return removed, explain("drop jobs", err)
		}
		calls := q.sorted(dropScript, chunk, at, func(id string) []any { return []any{id} })
		if len(calls) == 0 {
			continue
		}
		replies, err := q.all(ctx, calls)
		if err != nil {
			return removed, explain("drop jobs", err)
		}
		for _, answer := range replies {
			r := replyOf(answer)
			removed += int(r.int())
			if r.err != nil {
				return removed, explain("drop jobs", r.err)
			}
		}
	}
	return removed, nil
}

// Expire implements queue.Expirer.
func (q *Queue) Expire(ctx context.Context, agent string, age time.Duration, reason string) (int, error) {
	died := 0
	for _, shard := range q.conn.Shards() {
		for _, set := range []string{"queued:", "parked:"} {
			n, err := q.expire(ctx, shard, []any{escape(agent), set}, []any{step, age.Microseconds(), reason, bit(q.imported(age))})
			died += n
			if n > 0 {
				q.dirty(agent, shard.Index())
			}
			if err != nil {
				return died, explain("expire jobs", err)
			}
		}
	}
	return died, nil
}

// expire goes through a set of a shard. What the script is given is what stands before and behind the seq to go on from.
func (q *Queue) expire(ctx context.Context, shard redisconn.Shard, before, behind []any) (int, error) {
	died := 0
	for from := int64(0); ; {
		args := slices.Concat([]any{q.nonce()}, before, []any{strconv.FormatInt(from, 10)}, behind)
		answer, err := q.do(ctx, redisconn.Call{Script: expireScript, Shard: shard, Args: args})
		if err != nil {
			return died, err
		}
		r := replyOf(answer)
		died += int(r.int())
		if from = r.int(); from == 0 || r.err != nil {
			return died, r.err
		}
	}
}
