//go:build unix

package redisconn_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// load calls from several goroutines, each on a shard of its own, until stop. It returns when each has had a reply, and stop
// how many calls of each shard had.
func load(t *testing.T, c *redisconn.Conn, wait bool) (stop func() []int64) {
	t.Helper()
	done := make([]atomic.Int64, len(c.Shards()))
	end := make(chan struct{})
	busy := watchLag(t)
	var wg sync.WaitGroup
	for i := range done {
		wg.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				start := time.Now()
				_, err := c.Do(context.Background(), redisconn.Call{Script: count, Shard: c.Shards()[i], Sync: wait})
				busy.check(t, time.Since(start), err)
				switch {
				case err == nil:
					done[i].Add(1)
				case !errors.Is(err, redisconn.ErrUnavailable):
					t.Errorf("got %v, want ErrUnavailable or a reply", err)
				}
			}
		})
	}
	for i := range done {
		eventually(t, "a reply for each shard", func() bool { return done[i].Load() > 0 })
	}
	return func() []int64 {
		close(end)
		wg.Wait()
		all := make([]int64, len(done))
		for i := range done {
			all[i] = done[i].Load()
		}
		return all
	}
}

// TestSentinelFailover kills the master under load, when the Sentinel that the connection asks does not answer either, as
// when both were on one machine.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	before := clients(t, s)
	conn := open(t, s.URL("shards=4&wait_replicas=1"))
	asked, most := s.Sentinels[0], 0
	for one, n := range clients(t, s) {
		if n-before[one] > most {
			asked, most = one, n-before[one]
		}
	}
	stop := load(t, conn, true)
	asked.Freeze()
	old := s.KillMaster()
	now, took := s.AwaitPromotion(old)
	replied := back(t, conn, redisconn.Call{Script: redisconn.NewScript("touch", "redis.call('SET', KEYS[1] .. 't', 1)"), Shard: conn.Shards()[0]})
	asked.Thaw()
	done := stop()
	t.Logf("promoted after %v, replies %v later; calls done before: %v", took, replied, done)
	for i, n := range done {
		got, err := now.Client().Get(t.Context(), conn.Shards()[i].Key("n")).Int64()
		if n == 0 || err != nil || got < n {
			t.Errorf("shard %d: the new master counted %d (%v), want at least the %d calls that waited for a replica", i, got, err, n)
		}
	}
}

// clients counts the connections to each Sentinel.
func clients(t *testing.T, s *redistest.Sentinels) map[*redistest.Server]int {
	t.Helper()
	all := map[*redistest.Server]int{}
	for _, one := range s.Sentinels {
		list, err := one.Client().ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		all[one] = strings.Count(list, "\n")
	}
	return all
}

// TestASentinelWithAPassword uses other names for the Sentinels than for the servers.
func TestASentinelWithAPassword(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	for _, one := range s.Sentinels {
		if err := one.Client().Do(t.Context(), "ACL", "SETUSER", "watcher", "on", ">sentinel-word", "+@all", "allchannels").Err(); err != nil {
			t.Fatal(err)
		}
		if err := one.Client().Do(t.Context(), "ACL", "SETUSER", "default", "-@all", "+hello", "+auth").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := tryOpen(t, optionsOf(s.URL(""))); !errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("without the Sentinels' password: got %v, want ErrUnavailable", err)
	}
	do(t, open(t, s.URL("sentinel_username=watcher&sentinel_password=sentinel-word")), count)
}

// TestCluster moves a slot under load and then kills a master under load.
func TestCluster(t *testing.T) {
	t.Parallel()
	n := redistest.StartCluster(t)
	conn := open(t, n.URL("wait_replicas=1"))
	for _, shard := range conn.Shards() {
		back(t, conn, redisconn.Call{Script: count, Shard: shard, Sync: true}) // the replica may be busy at first
	}
	stop := load(t, conn, false)
	moveSlot(t, n, conn)

	shard := conn.Shards()[0]
	old := n.MasterOf(shard.Prefix())
	old.Kill()
	_, took := n.AwaitPromotion(old, shard.Prefix())
	t.Logf("promoted after %v, replies %v later", took, back(t, conn, redisconn.Call{Script: count, Shard: shard}))
	eventually(t, "ready", func() bool { return conn.Ready(t.Context()) == nil })
	for i, done := range stop() {
		if done == 0 {
			t.Errorf("shard %d: no call was done", i)
		}
	}
}

// moveSlot moves the slot of a shard to another master. While it moves, no call may be done: it would be run on one part
// of the data.
func moveSlot(t *testing.T, n *redistest.Nodes, conn *redisconn.Conn) {
	t.Helper()
	ctx, shard := t.Context(), conn.Shards()[3]
	from := n.MasterOf(shard.Prefix())
	to := n.Servers[0]
	for _, s := range n.Servers[:3] {
		if s != from {
			to = s
		}
	}
	id := func(s *redistest.Server) string {
		text, err := s.Client().Do(ctx, "CLUSTER", "MYID").Text()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	must := func(s *redistest.Server, args ...any) {
		t.Helper()
		if err := s.Client().Do(ctx, args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	slot, err := from.Client().ClusterKeySlot(ctx, shard.Prefix()).Result()
	if err != nil {
		t.Fatal(err)
	}
	must(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", id(from))
	must(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", id(to))
	away(t, conn, redisconn.Call{Script: count, Shard: shard})
	if size, err := to.Client().ClusterCountKeysInSlot(ctx, int(slot)).Result(); size != 0 || err != nil {
		t.Errorf("the server that the slot moves to has %d keys of it (%v), want none yet", size, err)
	}
	value, err := from.Client().Get(ctx, shard.Key("n")).Int64()
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(to.Addr())
	if err != nil {
		t.Fatal(err)
	}
	must(from, "MIGRATE", host, port, shard.Key("n"), 0, 5000)
	for _, s := range []*redistest.Server{to, from} {
		must(s, "CLUSTER", "SETSLOT", slot, "NODE", id(to))
	}
	back(t, conn, redisconn.Call{Script: count, Shard: shard})
	if got, err := to.Client().Get(ctx, shard.Key("n")).Int64(); got <= value || err != nil {
		t.Errorf("after the slot moved: counted %d (%v), want it to go on from %d", got, err, value)
	}
}
