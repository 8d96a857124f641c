package redistest

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// slots is the number of slots of a Cluster.
const slots = 16384

// Nodes are the servers of a Cluster.
type Nodes struct {
	// Servers are three masters and then a replica of each, as they were at the beginning.
	Servers [6]*Server
	tb      testing.TB
}

// StartCluster starts six servers and makes them a Cluster in which each of three masters has a replica. A master that
// does not answer for a second is replaced. args are for all servers.
func StartCluster(tb testing.TB, args ...string) *Nodes {
	tb.Helper()
	n := &Nodes{tb: tb}
	for i := range n.Servers {
		n.Servers[i] = StartTCP(tb, append([]string{
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(Port(tb)), "--cluster-node-timeout", "1000",
			"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--cluster-allow-replica-migration", "no",
		}, args...)...)
	}
	n.share()
	n.until("the nodes do not find each other", func(s *Server) bool { return s.cluster("cluster_known_nodes") == "6" })
	for i, replica := range n.Servers[3:] {
		id, err := n.Servers[i].Client().Do(context.Background(), "CLUSTER", "MYID").Text()
		n.must(err)
		n.must(replica.Client().ClusterReplicate(context.Background(), id).Err())
	}
	n.until("the Cluster is not whole", func(s *Server) bool {
		role := s.field("role")
		linked := role == "master" && s.field("connected_slaves") == "1" || role == "slave" && s.follows()
		return linked && s.cluster("cluster_state") == "ok"
	})
	return n
}

// share gives each master its slots and makes the nodes known to the first.
func (n *Nodes) share() {
	n.tb.Helper()
	ctx := context.Background()
	for i, s := range n.Servers {
		c := s.Client()
		n.must(c.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i < 3 {
			n.must(c.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err())
		}
		if i > 0 {
			host, port, err := net.SplitHostPort(s.addr)
			n.must(err)
			bus, err := c.ConfigGet(ctx, "cluster-port").Result()
			n.must(err)
			n.must(n.Servers[0].Client().Do(ctx, "CLUSTER", "MEET", host, port, bus["cluster-port"]).Err())
		}
	}
}

func (n *Nodes) must(err error) {
	n.tb.Helper()
	if err != nil {
		n.tb.Fatalf("make a Cluster: %v", err)
	}
}

// until waits for every node that runs.
func (n *Nodes) until(failure string, ok func(*Server) bool) {
	n.tb.Helper()
	for _, s := range n.Servers {
		if s.cmd != nil {
			s.until(failure, func() bool { return ok(s) })
		}
	}
}

// cluster is one field of CLUSTER INFO.
func (s *Server) cluster(name string) string {
	text, err := s.Client().ClusterInfo(context.Background()).Result()
	if err != nil {
		return ""
	}
	return line(text, name)
}

// URL names the masters of the beginning. options are what follows the ?.
func (n *Nodes) URL(options string) string {
	addrs := make([]string, 3)
	for i := range addrs {
		addrs[i] = n.Servers[i].addr
	}
	return with("redis+cluster://"+strings.Join(addrs, ","), options)
}

// MasterOf is the server that has the key's slot, as one of those says that run.
func (n *Nodes) MasterOf(key string) *Server {
	n.tb.Helper()
	ctx := context.Background()
	for _, s := range n.Servers {
		if s.cmd == nil {
			continue
		}
		slot, err := s.Client().ClusterKeySlot(ctx, key).Result()
		n.must(err)
		shards, err := s.Client().ClusterShards(ctx).Result()
		n.must(err)
		return n.holder(shards, slot)
	}
	return nil
}

func (n *Nodes) holder(shards []redis.ClusterShard, slot int64) *Server {
	for _, shard := range shards {
		if !slices.ContainsFunc(shard.Slots, func(r redis.SlotRange) bool { return r.Start <= slot && slot <= r.End }) {
			continue
		}
		for _, node := range shard.Nodes {
			addr := net.JoinHostPort(node.IP, strconv.FormatInt(node.Port, 10))
			i := slices.IndexFunc(n.Servers[:], func(s *Server) bool { return s.addr == addr })
			if node.Role == "master" && node.Health == "online" && i >= 0 {
				return n.Servers[i]
			}
		}
	}
	return nil
}

// AwaitPromotion returns the server that has the key's slot now that the old one is gone, and how long it took until all
// nodes that run say that the Cluster is whole.
func (n *Nodes) AwaitPromotion(old *Server, key string) (*Server, time.Duration) {
	n.tb.Helper()
	start := time.Now()
	var now *Server
	n.Servers[0].until("nobody is promoted", func() bool {
		now = n.MasterOf(key)
		return now != nil && now != old
	})
	n.until("the Cluster is not whole again", func(s *Server) bool { return s.cluster("cluster_state") == "ok" })
	return now, time.Since(start)
}
