// Package redisconn owns the connection to Redis that a queue, a ledger and a limiter share: where it is (one server,
// Sentinel or a Cluster), into how many shards the data is spread, the scripts and how they are sent. It knows no key
// and no script of theirs.
//
// # Calls
//
// Calls of all goroutines are gathered: each server has a few lanes, and a lane sends what waits as one pipeline on one
// connection. A lone call waits for nobody. A call is repeated, on another connection or another server, as long as its
// time allows, also when it was sent and got no answer: scripts must be idempotent. No call takes longer than about
// 0.9 s; then it is [ErrUnavailable], and may have been done all the same.
//
// # What it does not do
//
// It never follows an ASK of a Cluster. A script names only its shard's prefix as its key, so the server that a slot is
// moving to would run it on the part of the shard that has arrived, and take the rest for missing. While a slot moves, its
// shards are unavailable.
package redisconn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/imrelay/imrelay/relay/secret"
)

// room is how many bytes of calls may wait.
const room = 64 << 20

// Options say where Redis is.
type Options struct {
	// URL is redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://, with ?shards= and ?wait_replicas=.
	URL secret.Text
	// Insecure lets an unfit maxmemory-policy pass.
	Insecure bool
	// Moving is for a migration: it may open what is marked as being moved, or has another number of shards, it changes no
	// mark by itself, and it does not count as a relay.
	Moving bool
	// Log gets a line when something is wrong with Redis.
	Log *zap.Logger
	// Clock is for the suites: the time that scripts see in place of Redis' own.
	Clock func() time.Time
}

// Conn is the connection. All methods are safe for concurrent use.
type Conn struct {
	o        Options
	target   Target
	client   redis.UniversalClient
	dials    *dials
	shards   []Shard
	instance string
	room     *semaphore.Weighted
	log      *zap.Logger

	// state is nil until the first look.
	state atomic.Pointer[state]

	// end stops the goroutines, which running counts; watching is the one that looks once a second.
	end, endWatch     context.CancelFunc
	running, watching sync.WaitGroup
	closing, closed   atomic.Bool

	mu    sync.Mutex
	nodes map[*redis.Client]*node
	subs  []*redis.PubSub
	spawn func(func(context.Context))
}

// Call is one run of a script.
type Call struct {
	Script *Script
	// Shard is whose keys it touches. Its prefix is KEYS[1]: the script composes the keys' names, for which ones it needs
	// it knows only while it runs.
	Shard Shard
	// Args become ARGV[2] and on: strings, []byte and integers. They are not to be changed afterwards, not even once the
	// call has returned: it may still be under way.
	Args []any
	// Sync makes the call wait until as many replicas have it as the URL asks for.
	Sync bool
}

// Open connects and looks at the mark of the store. An error may be an [*URLError], a [*LayoutError], a [*VersionError] or
// [ErrMoving]; other ones wrap ErrUnavailable.
func Open(ctx context.Context, o Options) (*Conn, error) {
	target, err := Parse(o.URL)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		o: o, target: target, dials: newDials(), shards: shards(target.Shards), instance: rand.Text(),
		room: semaphore.NewWeighted(room), log: o.Log, nodes: map[*redis.Client]*node{},
	}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	c.client = connect(target, c.dials)
	c.start()
	if err := c.look(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in Redis: %w", err), c.Close())
	}
	watch, endWatch := context.WithCancel(context.Background())
	c.endWatch = endWatch
	c.watching.Go(func() { c.watch(watch) })
	return c, nil
}

// start makes the context that all goroutines of the connection end with.
func (c *Conn) start() {
	ctx, end := context.WithCancel(context.Background())
	c.end = end
	c.spawn = func(f func(context.Context)) { c.running.Go(func() { f(ctx) }) }
}

// Instance is a random name of this connection, another one each time.
func (c *Conn) Instance() string { return c.instance }

// Target is what the URL said.
func (c *Conn) Target() Target { return c.target }

// Shards are all shards, by their number.
func (c *Conn) Shards() []Shard { return c.shards }

// Shard is where the conversation's data is.
func (c *Conn) Shard(account, conversation string) Shard {
	return c.shards[place(len(c.shards), account, conversation)]
}

// Place is the shard that the parts of a name fall to.
func (c *Conn) Place(parts ...string) Shard { return c.shards[place(len(c.shards), parts...)] }

// Do runs a script, together with those of others. The reply is what go-redis makes of it: int64, string, []any or nil.
// An error wraps ErrUnavailable, is a [*ScriptError], or is of the context.
func (c *Conn) Do(ctx context.Context, call Call) (any, error) {
	replies, err := c.All(ctx, call)
	if err != nil {
		return nil, err
	}
	return replies[0], nil
}

// All runs several scripts in one go and returns their replies in the order of the calls. They are not one commit and
// have no order among them: after an error some may have been done.
func (c *Conn) All(ctx context.Context, calls ...Call) ([]any, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := c.state.Load().refused; err != nil {
		return nil, unavailable(err)
	}
	if len(calls) == 0 {
		return nil, nil
	}
	return c.submit(ctx, c.now(), calls)
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
	ctx, cancel := context.WithTimeout(ctx, replyWithin)
	defer cancel()
	if err := c.client.Publish(ctx, channel, message).Err(); err != nil {
		return fmt.Errorf("publish: %w: %w", ErrUnavailable, err)
	}
	return nil
}

// Close ends it. Calls that wait are ErrUnavailable, those that were sent are waited for. Calling it again does nothing.
func (c *Conn) Close() error {
	if c.closing.Swap(true) {
		return nil
	}
	if c.endWatch != nil {
		c.endWatch()
		c.watching.Wait()
	}
	c.leave()
	c.closed.Store(true)
	c.end()
	c.mu.Lock()
	var rest []*task
	for _, n := range c.nodes {
		rest = append(rest, n.close()...)
	}
	subs := c.subs
	c.mu.Unlock()
	for _, t := range rest {
		t.finish(nil, unavailable(ErrClosed))
	}
	for _, s := range subs {
		_ = s.Close()
	}
	c.running.Wait()
	return c.client.Close()
}
