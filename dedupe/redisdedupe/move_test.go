package redisdedupe_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe/dedupetest"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// TestMove moves ledgers into Redis: out of a file, and from one number of shards to another.
func TestMove(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--databases", "1000", "--appendonly", "no")
	var db atomic.Int32
	shards := func(n int) dedupetest.Harness {
		return func(t *testing.T, s dedupetest.Settings) dedupetest.Subject {
			t.Helper()
			return subject(t, s, fmt.Sprintf("%s&db=%d", server.URL(fmt.Sprintf("shards=%d", n)), db.Add(1)))
		}
	}
	for _, tt := range []struct {
		name     string
		from, to dedupetest.Harness
	}{
		{"a file to 16 shards", ofFile, shards(16)},
		{"16 shards to 4", shards(16), shards(4)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dedupetest.RunMove(t, tt.from, tt.to)
		})
	}
}

// ofFile is a ledger of the embedded store.
func ofFile(t *testing.T, s dedupetest.Settings) dedupetest.Subject {
	t.Helper()
	file, err := sqlitefile.Open(t.Context(), sqlitefile.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("open file: %v", err)
	}
	clock := dedupetest.NewClock()
	start := clock.Now()
	ledger, err := sqlitededupe.New(t.Context(), file, sqlitededupe.Options{
		Window: s.Window, Lease: s.Lease,
		Clock: func() (time.Time, time.Duration) {
			now := clock.Now()
			return now, now.Sub(start)
		},
	})
	if err != nil {
		t.Fatalf("open ledger: %v", err)
	}
	t.Cleanup(func() {
		if err := ledger.Close(); err != nil {
			t.Errorf("close ledger: %v", err)
		}
		if err := file.Close(); err != nil {
			t.Errorf("close file: %v", err)
		}
	})
	return dedupetest.Subject{Store: ledger, Advance: clock.Advance}
}
