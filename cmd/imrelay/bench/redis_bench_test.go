package bench

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// BenchmarkPut is the queue on Redis alone: events of 1 KB taken in by as many callers as redis-benchmark has
// connections when it sets values of the same size on the same server.
func BenchmarkPut(b *testing.B) {
	path, err := exec.LookPath("redis-benchmark")
	if err != nil {
		b.Fatal(err)
	}
	for _, st := range redises {
		least := 1.0
		if st == always {
			least = 0.8
		}
		for _, callers := range []int{64, 256} {
			b.Run(fmt.Sprintf("%s/c=%d", st.name, callers), func(b *testing.B) {
				back := st.open(b)
				q, set := openShared(b, back, redisqueue.Options{}), setter{path: path, back: back, conns: callers, rate: 10000}
				c := compete(func(d time.Duration) slot {
					return crew{writers: callers, length: d, on: server{name: "put", stores: back.pids}}.run(b, q.put)
				}, func(d time.Duration) slot {
					return set.run(b, d)
				})
				c.throughput(b, "G8", st.of(fmt.Sprintf("put, c=%d", callers)), least)
			})
		}
	}
}

// shared is a queue on Redis, used from this process.
type shared struct {
	*redisqueue.Queue
	conn  *redisconn.Conn
	body  []byte
	count atomic.Uint64
}

func openShared(b *testing.B, back *backing, o redisqueue.Options) *shared {
	b.Helper()
	conn, err := redisconn.Open(b.Context(), redisconn.Options{URL: secret.New(back.url)})
	if err != nil {
		b.Fatal(err)
	}
	q, err := redisqueue.Open(b.Context(), conn, o)
	if err != nil {
		b.Fatal(errors.Join(err, conn.Close()))
	}
	b.Cleanup(func() {
		if err := errors.Join(q.Close(), conn.Close()); err != nil {
			b.Error(err)
		}
	})
	return &shared{Queue: q, conn: conn, body: inbound(small).body}
}

// note is what the relay keeps beside a body, as long as it is for a message of WeChat.
const note = `{"messageId":"7265419038812345671","sender":"wxid_peer00000001","nickname":"Alice","kind":"text",` +
	`"contentType":"application/json","waiter":"k2v7q4m1x8"}`

// put takes in one event.
func (s *shared) put(int, int) error {
	n := s.count.Add(1)
	conv := fmt.Sprintf("wxid_peer%08d", n%conversations)
	placed, err := s.Put(context.Background(), queue.Job{
		ID:   fmt.Sprintf("evt_0197f0c2-7c11-7cc3-98f2-%012d", n),
		Key:  queue.Key{Account: "wechat", Conversation: conv, Identity: strconv.FormatUint(firstID+n, 10)},
		Lane: queue.Lane{Agent: "openclaw", Account: "wechat", Conversation: conv}, Body: s.body,
		Meta: []byte(note),
	})
	if err == nil && (len(placed) != 1 || !placed[0].Fresh) {
		err = fmt.Errorf("put: got %+v, want one fresh job", placed)
	}
	return err
}

// setter runs redis-benchmark.
type setter struct {
	path  string
	back  *backing
	conns int
	rate  float64 // of the run before
}

// run sets for about so long.
func (s *setter) run(b *testing.B, d time.Duration) slot {
	b.Helper()
	n := max(int(s.rate*d.Seconds()), 1000)
	cmd := exec.CommandContext(b.Context(), s.path, "-h", s.back.host, "-p", s.back.port, "-t", "set", "-d", strconv.Itoa(small),
		"-P", "1", "-c", strconv.Itoa(s.conns), "-n", strconv.Itoa(n), "--csv")
	on := server{stores: s.back.pids}
	before, began := look(on), time.Now()
	out, err := cmd.Output()
	took := time.Since(began)
	if err != nil {
		b.Fatalf("redis-benchmark: %v", err)
	}
	used := look(on).since(before)
	used.server = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if s.rate, err = rateOf(string(out)); err != nil {
		b.Fatal(err)
	}
	return slot{
		name: "SET", rate: s.rate, foreign: used.foreign(took), cpu: each(used.server, int64(n)),
		store: each(used.store, int64(n)), outcome: outcome{sent: int64(n), took: took},
	}
}

// rateOf reads the requests a second from what redis-benchmark prints.
func rateOf(text string) (float64, error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return 0, fmt.Errorf("read redis-benchmark: %w", err)
	}
	if len(rows) != 2 || len(rows[1]) < 2 || rows[0][1] != "rps" || rows[1][0] != "SET" {
		return 0, fmt.Errorf("read redis-benchmark: got %q, want one row of SET", text)
	}
	return strconv.ParseFloat(rows[1][1], 64)
}

// BenchmarkIdle is what relays cost their Redis when there is nothing to do.
func BenchmarkIdle(b *testing.B) {
	const relays, settle, watch = 8, 3 * time.Second, 8 * time.Second
	s, back := startSink(b), everysec.open(b)
	for range relays {
		startRelay(b, s, back)
	}
	<-time.After(settle)
	calls := func() float64 { return back.number(b, "stats", "total_commands_processed") }
	on := server{stores: back.pids}
	before, had := look(on), calls()
	<-time.After(watch)
	used, did := look(on).since(before), calls()-had
	each := func(whole float64) float64 { return whole / relays / watch.Seconds() }
	rows := []result{
		{what: "an idle relay's share of Redis, CPU a second", value: each(used.store.Seconds()) * 1e3, unit: " ms"},
		{what: "an idle relay's commands a second, those of scripts included", value: each(did)},
		{what: "connections of a relay", value: (back.number(b, "clients", "connected_clients") - 1) / relays},
	}
	for _, r := range rows {
		r.goal, r.foreign = "-", used.foreign(watch)
		results.add(r)
	}
	tell(b, rows[0].value, "ms/relay-s")
	b.ReportMetric(rows[1].value, "commands/relay-s")
	b.ReportMetric(rows[2].value, "connections/relay")
}

// BenchmarkFootprint is how much of the Redis' memory an event takes: while it waits, once it was delivered, when its body
// is no longer kept, and when only its key is known; how much is written to its file; and what a send takes.
func BenchmarkFootprint(b *testing.B) {
	const events = 10_000
	back := everysec.open(b)
	q := openShared(b, back, redisqueue.Options{})
	lean := openShared(b, back, redisqueue.Options{Retention: queue.Retention{MaxBytes: 1}})
	bare := openShared(b, back, redisqueue.Options{Retention: queue.Retention{Delivered: time.Microsecond}})
	// The first event brings scripts and lists into memory that are not its own.
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	must(q.put(0, 0))
	must(q.deliver(1))
	must(lean.Sweep(b.Context()))
	must(bare.Sweep(b.Context()))
	empty := back.number(b, "memory", "used_memory")
	written := back.number(b, "persistence", "aof_current_size")
	measure := func(what string, do func() error) {
		b.Helper()
		must(do())
		v := (back.number(b, "memory", "used_memory") - empty) / events
		results.add(result{goal: "-", what: "memory of Redis, " + what, value: v, unit: " B"})
		tell(b, v, "B/"+strings.ReplaceAll(strings.TrimPrefix(what, "an event of 1 KB, "), " ", "-"))
	}
	measure("an event of 1 KB, waiting", func() error {
		for range events {
			if err := q.put(0, 0); err != nil {
				return err
			}
		}
		return nil
	})
	measure("an event of 1 KB, delivered", func() error { return q.deliver(events) })
	written = (back.number(b, "persistence", "aof_current_size") - written) / events
	results.add(result{goal: "-", what: "appendonly file an event of 1 KB, all its way", value: written, unit: " B"})
	measure("an event of 1 KB, its body gone", func() error { return lean.Sweep(b.Context()) })
	measure("an event of 1 KB, only its key", func() error { return bare.Sweep(b.Context()) })
	empty = back.number(b, "memory", "used_memory")
	measure("a send that is done", func() error { return q.send(events) })
}

// send keeps so many sends in a ledger on the same Redis.
func (s *shared) send(n int) error {
	ctx := context.Background()
	ledger, err := redisdedupe.Open(ctx, s.conn, redisdedupe.Options{})
	if err != nil {
		return err
	}
	for i := range n {
		e, err := ledger.Claim(ctx, dedupe.Claim{
			Owner: "openclaw", Key: "r-" + strconv.Itoa(i), ID: fmt.Sprintf("msg_0197f0c2-7c11-7cc3-98f2-%012d", i),
			Lane: fmt.Sprintf("wechat wxid_peer%08d", i%conversations),
		})
		if err != nil {
			return err
		}
		if err := ledger.Start(ctx, e, nil); err != nil {
			return err
		}
		if err := ledger.Finish(ctx, e, dedupe.Done, []byte(`{"messageIds":["7265419038812345671"]}`)); err != nil {
			return err
		}
	}
	return ledger.Close()
}

// deliver takes and acknowledges so many.
func (s *shared) deliver(n int) error {
	ctx := context.Background()
	for n > 0 {
		got, err := s.Take(ctx, queue.Want{Agent: "openclaw", Max: min(n, 64)})
		if err != nil {
			return err
		}
		for _, l := range got.Leases {
			if err := s.Settle(ctx, l, queue.Verdict{Action: queue.Ack, Status: 200}); err != nil {
				return err
			}
		}
		if n -= len(got.Leases); len(got.Leases) == 0 {
			return fmt.Errorf("deliver: %d of the events cannot be taken", n)
		}
	}
	return nil
}
