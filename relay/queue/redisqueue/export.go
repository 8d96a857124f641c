package redisqueue

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// What a piece of an export has at most: so many of anything, and no further job once it has so many bytes.
const (
	pieceSize  = 200
	pieceBytes = 1 << 20
)

// Export implements queue.Exporter: the pauses, then chats, jobs and keys, shard by shard. Jobs of a shard come in the order
// of their seqs; leases are not part of it. Finding the keys takes a pass over all that the server holds.
func (q *Queue) Export(ctx context.Context, yield func(queue.Cargo) error) error {
	pauses, err := q.Pauses(ctx)
	if err != nil {
		return err
	}
	if err := yield(queue.Cargo{Pauses: pauses}); err != nil {
		return err
	}
	for _, step := range []func(context.Context, redisconn.Shard, func(queue.Cargo) error) error{
		q.exportChats, q.exportJobs,
	} {
		for _, shard := range q.conn.Shards() {
			if err := step(ctx, shard, yield); err != nil {
				return err
			}
		}
	}
	return q.exportKeys(ctx, yield)
}

// piece runs a script that hands out some of what a shard holds.
func (q *Queue) piece(ctx context.Context, s *redisconn.Script, shard redisconn.Shard, args ...any) (*reply, error) {
	answer, err := q.do(ctx, redisconn.Call{Script: s, Shard: shard, Args: args})
	if err != nil {
		return nil, explain("export queue", err)
	}
	return replyOf(answer), nil
}

func (q *Queue) exportChats(ctx context.Context, shard redisconn.Shard, yield func(queue.Cargo) error) error {
	for last := ""; ; {
		r, err := q.piece(ctx, exportChatsScript, shard, last, pieceSize)
		if err != nil {
			return err
		}
		var chats []queue.Chat
		n := len(r.values)
		for r.more() {
			before, member := last, r.text()
			if last = member; sameChat(before, member) {
				continue
			}
			conversation, rest, _ := strings.Cut(member, "\x00")
			account, _, _ := strings.Cut(rest, "\x00")
			chats = append(chats, queue.Chat{Account: unescape(account), Conversation: conversation})
		}
		if r.err != nil {
			return explain("export chats", r.err)
		}
		if len(chats) > 0 {
			if err := yield(queue.Cargo{Chats: chats}); err != nil {
				return err
			}
		}
		if n < pieceSize {
			return nil
		}
	}
}

// sameChat says whether two known lanes differ in nothing but the agent.
func sameChat(a, b string) bool {
	i, j := strings.LastIndexByte(a, 0), strings.LastIndexByte(b, 0)
	return i >= 0 && j >= 0 && a[:i] == b[:j]
}

func (q *Queue) exportJobs(ctx context.Context, shard redisconn.Shard, yield func(queue.Cargo) error) error {
	for last := int64(0); ; {
		r, err := q.piece(ctx, exportJobsScript, shard, last, pieceSize, pieceBytes)
		if err != nil {
			return err
		}
		last = r.int()
		var jobs []queue.Job
		for r.more() {
			id, fields := r.text(), r.list()
			job := sound(readJob(id, shard.Index(), fields))
			if r.err = fields.err; r.err == nil {
				jobs = append(jobs, job)
			}
		}
		if r.err != nil {
			return explain("export jobs", r.err)
		}
		if len(jobs) > 0 {
			if err := yield(queue.Cargo{Jobs: jobs}); err != nil {
				return err
			}
		}
		if last == 0 {
			return nil
		}
	}
}

// exportKeys hands out the sightings of all shards.
func (q *Queue) exportKeys(ctx context.Context, yield func(queue.Cargo) error) error {
	return q.conn.EachKey(ctx, func(shard redisconn.Shard, names []string) error {
		names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "seen:") && !strings.HasPrefix(n, "old:") })
		for some := range slices.Chunk(names, pieceSize) {
			args := []any{q.keep.Window.Microseconds()}
			for _, n := range some {
				args = append(args, n)
			}
			r, err := q.piece(ctx, exportKeysScript, shard, args...)
			if err != nil {
				return err
			}
			var seen []queue.Sighting
			for r.more() {
				s, err := sighting(r.text(), r.text(), r.int())
				if err != nil {
					return explain("export keys", err)
				}
				seen = append(seen, s)
			}
			if r.err != nil {
				return explain("export keys", r.err)
			}
			if len(seen) == 0 {
				continue
			}
			if err := yield(queue.Cargo{Sightings: seen}); err != nil {
				return err
			}
		}
		return nil
	})
}

func sighting(sum, id string, at int64) (queue.Sighting, error) {
	raw, err := base64.RawURLEncoding.DecodeString(sum)
	if err != nil || len(raw) != len(queue.KeySum{}) {
		return queue.Sighting{}, fmt.Errorf("a key's sum is %d bytes", len(raw))
	}
	s := queue.Sighting{Sum: queue.KeySum(raw), ID: id, At: wall(at)}
	if id == echo {
		s.ID = ""
	}
	return s, nil
}
