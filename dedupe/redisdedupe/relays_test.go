package redisdedupe_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/dedupetest"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// within is how long the tests wait for what is to come.
const within = 15 * time.Second

func aClaim(key, to string) dedupe.Claim {
	return dedupe.Claim{Owner: "openclaw", Key: key, ID: "msg_" + key + "_" + to, Lane: "wechat/" + to, Digest: [32]byte{to[0]}}
}

func queuedClaim(key, to string) dedupe.Claim {
	c := aClaim(key, to)
	c.Payload = []byte("text")
	return c
}

// status claims and wants the status.
func status(t *testing.T, l *redisdedupe.Ledger, c dedupe.Claim, want dedupe.Status) dedupe.Entry {
	t.Helper()
	e, err := l.Claim(t.Context(), c)
	if err != nil || e.Status != want {
		t.Fatalf("claim %s: got %v, %v; want %v", c.Key, e.Status, err, want)
	}
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until polls, and fails when it has taken too long.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !done(); {
		if time.Now().After(end) {
			t.Fatalf("%s: did not come to pass within %v", what, within)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Of 20 claims of one key over two relays one gets it.
func TestOneOfManyClaims(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	relays := []*redisdedupe.Ledger{
		open(t, server.URL(""), nil, redisdedupe.Options{}), open(t, server.URL(""), nil, redisdedupe.Options{}),
	}
	for round := range 20 {
		var (
			wg  sync.WaitGroup
			got [dedupe.Conflict + 1]atomic.Int32
		)
		gate := make(chan struct{})
		for i := range 20 {
			wg.Go(func() {
				<-gate
				e, err := relays[i%2].Claim(t.Context(), aClaim(fmt.Sprint("k", round), "alice"))
				if err != nil {
					t.Errorf("claim: %v", err)
				}
				got[e.Status].Add(1)
			})
		}
		close(gate)
		wg.Wait()
		if c, r := got[dedupe.Claimed].Load(), got[dedupe.Running].Load(); c != 1 || r != 19 {
			t.Fatalf("20 claims: got %d claimed, %d running; want 1 and 19", c, r)
		}
	}
}

// One key is never claimed for two recipients at once, however its pointer is moved.
func TestOneKeyForTwoRecipients(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendfsync", "no")
	relays := []*redisdedupe.Ledger{
		open(t, server.URL(""), nil, redisdedupe.Options{}), open(t, server.URL(""), nil, redisdedupe.Options{}),
	}
	var (
		wg    sync.WaitGroup
		held  [8]atomic.Int32
		moves atomic.Int32
	)
	last := make([]atomic.Int32, len(held))
	for worker := range 8 {
		to := string(rune('a' + worker))
		wg.Go(func() {
			for round := range 240 {
				n := round % len(held)
				e, err := relays[worker%2].Claim(t.Context(), aClaim(fmt.Sprint("k", n), to))
				if err != nil {
					t.Errorf("claim: %v", err)
				}
				if e.Status != dedupe.Claimed {
					continue
				}
				if others := held[n].Add(1); others != 1 {
					t.Errorf("k%d: claimed by %d at once", n, others)
				}
				if last[n].Swap(int32(worker)) != int32(worker) {
					moves.Add(1)
				}
				if round%3 == 0 {
					must(t, relays[worker%2].Start(t.Context(), e, nil))
				}
				held[n].Add(-1)
				must(t, relays[worker%2].Release(t.Context(), e, nil))
			}
		})
	}
	wg.Wait()
	if moves.Load() < 50 {
		t.Errorf("the keys changed hands %d times, want at least 50", moves.Load())
	}
}

// A key that a recipient's send has done is not free for another recipient, and is when it is over.
func TestOtherRecipient(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendfsync", "no")
	l := open(t, server.URL(""), nil, redisdedupe.Options{Window: 300 * time.Millisecond})
	one, another := apart(t, server)
	for i := range 6 {
		e := status(t, l, aClaim(fmt.Sprint("k", i), one), dedupe.Claimed)
		must(t, l.Finish(t.Context(), e, dedupe.Done, nil))
		if got := status(t, l, aClaim(fmt.Sprint("k", i), another), dedupe.Conflict); got.ID != e.ID {
			t.Errorf("id: got %s, want %s", got.ID, e.ID)
		}
		until(t, "window over", func() bool {
			got, err := l.Claim(t.Context(), aClaim(fmt.Sprint("k", i), another))
			must(t, err)
			return got.Status == dedupe.Claimed
		})
		status(t, l, aClaim(fmt.Sprint("k", i), one), dedupe.Conflict)
	}
}

// What a relay held that was lost is Unknown if it was started and free if not, after the lease and not before.
func TestLostHolder(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	o := redisdedupe.Options{Lease: time.Second}
	conn := connect(t, server.URL(""), nil)
	lost, err := redisdedupe.Open(t.Context(), conn, o)
	must(t, err)
	other := open(t, server.URL(""), nil, o)
	began := time.Now()
	started := status(t, lost, aClaim("started", "alice"), dedupe.Claimed)
	must(t, lost.Start(t.Context(), started, []byte("under way")))
	status(t, lost, aClaim("claimed", "alice"), dedupe.Claimed)
	status(t, lost, queuedClaim("queued", "bob"), dedupe.Waiting)
	status(t, lost, queuedClaim("next", "bob"), dedupe.Waiting)
	taken, err := lost.Take(t.Context(), 5)
	if err != nil || len(taken) != 1 {
		t.Fatalf("take: got %d, %v; want 1", len(taken), err)
	}
	must(t, conn.Close())

	status(t, other, aClaim("started", "alice"), dedupe.Running)
	status(t, other, aClaim("claimed", "alice"), dedupe.Running)
	until(t, "started is unknown", func() bool {
		e, err := other.Claim(t.Context(), aClaim("started", "alice"))
		must(t, err)
		return e.Status == dedupe.Unknown && string(e.Record) == "under way"
	})
	if took := time.Since(began); took < time.Second {
		t.Errorf("it lapsed after %v, want at least 1s", took)
	}
	until(t, "claimed is free", func() bool {
		e, err := other.Claim(t.Context(), aClaim("claimed", "alice"))
		must(t, err)
		return e.Status == dedupe.Claimed
	})
	until(t, "queued is taken", func() bool {
		es, err := other.Take(t.Context(), 5)
		must(t, err)
		return len(es) == 1 && es[0].Key == "queued"
	})
}

// When Redis is emptied, what was held is lost at its next step, and everything begins anew.
func TestEmptiedRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--databases", "100", "--appendfsync", "no")
	steps := map[string]func(l *redisdedupe.Ledger, e dedupe.Entry) error{
		"start":   func(l *redisdedupe.Ledger, e dedupe.Entry) error { return l.Start(t.Context(), e, nil) },
		"note":    func(l *redisdedupe.Ledger, e dedupe.Entry) error { return l.Note(t.Context(), e, nil) },
		"finish":  func(l *redisdedupe.Ledger, e dedupe.Entry) error { return l.Finish(t.Context(), e, dedupe.Done, nil) },
		"release": func(l *redisdedupe.Ledger, e dedupe.Entry) error { return l.Release(t.Context(), e, nil) },
	}
	db := 0
	for name, step := range steps {
		for _, started := range []bool{false, true} {
			db++
			n := db
			t.Run(fmt.Sprintf("%s, started %t", name, started), func(t *testing.T) {
				t.Parallel()
				raw := rawClient(t, server, n)
				l := open(t, server.URL(fmt.Sprintf("db=%d", n)), nil, redisdedupe.Options{})
				held := status(t, l, aClaim("k", "alice"), dedupe.Claimed)
				status(t, l, queuedClaim("q", "alice"), dedupe.Waiting)
				status(t, l, queuedClaim("waits", "bob"), dedupe.Waiting)
				es, err := l.Take(t.Context(), 1)
				must(t, err)
				for _, e := range append(es, held) {
					if started {
						must(t, l.Start(t.Context(), e, nil))
					}
				}
				empty(t, raw)
				for _, e := range append(es, held) {
					if err := step(l, e); !errors.Is(err, dedupe.ErrLost) {
						t.Errorf("%s of %s: got %v, want ErrLost", name, e.Key, err)
					}
				}
				anew(t, l, append(es, held))
			})
		}
	}
}

func empty(t *testing.T, raw *redis.Client) {
	t.Helper()
	must(t, raw.FlushDB(t.Context()).Err())
	must(t, raw.ScriptFlush(t.Context()).Err())
}

// anew wants a ledger without any of what was before.
func anew(t *testing.T, l *redisdedupe.Ledger, lost []dedupe.Entry) {
	t.Helper()
	if kept, err := l.Renew(t.Context(), lost); err != nil || len(kept) != 0 {
		t.Errorf("renew: got %d, %v; want none", len(kept), err)
	}
	if n, err := l.Waiting(t.Context()); err != nil || n != 0 {
		t.Errorf("waiting: got %d, %v; want 0", n, err)
	}
	if es, err := l.Take(t.Context(), 5); err != nil || len(es) != 0 {
		t.Errorf("take: got %d, %v; want none", len(es), err)
	}
	if _, err := l.Find(t.Context(), "openclaw", lost[0].ID); !errors.Is(err, dedupe.ErrNotFound) {
		t.Errorf("find: got %v, want ErrNotFound", err)
	}
	must(t, l.Sweep(t.Context()))
	e := status(t, l, aClaim("k", "carol"), dedupe.Claimed)
	if e.Token <= lost[0].Token {
		t.Errorf("token: got %d, want more than %d", e.Token, lost[0].Token)
	}
	must(t, l.Start(t.Context(), e, nil))
	must(t, l.Finish(t.Context(), e, dedupe.Done, nil))
	status(t, l, queuedClaim("q", "alice"), dedupe.Waiting)
	es, err := l.Take(t.Context(), 5)
	if err != nil || len(es) != 1 {
		t.Fatalf("take: got %d, %v; want 1", len(es), err)
	}
	must(t, l.Finish(t.Context(), es[0], dedupe.Done, nil))
}

// A pointer outlives its row: a caller's by the window and a day from the claim, a queued send's while it waits.
func TestPointerLives(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendfsync", "no")
	raw := rawClient(t, server, 0)
	l := open(t, server.URL("shards=1"), nil, redisdedupe.Options{Window: testWindow})
	const day = 24 * time.Hour
	lives := func(want time.Duration) {
		t.Helper()
		keys := raw.Keys(t.Context(), prefix+"key:*").Val()
		if len(keys) != 1 {
			t.Fatalf("pointers: got %d, want 1", len(keys))
		}
		if got := raw.PTTL(t.Context(), keys[0]).Val(); got > want || got < want-time.Minute {
			t.Errorf("the pointer lives %v, want %v", got, want)
		}
	}
	e := status(t, l, aClaim("k", "alice"), dedupe.Claimed)
	lives(testWindow + day)
	must(t, l.Finish(t.Context(), e, dedupe.Failed, nil))
	lives(testWindow + day)
	status(t, l, queuedClaim("k", "alice"), dedupe.Waiting)
	lives(testWindow + 30*day)
	status(t, l, aClaim("k", "alice"), dedupe.Waiting)
	lives(testWindow + 30*day)
	es, err := l.Take(t.Context(), 1)
	must(t, err)
	must(t, l.Finish(t.Context(), es[0], dedupe.Done, nil))
	lives(testWindow + day)

	own := aClaim("msg_own", "alice")
	own.ID = own.Key
	status(t, l, own, dedupe.Claimed)
	lives(testWindow + day)
}

// What is over is forgotten, and whatever is not swept collects itself.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendfsync", "no")
	raw := rawClient(t, server, 0)
	clock := dedupetest.NewClock()
	l := open(t, server.URL(""), clock.Now, redisdedupe.Options{Window: testWindow})
	for i := range 40 {
		e := status(t, l, aClaim(fmt.Sprint("s", i), fmt.Sprint(i)), dedupe.Claimed)
		status(t, l, queuedClaim(fmt.Sprint("q", i), fmt.Sprint(i)), dedupe.Waiting)
		switch i % 4 {
		case 0:
			must(t, l.Start(t.Context(), e, nil))
			must(t, l.Finish(t.Context(), e, dedupe.Done, nil))
		case 1:
			must(t, l.Start(t.Context(), e, nil))
		case 2:
			must(t, l.Release(t.Context(), e, nil))
		}
	}
	for i := 0; i < 40; {
		es, err := l.Take(t.Context(), 7)
		must(t, err)
		for _, e := range es {
			if i++; i%2 == 0 {
				must(t, l.Start(t.Context(), e, nil))
			} else {
				must(t, l.Finish(t.Context(), e, dedupe.Failed, []byte("refused")))
			}
		}
	}
	clock.Advance(testWindow + time.Minute)
	if n, err := l.Waiting(t.Context()); err != nil || n != 0 {
		t.Errorf("waiting: got %d, %v; want none", n, err)
	}
	must(t, l.Sweep(t.Context()))
	for _, key := range raw.Keys(t.Context(), "{imrelay:*").Val() {
		_, name, _ := strings.Cut(key, "}:")
		if kind, _, _ := strings.Cut(name, ":"); name != "tick" && raw.PTTL(t.Context(), key).Val() <= 0 {
			t.Errorf("%s is never collected", name)
		} else if kind == "sends" || kind == "line" {
			t.Errorf("%s is left", name)
		}
	}
}

// With Redis away every method says so, soon, and goes on when it is back.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l := open(t, server.URL(""), nil, redisdedupe.Options{})
	e := status(t, l, aClaim("k", "alice"), dedupe.Claimed)
	server.Kill()
	ctx := t.Context()
	calls := map[string]func() error{
		"claim":   func() error { _, err := l.Claim(ctx, aClaim("k2", "alice")); return err },
		"start":   func() error { return l.Start(ctx, e, nil) },
		"note":    func() error { return l.Note(ctx, e, nil) },
		"finish":  func() error { return l.Finish(ctx, e, dedupe.Done, nil) },
		"release": func() error { return l.Release(ctx, e, nil) },
		"take":    func() error { _, err := l.Take(ctx, 5); return err },
		"find":    func() error { _, err := l.Find(ctx, "openclaw", "msg_k"); return err },
		"renew":   func() error { _, err := l.Renew(ctx, []dedupe.Entry{e}); return err },
		"waiting": func() error { _, err := l.Waiting(ctx); return err },
		"sweep":   func() error { return l.Sweep(ctx) },
		"export":  func() error { return l.Export(ctx, func([]dedupe.Stored) error { return nil }) },
		"import":  func() error { return l.Import(ctx, []dedupe.Stored{{Entry: e}}) },
	}
	var wg sync.WaitGroup
	for name, call := range calls {
		wg.Go(func() {
			began := time.Now()
			if err := call(); !errors.Is(err, dedupe.ErrUnavailable) {
				t.Errorf("%s: got %v, want ErrUnavailable", name, err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s: took %v", name, took)
			}
		})
	}
	wg.Wait()
	server.Restart()
	until(t, "it goes on", func() bool { return l.Start(ctx, e, nil) == nil })
	must(t, l.Finish(ctx, e, dedupe.Done, nil))
}
