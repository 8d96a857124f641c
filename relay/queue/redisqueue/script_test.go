package redisqueue_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue/redisqueue"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// stand is a shard whose clock stands at a thousand seconds.
type stand struct {
	*testing.T

	at   atomic.Int64
	conn *redisconn.Conn
	raw  *auditor
}

const (
	start  = 1_000_000_000
	prefix = "{imrelay:1.0}:"
)

func newStand(t *testing.T, f *fleet) *stand {
	t.Helper()
	w := f.world(nil)
	s := &stand{T: t, raw: newAuditor(t, w)}
	s.at.Store(start)
	conn, err := redisconn.Open(t.Context(), redisconn.Options{
		URL: secret.New(w.url), Clock: func() time.Time { return time.UnixMicro(s.at.Load()) },
	})
	if err != nil {
		t.Fatalf("open connection: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.conn = conn
	return s
}

// run runs a script and returns its reply as fmt prints it.
func (s *stand) run(script string, args ...any) string {
	s.Helper()
	reply, err := s.conn.Do(s.Context(), redisconn.Call{
		Script: redisqueue.Scripts()[script], Shard: s.conn.Shards()[0], Args: args,
	})
	if err != nil {
		s.Fatalf("%s: %v", script, err)
	}
	return fmt.Sprint(reply)
}

// keys are all keys of the queue and what they hold, but for answers that are kept for further runs.
func (s *stand) keys() map[string]string {
	s.Helper()
	ctx, out, raw := s.Context(), map[string]string{}, s.raw.raw
	for _, key := range raw.Keys(ctx, prefix+"*").Val() {
		name := strings.TrimPrefix(key, prefix)
		var parts []string
		switch raw.Type(ctx, key).Val() {
		case "string":
			parts = append(parts, raw.Get(ctx, key).Val())
		case "list":
			parts = raw.LRange(ctx, key, 0, -1).Val()
		case "set":
			parts = raw.SMembers(ctx, key).Val()
		case "hash":
			for name, value := range raw.HGetAll(ctx, key).Val() {
				parts = append(parts, name+"="+value)
			}
		case "zset":
			for _, z := range raw.ZRangeWithScores(ctx, key, 0, -1).Val() {
				parts = append(parts, fmt.Sprintf("%v:%.0f", z.Member, z.Score))
			}
		}
		slices.Sort(parts)
		if !strings.HasPrefix(name, "did:") && !strings.HasPrefix(name, "took:") {
			out[name] = strings.Join(parts, ", ")
		}
	}
	return out
}

// deed is one run of a script.
type deed struct {
	name   string
	after  time.Duration // since the deed before
	script string
	args   []any
	want   string            // the reply
	keys   map[string]string // some of those that are there afterwards; "": it is not
	again  string            // the reply of a second run; "": the same
}

// do runs the script twice, as when the answer of the first run is lost.
func (s *stand) do(d deed) {
	s.Helper()
	s.at.Add(d.after.Microseconds())
	if got := s.run(d.script, d.args...); got != d.want {
		s.Errorf("%s: got %s, want %s", d.name, got, d.want)
	}
	keys := s.keys()
	for name, want := range d.keys {
		if keys[name] != want {
			s.Errorf("%s: %s: got %q, want %q", d.name, name, keys[name], want)
		}
	}
	if d.again == "" {
		d.again = d.want
	}
	if got := s.run(d.script, d.args...); got != d.again {
		s.Errorf("%s, once more: got %s, want %s", d.name, got, d.again)
	}
	if again := s.keys(); !maps.Equal(keys, again) {
		s.Errorf("%s, once more: got keys\n%v, want\n%v", d.name, again, keys)
	}
}

// one is what put is told of a job.
func one(id, lane, sum string) []any { return []any{id, lane, sum, "", "", "meta", "body", "7"} }

func puts(nonce string, jobs ...[]any) []any {
	return slices.Concat([]any{nonce, 100_000_000, 200_000}, slices.Concat(jobs...))
}

func takes(nonce string, most int) []any {
	return []any{"crane", most, most, 0, 10_000_000, 1 << 20, "who", nonce}
}

// settles is what settle is told of a verdict with a delay of 5 s.
func settles(id, seq, token, nonce string, action int) []any {
	return []any{"crane/stork/c", id, seq, token, nonce, action, 1, 1, 5_000_000, 0, 500, "why"}
}

// TestScripts runs each script twice: the second run must answer as the first did, and change nothing.
func TestScripts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1)
	for name, deeds := range scriptDeeds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t, f)
			for _, d := range deeds {
				s.do(d)
			}
			s.raw.whole()
		})
	}
}

const lane = "crane/stork/c"

var scriptDeeds = map[string][]deed{
	"put": {
		{name: "put", script: "put", args: puts("p1", one("a", lane, "sum")), want: "[0 a 0 1 0]", keys: map[string]string{
			"tick": "1000000000", "seen:sum": "1000000000 a", "lane:" + lane: "1000000000 a", "calm:crane": lane + ":1000000000",
			"queued:crane": "a:1000000000", "agents": "crane", "known": "c\x00stork\x00crane:0", "at:" + lane: "",
			"job:a": "a=1000000000, b=body, c=7, l=crane/stork/c, m=meta, n=p1, q=1000000000, z=4",
		}},
		{name: "repeat", script: "put", args: puts("p2", one("b", lane, "sum")), want: "[1 a 0 0 0]", keys: map[string]string{"job:b": ""}},
		{name: "clash", script: "put", args: puts("p3", one("x", lane, ""), one("a", lane, "")), want: "[id a]", keys: map[string]string{"job:x": ""}},
		{name: "over", after: 100 * time.Second, script: "put", args: puts("p4", one("c", lane, "sum")), want: "[0 c 0 0 0]", again: "[0 c 0 1 0]", keys: map[string]string{"seen:sum": "1100000000 c"}},
	},
	"remember": {
		{name: "remember", script: "remember", args: []any{200_000, "sum"}, want: "<nil>", keys: map[string]string{"seen:sum": "1000000000 -"}},
		{name: "look", script: "sighted", args: []any{"seen:", 100_000_000, "sum", "other"}, want: "[- ]"},
		{name: "put", script: "put", args: puts("p1", one("a", lane, "sum")), want: "[2 - 0 0 0]", keys: map[string]string{"job:a": ""}},
		{name: "look later", after: 100 * time.Second, script: "sighted", args: []any{"seen:", 100_000_000, "sum"}, want: "[]"},
	},
	"take": {
		{name: "put", script: "put", args: puts("p1", one("a", lane, "")), want: "[0 a 0 1 0]"},
		{name: "take", script: "take", args: takes("t1", 1), want: "[1000000000 0 10000000 0 -1 [crane/stork/c a 1000000001 0 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1]]]", again: "[1000000000 0 0 1 -1 [crane/stork/c a 1000000001 0 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1]]]", keys: map[string]string{
			"leased:crane": lane + ":1010000000", "calm:crane": "", "at:" + lane: "1000000001 1010000000 0 0 0 l0000 1000000000 a",
		}},
		{name: "nothing", script: "take", args: takes("t2", 1), want: "[1000000000 0 10000000 0 -1]"},
		{name: "lapsed", after: 10 * time.Second, script: "take", args: takes("t3", 0), want: "[1010000000 0 0 2 1000000000]", keys: map[string]string{
			"leased:crane": "", "rough:crane": lane + ":1000000000", "at:" + lane: "1000000001 1010000000 0 0 0 z0010 1000000000 a",
		}},
		{name: "renew", script: "renew", args: []any{10_000_000, lane, "1000000001", "1000000000 a"}, want: "[1010000000 1]", keys: map[string]string{
			"leased:crane": lane + ":1020000000", "rough:crane": "",
		}},
		{name: "renew another's", script: "renew", args: []any{10_000_000, lane, "1000000000", "1000000000 a"}, want: "[1010000000 0]"},
	},
	"settle": {
		{name: "put", script: "put", args: puts("p1", one("a", lane, ""), one("b", lane, "")), want: "[0 a 0 1 0 0 b 0 0 0]", again: "[0 a 0 1 0 0 b 0 1 0]"},
		{name: "take", script: "take", args: takes("t1", 1), want: "[1000000000 0 10000000 0 -1 [crane/stork/c a 1000000002 0 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1]]]", again: "[1000000000 0 0 1 -1 [crane/stork/c a 1000000002 0 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1]]]"},
		{name: "another's", script: "settle", args: settles("a", "1000000000", "7", "s0", 1), want: "[0 -1]"},
		{name: "retry", script: "settle", args: settles("a", "1000000000", "1000000002", "s1", 2), want: "[1 5000000]", again: "[1 0]", keys: map[string]string{
			"rough:crane": lane + ":1005000000", "at:" + lane: "1000000002 1010000000 0 1005000000 0 f0010 1000000000 a",
		}},
		{name: "take", after: 5 * time.Second, script: "take", args: takes("t2", 1), want: "[1005000000 0 10000000 0 -1 [crane/stork/c a 1005000000 1 1005000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1 s 1 p 1000000000 u 500 t 1 e why d 1005000000 h 0 f 1000000000 w 1 v s1]]]", again: "[1005000000 0 0 1 -1 [crane/stork/c a 1005000000 1 1005000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1 s 1 p 1000000000 u 500 t 1 e why d 1005000000 h 0 f 1000000000 w 1 v s1]]]"},
		{name: "park", script: "settle", args: settles("a", "1000000000", "1005000000", "s2", 3), want: "[1 0]", keys: map[string]string{
			"aside:" + lane: "1000000000 a:1010000000", "parked:crane": "a:1000000000", "lane:" + lane: "1000000001 b",
		}},
		{name: "take", script: "take", args: takes("t3", 1), want: "[1005000000 0 10000000 0 -1 [crane/stork/c b 1005000001 1 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000001 a 1000000000 n p1]]]", again: "[1005000000 0 0 1 -1 [crane/stork/c b 1005000001 1 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000001 a 1000000000 n p1]]]"},
		{name: "ack", script: "settle", args: settles("b", "1000000001", "1005000001", "s3", 1), want: "[1 5000000]", again: "[1 0]", keys: map[string]string{
			"lane:" + lane: "", "done:crane": "b:1000000001", "over:done": "b:1005000000", "bytes": "4", "calm:crane": lane + ":1010000000",
		}},
		{name: "another verdict", script: "settle", args: settles("b", "1000000001", "1005000001", "s4", 4), want: "[0 -1]"},
		{name: "take", after: 5 * time.Second, script: "take", args: takes("t4", 1), want: "[1010000000 0 10000000 0 -1 [crane/stork/c a 1010000000 0 1010000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1 s 2 p 1005000000 u 500 t 2 e why d 1010000000 h 0 f 1000000000 w 1 v s2]]]", again: "[1010000000 0 0 1 -1 [crane/stork/c a 1010000000 0 1010000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1 s 2 p 1005000000 u 500 t 2 e why d 1010000000 h 0 f 1000000000 w 1 v s2]]]"},
		{name: "bury", script: "settle", args: settles("a", "1000000000", "1010000000", "s5", 4), want: "[1 -1]", again: "[1 0]", keys: map[string]string{
			"dead:crane": "a:1000000000", "over:dead": "a:1010000000", "at:" + lane: "", "aside:" + lane: "", "rough:crane": "",
			"job:a": "a=1000000000, b=body, c=7, d=0, e=why, f=1000000000, h=0, l=crane/stork/c, m=meta, n=p1, p=1010000000, " +
				"q=1000000000, s=4, t=3, u=500, v=s5, w=1, z=4",
		}},
	},
	"mend": {
		{name: "put", script: "put", args: puts("p1", one("a", lane, ""), one("b", lane, "")), want: "[0 a 0 1 0 0 b 0 0 0]", again: "[0 a 0 1 0 0 b 0 1 0]"},
		{name: "take", script: "take", args: takes("t1", 1), want: "[1000000000 0 10000000 0 -1 [crane/stork/c a 1000000002 0 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1]]]", again: "[1000000000 0 0 1 -1 [crane/stork/c a 1000000002 0 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1]]]"},
		{name: "bury", script: "settle", args: settles("a", "1000000000", "1000000002", "s1", 4), want: "[1 0]"},
		{name: "states", script: "states", args: []any{"a", "b", "none"}, want: "[4 1 ]"},
		{name: "revive", script: "revive", args: []any{"n1", "a", 3_000_000, "b", 0}, want: "[1 crane 0]", keys: map[string]string{
			"dead:crane": "", "over:dead": "", "parked:crane": "a:1000000000", "aside:" + lane: "1000000000 a:1003000000",
		}},
		{name: "drop", script: "drop", args: []any{"n2", "a", "b", "none"}, want: "[1]", keys: map[string]string{"job:a": "", "parked:crane": "", "aside:" + lane: ""}},
		{name: "take", script: "take", args: takes("t2", 1), want: "[1000000000 0 10000000 0 -1 [crane/stork/c b 1000000003 1 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000001 a 1000000000 n p1]]]", again: "[1000000000 0 0 1 -1 [crane/stork/c b 1000000003 1 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000001 a 1000000000 n p1]]]"},
		{name: "retry", script: "settle", args: settles("b", "1000000001", "1000000003", "s2", 2), want: "[1 5000000]", again: "[1 0]"},
		{name: "rouse", script: "rouse", args: []any{"crane", "rough:", 0, 100}, want: "[1 1]", again: "[1 0]", keys: map[string]string{"rough:crane": lane + ":1000000000"}},
		{name: "expire none", after: time.Second, script: "expire", args: []any{"n3", "crane", "queued:", "0", 100, 2_000_000, "old", 0}, want: "[0 0]"},
		{name: "expire", after: time.Second, script: "expire", args: []any{"n4", "crane", "queued:", "0", 100, 2_000_000, "old", 0}, want: "[1 0]", keys: map[string]string{
			"queued:crane": "", "lane:" + lane: "", "dead:crane": "b:1000000001", "at:" + lane: "", "rough:crane": "",
		}},
		{name: "sweep", after: 10 * time.Second, script: "sweep", args: []any{1, 10_000_000, -1, 100}, want: "[1 0]", again: "[0 0]", keys: map[string]string{"job:b": "", "dead:crane": "", "over:dead": ""}},
	},
	"pause": {
		{name: "put", script: "put", args: puts("p1", one("a", lane, "")), want: "[0 a 0 1 0]"},
		{name: "pause", script: "pause", args: []any{"n0", "c/stork/c", 0, "why"}, want: "[]", keys: map[string]string{
			"pauses": "c/stork/c=0 why", "ends": "", "held:crane": lane + ":0", "calm:crane": "",
		}},
		{name: "put into it", script: "put", args: puts("p2", one("b", lane, "")), want: "[0 b -1 0 0]", again: "[0 b -1 1 0]"},
		{name: "resume", script: "resume", args: []any{"c/stork/c"}, want: "[crane]", again: "[]", keys: map[string]string{
			"pauses": "", "held:crane": "", "calm:crane": lane + ":1000000000",
		}},
		{name: "take", script: "take", args: takes("t1", 1), want: "[1000000000 0 10000000 0 -1 [crane/stork/c a 1000000002 0 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1]]]", again: "[1000000000 0 0 1 -1 [crane/stork/c a 1000000002 0 1000000000 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1]]]"},
		{name: "pause the leased", script: "pause", args: []any{"n1", "c/stork/c", 3_000_000, "why"}, want: "[]", keys: map[string]string{
			"pauses": "c/stork/c=1003000000 why", "ends": "c/stork/c:1003000000", "leased:crane": lane + ":1010000000",
		}},
		{name: "list", script: "pauses", want: "[1000000000 c/stork/c 1003000000 why]"},
		{name: "retry", script: "settle", args: settles("a", "1000000000", "1000000002", "s1", 2), want: "[1 -1]", again: "[1 0]", keys: map[string]string{"held:crane": lane + ":0"}},
		{name: "resume later", script: "resume", args: []any{"c/stork/c"}, want: "[crane]", again: "[]", keys: map[string]string{
			"pauses": "", "ends": "", "held:crane": "", "rough:crane": lane + ":1005000000",
		}},
		{name: "pause the agent", script: "pause", args: []any{"n2", "a/crane", 0, "why"}, want: "[]", keys: map[string]string{"pauses": "a/crane=0 why", "ends": ""}},
		{name: "take", after: 5 * time.Second, script: "take", args: takes("t2", 1), want: "[1005000000 0 0 0 -1]"},
		{name: "resume the agent", script: "resume", args: []any{"a/crane"}, want: "[crane]", keys: map[string]string{"pauses": ""}},
	},
	"look": {
		{name: "put", script: "put", args: puts("p1", one("a", lane, "sum"), one("b", "crane/ibis/c", "")), want: "[0 a 0 1 0 0 b 0 1 0]"},
		{name: "take", script: "take", args: takes("t1", 1), want: "[1000000000 0 10000000 1 1000000000 [crane/ibis/c b 1000000002 0 1000000000 [l crane/ibis/c m meta b body c 7 z 4 q 1000000001 a 1000000000 n p1]]]", again: "[1000000000 0 0 1 -1 [crane/ibis/c b 1000000002 0 1000000000 [l crane/ibis/c m meta b body c 7 z 4 q 1000000001 a 1000000000 n p1]]]"},
		{name: "get", script: "get", args: []any{"a"}, want: "[0 [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1]]"},
		{name: "get none", script: "get", args: []any{"none"}, want: "[]"},
		{name: "list", script: "list", args: []any{"2000000000", 10, "1234", 0, "", "", "", 0}, want: "[-1 1 [crane/ibis/c meta 1000000001 b           1000000000] 0 [crane/stork/c meta 1000000000 a           1000000000]]"},
		{name: "list one", script: "list", args: []any{"2000000000", 1, "1", 0, "", "", "", 0}, want: "[1000000000 1 [crane/ibis/c meta 1000000001 b           1000000000]]"},
		{name: "list leased", script: "list", args: []any{"2000000000", 10, "1234", 1, "", "stork", "c", 0}, want: "[-1]"},
		{name: "stats", script: "stats", want: "[crane 2 1 0 0 0 2 1000000000]"},
		{name: "accounts", script: "accounts", args: []any{"c"}, want: "[ibis\x00crane stork\x00crane]"},
		{name: "export jobs", script: "exportjobs", args: []any{0, 1, 100}, want: "[1000000000 a [l crane/stork/c m meta b body c 7 z 4 q 1000000000 a 1000000000 n p1]]"},
		{name: "export chats", script: "exportchats", args: []any{"", 1}, want: "[c\x00ibis\x00crane]"},
		{name: "export keys", script: "exportkeys", args: []any{100_000_000, "seen:sum", "seen:gone"}, want: "[sum a 1000000000]"},
	},
	"import": {
		{
			name: "names", script: "importnames",
			args: []any{100_000_000, 1000, 2, "sum", "a", 950_000_000, "gone", "b", 900_000_000, "c", "stork"},
			want: "<nil>", keys: map[string]string{"old:sum": "950000000 a", "old:gone": "", "known": "c\x00stork\x00:0"},
		},
		{name: "pause", script: "importpause", args: []any{"c/stork/c", 1_003_000_000, "why"}, want: "<nil>", keys: map[string]string{"pauses": "c/stork/c=1003000000 why"}},
		{name: "jobs", script: "import", args: []any{
			"a", lane, "meta", "body", 7, 1, 1, 2, 1, 500, "why", 900_000_000, 900_000_000, 1_002_000_000, 1_001_000_000, 950_000_000, 960_000_000,
			"b", lane, "meta", "", 0, 0, 3, 1, 0, 200, "", 900_000_000, 900_000_000, 0, 0, 0, 960_000_000,
		}, want: "[crane]", again: "[]", keys: map[string]string{
			"held:crane": lane + ":0", "queued:crane": "a:1000000000", "done:crane": "b:1000000001", "over:bare": "b:960000000",
			"at:" + lane: "0 0 1001000000 1002000000 0 f0011 ",
		}},
		{name: "the pause's end", after: 3 * time.Second, script: "take", args: takes("t1", 1), want: "[1003000000 0 10000000 0 -1 [crane/stork/c a 1003000000 1 1002000000 [l crane/stork/c m meta c 7 z 4 q 1000000000 s 1 t 2 w 1 u 500 e why a 900000000 i 900000000 d 1002000000 h 1001000000 f 950000000 p 960000000 b body]]]", again: "[1003000000 0 0 1 -1 [crane/stork/c a 1003000000 1 1002000000 [l crane/stork/c m meta c 7 z 4 q 1000000000 s 1 t 2 w 1 u 500 e why a 900000000 i 900000000 d 1002000000 h 1001000000 f 950000000 p 960000000 b body]]]", keys: map[string]string{"leased:crane": lane + ":1013000000"}},
	},
}
