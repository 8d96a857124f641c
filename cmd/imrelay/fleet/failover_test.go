//go:build unix

package fleet_test

import (
	"slices"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// masters is a Redis of several servers, of which one can be lost.
type masters struct {
	url func(options string) string
	// lose kills a master.
	lose func() *redistest.Server
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
		return masters{s.URL, s.KillMaster, func(lost *redistest.Server) { s.AwaitPromotion(lost) }}
	}},
	{"cluster", func(t *testing.T, args ...string) masters {
		t.Helper()
		const key = "{imrelay:16.0}:" // of the first shard
		n := redistest.StartCluster(t, args...)
		kill := func() *redistest.Server {
			m := n.MasterOf(key)
			m.Kill()
			return m
		}
		return masters{n.URL, kill, func(lost *redistest.Server) { n.AwaitPromotion(lost, key) }}
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
	f.load()
	f.run(2 * time.Second)
	f.agent.Fault()
	began := time.Now()
	lost := m.lose()
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
	sum := f.verify(c)
	f.resumed(c.Accepted, []span{{up, up}})
	t.Logf("lost by replication: %d of %d accepted; repeated: %d", sum.Lost, sum.Accepted, sum.Repeats)
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
