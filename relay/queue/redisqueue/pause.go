package redisqueue

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// calls are those of a script that is about a scope: of the conversation's shard, or of all.
func (q *Queue) scoped(s *redisconn.Script, scope queue.Scope, args ...any) []redisconn.Call {
	shards := q.conn.Shards()
	if scope.Agent == "" {
		shards = []redisconn.Shard{q.conn.Shard(scope.Account, scope.Conversation)}
	}
	calls := make([]redisconn.Call, len(shards))
	for i, shard := range shards {
		calls[i] = redisconn.Call{Script: s, Shard: shard, Args: args}
	}
	return calls
}

// Pause implements queue.Pauser. An agent's pause is one commit a shard; on an error it may hold some of them.
func (q *Queue) Pause(ctx context.Context, s queue.Scope, d time.Duration, reason string) error {
	calls := q.scoped(pauseScript, s, q.nonce(), scopeName(s), max(d, 0).Microseconds(), reason)
	if _, err := q.all(ctx, calls); err != nil {
		return explain("pause lanes", err)
	}
	if d <= 0 {
		return nil
	}
	for _, desk := range q.allDesks() {
		if s.Agent == "" || s.Agent == desk.agent {
			for _, c := range calls {
				q.later(desk.agent, c.Shard.Index(), d)
			}
		}
	}
	return nil
}

// Resume implements queue.Pauser.
func (q *Queue) Resume(ctx context.Context, s queue.Scope) error {
	calls := q.scoped(resumeScript, s, scopeName(s))
	replies, err := q.all(ctx, calls)
	if err != nil {
		return explain("resume lanes", err)
	}
	for i, answer := range replies {
		r := replyOf(answer)
		for r.more() {
			q.dirty(unescape(r.text()), calls[i].Shard.Index())
		}
		if r.err != nil {
			return explain("resume lanes", r.err)
		}
	}
	return nil
}

// Pauses implements queue.Pauser.
func (q *Queue) Pauses(ctx context.Context) ([]queue.Pause, error) {
	replies, err := q.everywhere(ctx, pausesScript)
	if err != nil {
		return nil, explain("list pauses", err)
	}
	all := map[queue.Scope]queue.Pause{}
	for _, answer := range replies {
		r := replyOf(answer)
		now := r.int()
		for r.more() {
			scope, value := scopeOf(r.text()), r.text()
			end, reason, _ := strings.Cut(value, " ")
			until, _ := parse(end)
			if until == 0 || until > now {
				all[scope] = queue.Pause{Scope: scope, Until: wall(until), Reason: reason}
			}
		}
		if r.err != nil {
			return nil, explain("list pauses", r.err)
		}
	}
	var pauses []queue.Pause
	for _, p := range all {
		pauses = append(pauses, p)
	}
	slices.SortFunc(pauses, func(a, b queue.Pause) int { return cmp.Compare(scopeName(a.Scope), scopeName(b.Scope)) })
	return pauses, nil
}
