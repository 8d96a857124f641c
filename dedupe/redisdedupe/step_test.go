package redisdedupe_test

import (
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/dedupetest"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// When the clock is set back, or the server that takes over is behind, what a lost relay held is held for no longer than
// its lease, and nothing is let go before.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendfsync", "no")
	clock := dedupetest.NewClock()
	o := redisdedupe.Options{Lease: testLease, Window: testWindow}
	lost, other := open(t, server.URL(""), clock.Now, o), open(t, server.URL(""), clock.Now, o)
	status(t, lost, aClaim("claimed", "alice"), dedupe.Claimed)
	started := status(t, lost, aClaim("started", "bob"), dedupe.Claimed)
	must(t, lost.Start(t.Context(), started, nil))
	status(t, lost, queuedClaim("queued", "carol"), dedupe.Waiting)
	takes(t, lost, "queued")

	for range 2 {
		clock.Advance(-time.Hour)
		status(t, other, aClaim("claimed", "alice"), dedupe.Running)
		status(t, other, aClaim("started", "bob"), dedupe.Running)
		takes(t, other)
	}
	status(t, other, queuedClaim("behind it", "carol"), dedupe.Waiting)
	status(t, other, queuedClaim("beside it", "dave"), dedupe.Waiting)
	takes(t, other, "beside it")
	clock.Advance(testLease + time.Second)
	status(t, other, aClaim("claimed", "alice"), dedupe.Claimed)
	status(t, other, aClaim("started", "bob"), dedupe.Unknown)
	for _, key := range []string{"queued", "behind it"} {
		for _, e := range takes(t, other, key, "beside it")[:1] {
			must(t, other.Start(t.Context(), e, nil))
			must(t, other.Finish(t.Context(), e, dedupe.Done, nil))
		}
		clock.Advance(testLease + time.Second) // what is beside it is taken again
	}
}

// takes wants to take these keys, and no others.
func takes(t *testing.T, l *redisdedupe.Ledger, keys ...string) []dedupe.Entry {
	t.Helper()
	es, err := l.Take(t.Context(), 5)
	must(t, err)
	got := make([]string, len(es))
	for i, e := range es {
		got[i] = e.Key
	}
	if len(got) != len(keys) {
		t.Fatalf("take: got %q, want %q", got, keys)
	}
	for i, key := range keys {
		if got[i] != key {
			t.Fatalf("take: got %q, want %q", got, keys)
		}
	}
	return es
}
