package dedupetest

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/imrelay/imrelay/dedupe"
)

// Benchmark measures claim, start and finish of fresh keys, and the replay of a done one, on the store that open makes.
func Benchmark(b *testing.B, open func(b *testing.B) dedupe.Store) {
	b.Run("send/1", func(b *testing.B) {
		store := open(b)
		n := 0
		for b.Loop() {
			n++
			sendOne(b, store, n)
		}
	})
	b.Run("send/64", func(b *testing.B) {
		store := open(b)
		atOnce(b, 64, func(n int) { sendOne(b, store, n) })
	})
	b.Run("replay/1", func(b *testing.B) {
		store := open(b)
		sendOne(b, store, 1)
		for b.Loop() {
			replayOne(b, store, 1)
		}
	})
	b.Run("replay/64", func(b *testing.B) {
		store := open(b)
		sendOne(b, store, 1)
		atOnce(b, 64, func(int) { replayOne(b, store, 1) })
	})
}

// atOnce runs do from so many goroutines, b.N times in all, each time with another number.
func atOnce(b *testing.B, goroutines int, do func(n int)) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	done := make(chan struct{})
	for range goroutines {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				do(int(n))
			}
		}()
	}
	for range goroutines {
		<-done
	}
}

func benchClaim(n int) dedupe.Claim {
	c := syncClaim("r-" + strconv.Itoa(n))
	c.ID = "msg_0197f0c2-7c11-7cc3-98f2-" + strconv.Itoa(1_000_000_000+n)
	return c
}

func sendOne(b *testing.B, store dedupe.Store, n int) {
	b.Helper()
	e, err := store.Claim(b.Context(), benchClaim(n))
	if err != nil || e.Status != dedupe.Claimed {
		b.Errorf("claim: got %v, %v; want claimed", e.Status, err)
		return
	}
	if err := store.Start(b.Context(), e, nil); err != nil {
		b.Errorf("start: %v", err)
	}
	if err := store.Finish(b.Context(), e, dedupe.Done, []byte(`{"messageIds":["7265419038812345671"]}`)); err != nil {
		b.Errorf("finish: %v", err)
	}
}

func replayOne(b *testing.B, store dedupe.Store, n int) {
	b.Helper()
	e, err := store.Claim(b.Context(), benchClaim(n))
	if err != nil || e.Status != dedupe.Done {
		b.Errorf("claim: got %v, %v; want done", e.Status, err)
	}
}
