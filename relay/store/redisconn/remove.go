package redisconn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// removeStep is how many keys are looked at, and at most removed, in one go: some tenths of a millisecond of Redis.
const removeStep = 500

// Remove removes all keys of the shards of every layout but that of keep shards; 0 keeps none. It returns how many there
// were. It looks at every key of the database once, a few at a time, and is for layouts that no relay uses.
func (c *Conn) Remove(ctx context.Context, keep int) (int, error) {
	kept := layoutPrefix(keep)
	return c.remove(ctx, func(key string) bool { return !strings.HasPrefix(key, kept) })
}

// RemoveLayout is Remove for the keys of the layout of so many shards, and of no other.
func (c *Conn) RemoveLayout(ctx context.Context, shards int) (int, error) {
	dropped := layoutPrefix(shards)
	return c.remove(ctx, func(key string) bool { return strings.HasPrefix(key, dropped) })
}

// layoutPrefix is what the keys of a layout begin with.
func layoutPrefix(shards int) string { return "{imrelay:" + strconv.Itoa(shards) + "." }

// remove removes the keys of shards for which drop says so.
func (c *Conn) remove(ctx context.Context, drop func(key string) bool) (int, error) {
	var removed atomic.Int64
	err := c.scan(ctx, func(ctx context.Context, master *redis.Client, keys []string) error {
		keys = slices.DeleteFunc(keys, func(k string) bool { return !drop(k) })
		if len(keys) == 0 {
			return nil
		}
		removed.Add(int64(len(keys)))
		return unlink(ctx, master, keys)
	})
	if err != nil {
		return int(removed.Load()), fmt.Errorf("remove keys: %w", err)
	}
	return int(removed.Load()), nil
}

// Holds says whether there is any key of a shard, of whichever layout.
func (c *Conn) Holds(ctx context.Context) (bool, error) {
	err := c.scan(ctx, func(_ context.Context, _ *redis.Client, keys []string) error {
		if len(keys) > 0 {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for keys: %w", err)
	}
	return false, nil
}

// EachKey calls f with the names of the keys of our shards, without their prefix, some of one shard at a time. It looks at
// every key of the database once, a few at a time. A key that is there all the while is told of at least once.
func (c *Conn) EachKey(ctx context.Context, f func(s Shard, names []string) error) error {
	ours := make(map[string]int, len(c.shards))
	for i, s := range c.shards {
		ours[s.prefix] = i
	}
	var one sync.Mutex // masters are looked through side by side
	err := c.scan(ctx, func(_ context.Context, _ *redis.Client, keys []string) error {
		byShard := make([][]string, len(c.shards))
		for _, k := range keys {
			end := strings.Index(k, "}:") + len("}:")
			if i, ok := ours[k[:end]]; ok {
				byShard[i] = append(byShard[i], k[end:])
			}
		}
		one.Lock()
		defer one.Unlock()
		for i, names := range byShard {
			if len(names) == 0 {
				continue
			}
			if err := f(c.shards[i], names); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look through keys: %w", err)
	}
	return nil
}

var errFound = errors.New("found")

// scan calls f with the keys of shards, a few at a time, and stops at its first error.
func (c *Conn) scan(ctx context.Context, f func(ctx context.Context, master *redis.Client, keys []string) error) error {
	err := c.masters(ctx, func(ctx context.Context, master *redis.Client) error {
		for cursor := uint64(0); ; {
			keys, next, err := master.Scan(ctx, cursor, "{imrelay:*.*}:*", removeStep).Result()
			if err == nil {
				err = f(ctx, master, keys)
			}
			if err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil, errors.Is(err, errFound):
		return err
	}
	return unavailable(err)
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
