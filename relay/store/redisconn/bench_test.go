package redisconn_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// BenchmarkDo compares calls that are gathered with those that each take a connection of their own.
func BenchmarkDo(b *testing.B) {
	s := redistest.Start(b, "--appendonly", "no")
	c := open(b, s.URL("shards=16"))
	body := make([]byte, 1024)
	set := `redis.call('SET', KEYS[1] .. ARGV[2], ARGV[3]) return 1`
	script := redisconn.NewScript("set", set)
	plain := redis.NewScript("redis.call('TIME')\n" + set)
	direct := redis.NewClient(&redis.Options{Network: "unix", Addr: s.Socket(), PoolSize: 256})
	b.Cleanup(func() {
		if err := direct.Close(); err != nil {
			b.Error(err)
		}
	})
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("gathered/callers=%d", callers), func(b *testing.B) {
			share(b, callers, func(i int64) error {
				_, err := c.Do(context.Background(), redisconn.Call{
					Script: script, Shard: c.Shards()[i%16], Args: []any{i % 1000, body},
				})
				return err
			})
		})
		b.Run(fmt.Sprintf("alone/callers=%d", callers), func(b *testing.B) {
			share(b, callers, func(i int64) error {
				return plain.Run(context.Background(), direct, []string{c.Shards()[i%16].Prefix()}, "", i%1000, body).Err()
			})
		})
	}
}

// share spreads b.N calls over the callers.
func share(b *testing.B, callers int, call func(i int64) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
