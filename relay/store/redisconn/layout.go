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
}

// Layout reads the mark.
func (c *Conn) Layout(ctx context.Context) (Layout, error) {
	replies, err := c.submit(ctx, "", []Call{{Script: storeScript, Shard: mark, Args: []any{c.target.Shards, Version, "moving"}}})
	if err != nil {
		return Layout{}, err
	}
	fields, _ := replies[0].([]any)
	if len(fields) < 3 {
		return Layout{}, errors.New("read the mark of the store: the script returned something else")
	}
	var l Layout
	l.Mover, _ = fields[2].(string)
	if text, _ := fields[0].(string); text != "" {
		if l.Shards, err = strconv.Atoi(text); err != nil {
			return Layout{}, fmt.Errorf("read the mark of the store: %w", err)
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
