package redisconn_test

import (
	"context"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// TestNothingIsLeft opens and closes many times, and counts goroutines and connections. It is not parallel: others start
// goroutines too.
func TestNothingIsLeft(t *testing.T) {
	s := redistest.Start(t)
	once := func() {
		conn := open(t, s.URL("wait_replicas=1"))
		conn.Subscribe("a", func(string) {})
		conn.Subscribe("b", func(string) {})
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() { do(t, conn, count) })
		}
		wg.Wait()
		if err := conn.Publish(t.Context(), "a", "x"); err != nil {
			t.Error(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		conn.Subscribe("late", func(string) {})
	}
	once()
	list := func() int {
		text, err := s.Client().ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(text, "\n")
	}
	eventually(t, "the connections of the first one are gone", func() bool { return list() == 1 })
	before := runtime.NumGoroutine()
	for range 30 {
		once()
	}
	eventually(t, "all goroutines and connections are gone", func() bool {
		return runtime.NumGoroutine() <= before && list() == 1
	})
}

// TestCallsAreGathered has many callers, and compares the calls with what the server read from its connections.
func TestCallsAreGathered(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	conn := open(t, s.URL(""))
	const callers, each = 128, 50
	before := reads(t, s)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				do(t, conn, count)
			}
		})
	}
	wg.Wait()
	got := reads(t, s) - before
	t.Logf("%d calls in %d reads", callers*each, got)
	if got > callers*each/5 {
		t.Errorf("%d calls came in %d reads, want at least five calls a read", callers*each, got)
	}
}

// reads is how often the server read from a connection.
func reads(t *testing.T, s *redistest.Server) int {
	t.Helper()
	text, err := s.Client().Info(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text, "total_reads_processed:")
	digits, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestALoneCallWaitsForNobody takes the median of calls one after the other.
func TestALoneCallWaitsForNobody(t *testing.T) {
	t.Parallel()
	conn := open(t, redistest.Start(t, "--appendonly", "no").URL(""))
	quick := 0
	for range 100 {
		start := time.Now()
		do(t, conn, count)
		if time.Since(start) < 20*time.Millisecond {
			quick++
		}
	}
	if quick < 50 {
		t.Errorf("%d of 100 lone calls took less than 20 ms, want most", quick)
	}
}

// TestLargeCalls sends more than a pipeline takes, and more than may wait.
func TestLargeCalls(t *testing.T) {
	t.Parallel()
	conn := open(t, redistest.Start(t, "--appendonly", "no").URL(""))
	size := redisconn.NewScript("size", `return #ARGV[2]`)
	body := make([]byte, 3<<20)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if got := do(t, conn, size, body); got != int64(len(body)) {
				t.Errorf("got %v, want %d bytes", got, len(body))
			}
		})
	}
	wg.Wait()
	calls := make([]redisconn.Call, 1000)
	for i := range calls {
		calls[i] = redisconn.Call{Script: size, Shard: conn.Shards()[i%16], Args: []any{body[:i]}}
	}
	replies, err := conn.All(context.Background(), calls...)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range replies {
		if got != int64(i) {
			t.Fatalf("reply %d: got %v", i, got)
		}
	}
}
