package redisqueue

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

const (
	// mostLeases bounds the leases of one run of the script.
	mostLeases = 64
	// mostBytes is how many bytes of bodies may have been gathered before another one.
	mostBytes = 4 << 20
)

// taking is one call of Take.
type taking struct {
	q     *Queue
	desk  *desk
	want  queue.Want
	left  int // how many leases may still be given
	rough int // how many of them of troubled lanes
	spent []bool
	got   []grant
}

// grant is a lease that was given.
type grant struct {
	lease queue.Lease
	lane  string
	job   *stored
	due   int64 // of the lane
}

// Take implements queue.Source. Calls for one agent take turns.
func (q *Queue) Take(ctx context.Context, w queue.Want) (queue.Taken, error) {
	if err := q.check(ctx); err != nil {
		return queue.Taken{}, err
	}
	t := &taking{
		q: q, desk: q.serve(w.Agent), want: w, left: max(w.Max, 0), rough: max(w.Troubled, 0),
		spent: make([]bool, len(q.conn.Shards())),
	}
	select {
	case t.desk.turn <- struct{}{}:
	case <-ctx.Done():
		return queue.Taken{}, context.Cause(ctx)
	}
	defer func() { <-t.desk.turn }()
	var err error
	if w.Early {
		err = t.early(ctx)
	} else {
		err = t.due(ctx)
	}
	if err != nil && len(t.got) == 0 {
		return queue.Taken{}, explain("take jobs", err)
	}
	taken := queue.Taken{Leases: t.leases(ctx)}
	next, more := t.desk.ahead(q.clock())
	taken.Next = next
	if more {
		t.desk.poke()
	}
	return taken, nil
}

// due asks the shards in which there may be something, as long as there is room.
func (t *taking) due(ctx context.Context) error {
	for {
		shards := t.desk.pick(choice{now: t.q.clock(), most: t.left, rough: t.rough > 0 || t.want.Max <= 0, spent: t.spent})
		if len(shards) == 0 {
			return nil
		}
		asks := make([]ask, len(shards))
		for i, n := range shards {
			asks[i] = ask{shard: n, most: min(share(t.left, i, len(shards)), mostLeases), rough: share(t.rough, i, len(shards))}
		}
		if err := t.ask(ctx, asks); err != nil {
			t.desk.mark(t.q.clock(), shards...) // and wake nobody: he who asks knows, and would ask on and on
			return err
		}
		if t.left == 0 {
			return nil
		}
	}
}

// share is the i-th of n parts of a whole.
func share(whole, i, n int) int {
	part := whole / n
	if i < whole%n {
		part++
	}
	return part
}

// early takes of the lanes that were taken least recently. It asks all shards first which those are.
func (t *taking) early(ctx context.Context) error {
	asks := make([]ask, len(t.spent))
	for i := range asks {
		asks[i] = ask{shard: i, rough: t.rough}
	}
	replies, _, err := t.run(ctx, asks)
	if err != nil {
		return err
	}
	type able struct {
		shard int
		taken int64
	}
	var ables []able
	for i, answer := range replies {
		r := replyOf(answer)
		_, _, _, _, taken := r.int(), r.int(), r.int(), r.int(), r.int()
		if r.err != nil {
			return r.err
		}
		if taken >= 0 {
			ables = append(ables, able{i, taken})
		}
	}
	slices.SortStableFunc(ables, func(a, b able) int { return cmp.Compare(a.taken, b.taken) })
	for i, a := range ables {
		if t.left == 0 {
			return nil
		}
		most := min(share(t.left, 0, len(ables)-i), mostLeases)
		if err := t.ask(ctx, []ask{{shard: a.shard, most: most, rough: t.rough}}); err != nil {
			return err
		}
	}
	return nil
}

// ask is what one shard is asked for.
type ask struct {
	shard, most, rough int
}

// run runs the script in the shards. asked is a time before that.
func (t *taking) run(ctx context.Context, asks []ask) (replies []any, asked time.Time, err error) {
	q, fresh, agent := t.q, t.q.nonce(), escape(t.want.Agent)
	calls := make([]redisconn.Call, len(asks))
	for i, a := range asks {
		// What an earlier call leased there, without an answer to us, would be nobody's until it lapses.
		nonce := &t.desk.unanswered[a.shard]
		if *nonce == "" {
			*nonce = fresh
		}
		calls[i] = redisconn.Call{Script: takeScript, Shard: q.conn.Shards()[a.shard], Args: []any{
			agent, a.most, a.rough, bit(t.want.Early), q.lease.Microseconds(), mostBytes, q.id + "/" + agent, *nonce,
		}}
	}
	asked = q.clock()
	if replies, err = q.all(ctx, calls); err != nil {
		return nil, asked, err
	}
	for _, a := range asks {
		t.desk.unanswered[a.shard] = ""
	}
	return replies, asked, nil
}

// ask takes what the shards give.
func (t *taking) ask(ctx context.Context, asks []ask) error {
	replies, asked, err := t.run(ctx, asks)
	if err != nil {
		return err
	}
	for i, a := range asks {
		before := len(t.got)
		if err := t.read(a.shard, replyOf(replies[i]), asked); err != nil {
			return err
		}
		t.spent[a.shard] = len(t.got) == before
	}
	return nil
}

// read reads what a shard gave.
func (t *taking) read(shard int, r *reply, asked time.Time) error {
	now, next, lapse, more, first := r.int(), r.int(), r.int(), r.int(), r.int()
	f := found{more: more > 0, rough: more == 2, since: asked}
	if next > 0 {
		f.next = asked.Add(micro(next))
	}
	if lapse > 0 {
		f.lapse = asked.Add(micro(lapse))
	}
	if first > 0 && first < now {
		f.since = asked.Add(-micro(now - first))
	}
	for r.more() {
		one := r.list()
		lane, id, token, troubled, due := one.text(), one.text(), one.int(), one.int() == 1, one.int()
		job := readJob(id, shard, one.list())
		if one.err != nil {
			return one.err
		}
		job.Lane, job.Leased = laneOf(lane), true
		t.got = append(t.got, grant{job: job, due: due, lane: lane, lease: queue.Lease{
			Token: numbered(token, shard), Taken: wall(now), Expires: wall(now).Add(t.q.lease), Troubled: troubled,
		}})
		t.left--
		if troubled {
			t.rough--
		}
	}
	if r.err == nil && !t.want.Early {
		t.desk.learn(shard, f)
	}
	return r.err
}

// leases returns what was given, the longest due first, and buries what is corrupt.
func (t *taking) leases(ctx context.Context) []queue.Lease {
	slices.SortStableFunc(t.got, func(a, b grant) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.lane, b.lane))
	})
	var leases []queue.Lease
	for _, g := range t.got {
		l := g.lease
		l.Job = g.job.Job
		if g.job.intact() {
			leases = append(leases, l)
			continue
		}
		if err := t.q.Settle(ctx, l, queue.Verdict{Action: queue.Bury, Reason: record.Corrupt}); err != nil {
			t.q.log.Warn("a corrupt job is not buried yet", zap.String("eventId", l.Job.ID), zap.Error(err))
		}
	}
	return leases
}
