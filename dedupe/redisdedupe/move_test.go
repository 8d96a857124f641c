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

// TestMoveFromFile moves the ledger of an embedded store into Redis.
func TestMoveFromFile(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--databases", "100", "--appendonly", "no")
	var db atomic.Int32
	dedupetest.RunMove(t, ofFile, func(t *testing.T, s dedupetest.Settings) dedupetest.Subject {
		t.Helper()
		return subject(t, s, fmt.Sprintf("%s&db=%d", server.URL("shards=16"), db.Add(1)))
	})
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
