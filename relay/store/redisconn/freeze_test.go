//go:build unix

package redisconn_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// TestWhoLeavesLeavesAtOnce freezes the server and cancels.
func TestWhoLeavesLeavesAtOnce(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := open(t, s.URL(""))
	s.Freeze()
	defer s.Thaw()
	cause := errors.New("the caller hung up")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(cause) })
	start := time.Now()
	_, err := c.Do(ctx, redisconn.Call{Script: count, Shard: c.Shards()[0]})
	if took := time.Since(start); !errors.Is(err, cause) || took > 300*time.Millisecond {
		t.Errorf("got %v after %v, want the caller's cause at once", err, took)
	}
	if _, err := c.Do(ctx, redisconn.Call{Script: count, Shard: c.Shards()[0]}); !errors.Is(err, cause) {
		t.Errorf("a call that begins cancelled: got %v, want the caller's cause", err)
	}
}
