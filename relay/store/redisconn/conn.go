// Package redisconn owns the connection to Redis that a queue, a ledger and a limiter share: where it is (one server,
// Sentinel or a Cluster), into how many shards the data is spread, the scripts and how they are sent. It knows no key
// and no script of theirs.
package redisconn

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/secret"
)

// ErrUnavailable says that Redis cannot do it now: out of reach, loading, full, read-only, or the connection is closed.
// It may have been done all the same.
var ErrUnavailable = errors.New("redis unavailable")

// Options say where Redis is.
type Options struct {
	// URL is redis://, rediss://, redis+sentinel:// or redis+cluster://, with ?shards= and ?wait_replicas=.
	URL secret.Text
	// Insecure lets an unfit maxmemory-policy pass.
	Insecure bool
	// Log gets a line when something is wrong with Redis.
	Log *zap.Logger
	// Clock is for the suites: the time that scripts see in place of Redis' own.
	Clock func() time.Time
}

// Conn is the connection. All methods are safe for concurrent use.
type Conn struct {
	o      Options
	client redis.UniversalClient
	shards []Shard
	closed atomic.Bool
}

// Call is one run of a script.
type Call struct {
	Script *Script
	// Shard is whose keys it touches. Its prefix is KEYS[1]: the script composes the keys' names, for which ones it needs
	// it knows only while it runs.
	Shard Shard
	// Args become ARGV[2] and on: strings, []byte and integers.
	Args []any
	// Sync makes the call wait until as many replicas have it as the URL asks for.
	Sync bool
}

// Open connects and checks what it finds.
func Open(ctx context.Context, o Options) (*Conn, error) {
	opts, err := redis.ParseURL(o.URL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("read the URL of Redis: %w", err)
	}
	c := &Conn{o: o, client: redis.NewClient(opts), shards: shards(16)}
	if err := c.client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("reach Redis: %w: %w", ErrUnavailable, err), c.client.Close())
	}
	return c, nil
}

// Shards are all shards, by their number.
func (c *Conn) Shards() []Shard { return c.shards }

// Shard is where the conversation's data is.
func (c *Conn) Shard(account, conversation string) Shard {
	return c.shards[place(len(c.shards), account, conversation)]
}

// Place is the shard that the parts of a name fall to.
func (c *Conn) Place(parts ...string) Shard { return c.shards[place(len(c.shards), parts...)] }

// Do runs a script, together with those of others. The reply is what go-redis makes of it: int64, string, []any or nil.
// An error wraps ErrUnavailable, or is of the context.
func (c *Conn) Do(ctx context.Context, call Call) (any, error) {
	replies, err := c.All(ctx, call)
	if err != nil {
		return nil, err
	}
	return replies[0], nil
}

// All runs several scripts in one go and returns their replies in order. They are not one commit: after an error some may
// have been done.
func (c *Conn) All(ctx context.Context, calls ...Call) ([]any, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if c.closed.Load() {
		return nil, fmt.Errorf("%w: closed", ErrUnavailable)
	}
	replies := make([]any, len(calls))
	for i, call := range calls {
		reply, err := c.client.Eval(ctx, call.Script.source, []string{call.Shard.Prefix()}, append([]any{c.now()}, call.Args...)...).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("%s: %w: %w", call.Script.name, ErrUnavailable, err)
		}
		replies[i] = reply
	}
	return replies, nil
}

// now is what scripts are told of the time.
func (c *Conn) now() string {
	if c.o.Clock == nil {
		return ""
	}
	return strconv.FormatInt(c.o.Clock().UnixMicro(), 10)
}

// Publish tells all relays that listen on the channel. Whoever does not listen now never hears of it.
func (c *Conn) Publish(ctx context.Context, channel, message string) error {
	if err := c.client.Publish(ctx, channel, message).Err(); err != nil {
		return fmt.Errorf("publish: %w: %w", ErrUnavailable, err)
	}
	return nil
}

// Subscribe calls hear for each message on the channel until Close. It connects anew by itself; what was published
// meanwhile is lost.
func (c *Conn) Subscribe(channel string, hear func(message string)) {
	sub := c.client.Subscribe(context.Background(), channel)
	go func() {
		for m := range sub.Channel() {
			hear(m.Payload)
		}
	}()
}

// Ready says why Redis cannot be used now; nil: it can.
func (c *Conn) Ready(ctx context.Context) error {
	if err := c.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Close ends it. Calling it again does nothing.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return c.client.Close()
}
