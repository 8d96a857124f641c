package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// MasterName is what the Sentinels call the master.
const MasterName = "relays"

// Sentinels are three Sentinels that watch a master and its replica.
type Sentinels struct {
	// Servers are the master of the beginning and its replica.
	Servers [2]*Server
	// Sentinels are the three.
	Sentinels [3]*Server
	tb        testing.TB
}

// StartSentinel starts them all, and waits until they know each other. A master that does not answer for a second is
// replaced. args are for both servers, such as "--min-replicas-to-write", "1".
func StartSentinel(tb testing.TB, args ...string) *Sentinels {
	tb.Helper()
	s := &Sentinels{tb: tb}
	// A replica that is slow to notice its master's end, or waits before it asks for data, would make the test slow.
	args = append([]string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}, args...)
	s.Servers[0] = StartTCP(tb, args...)
	host, port, err := net.SplitHostPort(s.Servers[0].addr)
	if err != nil {
		tb.Fatal(err)
	}
	s.Servers[1] = StartTCP(tb, append(args, "--replicaof", host, port)...)
	s.Servers[1].until("the replica does not follow", s.Servers[1].follows)
	for i := range s.Sentinels {
		s.Sentinels[i] = startSentinel(tb, s.Servers[0].addr)
	}
	s.Servers[0].until("the Sentinels do not find each other", s.agreed)
	return s
}

// follows says whether a replica has all that its master has.
func (s *Server) follows() bool { return s.field("master_link_status") == "up" }

func startSentinel(tb testing.TB, master string) *Server {
	tb.Helper()
	s := place(tb)
	port := strconv.Itoa(Port(tb))
	s.addr = net.JoinHostPort("127.0.0.1", port)
	file := filepath.Join(s.dir, "sentinel.conf")
	text := fmt.Sprintf(`port %s
bind 127.0.0.1
unixsocket %s
dir %s
sentinel monitor %[4]s %[5]s 2
sentinel down-after-milliseconds %[4]s 1000
sentinel failover-timeout %[4]s 3000
`, port, s.Socket(), s.dir, MasterName, strings.Replace(master, ":", " ", 1))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatalf("write the configuration of a Sentinel: %v", err)
	}
	s.run([]string{file, "--sentinel"})
	// Sentinels look at each other every few seconds, and tests are short. What they know of a replica is good for five
	// pings, and while the master is down they ask it once a second.
	if err := s.Client().Do(context.Background(), "SENTINEL", "DEBUG", "info-period", "100", "publish-period", "100",
		"ask-period", "100", "ping-period", "300").Err(); err != nil {
		tb.Fatalf("make a Sentinel quick: %v", err)
	}
	return s
}

// agreed says whether each Sentinel knows the replica and the others.
func (s *Sentinels) agreed() bool {
	for _, one := range s.Sentinels {
		m, err := s.about(one)
		if err != nil || m["num-slaves"] != "1" || m["num-other-sentinels"] != "2" || m["flags"] != "master" {
			return false
		}
	}
	return true
}

// about is what a Sentinel knows of the master.
func (s *Sentinels) about(one *Server) (map[string]string, error) {
	cmd := redis.NewMapStringStringCmd(context.Background(), "SENTINEL", "MASTER", MasterName)
	_ = one.Client().Process(context.Background(), cmd)
	return cmd.Result()
}

// URL names them. options are what follows the ?.
func (s *Sentinels) URL(options string) string {
	addrs := make([]string, len(s.Sentinels))
	for i, one := range s.Sentinels {
		addrs[i] = one.addr
	}
	return with("redis+sentinel://"+strings.Join(addrs, ",")+"/"+MasterName, options)
}

// Master is the server that the Sentinels say is the master. When they do not agree it is that of most.
func (s *Sentinels) Master() *Server {
	votes := map[string]int{}
	for _, one := range s.Sentinels {
		if m, err := s.about(one); err == nil {
			votes[m["port"]]++
		}
	}
	for _, server := range s.Servers {
		if _, port, err := net.SplitHostPort(server.addr); err == nil && votes[port] >= 2 {
			return server
		}
	}
	return nil
}

// KillMaster ends the master as a crash would, and returns it.
func (s *Sentinels) KillMaster() *Server {
	s.tb.Helper()
	m := s.Master()
	if m == nil {
		s.tb.Fatal("the Sentinels do not agree on a master")
	}
	m.Kill()
	return m
}

// AwaitPromotion returns the new master, and how long it took until it was one.
func (s *Sentinels) AwaitPromotion(old *Server) (*Server, time.Duration) {
	s.tb.Helper()
	start := time.Now()
	var now *Server
	s.Sentinels[0].until("nobody is promoted", func() bool {
		now = s.Master()
		return now != nil && now != old && now.field("role") == "master"
	})
	return now, time.Since(start)
}
