package sqlitefile_test

import (
	"sync"
	"testing"

	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// TestBatchesGrow has a few goroutines submit one op after the other, each by way of another goroutine, as a request
// handler does. The writer lets those that its last commit woke submit first: most ops are in the next batch, not every
// other one.
func TestBatchesGrow(t *testing.T) {
	t.Parallel()
	const writers, each, want = 8, 50, 4.7
	f := open(t, sqlitefile.Options{})
	got := 0.0
	for round := 0; round < 30 && got < want; round++ { // a busy machine may spoil a few
		before := f.Commits()
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					done := make(chan error, 1)
					go func() { done <- f.Do(t.Context(), sqlitefile.Accept, &sqlitefile.Func{Do: touch}) }()
					if err := <-done; err != nil {
						t.Errorf("Do: %v", err)
					}
				}
			})
		}
		wg.Wait()
		got = max(got, writers*each/float64(f.Commits()-before))
	}
	if got < want {
		t.Errorf("ops a commit: got at most %.1f, want at least %.1f", got, want)
	}
}

func touch(tx *sqlitefile.Tx) error {
	_, err := tx.Exec(`INSERT OR REPLACE INTO notes VALUES (1, 'x')`)
	return err
}
