//go:build unix

package fleet_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// masters is a Redis of several servers, of which one can be lost.
type masters struct {
	url     func(options string) string
	servers []*redistest.Server
	// master is the one that is to be lost.
	master func() *redistest.Server
	// promoted returns when a replica has taken its place.
	promoted func(lost *redistest.Server)
}

// kinds are the ways of running several servers.
var kinds = []struct {
	name  string
	start func(t *testing.T, args ...string) masters
}{
	{"sentinel", func(t *testing.T, args ...string) masters {
		t.Helper()
		s := redistest.StartSentinel(t, args...)
		return masters{s.URL, s.Servers[:], s.Master, func(lost *redistest.Server) { s.AwaitPromotion(lost) }}
	}},
	{"cluster", func(t *testing.T, args ...string) masters {
		t.Helper()
		const key = "{imrelay:16.0}:" // every master has shards, and so has this one's
		n := redistest.StartCluster(t, args...)
		return masters{
			n.URL, n.Servers[:], func() *redistest.Server { return n.MasterOf(key) },
			func(lost *redistest.Server) { n.AwaitPromotion(lost, key) },
		}
	}},
}

// A master is killed under load, and what it had not yet told its replica is gone.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			failover(t, k.start(t), false)
		})
	}
}

// A master is killed under load. It promised nothing that its replica had not got.
func TestFailoverLosesNothing(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			failover(t, k.start(t, "--min-replicas-to-write", "1"), true)
		})
	}
}

// failover loses a master under load. With wait, every promise waits for a replica, and then nothing may be lost; without,
// what the replica had not got yet is gone, and counted.
func failover(t *testing.T, m masters, wait bool) {
	t.Helper()
	options := ""
	if wait {
		options = "wait_replicas=1"
	}
	f := newFleet(t, 2, m.url(options), "")
	f.feed.Forgets = !wait
	// Deliveries are held up before the master is lost. Pushes that waited for them would not be there to be refused.
	f.feed.Async = true
	f.load()
	f.run(2 * time.Second)
	f.agent.Fault()
	lost := m.lose(t, f)
	began := time.Now()
	m.promoted(lost)
	up := time.Now()
	t.Logf("a replica was promoted after %s", up.Sub(began).Round(time.Millisecond))
	if wait {
		lost.Restart() // as a replica: before that there is none to wait for
		if up = f.feed.Promised(up); up.IsZero() {
			t.Fatal("nothing was accepted after the failover")
		}
		t.Logf("promises again after %s", up.Sub(began).Round(time.Millisecond))
	}
	f.run(3 * time.Second)
	late := f.refusedSince(time.Now().Add(-time.Second))
	if len(late) > 0 {
		t.Errorf("got %d refused long after the failover; the first: %s", len(late), late[0].Answer)
	}
	c := f.afterFailover(wait, up)
	f.outage("pushes", f.feed.Refused())
	f.answered()
	sum := f.verify(c)
	f.resumed(c.Accepted, []span{{up, up}})
	t.Logf("lost by replication: %d of %d accepted; repeated: %d", sum.Lost, sum.Accepted, sum.Repeats)
}

// lose kills a master some time after its replica has heard the last of it: replication lags, and here it lags so long
// that a loss can be seen, of what was accepted meanwhile and not delivered.
func (m masters) lose(t *testing.T, f *fleet) *redistest.Server {
	t.Helper()
	const lag = 200 * time.Millisecond
	master := m.master()
	i := slices.IndexFunc(m.servers, func(s *redistest.Server) bool { return follows(t, s, master) })
	if i < 0 {
		t.Fatal("the master has no replica")
	}
	replica := m.servers[i]
	// Of each conversation one is delivered and the others wait.
	release := make(chan struct{})
	f.agent.Hold(func(fleettest.Landed) <-chan struct{} { return release })
	defer func() {
		f.agent.Hold(nil)
		close(release)
	}()
	replica.Freeze()
	f.run(lag)
	// What is on its way to the replica would still reach it. A master that refuses to write without a replica would leave
	// nothing to do for those who wait for one.
	if err := master.Client().ConfigSet(t.Context(), "min-replicas-to-write", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if err := master.Client().ClientKillByFilter(t.Context(), "TYPE", "replica").Err(); err != nil {
		t.Fatal(err)
	}
	f.run(lag)
	master.Kill()
	replica.Thaw()
	return master
}

// follows says whether a server is a replica of the master.
func follows(t *testing.T, s, master *redistest.Server) bool {
	t.Helper()
	text, err := s.Client().Info(t.Context(), "replication").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(master.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(text, "master_port:"+port+"\r")
}

// refusedSince are the pushes and sends that were refused since a time.
func (f *fleet) refusedSince(since time.Time) []fleettest.Refused {
	return slices.DeleteFunc(slices.Concat(f.feed.Refused(), f.sends.Refused()), func(r fleettest.Refused) bool {
		return r.At.Before(since) || r.Code() == "in_progress"
	})
}

// afterFailover ends the load and says what may be wrong.
func (f *fleet) afterFailover(wait bool, up time.Time) *fleettest.Check {
	f.t.Helper()
	if wait {
		f.sentOnce()
	} else {
		f.sends.Stop()
	}
	c := f.quiet()
	c.Replayed = true
	if !wait {
		c.Forgotten = up
	}
	return c
}
