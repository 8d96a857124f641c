package redisqueue

import (
	"cmp"
	"context"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// imported says whether an import was within so long.
func (q *Queue) imported(within time.Duration) bool {
	at := q.conn.Imported()
	return q.importing.Load() || !at.IsZero() && q.clock().Sub(at) < within
}

// sound is the job as it may be handed on: one whose body is damaged comes dead and without it, for its importer could
// not tell, and would deliver it.
func sound(s *stored) queue.Job {
	if s.Body != nil && !s.intact() {
		s.Body = nil
		if s.State == queue.Queued || s.State == queue.Parked {
			s.State, s.LastError, s.Due, s.NotBefore = queue.Dead, record.Corrupt, time.Time{}, time.Time{}
		}
	}
	return s.Job
}

// Import implements queue.Importer. A piece is several commits.
func (q *Queue) Import(ctx context.Context, c queue.Cargo) error {
	q.importing.Store(true)
	calls := q.importNames(c)
	for _, p := range c.Pauses {
		calls = append(calls, q.scoped(importPauseScript, p.Scope, scopeName(p.Scope), micros(p.Until), p.Reason)...)
	}
	if len(calls) > 0 {
		if _, err := q.all(ctx, calls); err != nil {
			return explain("import names", err)
		}
	}
	for jobs := c.Jobs; len(jobs) > 0; {
		n := fitting(jobs)
		if err := q.importJobs(ctx, jobs[:n]); err != nil {
			return explain("import jobs", err)
		}
		jobs = jobs[n:]
	}
	return q.check(ctx)
}

// fitting is how many of the jobs go at once.
func fitting(jobs []queue.Job) int {
	n := 0
	for size := 0; n < min(len(jobs), pieceSize) && size < pieceBytes; n++ {
		size += len(jobs[n].Body)
	}
	return n
}

// gathered is the calls of a script, one a shard.
type gathered struct {
	script *redisconn.Script
	calls  []redisconn.Call
	at     map[int]int
}

// add adds arguments to the call for the shard, which begins with the first ones.
func (g *gathered) add(shard redisconn.Shard, first, args []any) {
	n, there := g.at[shard.Index()]
	if !there {
		n = len(g.calls)
		g.at[shard.Index()] = n
		g.calls = append(g.calls, redisconn.Call{Script: g.script, Shard: shard, Args: first, Sync: true})
	}
	g.calls[n].Args = append(g.calls[n].Args, args...)
}

func (q *Queue) importJobs(ctx context.Context, jobs []queue.Job) error {
	g := gathered{script: importJobsScript, at: map[int]int{}}
	for _, j := range jobs {
		g.add(q.conn.Shard(j.Lane.Account, j.Lane.Conversation), nil, []any{
			j.ID, laneName(j.Lane), j.Meta, j.Body, int64(record.Sum(j.Body)), bit(j.Body != nil), int64(j.State), j.Attempts,
			bit(j.Answered), j.Status, j.LastError, micros(j.Accepted), micros(j.Since), micros(j.Due), micros(j.NotBefore),
			micros(j.FirstFailure), micros(j.Updated),
		})
	}
	replies, err := q.all(ctx, g.calls)
	if err != nil {
		return err
	}
	for i, answer := range replies {
		r := replyOf(answer)
		for r.more() {
			q.dirty(unescape(r.text()), g.calls[i].Shard.Index())
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// importNames are the calls for the sightings and the chats.
func (q *Queue) importNames(c queue.Cargo) []redisconn.Call {
	first := func(sightings int) []any {
		return []any{q.keep.Window.Microseconds(), slack.Milliseconds(), sightings}
	}
	byShard := map[int]int{}
	for _, s := range c.Sightings {
		byShard[q.conn.Place(textOf(s.Sum)).Index()]++
	}
	seen := gathered{script: importNamesScript, at: map[int]int{}}
	for _, s := range c.Sightings {
		sum := textOf(s.Sum)
		shard := q.conn.Place(sum)
		seen.add(shard, first(byShard[shard.Index()]), []any{sum, cmp.Or(s.ID, echo), micros(s.At)})
	}
	chats := gathered{script: importNamesScript, at: map[int]int{}}
	for _, chat := range c.Chats {
		chats.add(q.conn.Shard(chat.Account, chat.Conversation), first(0), []any{chat.Conversation, escape(chat.Account)})
	}
	return append(seen.calls, chats.calls...)
}
