package sqlitededupe_test

import (
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
)

// system is two clocks that the test moves; a restart sets elapsed anew.
type system struct {
	wall    time.Time
	elapsed time.Duration
}

func (s *system) read() (time.Time, time.Duration) { return s.wall, s.elapsed }

// A step is some time that goes by, and a clock that is set, with the process running or in the gap behind it.
type clockStep struct {
	pass, set, setInGap time.Duration
}

// However the clock is set, a key lives for its window, and ends when the window is over.
func TestSettingTheClockForgetsNothing(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		name  string
		steps []clockStep
	}{
		{"put right after a boot without a clock", []clockStep{{pass: time.Minute, set: 30 * day}, {pass: time.Hour}}},
		{"set forward and back", []clockStep{{pass: time.Minute, set: 400 * day}, {pass: time.Minute, set: -400 * day}, {}}},
		{"set back in a gap, put right while running", []clockStep{{setInGap: -30 * day}, {pass: time.Hour, set: 30 * day}, {}}},
		{"set back in a gap and put right in another", []clockStep{{setInGap: -30 * day}, {pass: time.Hour, setInGap: 30 * day}, {}}},
		{"set back for good", []clockStep{{setInGap: -30 * day}, {pass: time.Hour}, {}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := &system{wall: time.Date(2026, time.March, 14, 9, 26, 53, 0, time.UTC)}
			open := func() *disk { return openDisk(t, dir, sqlitededupe.Options{Window: window, Clock: s.read}) }
			d := open()
			e := claim(t, d.ledger, claimOf("k"), dedupe.Claimed)
			must(t, d.ledger.Start(t.Context(), e, nil))
			must(t, d.ledger.Finish(t.Context(), e, dedupe.Done, nil))
			for _, step := range tt.steps {
				s.wall, s.elapsed = s.wall.Add(step.pass+step.set), s.elapsed+step.pass
				must(t, d.ledger.Sweep(t.Context()))
				claim(t, d.ledger, claimOf("k"), dedupe.Done)
				d.close(t)
				s.wall, s.elapsed = s.wall.Add(step.setInGap), 7*time.Second
				d = open()
				claim(t, d.ledger, claimOf("k"), dedupe.Done)
			}
			s.wall, s.elapsed = s.wall.Add(window), s.elapsed+window
			claim(t, d.ledger, claimOf("k"), dedupe.Claimed)
		})
	}
}

// Time that goes by while nobody has the file open counts.
func TestAGapCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &system{wall: time.Date(2026, time.March, 14, 9, 26, 53, 0, time.UTC)}
	d := openDisk(t, dir, sqlitededupe.Options{Window: window, Clock: s.read})
	must(t, d.ledger.Finish(t.Context(), claim(t, d.ledger, claimOf("k"), dedupe.Claimed), dedupe.Done, nil))
	d.close(t)
	s.wall, s.elapsed = s.wall.Add(window+time.Second), 0
	d = openDisk(t, dir, sqlitededupe.Options{Window: window, Clock: s.read})
	claim(t, d.ledger, claimOf("k"), dedupe.Claimed)
}
