package redisqueue

import (
	"context"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

var _ queue.Braker = (*Queue)(nil)

// Turn implements queue.Braker.
func (q *Queue) Turn(ctx context.Context, c queue.Chat, l queue.Loop) error {
	_, err := q.do(ctx, redisconn.Call{Script: turnScript, Shard: q.conn.Shard(c.Account, c.Conversation), Args: []any{
		escape(c.Account) + "/" + c.Conversation, l.Turns, l.Window.Microseconds(), l.Pause.Microseconds(), l.Reason,
	}})
	if err != nil {
		return explain("count a turn", err)
	}
	return nil
}
