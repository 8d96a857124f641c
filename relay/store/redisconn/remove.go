package redisconn

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// removeStep is how many keys are looked at, and at most removed, in one go: some tenths of a millisecond of Redis.
const removeStep = 500

// Remove removes all keys of a layout of so many shards, and returns how many there were. It looks at every key of the
// database once, a few at a time. It is for a layout that no relay uses any more, or not yet.
func (c *Conn) Remove(ctx context.Context, shards int) (int, error) {
	var removed atomic.Int64
	pattern := fmt.Sprintf("{imrelay:%d.*}:*", shards)
	err := c.masters(ctx, func(ctx context.Context, master *redis.Client) error {
		for cursor := uint64(0); ; {
			keys, next, err := master.Scan(ctx, cursor, pattern, removeStep).Result()
			if err == nil && len(keys) > 0 {
				err = unlink(ctx, master, keys)
			}
			if err != nil {
				return err
			}
			removed.Add(int64(len(keys)))
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("remove keys: %w: %w", ErrUnavailable, err)
	}
	return int(removed.Load()), err
}

// unlink gives each key a command of its own: those of a Cluster's node may be of several slots.
func unlink(ctx context.Context, master *redis.Client, keys []string) error {
	_, err := master.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range keys {
			p.Unlink(ctx, k)
		}
		return nil
	})
	return err
}

// masters calls f for each server that has keys.
func (c *Conn) masters(ctx context.Context, f func(ctx context.Context, master *redis.Client) error) error {
	switch client := c.client.(type) {
	case *redis.ClusterClient:
		return client.ForEachMaster(ctx, f)
	case *redis.Client:
		return f(ctx, client)
	}
	return errors.New("no client of a kind that is known")
}
