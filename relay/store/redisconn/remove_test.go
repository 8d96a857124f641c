package redisconn_test

import (
	"fmt"
	"testing"

	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// TestRemoveAllButOneLayout removes the keys of one layout, then of all but one, and none of those that are no relay's.
func TestRemoveAllButOneLayout(t *testing.T) {
	t.Parallel()
	const many = 3000
	server := redistest.Start(t)
	connect := func(options string) *redisconn.Conn {
		c, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(server.URL(options))})
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		return c
	}
	c := connect("shards=1")
	for _, n := range []int{1, 10, 16, 160} {
		fill := redisconn.NewScript("fill", fmt.Sprintf(
			`for i = 1, %d do redis.call('SET', string.format('{imrelay:%d.%%d}:k%%d', i %% %d, i), i) end`, many, n, n))
		if _, err := c.Do(t.Context(), redisconn.Call{Script: fill, Shard: c.Shards()[0]}); err != nil {
			t.Fatalf("fill: %v", err)
		}
	}
	count := func() int64 {
		n, err := c.Client().DBSize(t.Context()).Result()
		if err != nil {
			t.Fatalf("DBSIZE: %v", err)
		}
		return n
	}
	if err := c.Client().Set(t.Context(), "{imrelay}:of another", "1", 0).Err(); err != nil {
		t.Fatalf("SET: %v", err)
	}
	before := count()
	if got, err := c.RemoveLayout(t.Context(), 16); err != nil || got != many {
		t.Errorf("RemoveLayout: got %d, %v, want %d", got, err, many)
	}
	if got, want := count(), before-many; got != want {
		t.Errorf("keys after it: got %d, want %d", got, want)
	}
	for _, r := range []struct{ keep, removed, left int }{{1, 2 * many, many}, {1, 0, many}, {0, many, 0}, {0, 0, 0}} {
		got, err := c.Remove(t.Context(), r.keep)
		if err != nil || got != r.removed {
			t.Errorf("Remove all but %d: got %d, %v, want %d", r.keep, got, err, r.removed)
		}
		if got, want := count(), before-int64(4*many-r.left); got != want {
			t.Errorf("keys after it: got %d, want %d", got, want)
		}
		if holds, err := c.Holds(t.Context()); err != nil || holds != (r.left > 0) {
			t.Errorf("Holds: got %v, %v, want %v", holds, err, r.left > 0)
		}
	}
}
