package redisdedupe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// takeBytes is after how many bytes of messages one run of take stops.
const takeBytes = 1 << 20

// Take implements [dedupe.Mailbox]. It looks before it takes, since most looks find nothing.
func (l *Ledger) Take(ctx context.Context, limit int) ([]dedupe.Entry, error) {
	es, err := l.takeAgain(ctx, limit)
	for err == nil && len(es) < limit {
		var plan map[redisconn.Shard]int
		if plan, err = l.look(ctx, min(atOnce, limit-len(es))); err != nil || len(plan) == 0 {
			break
		}
		var (
			got []dedupe.Entry
			all bool
		)
		got, all, err = l.takePlanned(ctx, plan)
		es = append(es, got...)
		if all {
			break
		}
	}
	if err != nil && len(es) == 0 {
		return nil, fail("take messages", err)
	}
	slices.SortFunc(es, func(a, b dedupe.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return es, nil
}

// look says how many rows to take in which shard, to have those that were accepted first.
func (l *Ledger) look(ctx context.Context, limit int) (map[redisconn.Shard]int, error) {
	shards := l.conn.Shards()
	replies, err := l.each(ctx, shards, func(redisconn.Shard) redisconn.Call {
		return redisconn.Call{Script: lookScript, Args: []any{limit}}
	})
	if err != nil {
		return nil, err
	}
	type head struct {
		seq   uint64
		shard redisconn.Shard
	}
	var heads []head
	for i, reply := range replies {
		seqs, _ := reply.([]any)
		for _, text := range seqs {
			seq, err := tokenOf(text, shards[i])
			if err != nil {
				return nil, err
			}
			heads = append(heads, head{seq, shards[i]})
		}
	}
	slices.SortFunc(heads, func(a, b head) int { return cmp.Compare(a.seq, b.seq) })
	plan := map[redisconn.Shard]int{}
	for _, h := range heads[:min(limit, len(heads))] {
		plan[h.shard]++
	}
	return plan, nil
}

// run is one run of take in a shard.
type run struct {
	shard redisconn.Shard
	most  int
	nonce string
	again bool // only for what an earlier run with the nonce took
}

// takeAgain returns what was taken without an answer to us: it would be nobody's until it lapses. Each such run is asked
// for by one caller at a time.
func (l *Ledger) takeAgain(ctx context.Context, limit int) (es []dedupe.Entry, err error) {
	for err == nil && len(es) < limit {
		l.mu.Lock()
		if len(l.unanswered) == 0 {
			l.mu.Unlock()
			break
		}
		r := l.unanswered[0]
		l.unanswered = l.unanswered[1:]
		l.mu.Unlock()
		r.most, r.again = limit-len(es), true
		var got []dedupe.Entry
		got, err = l.run(ctx, r)
		es = append(es, got...)
	}
	return es, err
}

// takePlanned takes so many rows in each shard. all says that nothing of the plan was left.
func (l *Ledger) takePlanned(ctx context.Context, plan map[redisconn.Shard]int) (es []dedupe.Entry, all bool, err error) {
	var runs []run
	wanted := 0
	for shard, n := range plan {
		wanted += n
		runs = append(runs, run{shard: shard, most: n, nonce: l.nonce()})
	}
	es, err = l.run(ctx, runs...)
	return es, len(es) == wanted, err
}

// run runs take. A caller who leaves meanwhile is waited for, which takes no longer than Redis may: what is taken must be
// somebody's.
func (l *Ledger) run(ctx context.Context, runs ...run) (es []dedupe.Entry, err error) {
	calls := make([]redisconn.Call, len(runs))
	for i, r := range runs {
		calls[i] = redisconn.Call{
			Script: takeScript, Shard: r.shard, Args: []any{r.most, r.nonce, micros(l.o.Lease), takeBytes, flag(r.again)},
		}
	}
	err = context.Cause(ctx)
	var replies []any
	if err == nil {
		replies, err = l.all(context.WithoutCancel(ctx), calls...)
	}
	if err != nil {
		l.mu.Lock()
		l.unanswered = append(l.unanswered, runs...)
		l.mu.Unlock()
		return nil, err
	}
	for i, reply := range replies {
		got, failed := l.taken(reply, calls[i].Shard)
		if failed != nil {
			err = failed
		}
		es = append(es, got...)
	}
	return es, err
}

// taken reads take's reply. A row that cannot be read is left out.
func (l *Ledger) taken(reply any, s redisconn.Shard) ([]dedupe.Entry, error) {
	parts, _ := reply.([]any)
	if len(parts)%2 != 1 {
		return nil, errReply
	}
	if missing, _ := parts[0].(int64); missing > 0 {
		l.o.Log.Error("queued messages are lost", zap.Int64("messages", missing))
	}
	es := make([]dedupe.Entry, 0, len(parts)/2)
	for i := 1; i < len(parts); i += 2 {
		var r stored
		token, err := tokenOf(parts[i], s)
		if err == nil {
			err = r.read(parts[i+1], s)
		}
		if err != nil {
			l.o.Log.Error("queued message cannot be read", zap.Error(err))
			continue
		}
		r.Status, r.Token = dedupe.Claimed, token
		es = append(es, r.Entry)
	}
	return es, nil
}

// Find implements [dedupe.Mailbox].
func (l *Ledger) Find(ctx context.Context, owner, id string) (dedupe.Entry, error) {
	shards := l.conn.Shards()
	replies, err := l.each(ctx, shards, func(redisconn.Shard) redisconn.Call {
		return redisconn.Call{Script: findScript, Args: []any{owner, id}}
	})
	if err != nil {
		return dedupe.Entry{}, fail("find message", err)
	}
	for i, reply := range replies {
		parts, _ := reply.([]any)
		if len(parts) != 2 {
			continue
		}
		var r stored
		if err := r.read(parts[1], shards[i]); err != nil {
			return dedupe.Entry{}, fail("find message", err)
		}
		what, _ := parts[0].(string)
		r.Status = statuses[what]
		return r.Entry, nil
	}
	return dedupe.Entry{}, fmt.Errorf("find message: %w", dedupe.ErrNotFound)
}

// Renew implements [dedupe.Mailbox].
func (l *Ledger) Renew(ctx context.Context, es []dedupe.Entry) ([]dedupe.Entry, error) {
	var (
		calls []redisconn.Call
		// of says for each call which entries it is about.
		of   [][]int
		last = map[redisconn.Shard]int{}
	)
	for i, e := range es {
		shard := l.conn.Place(e.Lane)
		if numbered(e.Token>>8, shard) != e.Token {
			continue
		}
		n, begun := last[shard]
		if !begun || len(of[n]) == atOnce {
			n = len(calls)
			last[shard] = n
			calls = append(calls, redisconn.Call{Script: renewScript, Shard: shard, Args: []any{micros(l.o.Lease)}})
			of = append(of, nil)
		}
		calls[n].Args = append(calls[n].Args, sumOf(e.Owner, e.Key), strconv.FormatUint(e.Token>>8, 10))
		of[n] = append(of[n], i)
	}
	replies, err := l.all(ctx, calls...)
	if err != nil {
		return nil, fail("renew claims", err)
	}
	held := make([]bool, len(es))
	for n, reply := range replies {
		kept, _ := reply.([]any)
		for _, place := range kept {
			if p, _ := place.(int64); p >= 1 && int(p) <= len(of[n]) {
				held[of[n][p-1]] = true
			}
		}
	}
	var kept []dedupe.Entry
	for i, e := range es {
		if held[i] {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// Waiting implements [dedupe.Mailbox].
func (l *Ledger) Waiting(ctx context.Context) (int, error) {
	waiting, _, err := l.count(ctx)
	if err != nil {
		return 0, fail("count waiting", err)
	}
	return waiting, nil
}

// count counts the rows that wait, and returns a number that is not below the next seq of any shard.
func (l *Ledger) count(ctx context.Context) (waiting int, next uint64, err error) {
	shards := l.conn.Shards()
	replies, err := l.each(ctx, shards, func(redisconn.Shard) redisconn.Call {
		return redisconn.Call{Script: countScript}
	})
	if err != nil {
		return 0, 0, err
	}
	for i, reply := range replies {
		parts, _ := reply.([]any)
		if len(parts) != 2 {
			return 0, 0, errReply
		}
		n, _ := parts[0].(int64)
		seq, err := tokenOf(parts[1], shards[i])
		if err != nil {
			return 0, 0, err
		}
		waiting, next = waiting+int(n), max(next, seq>>8)
	}
	return waiting, next, nil
}

// Abandon implements [dedupe.Mailbox]. It does nothing: the lease ends what its holder does not.
func (l *Ledger) Abandon(dedupe.Entry) {}
