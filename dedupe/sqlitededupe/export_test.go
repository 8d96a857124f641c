package sqlitededupe_test

import (
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/dedupetest"
	"github.com/imrelay/imrelay/dedupe/memdedupe"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
)

// TestMove moves what is in a file into memory.
func TestMove(t *testing.T) {
	t.Parallel()
	from := func(t *testing.T, s dedupetest.Settings) dedupetest.Subject {
		t.Helper()
		clock := dedupetest.NewClock()
		at := openDisk(t, t.TempDir(), sqlitededupe.Options{Window: s.Window, Lease: s.Lease, Clock: unset(clock)})
		return dedupetest.Subject{Store: at.ledger, Advance: clock.Advance}
	}
	to := func(_ *testing.T, s dedupetest.Settings) dedupetest.Subject {
		clock := dedupetest.NewClock()
		l := memdedupe.New(memdedupe.Options{Window: s.Window, Lease: s.Lease, Now: clock.Now})
		return dedupetest.Subject{Store: l, Advance: clock.Advance}
	}
	dedupetest.RunMove(t, from, to)
}

// TestExportAfterTheClockWasSet hands out a row's end as the system's clock, which was set back, will show it: the importer
// has only that clock.
func TestExportAfterTheClockWasSet(t *testing.T) {
	t.Parallel()
	clock := dedupetest.NewClock()
	start, step := clock.Now(), time.Duration(0)
	at := openDisk(t, t.TempDir(), sqlitededupe.Options{
		Window: 48 * time.Hour,
		Clock: func() (time.Time, time.Duration) {
			now := clock.Now()
			return now.Add(step), now.Sub(start)
		},
	})
	e, err := at.ledger.Claim(t.Context(), dedupe.Claim{Owner: "openclaw", Key: "k", ID: "msg_k"})
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	if err := at.ledger.Finish(t.Context(), e, dedupe.Done, nil); err != nil {
		t.Fatalf("finish: %v", err)
	}
	clock.Advance(time.Hour)
	step = -24 * time.Hour
	var rows []dedupe.Stored
	if err := at.ledger.Export(t.Context(), func(s []dedupe.Stored) error {
		rows = append(rows, s...)
		return nil
	}); err != nil {
		t.Fatalf("export: %v", err)
	}
	if want := start.Add(24 * time.Hour); len(rows) != 1 || !rows[0].Over.Equal(want) {
		t.Errorf("export: got %+v, want one row until %v", rows, want)
	}
}
