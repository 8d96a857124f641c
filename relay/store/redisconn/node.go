package redisconn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

const (
	// lanesOfQueue is how many pipelines of one kind to one server may be under way.
	lanesOfQueue = 4
	// tellAfter is how often in a row a server must fail before it is worth a line in the log.
	tellAfter = 3
	// movedAfter is when a call that met the wrong server is sent again.
	movedAfter = 20 * time.Millisecond
)

// node is one server with its lanes. After a failure one of the lanes asks it until it answers, and the others wait.
type node struct {
	conn   *Conn
	client *redis.Client
	addr   string
	// plain and sync are the same unless calls can wait for replicas: others should not wait with them.
	plain, sync *queue

	turn    chan struct{}
	blocked atomic.Bool
	gone    atomic.Bool
	fails   atomic.Int32
	mu      sync.Mutex
	told    bool
	// last is the last failure.
	last error
}

// route finds the node that has the shard, and starts its lanes when it is new.
func (c *Conn) route(ctx context.Context, s Shard) (*node, error) {
	client, err := c.master(ctx, s)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return nil, ErrClosed
	}
	n := c.nodes[client]
	if n == nil {
		n = c.newNode(client)
		c.nodes[client] = n
	}
	return n, nil
}

func (c *Conn) master(ctx context.Context, s Shard) (*redis.Client, error) {
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		client, err := cluster.MasterForKey(ctx, s.prefix)
		if err != nil {
			return nil, heard(server, err)
		}
		return client, nil
	}
	return c.client.(*redis.Client), nil
}

func (c *Conn) newNode(client *redis.Client) *node {
	n := &node{conn: c, client: client, addr: client.Options().Addr, plain: newQueue(), turn: make(chan struct{}, 1)}
	n.sync = n.plain
	queues := []*queue{n.plain}
	if c.target.WaitReplicas > 0 {
		n.sync = newQueue()
		queues = append(queues, n.sync)
	}
	for _, q := range queues {
		for range lanesOfQueue {
			c.spawn(func(ctx context.Context) { n.lane(ctx, q) })
		}
	}
	return n
}

func (n *node) queueFor(t *task) *queue {
	if t.call.Sync {
		return n.sync
	}
	return n.plain
}

// close ends the lanes and returns what waited for them.
func (n *node) close() []*task {
	rest := n.plain.close()
	if n.sync != n.plain {
		rest = append(rest, n.sync.close()...)
	}
	return rest
}

// lane sends what waits, again and again.
func (n *node) lane(ctx context.Context, q *queue) {
	var batch []*task
	for q.await() {
		if n.blocked.Load() && !n.revive(ctx) {
			return
		}
		// Whom the last replies woke are about to call again. With them the batch is larger, and a lone call waits for nobody:
		// where nothing else can run this returns at once.
		runtime.Gosched()
		batch = q.take(batch[:0])
		if live := living(batch); len(live) > 0 {
			n.send(ctx, live)
		}
		clear(batch)
	}
}

// living drops the calls for which nobody waits any more.
func living(batch []*task) []*task {
	now, live := time.Now(), batch[:0]
	for _, t := range batch {
		if t.dead(now) {
			t.lapse()
			continue
		}
		live = append(live, t)
	}
	return live
}

// revive asks the server until it answers. It returns false when there is nothing to hope for.
func (n *node) revive(ctx context.Context) bool {
	select {
	case n.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-n.turn }()
	for n.blocked.Load() {
		if n.gone.Load() || !rest(ctx, n.pause()) {
			return false
		}
		err := n.client.Ping(ctx).Err()
		// A user who may not ask got an answer.
		if err == nil || redis.IsPermissionError(err) {
			n.blocked.Store(false)
			break
		}
		if errors.Is(err, redis.ErrClosed) {
			n.conn.forget(ctx, n)
			return false
		}
		n.failed(err)
		n.conn.reroute(ctx, n)
	}
	return true
}

// pause is how long to leave the server alone: nothing after a first failure, which may be that of one connection.
func (n *node) pause() time.Duration {
	base := 100 * time.Millisecond
	switch n.fails.Load() {
	case 0, 1:
		return 0
	case 2:
		base = 20 * time.Millisecond
	case 3:
		base = 50 * time.Millisecond
	}
	return base*3/4 + rand.N(base/2) //nolint:gosec // no secret
}

func rest(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// failed notes that the server could not do it.
func (n *node) failed(err error) {
	err = heard(server, err)
	n.blocked.Store(true)
	fails := n.fails.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = err
	if fails >= tellAfter && !n.told {
		n.told = true
		n.conn.log.Warn("redis is away", zap.String("mode", n.conn.target.Mode.String()), zap.Error(err))
	}
}

// worked notes that it could.
func (n *node) worked() {
	if n.fails.Load() == 0 {
		return
	}
	n.fails.Store(0)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told {
		n.told = false
		n.conn.log.Info("redis is back", zap.String("mode", n.conn.target.Mode.String()))
	}
}

// why is what a call that had no answer in time may have waited for.
func (c *Conn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.fails.Load() == 0 {
			continue
		}
		n.mu.Lock()
		last := n.last
		n.mu.Unlock()
		if last != nil {
			return fmt.Errorf("%w: %w", errWaited, last)
		}
	}
	return errWaited
}

// patience is how long a call may take now.
func (c *Conn) patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.fails.Load() >= tellAfter {
			return patienceAway
		}
	}
	return patience
}

// reroute looks anew where the calls of a node that is away belong, and drops those for which nobody waits.
func (c *Conn) reroute(ctx context.Context, n *node) {
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
	waiting := n.plain.empty()
	if n.sync != n.plain {
		waiting = append(waiting, n.sync.empty()...)
	}
	for _, t := range living(waiting) {
		c.place(ctx, t)
	}
}

// forget ends the lanes of a server that is none of ours any more.
func (c *Conn) forget(ctx context.Context, n *node) {
	c.mu.Lock()
	delete(c.nodes, n.client)
	c.mu.Unlock()
	n.gone.Store(true)
	for _, t := range living(n.close()) {
		c.place(ctx, t)
	}
}

// prune ends the lanes of servers that have no shard any more, as after a failover of a Cluster.
func (c *Conn) prune(ctx context.Context) {
	if c.target.Mode != Cluster {
		return
	}
	ours := map[*redis.Client]bool{}
	for _, s := range append([]Shard{mark, relays}, c.shards...) {
		client, err := c.master(ctx, s)
		if err != nil {
			return
		}
		ours[client] = true
	}
	var others []*node
	c.mu.Lock()
	for client, n := range c.nodes {
		if !ours[client] {
			others = append(others, n)
		}
	}
	c.mu.Unlock()
	for _, n := range others {
		c.forget(ctx, n)
	}
}
