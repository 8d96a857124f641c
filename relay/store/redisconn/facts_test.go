package redisconn_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/zap/zaptest"

	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// best is what a server of redistest has; a case says what is different.
func best(change func(f *redisconn.Facts)) redisconn.Facts {
	f := redisconn.Facts{
		Masters: 1, Version: "7", Role: "master", AppendOnly: "yes", AppendFsync: "always", MaxMemoryPolicy: "noeviction",
	}
	if change != nil {
		change(&f)
	}
	return f
}

func facts(t *testing.T, c *redisconn.Conn) redisconn.Facts {
	t.Helper()
	f, err := c.Facts(t.Context())
	if err != nil {
		t.Fatalf("facts: %v", err)
	}
	return f
}

// wantFacts compares all but the rest of the version and the clock, which has to be near ours.
func wantFacts(t *testing.T, got, want redisconn.Facts) {
	t.Helper()
	if got.ClockAhead.Abs() > time.Second {
		t.Errorf("clock: got %v ahead, want about the same on one machine", got.ClockAhead)
	}
	if !strings.HasPrefix(got.Version, want.Version) {
		t.Errorf("version: got %q, want it to begin with %q", got.Version, want.Version)
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(redisconn.Facts{}, "Version", "ClockAhead")); d != "" {
		t.Errorf("facts (-want +got):\n%s", d)
	}
}

func TestFactsOfServers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		args     []string
		insecure bool
		want     func(f *redisconn.Facts)
	}{
		{"that lose nothing", nil, false, nil},
		{
			"that sync each second",
			[]string{"--appendfsync", "everysec"},
			false,
			func(f *redisconn.Facts) { f.AppendFsync = "everysec" },
		},
		{
			"that make snapshots only",
			[]string{"--appendonly", "no", "--save", "3600 1 60 100"},
			false,
			func(f *redisconn.Facts) { f.AppendOnly, f.Save = "no", "3600 1 60 100" },
		},
		{
			"that evict",
			[]string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"},
			true,
			func(f *redisconn.Facts) {
				f.MaxMemory, f.MaxMemoryPolicy, f.Insecure = 100<<20, "allkeys-lru", true
			},
		},
		{
			"that want replicas, however late", []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "0"}, false, nil,
		},
		{
			"without CONFIG",
			[]string{"--rename-command", "CONFIG", ""},
			false,
			func(f *redisconn.Facts) { f.AppendFsync, f.Save = redisconn.Unknown, redisconn.Unknown },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := redisconn.Open(t.Context(), redisconn.Options{
				URL: secret.New(redistest.Start(t, tt.args...).URL("")), Insecure: tt.insecure, Log: zaptest.NewLogger(t),
			})
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			wantFacts(t, facts(t, c), best(tt.want))
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// TestFactsThatAreForbidden: what a user may not see is unknown, and not an error.
func TestFactsThatAreForbidden(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	tests := []struct {
		name  string
		rules []any
		want  func(f *redisconn.Facts)
	}{
		{
			"config",
			[]any{"-config"},
			func(f *redisconn.Facts) { f.AppendFsync, f.Save = redisconn.Unknown, redisconn.Unknown },
		},
		{
			"all-dangerous",
			[]any{"-@dangerous"},
			func(f *redisconn.Facts) {
				const unknown, none = redisconn.Unknown, redisconn.UnknownCount
				f.AppendOnly, f.AppendFsync, f.Save, f.MaxMemoryPolicy = unknown, unknown, unknown, unknown
				f.MaxMemory, f.Replicas, f.MinReplicas = none, none, none
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rules := append([]any{"ACL", "SETUSER", tt.name, "on", ">sesame", "~*", "&*", "+@all"}, tt.rules...)
			if err := server.Client().Do(t.Context(), rules...).Err(); err != nil {
				t.Fatalf("make the user: %v", err)
			}
			c := open(t, strings.Replace(server.URL(""), "unix://", "unix://"+tt.name+":sesame@", 1))
			wantFacts(t, facts(t, c), best(tt.want))
		})
	}
}

func TestFactsOfAReplicatedServer(t *testing.T) {
	t.Parallel()
	master, other := redistest.StartTCP(t), redistest.StartTCP(t)
	m, o := open(t, "redis://"+master.Addr()+"?wait_replicas=1"), open(t, "redis://"+other.Addr())
	host, port, _ := strings.Cut(master.Addr(), ":")
	if err := other.Client().ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatalf("replicate: %v", err)
	}
	if err := master.Client().ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatalf("configure: %v", err)
	}
	f := facts(t, m)
	for end := time.Now().Add(10 * time.Second); f.Replicas == 0 && time.Now().Before(end); f = facts(t, m) {
		<-time.After(10 * time.Millisecond)
	}
	wantFacts(t, f, best(func(f *redisconn.Facts) { f.Replicas, f.MinReplicas, f.WaitReplicas = 1, 1, 1 }))
	wantFacts(t, facts(t, o), best(func(f *redisconn.Facts) { f.Role = "slave" }))
}

// TestFactsOfACluster: one master that is set up badly is enough.
func TestFactsOfACluster(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t)
	c := open(t, nodes.URL(""))
	want := func(f *redisconn.Facts) { f.Mode, f.Clustered, f.Masters, f.Replicas = redisconn.Cluster, true, 3, 1 }
	wantFacts(t, facts(t, c), best(want))
	for i, setting := range []string{"appendfsync everysec", "maxmemory-policy volatile-ttl", "maxmemory 104857600"} {
		name, value, _ := strings.Cut(setting, " ")
		if err := nodes.Servers[i].Client().ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatalf("set %s: %v", setting, err)
		}
	}
	wantFacts(t, facts(t, c), best(func(f *redisconn.Facts) {
		want(f)
		f.AppendFsync, f.MaxMemoryPolicy, f.MaxMemory = "everysec", "volatile-ttl", 100<<20
	}))
}

func TestFactsWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := open(t, server.URL(""))
	left, leave := context.WithCancel(t.Context())
	leave()
	if _, err := c.Facts(left); !errors.Is(err, context.Canceled) || errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("who has left: got %v, want %v", err, context.Canceled)
	}
	server.Kill()
	began := time.Now()
	if _, err := c.Facts(t.Context()); !errors.Is(err, redisconn.ErrUnavailable) || time.Since(began) > time.Second {
		t.Errorf("got %v after %v, want %v within a second", err, time.Since(began), redisconn.ErrUnavailable)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(f *redisconn.Facts)
		// want are the beginnings of severity and text.
		want []string
	}{
		{"none", nil, nil},
		{"a newer version", func(f *redisconn.Facts) { f.Version = "10.2.0" }, nil},
		{"an old version", func(f *redisconn.Facts) { f.Version = "6.2.14" }, []string{"error: Redis is of version 6.2.14"}},
		{"a version nobody tells", func(f *redisconn.Facts) { f.Version = redisconn.Unknown }, nil},
		{"a replica", func(f *redisconn.Facts) { f.Role = "slave" }, []string{"outage: the server is a replica"}},
		{"a role nobody tells", func(f *redisconn.Facts) { f.Role = redisconn.Unknown }, nil},
		{"one of a Cluster", func(f *redisconn.Facts) { f.Clustered = true }, []string{"error: the server is part of a Cluster"}},
		{"a Cluster", func(f *redisconn.Facts) { f.Clustered, f.Mode = true, redisconn.Cluster }, nil},
		{
			"one that evicts", func(f *redisconn.Facts) { f.MaxMemoryPolicy = "allkeys-lru" },
			[]string{"error: maxmemory-policy is allkeys-lru"},
		},
		{
			"one that may evict", func(f *redisconn.Facts) { f.MaxMemoryPolicy, f.Insecure = "allkeys-lru", true },
			[]string{"warning: maxmemory-policy is allkeys-lru"},
		},
		{
			"a policy nobody tells", func(f *redisconn.Facts) { f.MaxMemoryPolicy = redisconn.Unknown },
			[]string{"warning: maxmemory-policy cannot be seen"},
		},
		{"no log", func(f *redisconn.Facts) { f.AppendOnly = "no" }, []string{"warning: appendonly is no"}},
		{"a log nobody tells", func(f *redisconn.Facts) { f.AppendOnly = redisconn.Unknown }, []string{"warning: appendonly cannot"}},
		{"a log synced late", func(f *redisconn.Facts) { f.AppendFsync = "everysec" }, []string{"warning: appendfsync is everysec"}},
		{"a log not synced", func(f *redisconn.Facts) { f.AppendFsync = "no" }, []string{"warning: appendfsync is no:"}},
		{
			"a sync nobody tells", func(f *redisconn.Facts) { f.AppendFsync = redisconn.Unknown },
			[]string{"warning: appendfsync cannot be seen"},
		},
		{
			"too few replicas to wait for", func(f *redisconn.Facts) { f.WaitReplicas, f.Replicas = 2, 1 },
			[]string{"outage: wait_replicas is 2 and one replica is connected"},
		},
		{"enough replicas to wait for", func(f *redisconn.Facts) { f.WaitReplicas, f.Replicas = 2, 2 }, nil},
		{
			"replicas nobody tells", func(f *redisconn.Facts) {
				f.WaitReplicas, f.Replicas, f.MinReplicas = 2, redisconn.UnknownCount, redisconn.UnknownCount
			}, nil,
		},
		{
			"too few replicas to write", func(f *redisconn.Facts) { f.MinReplicas = 1 },
			[]string{"outage: min-replicas-to-write is 1 and no replica is connected"},
		},
		{
			"a clock ahead", func(f *redisconn.Facts) { f.ClockAhead = 90 * time.Second },
			[]string{"warning: the clock of Redis is 1m30s ahead of ours"},
		},
		{
			"a clock behind", func(f *redisconn.Facts) { f.ClockAhead = -time.Hour },
			[]string{"warning: the clock of Redis is 1h0m0s behind ours"},
		},
		{"clocks that nearly agree", func(f *redisconn.Facts) { f.ClockAhead = -5 * time.Second }, nil},
		{
			"errors first", func(f *redisconn.Facts) { f.AppendOnly, f.Role, f.ClockAhead = "no", "slave", time.Hour },
			[]string{"outage: the server", "warning: appendonly", "warning: the clock"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range best(tt.change).Problems() {
				got = append(got, p.Severity.String()+": "+p.Text)
				if p.Hint == "" {
					t.Errorf("%s: no hint", p.Text)
				}
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got %q, want what begins with %q", got, tt.want)
			}
		})
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	const replicated = "A failover loses what the new master had not got yet"
	tests := []struct {
		name   string
		change func(f *redisconn.Facts)
		// crash and failover are what the two sentences hold.
		crash, failover string
	}{
		{"always", nil, "lose nothing.", "There is no replica"},
		{
			"everysec", func(f *redisconn.Facts) { f.AppendFsync = "everysec" },
			"process alone loses nothing; a power cut of its machine loses up to about a second", "",
		},
		{"no sync", func(f *redisconn.Facts) { f.AppendFsync = "no" }, "loses what the system had not written yet", ""},
		{"sync unknown", func(f *redisconn.Facts) { f.AppendFsync = redisconn.Unknown }, "cannot be seen", ""},
		{"nothing kept", func(f *redisconn.Facts) { f.AppendOnly = "no" }, "lose everything: it keeps nothing", ""},
		{
			"snapshots", func(f *redisconn.Facts) { f.AppendOnly, f.Save = "no", "60 1" },
			"everything since the last snapshot (save 60 1)", "",
		},
		{
			"snapshots unknown", func(f *redisconn.Facts) { f.AppendOnly, f.Save = "no", redisconn.Unknown },
			"everything since the last snapshot; whether", "",
		},
		{"all unknown", func(f *redisconn.Facts) { f.AppendOnly = redisconn.Unknown }, "count on losing everything", ""},
		{"asynchronous", func(f *redisconn.Facts) { f.Replicas = 1 }, "", replicated + ", for replication is asynchronous: add ?wait"},
		{"replicas unknown", func(f *redisconn.Facts) { f.Replicas = redisconn.UnknownCount }, "", replicated},
		{
			"waits only", func(f *redisconn.Facts) { f.Replicas, f.WaitReplicas = 1, 1 },
			"", replicated + ", for replication is asynchronous: set min-replicas-to-write 1",
		},
		{
			"min-replicas only", func(f *redisconn.Facts) { f.Replicas, f.MinReplicas = 1, 1 },
			"", replicated + ", for replication is asynchronous: add ?wait_replicas=1 to the URL.",
		},
		{
			"waits, min-replicas unknown",
			func(f *redisconn.Facts) { f.Replicas, f.WaitReplicas, f.MinReplicas = 1, 1, redisconn.UnknownCount },
			"", "if min-replicas-to-write, which cannot be seen, is not at least 1",
		},
		{
			"both", func(f *redisconn.Facts) { f.Replicas, f.WaitReplicas, f.MinReplicas = 2, 2, 1 },
			"", "A failover loses nothing as long as the furthest replica takes over: each message is with 2 replicas",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := best(tt.change).Loss()
			if !strings.Contains(got, tt.crash) || !strings.Contains(got, tt.failover) {
				t.Errorf("got %q, want it to hold %q and %q", got, tt.crash, tt.failover)
			}
		})
	}
}
