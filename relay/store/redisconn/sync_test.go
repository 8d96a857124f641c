//go:build unix

package redisconn_test

import (
	"errors"
	"testing"

	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// TestWhatIsFoundIsWaitedFor has a call that only finds what another one wrote while the replica was away: it must not be
// told that the replica has it. Redis counts from what it had written when the connection last asked it anything.
func TestWhatIsFoundIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	writer, reader := open(t, s.Servers[0].URL("")), open(t, s.Servers[0].URL("wait_replicas=1"))
	found := redisconn.NewScript("found", "return redis.call('GET', KEYS[1] .. 'n')")
	call := redisconn.Call{Script: found, Shard: reader.Shards()[0], Sync: true}
	back(t, reader, call)
	s.Servers[1].Freeze()
	do(t, writer, count)
	if _, err := reader.Do(t.Context(), call); !errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("with a frozen replica: got %v, want ErrUnavailable", err)
	}
	if err := reader.Ready(t.Context()); !errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("Ready with a frozen replica: got %v, want ErrUnavailable", err)
	}
	s.Servers[1].Thaw()
	back(t, reader, call)
	if err := reader.Ready(t.Context()); err != nil {
		t.Errorf("Ready with a replica: %v", err)
	}
}
