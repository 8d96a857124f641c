package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// Layout is what the mark of the store says.
type Layout struct {
	// Shards is the number of shards that the relays' data is spread over; 0: no relay has any here.
	Shards int
	// Mover is who moves data here, by the name of its connection (see [Conn.Instance]); empty: nobody.
	Mover string
	// From is the number of shards before the last migration, if that was one within this Redis, and none has begun since;
	// else 0. Its keys are of no use any more.
	From int
}

var layoutScript = NewScript("layout", "return redis.call('HMGET', KEYS[1], 'shards', 'moving', 'from')")

// Fits returns a [*LayoutError] if the data is spread over another number of shards, and nil if it is not, or there is none.
func (l Layout) Fits(shards int) error {
	if l.Shards == 0 || l.Shards == shards {
		return nil
	}
	return &LayoutError{Has: l.Shards, Want: shards}
}

// Layout reads the mark.
func (c *Conn) Layout(ctx context.Context) (Layout, error) {
	replies, err := c.submit(ctx, "", []Call{{Script: layoutScript, Shard: mark}})
	if err != nil {
		return Layout{}, err
	}
	fields, _ := replies[0].([]any)
	if len(fields) != 3 {
		return Layout{}, errors.New("read the mark of the store: the script returned something else")
	}
	var l Layout
	l.Mover, _ = fields[1].(string)
	for i, n := range map[int]*int{0: &l.Shards, 2: &l.From} {
		if text, _ := fields[i].(string); text != "" {
			if *n, err = strconv.Atoi(text); err != nil {
				return Layout{}, fmt.Errorf("read the mark of the store: %w", err)
			}
		}
	}
	return l, nil
}

// Forget removes the mark: of a store that holds nothing, so that what a broken off migration leaves there is known to be
// its own.
func (c *Conn) Forget(ctx context.Context) error {
	if err := c.client.Del(ctx, mark.prefix).Err(); err != nil {
		return fmt.Errorf("forget the store: %w", unavailable(err))
	}
	return nil
}
