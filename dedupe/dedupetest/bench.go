package dedupetest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/imrelay/imrelay/dedupe"
)

// Benchmark measures claim, start and finish of fresh keys, and the replay of a done one, on the store that open makes.
func Benchmark(b *testing.B, open func(b *testing.B) dedupe.Store) {
	for _, goroutines := range []int{1, 64} {
		b.Run(fmt.Sprintf("send/%d", goroutines), func(b *testing.B) {
			store := open(b)
			atOnce(b, goroutines, func(n int) error { return sendOne(b.Context(), store, n) })
		})
		b.Run(fmt.Sprintf("replay/%d", goroutines), func(b *testing.B) {
			store := open(b)
			if err := sendOne(b.Context(), store, 1); err != nil {
				b.Fatal(err)
			}
			atOnce(b, goroutines, func(int) error { return replayOne(b.Context(), store) })
		})
	}
}

// atOnce runs do in so many goroutines, once for each turn of the loop and each time with another number. A turn is
// handed to whoever is free, so that a slow one holds up no other.
func atOnce(b *testing.B, goroutines int, do func(n int) error) {
	b.Helper()
	b.ReportAllocs()
	turns := make(chan int, goroutines)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for n := range turns {
				if err := do(n); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for n := 0; b.Loop(); n++ {
		turns <- n
	}
	close(turns)
	wg.Wait()
}

func benchClaim(n int) dedupe.Claim {
	c := syncClaim("r-" + strconv.Itoa(n))
	c.ID = "msg_0197f0c2-7c11-7cc3-98f2-" + strconv.Itoa(1_000_000_000+n)
	return c
}

func sendOne(ctx context.Context, store dedupe.Store, n int) error {
	e, err := store.Claim(ctx, benchClaim(n))
	if err != nil || e.Status != dedupe.Claimed {
		return fmt.Errorf("claim: got %v, %w; want claimed", e.Status, err)
	}
	if err := store.Start(ctx, e, nil); err != nil {
		return err
	}
	return store.Finish(ctx, e, dedupe.Done, []byte(`{"messageIds":["7265419038812345671"]}`))
}

func replayOne(ctx context.Context, store dedupe.Store) error {
	e, err := store.Claim(ctx, benchClaim(1))
	if err != nil || e.Status != dedupe.Done {
		return fmt.Errorf("claim: got %v, %w; want done", e.Status, err)
	}
	return nil
}
