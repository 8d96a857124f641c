package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/memo/redismemo"
	"github.com/imrelay/imrelay/relay/memo/sqlitememo"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// What stock puts into a store, as a report says it.
const stocked = "events heron queued 1, events openclaw dead 1, events openclaw delivered 1, events openclaw parked 1, " +
	"events openclaw queued 2, keys 7, pauses 1, chats 5, sends done 1, sends waiting 1, notes 2"

// goods is a store with something in it.
type goods struct {
	queue  queue.Queue
	ledger dedupe.Store
	memos  memo.Store
}

// token and list are what an adapter remembers.
var (
	token = memo.Key{Owner: "agent/openclaw", Name: "token"}
	list  = memo.Key{Owner: "agent/heron", Name: "friend \xff"}
)

// stock fills a store.
func (g goods) stock(t *testing.T) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	ctx := t.Context()
	jobs := []queue.Job{
		ware("delivered", "openclaw"), ware("dead", "openclaw"), ware("parked", "openclaw"),
		ware("chat", "openclaw"), ware("chat", "openclaw"), ware("other", "heron"),
	}
	for i := range jobs {
		jobs[i].ID = fmt.Sprint("evt_", i)
		jobs[i].Key.Identity = jobs[i].ID
	}
	_, err := g.queue.Put(ctx, jobs[:3]...)
	must("put", err)
	taken, err := g.queue.Take(ctx, queue.Want{Agent: "openclaw", Max: 9, Troubled: 9})
	must("take", err)
	for _, l := range taken.Leases {
		v := map[string]queue.Verdict{
			"delivered": {Action: queue.Ack, Counted: true}, "dead": {Action: queue.Bury, Counted: true, Reason: "no"},
			"parked": {Action: queue.Park, Counted: true, Delay: time.Hour, Reason: "answered 500"},
		}[l.Job.Lane.Conversation]
		must("settle", g.queue.Settle(ctx, l, v))
	}
	_, err = g.queue.Put(ctx, jobs[3:]...)
	must("put", err)
	must("remember", g.queue.Remember(ctx, queue.Key{Account: "wechat", Conversation: "chat", Identity: "sent"}))
	must("pause", g.queue.Pause(ctx, queue.Scope{Agent: "heron"}, 0, "by the test"))
	e, err := g.ledger.Claim(ctx, dedupe.Claim{Owner: "openclaw", Key: "k", ID: "msg_k", Lane: "wechat/a"})
	must("claim", err)
	must("finish", g.ledger.Finish(ctx, e, dedupe.Done, []byte("sent")))
	_, err = g.ledger.Claim(ctx, dedupe.Claim{Owner: "openclaw", Key: "q", ID: "msg_q", Lane: "wechat/a", Payload: []byte("later")})
	must("claim", err)
	must("save", g.memos.Save(ctx, token, []byte("secret \x00\xff"), time.Hour))
	must("save", g.memos.Save(ctx, list, []byte{}, 24*time.Hour))
	must("save", g.memos.Save(ctx, memo.Key{Owner: "agent/heron", Name: "over"}, []byte("x"), time.Millisecond))
}

// ware is a job for a chat.
func ware(conversation, agent string) queue.Job {
	return queue.Job{
		Key:  queue.Key{Account: "wechat", Conversation: conversation},
		Lane: queue.Lane{Agent: agent, Account: "wechat", Conversation: conversation}, Meta: []byte("{}"), Body: []byte("hello"),
	}
}

// check looks whether a store holds what stock put into it.
func (g goods) check(t *testing.T) {
	t.Helper()
	taken, err := g.queue.Take(t.Context(), queue.Want{Agent: "openclaw", Max: 9, Troubled: 9})
	if err != nil || len(taken.Leases) != 1 || taken.Leases[0].Job.ID != "evt_3" || string(taken.Leases[0].Job.Body) != "hello" {
		t.Errorf("take: got %+v, %v, want evt_3", taken.Leases, err)
	}
	if taken, err = g.queue.Take(t.Context(), queue.Want{Agent: "heron", Max: 9}); err != nil || len(taken.Leases) != 0 {
		t.Errorf("take of a paused agent: got %+v, %v, want none", taken.Leases, err)
	}
	again := ware("dead", "openclaw")
	again.ID, again.Key.Identity = "evt_again", "evt_1"
	echo := ware("chat", "openclaw")
	echo.ID, echo.Key.Identity = "evt_echo", "sent"
	placed, err := g.queue.Put(t.Context(), again, echo)
	if err != nil || placed[0] != (queue.Placed{ID: "evt_1"}) || placed[1] != (queue.Placed{Echo: true}) {
		t.Errorf("put: got %+v, %v, want a repeat of evt_1 and an echo", placed, err)
	}
	e, err := g.ledger.Claim(t.Context(), dedupe.Claim{Owner: "openclaw", Key: "k", ID: "msg_2", Lane: "wechat/a"})
	if err != nil || e.Status != dedupe.Done || string(e.Record) != "sent" {
		t.Errorf("claim: got %v %q, %v, want it done", e.Status, e.Record, err)
	}
	es, err := g.ledger.Take(t.Context(), 9)
	if err != nil || len(es) != 1 || string(es[0].Payload) != "later" {
		t.Errorf("take of sends: got %+v, %v, want the one that waits", es, err)
	}
	for k, want := range map[memo.Key]string{token: "secret \x00\xff", list: ""} {
		if got, err := g.memos.Load(t.Context(), k); err != nil || got == nil || string(got) != want {
			t.Errorf("load %s: got %q, %v, want %q", k.Name, got, err, want)
		}
	}
}

// window is the dedupe window of every test.
const window = 2 * time.Hour

// origin is the configuration of a relay on an embedded store of its own.
func origin(t *testing.T) config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Data, cfg.Dedupe.Window = filepath.Join(t.TempDir(), "data"), window
	return cfg
}

// inFile lets do work on the embedded store.
func inFile(t *testing.T, cfg config.Config, source clock.Source, do func(g goods)) {
	t.Helper()
	file, err := sqlitefile.Open(t.Context(), sqlitefile.Options{Dir: cfg.Data})
	if err != nil {
		t.Fatalf("open file: %v", err)
	}
	q, err := sqlitequeue.Open(t.Context(), file, sqlitequeue.Options{Retention: queue.Retention{Window: window}, Clock: source})
	if err != nil {
		t.Fatalf("open queue: %v", err)
	}
	l, err := sqlitededupe.New(t.Context(), file, sqlitededupe.Options{Window: window})
	if err != nil {
		t.Fatalf("open ledger: %v", err)
	}
	m, err := sqlitememo.New(t.Context(), file, sqlitememo.Options{})
	if err != nil {
		t.Fatalf("open memory: %v", err)
	}
	do(goods{q, l, m})
	if err := errors.Join(m.Close(), l.Close(), q.Close(), file.Close()); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// connect connects as a relay does, or says why it is refused.
func connect(t *testing.T, url string) (*redisconn.Conn, error) {
	t.Helper()
	c, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(url)})
	if err == nil {
		t.Cleanup(func() { closeOf(t, c) })
	}
	return c, err
}

func closeOf(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close %T: %v", c, err)
	}
}

// inRedis lets do work on a store in Redis.
func inRedis(t *testing.T, url string, do func(g goods)) {
	t.Helper()
	conn, err := connect(t, url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	q, err := redisqueue.Open(t.Context(), conn, redisqueue.Options{Retention: queue.Retention{Window: window}})
	if err != nil {
		t.Fatalf("open queue: %v", err)
	}
	l, err := redisdedupe.Open(t.Context(), conn, redisdedupe.Options{Window: window})
	if err != nil {
		t.Fatalf("open ledger: %v", err)
	}
	do(goods{q, l, redismemo.New(conn)})
	if err := errors.Join(l.Close(), q.Close(), conn.Close()); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// summary is a report in one line.
func summary(r daemon.MoveReport) string {
	var parts []string
	for _, m := range r.Moved {
		parts = append(parts, strings.Join(strings.Fields(fmt.Sprint(m.What, " ", m.Agent, " ", m.State, " ", m.Count)), " "))
	}
	return strings.Join(parts, ", ")
}

// relocate moves and wants no error.
func relocate(t *testing.T, from config.Config, to string) daemon.MoveReport {
	t.Helper()
	r, err := daemon.Move(t.Context(), daemon.MoveOptions{From: from, To: secret.New(to)})
	if err != nil {
		t.Fatalf("Move: %v", err)
	}
	return r
}

func TestMoveIntoRedis(t *testing.T) {
	t.Parallel()
	from, url := origin(t), redistest.Start(t).URL("shards=4")
	inFile(t, from, nil, func(g goods) { g.stock(t) })
	r := relocate(t, from, url)
	if got := summary(r); got != stocked || !r.Embedded || r.Shards != 4 || r.Bytes == 0 {
		t.Errorf("report: got %s (%+v), want %s", got, r, stocked)
	}
	inRedis(t, url, func(g goods) { g.check(t) })
	inFile(t, from, nil, func(g goods) { g.check(t) })
}

// TestMoveOfShards moves a store into another number of shards of the same Redis, whose old keys are gone afterwards, and
// which relays with the old number are refused.
func TestMoveOfShards(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	from, url := config.Default(), server.URL("shards=5")
	from.Redis, from.Dedupe.Window = secret.New(server.URL("")), window
	inRedis(t, server.URL(""), func(g goods) { g.stock(t) })
	if r := relocate(t, from, url); summary(r) != stocked || r.Embedded || r.Removed == 0 {
		t.Errorf("report: got %+v, want %s", r, stocked)
	}
	if _, err := connect(t, server.URL("")); !isLayout(err) {
		t.Errorf("connect with the old number: got %v, want a *LayoutError", err)
	}
	conn, err := connect(t, url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	left, err := conn.Client().Keys(t.Context(), "{imrelay:16.*").Result()
	if err != nil || len(left) > 0 {
		t.Errorf("keys of the old layout: got %v, %v, want none", left, err)
	}
	inRedis(t, url, func(g goods) { g.check(t) })

	// What a kill before the end would have left is removed by beginning anew, although relays run already.
	if err := conn.Client().Set(t.Context(), "{imrelay:16.3}:tick", 1, 0).Err(); err != nil {
		t.Fatalf("SET: %v", err)
	}
	if r := relocate(t, from, url); r.Removed != 1 || len(r.Moved) != 0 {
		t.Errorf("report: got %+v, want one key removed and nothing moved", r)
	}
}

// TestMoveOnCluster moves a store into a Cluster, and there into another number of shards.
func TestMoveOnCluster(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t)
	from, url := origin(t), nodes.URL("shards=8")
	inFile(t, from, nil, func(g goods) { g.stock(t) })
	if r := relocate(t, from, url); summary(r) != stocked {
		t.Errorf("report: got %+v, want %s", r, stocked)
	}
	from.Redis = secret.New(url)
	if r := relocate(t, from, nodes.URL("shards=3")); summary(r) != stocked || r.Removed == 0 {
		t.Errorf("report: got %+v, want %s and old keys removed", r, stocked)
	}
	inRedis(t, nodes.URL("shards=3"), func(g goods) { g.check(t) })
}

func isLayout(err error) bool {
	_, ok := errors.AsType[*redisconn.LayoutError](err)
	return ok
}

// TestMoveToAnotherRedis leaves the source as it was.
func TestMoveToAnotherRedis(t *testing.T) {
	t.Parallel()
	source, target := redistest.Start(t), redistest.Start(t)
	from := config.Default()
	from.Redis, from.Dedupe.Window = secret.New(source.URL("")), window
	inRedis(t, source.URL(""), func(g goods) { g.stock(t) })
	if r := relocate(t, from, target.URL("")); summary(r) != stocked || r.Removed != 0 {
		t.Errorf("report: got %+v, want %s", r, stocked)
	}
	inRedis(t, target.URL(""), func(g goods) { g.check(t) })
	inRedis(t, source.URL(""), func(g goods) { g.check(t) })
}

// TestMoveBrokenOff ends a move after its first piece. Relays are kept off what is not whole, and beginning anew brings the
// source as it is by then.
func TestMoveBrokenOff(t *testing.T) {
	t.Parallel()
	from, url := origin(t), redistest.Start(t).URL("")
	inFile(t, from, nil, func(g goods) { g.stock(t) })
	breakOff(t, from, url)
	if _, err := connect(t, url); !errors.Is(err, redisconn.ErrMoving) {
		t.Errorf("connect: got %v, want %v", err, redisconn.ErrMoving)
	}
	inFile(t, from, nil, func(g goods) {
		taken, err := g.queue.Take(t.Context(), queue.Want{Agent: "openclaw", Max: 1, Troubled: 1})
		if err != nil || len(taken.Leases) != 1 {
			t.Fatalf("take: got %d leases, %v, want 1", len(taken.Leases), err)
		}
		if err := g.queue.Settle(t.Context(), taken.Leases[0], queue.Verdict{Action: queue.Ack}); err != nil {
			t.Fatalf("settle: %v", err)
		}
	})
	want := strings.NewReplacer("delivered 1", "delivered 2", "openclaw queued 2", "openclaw queued 1").Replace(stocked)
	if got := summary(relocate(t, from, url)); got != want {
		t.Errorf("report: got %s, want %s", got, want)
	}
	inRedis(t, url, func(goods) {})
}

// breakOff moves until the first events are copied.
func breakOff(t *testing.T, from config.Config, to string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := daemon.Move(ctx, daemon.MoveOptions{From: from, To: secret.New(to), Progress: func(p daemon.MoveProgress) {
		if p.Events > 0 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Move: got %v, want it canceled", err)
	}
}

// TestMoveOfShardsBrokenOff lets relays go on with the layout that is whole; after a kill, which cannot see to that, the
// next move does.
func TestMoveOfShardsBrokenOff(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	from, url := config.Default(), server.URL("shards=5")
	from.Redis, from.Dedupe.Window = secret.New(server.URL("")), window
	inRedis(t, server.URL(""), func(g goods) { g.stock(t) })
	breakOff(t, from, url)
	inRedis(t, server.URL(""), func(g goods) {
		left, err := g.queue.Stats(t.Context())
		if err != nil || left["openclaw"].Queued != 2 {
			t.Errorf("stats: got %+v, %v, want 2 queued", left, err)
		}
	})
	killed, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(url), Moving: true})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	q, err := redisqueue.Open(t.Context(), killed, redisqueue.Options{})
	if err != nil {
		t.Fatalf("open queue: %v", err)
	}
	stray := ware("chat", "openclaw")
	stray.ID, stray.State = "evt_stray", queue.Queued
	if err := errors.Join(
		killed.BeginMove(t.Context()), q.Import(t.Context(), queue.Cargo{Jobs: []queue.Job{stray}}), q.Close(), killed.Close(),
	); err != nil {
		t.Fatalf("begin a move: %v", err)
	}
	if _, err := connect(t, server.URL("")); !errors.Is(err, redisconn.ErrMoving) {
		t.Errorf("connect: got %v, want %v", err, redisconn.ErrMoving)
	}
	if r := relocate(t, from, url); summary(r) != stocked {
		t.Errorf("report: got %+v, want %s", r, stocked)
	}
	inRedis(t, url, func(g goods) { g.check(t) })
}

// TestMoveRefused tries what must not be done. Nothing is changed by it.
func TestMoveRefused(t *testing.T) {
	t.Parallel()
	type scene struct {
		from config.Config
		to   string
	}
	tests := []struct {
		name string
		set  func(t *testing.T, s *scene)
		want func(err error) bool
	}{
		{"a relay runs on the file", func(t *testing.T, s *scene) {
			file, err := sqlitefile.Open(t.Context(), sqlitefile.Options{Dir: s.from.Data})
			if err != nil {
				t.Fatalf("open file: %v", err)
			}
			t.Cleanup(func() { closeOf(t, file) })
		}, func(err error) bool {
			_, ok := errors.AsType[*daemon.LockedError](err)
			return ok
		}},
		{"a relay runs on the source", func(t *testing.T, s *scene) {
			url := redistest.Start(t).URL("")
			s.from.Redis = secret.New(url)
			mustConnect(t, url)
		}, refusedFor("source")},
		{"a relay runs on the target", func(t *testing.T, s *scene) { mustConnect(t, s.to) }, refusedFor("target")},
		{"the target is in use", func(t *testing.T, s *scene) {
			inRedis(t, s.to, func(g goods) { g.stock(t) })
		}, is(daemon.ErrOccupied)},
		{"the target is in use in other shards", func(t *testing.T, s *scene) {
			inRedis(t, s.to, func(g goods) { g.stock(t) })
			s.to += "?shards=3"
		}, is(daemon.ErrOccupied)},
		{"the target is the source", func(t *testing.T, s *scene) {
			inRedis(t, s.to, func(g goods) { g.stock(t) })
			s.from.Redis = secret.New(s.to)
		}, is(daemon.ErrSameStore)},
		{"the source is in other shards", func(t *testing.T, s *scene) {
			url := redistest.Start(t)
			inRedis(t, url.URL(""), func(goods) {})
			s.from.Redis = secret.New(url.URL("shards=3"))
		}, mistaken},
		{"the source is being moved itself", func(t *testing.T, s *scene) {
			url := redistest.Start(t).URL("")
			inRedis(t, url, func(goods) {})
			begin(t, url)
			s.from.Redis = secret.New(url)
		}, is(redisconn.ErrMoving)},
		{"there is nothing in the source's Redis", func(t *testing.T, s *scene) {
			s.from.Redis = secret.New(redistest.Start(t).URL(""))
		}, is(daemon.ErrNoStore)},
		{"there is no file", func(t *testing.T, s *scene) { s.from.Data = t.TempDir() }, is(daemon.ErrNoStore)},
		{"the target may throw messages away", func(t *testing.T, s *scene) {
			s.to = redistest.Start(t, "--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb").URL("")
		}, func(err error) bool {
			e, ok := errors.AsType[*daemon.TargetError](err)
			return ok && e.Hint != ""
		}},
		{"the target is no URL", func(_ *testing.T, s *scene) { s.to = "hush-url" }, func(err error) bool {
			_, ok := errors.AsType[*daemon.URLError](err)
			return ok && !strings.Contains(err.Error(), "hush")
		}},
		{"the target is not there", func(_ *testing.T, s *scene) { s.to = "unix:///no/such/socket" }, is(redisconn.ErrUnavailable)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := scene{from: origin(t), to: redistest.Start(t).URL("")}
			inFile(t, s.from, nil, func(g goods) { g.stock(t) })
			tt.set(t, &s)
			r, err := daemon.Move(t.Context(), daemon.MoveOptions{From: s.from, To: secret.New(s.to)})
			if !tt.want(err) {
				t.Errorf("Move: got %+v, %T %v", r, err, err)
			}
		})
	}
}

func is(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

func mistaken(err error) bool {
	_, ok := errors.AsType[*config.Error](err)
	return ok
}

func refusedFor(side string) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*daemon.RelaysError](err)
		return ok && e.Side == side && e.Count == 1
	}
}

func mustConnect(t *testing.T, url string) {
	t.Helper()
	if _, err := connect(t, url); err != nil {
		t.Fatalf("connect: %v", err)
	}
}

// begin marks a store as being moved.
func begin(t *testing.T, url string) {
	t.Helper()
	c, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(url), Moving: true})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	if err := errors.Join(c.BeginMove(t.Context()), c.Close()); err != nil {
		t.Fatalf("begin a move: %v", err)
	}
}

// TestMoveToTriedTarget moves into a Redis on which a relay was tried that took nothing; broken off, it is still known that
// what is there is the move's.
func TestMoveToTriedTarget(t *testing.T) {
	t.Parallel()
	from, url := origin(t), redistest.Start(t).URL("shards=3")
	inFile(t, from, nil, func(g goods) { g.stock(t) })
	inRedis(t, url, func(goods) {})
	breakOff(t, from, url)
	if r := relocate(t, from, url); summary(r) != stocked {
		t.Errorf("report: got %+v, want %s", r, stocked)
	}
}

// TestMoveIsCounted changes the target while it is filled: what is missing there must not be passed over, but for what is
// over soon anyway.
func TestMoveIsCounted(t *testing.T) {
	t.Parallel()
	now := time.Now()
	nearlyOver := func() (time.Time, time.Duration) { return now.Add(time.Minute - window), 0 }
	key := func(g goods) error {
		return g.queue.Remember(context.Background(), queue.Key{Account: "wechat", Conversation: "c", Identity: "1"})
	}
	note := func(keep time.Duration) func(goods) error {
		return func(g goods) error { return g.memos.Save(context.Background(), token, []byte("x"), keep) }
	}
	for _, tt := range []struct {
		name  string
		clock clock.Source
		put   func(g goods) error
		want  string
	}{
		{"a fresh key", nil, key, "the counts differ: keys: 1 in the source, 0 in the target"},
		{"a key that is over soon", nearlyOver, key, ""},
		{"a note", nil, note(time.Hour), "the counts differ: notes: 1 in the source, 0 in the target"},
		{"a note that is over soon", nil, note(time.Minute), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from, server := origin(t), redistest.Start(t)
			inFile(t, from, tt.clock, func(g goods) {
				if err := tt.put(g); err != nil {
					t.Fatalf("put: %v", err)
				}
			})
			thief, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(server.URL("")), Moving: true})
			if err != nil {
				t.Fatalf("connect: %v", err)
			}
			t.Cleanup(func() { closeOf(t, thief) })
			stolen := 0
			o := daemon.MoveOptions{From: from, To: secret.New(server.URL("")), Progress: func(p daemon.MoveProgress) {
				if p.Keys+p.Notes > 0 {
					stolen, _ = thief.Remove(context.Background(), 0)
				}
			}}
			_, err = daemon.Move(t.Context(), o)
			if stolen == 0 {
				t.Error("nothing was removed from the target")
			}
			got := ""
			if e, ok := errors.AsType[*daemon.MismatchError](err); ok {
				got = e.Error()
			} else if err != nil {
				t.Fatalf("Move: %v", err)
			}
			if got != tt.want {
				t.Errorf("Move: got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestMoveMeetsARelay ends when a relay comes to the source meanwhile: what it does there would be missing.
func TestMoveMeetsARelay(t *testing.T) {
	t.Parallel()
	source, target := redistest.Start(t), redistest.Start(t)
	from := config.Default()
	from.Redis, from.Dedupe.Window = secret.New(source.URL("")), window
	inRedis(t, source.URL(""), func(g goods) { g.stock(t) })
	came := false
	o := daemon.MoveOptions{From: from, To: secret.New(target.URL("")), Progress: func(daemon.MoveProgress) {
		if !came {
			came = true
			mustConnect(t, source.URL(""))
		}
	}}
	if _, err := daemon.Move(t.Context(), o); !refusedFor("source")(err) {
		t.Errorf("Move: got %v, want it refused for a relay on the source", err)
	}
}
