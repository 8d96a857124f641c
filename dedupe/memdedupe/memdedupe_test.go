package memdedupe_test

import (
	"testing"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/dedupetest"
	"github.com/imrelay/imrelay/dedupe/memdedupe"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	dedupetest.Run(t, open)
}

func TestMove(t *testing.T) {
	t.Parallel()
	dedupetest.RunMove(t, open, open)
}

func open(_ *testing.T, s dedupetest.Settings) dedupetest.Subject {
	clock := dedupetest.NewClock()
	l := memdedupe.New(memdedupe.Options{Window: s.Window, Lease: s.Lease, Now: clock.Now})
	crash := func() dedupe.Store {
		l = l.Crash()
		return l
	}
	return dedupetest.Subject{Store: l, Reopen: crash, Crash: crash, Advance: clock.Advance}
}

// Without a window and a lease nothing is forgotten.
func TestForGood(t *testing.T) {
	t.Parallel()
	clock := dedupetest.NewClock()
	l := memdedupe.New(memdedupe.Options{Now: clock.Now})
	c := dedupe.Claim{Owner: "openclaw", Key: "k", ID: "msg_k"}
	e, err := l.Claim(t.Context(), c)
	if err != nil || e.Status != dedupe.Claimed {
		t.Fatalf("claim: got %v, %v; want claimed", e.Status, err)
	}
	clock.Advance(10_000 * 60 * 60 * 1e9)
	if again, err := l.Claim(t.Context(), c); err != nil || again.Status != dedupe.Running {
		t.Fatalf("claim after years: got %v, %v; want running", again.Status, err)
	}
	if err := l.Finish(t.Context(), e, dedupe.Done, nil); err != nil {
		t.Fatalf("finish: %v", err)
	}
	clock.Advance(10_000 * 60 * 60 * 1e9)
	if again, err := l.Claim(t.Context(), c); err != nil || again.Status != dedupe.Done {
		t.Fatalf("claim after more years: got %v, %v; want done", again.Status, err)
	}
}

func BenchmarkLedger(b *testing.B) {
	dedupetest.Benchmark(b, func(*testing.B) dedupe.Store { return memdedupe.New(memdedupe.Options{}) })
}
