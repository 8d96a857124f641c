package redisdedupe_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// The scripts are tested at a time of a thousand seconds, with a lease of 10 s and a window of 100 s.
const (
	now    = 1_000_000_000
	lease  = 10_000_000
	window = 100_000_000
	digest = "01234567890123456789012345678901"
)

// bench is a shard with a standing clock.
type bench struct {
	*testing.T

	at   atomic.Int64
	conn *redisconn.Conn
	raw  *redis.Client
}

func newBench(t *testing.T, server *redistest.Server, db int) *bench {
	t.Helper()
	b := &bench{T: t, raw: rawClient(t, server, db)}
	b.at.Store(now)
	url := fmt.Sprintf("%s&db=%d", server.URL("shards=1"), db)
	b.conn = connect(t, url, func() time.Time { return time.UnixMicro(b.at.Load()) })
	return b
}

// run runs a script and returns its reply as fmt prints it.
func (b *bench) run(script string, args ...any) string {
	b.Helper()
	reply, err := b.conn.Do(b.Context(), redisconn.Call{
		Script: redisdedupe.Scripts()[script], Shard: b.conn.Shards()[0], Args: args,
	})
	if err != nil {
		b.Fatalf("%s: %v", script, err)
	}
	return fmt.Sprint(reply)
}

const prefix = "{imrelay:1.0}:"

// keys are all keys of the ledger and what they hold. Fields that are as good as absent are left out.
func (b *bench) keys() map[string]string {
	b.Helper()
	ctx, out := b.Context(), map[string]string{}
	for _, key := range b.raw.Keys(ctx, prefix+"*").Val() {
		var parts []string
		switch b.raw.Type(ctx, key).Val() {
		case "string":
			parts = append(parts, b.raw.Get(ctx, key).Val())
		case "hash":
			for name, value := range b.raw.HGetAll(ctx, key).Val() {
				if value != "" {
					parts = append(parts, name+"="+value)
				}
			}
		case "zset":
			for _, z := range b.raw.ZRangeWithScores(ctx, key, 0, -1).Val() {
				parts = append(parts, fmt.Sprintf("%v:%.0f", z.Member, z.Score))
			}
		}
		slices.Sort(parts)
		out[strings.TrimPrefix(key, prefix)] = strings.Join(parts, " ")
	}
	return out
}

// claimed is a call of claim for the row sum, whose key is key and whose id is id-sum.
type claimed struct {
	sum, lane, digest, resend, payload, nonce, version, mode string
	queued                                                   bool
}

func (c claimed) args() []any {
	queued := ""
	if c.queued {
		queued = "1"
	}
	if c.digest == "" {
		c.digest = digest
	}
	return []any{
		c.sum, "me", "key", "id-" + c.sum, c.lane, c.digest, c.resend, queued, c.payload, c.nonce, lease, window, c.version, c.mode, 1,
	}
}

func (b *bench) sync(sum string) {
	b.run("claim", claimed{sum: sum, lane: "l", nonce: "c" + sum}.args()...)
}

func (b *bench) queue(sum string) {
	b.run("claim", claimed{sum: sum, lane: "l", nonce: "c" + sum, queued: true, payload: "text"}.args()...)
}

// take takes one background send; its token is that of the clock or a little more.
func (b *bench) take() { b.run("take", 1, "t", lease, 1<<20) }

func (b *bench) later(d time.Duration) { b.at.Add(d.Microseconds()) }

// scripted is one run of a script. What it leaves is looked at, and that a second run of it answers the same and changes
// nothing.
type scripted struct {
	script, name string
	before       func(b *bench)
	args         []any
	reply        string
	// again is the reply of the second run, if that is another.
	again string
	// keys are some of those that are there afterwards; "" is none.
	keys map[string]string
}

func TestScripts(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--databases", "200", "--appendfsync", "no")
	cases := slices.Concat(pointerScripts(), claimScripts(), holderScripts(), boxScripts(), storeScripts())
	seen := map[string]bool{}
	for i, c := range cases {
		seen[c.script] = true
		t.Run(c.script+" "+c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, server, i+1)
			if c.before != nil {
				c.before(b)
			}
			if got := b.run(c.script, c.args...); !alike(got, c.reply) {
				t.Errorf("reply: got %s, want %s", got, c.reply)
			}
			left := b.keys()
			for key, want := range c.keys {
				if left[key] != want {
					t.Errorf("%s: got %q, want %q", key, left[key], want)
				}
			}
			want := c.reply
			if c.again != "" {
				want = c.again
			}
			if got := b.run(c.script, c.args...); !alike(got, want) {
				t.Errorf("reply to a second run: got %s, want %s", got, want)
			}
			if now := b.keys(); !maps.Equal(now, left) {
				t.Errorf("after a second run: got %v, want %v", now, left)
			}
		})
	}
	for name := range redisdedupe.Scripts() {
		if !seen[name] {
			t.Errorf("%s has no test", name)
		}
	}
}

// alike compares replies; … stands for the rest.
func alike(got, want string) bool {
	begin, rest := strings.CutSuffix(want, "…")
	return got == want || rest && strings.HasPrefix(got, begin)
}

func (b *bench) point(at string) {
	b.Helper()
	if err := b.raw.Set(b.Context(), prefix+"key:k", at, 0).Err(); err != nil {
		b.Fatal(err)
	}
}

func pointerScripts() []scripted {
	return []scripted{
		{
			script: "point", name: "makes", args: []any{"k", 3, 60000, ""}, reply: "3:1000000000",
			keys: map[string]string{"key:k": "3:1000000000"},
		},
		{
			script: "point", name: "finds", before: func(b *bench) { b.point("1:5") }, args: []any{"k", 3, 60000, ""},
			reply: "1:5", keys: map[string]string{"key:k": "1:5"},
		},
		{
			script: "move", name: "what was seen", before: func(b *bench) { b.point("1:5") },
			args: []any{"k", "1:5", 3, 60000}, reply: "3:1000000000", keys: map[string]string{"key:k": "3:1000000000"},
		},
		{
			script: "move", name: "rises", before: func(b *bench) { b.point("1:2000000000") },
			args: []any{"k", "1:2000000000", 3, 60000}, reply: "3:2000000001",
		},
		{
			script: "move", name: "what another moved", before: func(b *bench) { b.point("2:7") },
			args: []any{"k", "1:5", 3, 60000}, reply: "2:7", keys: map[string]string{"key:k": "2:7"},
		},
		{script: "move", name: "what is gone", args: []any{"k", "1:5", 3, 60000}, reply: "3:1000000000"},
	}
}
