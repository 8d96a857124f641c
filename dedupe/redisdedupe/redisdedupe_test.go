package redisdedupe_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/dedupetest"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 16} {
		t.Run(fmt.Sprintf("%d shards", shards), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--databases", "1000", "--appendfsync", "no")
			var db atomic.Int32
			dedupetest.Run(t, func(t *testing.T, s dedupetest.Settings) dedupetest.Subject {
				t.Helper()
				return subject(t, s, fmt.Sprintf("%s&db=%d", server.URL(fmt.Sprintf("shards=%d", shards)), db.Add(1)))
			})
		})
	}
}

// A ledger is moved from a few shards to many.
func TestMoveToMoreShards(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--databases", "200", "--appendfsync", "no")
	var db atomic.Int32
	open := func(shards int) dedupetest.Harness {
		return func(t *testing.T, s dedupetest.Settings) dedupetest.Subject {
			t.Helper()
			return subject(t, s, fmt.Sprintf("%s&db=%d", server.URL(fmt.Sprintf("shards=%d", shards)), db.Add(1)))
		}
	}
	dedupetest.RunMove(t, open(3), open(16))
}

// subject is a ledger whose relay crashes by being forgotten: what it held is another's only when the lease is over.
func subject(t *testing.T, s dedupetest.Settings, url string) dedupetest.Subject {
	t.Helper()
	clock := dedupetest.NewClock()
	o := redisdedupe.Options{Window: s.Window, Lease: s.Lease}
	ledger := open(t, url, clock.Now, o)
	return dedupetest.Subject{
		Store: ledger,
		Reopen: func() dedupe.Store {
			if err := ledger.Close(); err != nil {
				t.Errorf("close ledger: %v", err)
			}
			ledger = open(t, url, clock.Now, o)
			return ledger
		},
		Crash: func() dedupe.Store {
			clock.Advance(s.Lease + time.Second)
			ledger = open(t, url, clock.Now, o)
			return ledger
		},
		Advance: clock.Advance,
	}
}

// open opens a ledger over a connection of its own, as another relay would.
func open(tb testing.TB, url string, now func() time.Time, o redisdedupe.Options) *redisdedupe.Ledger {
	tb.Helper()
	ledger, err := redisdedupe.Open(tb.Context(), connect(tb, url, now), o)
	if err != nil {
		tb.Fatalf("open ledger: %v", err)
	}
	return ledger
}

func connect(tb testing.TB, url string, now func() time.Time) *redisconn.Conn {
	tb.Helper()
	conn, err := redisconn.Open(tb.Context(), redisconn.Options{URL: secret.New(url), Clock: now})
	if err != nil {
		tb.Fatalf("open connection: %v", err)
	}
	tb.Cleanup(func() {
		if err := conn.Close(); err != nil {
			tb.Errorf("close connection: %v", err)
		}
	})
	return conn
}

func BenchmarkLedger(b *testing.B) {
	server, db := redistest.Start(b, "--databases", "1000"), 0
	dedupetest.Benchmark(b, func(b *testing.B) dedupe.Store {
		b.Helper()
		db++
		return open(b, server.URL(fmt.Sprintf("db=%d", db)), nil, redisdedupe.Options{})
	})
}
