package redisconn_test

import (
	"fmt"
	"testing"

	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// TestRemoveOneLayout removes all of one layout's keys, and none of those that stand beside it.
func TestRemoveOneLayout(t *testing.T) {
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
	before := count()
	for i, n := range []int{16, 1} {
		got, err := c.Remove(t.Context(), n)
		if err != nil || got != many {
			t.Errorf("Remove %d: got %d, %v, want %d", n, got, err, many)
		}
		if got, want := count(), before-int64(i+1)*many; got != want {
			t.Errorf("keys after it: got %d, want %d", got, want)
		}
	}
	if got, err := c.Remove(t.Context(), 16); got != 0 || err != nil {
		t.Errorf("Remove again: got %d, %v, want none", got, err)
	}
}
