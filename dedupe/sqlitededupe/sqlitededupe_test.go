package sqlitededupe_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/dedupetest"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	dedupetest.Run(t, func(t *testing.T, s dedupetest.Settings) dedupetest.Subject {
		t.Helper()
		clock := dedupetest.NewClock()
		o := sqlitededupe.Options{Window: s.Window, Lease: s.Lease, Clock: unset(clock)}
		at := openDisk(t, t.TempDir(), o)
		return dedupetest.Subject{
			Store: at.ledger,
			Reopen: func() dedupe.Store {
				at.close(t)
				at = openDisk(t, at.dir, o)
				return at.ledger
			},
			Crash: func() dedupe.Store {
				at = openDisk(t, at.copied(t), o)
				return at.ledger
			},
			Advance: clock.Advance,
		}
	})
}

// unset is a clock whose two sides go together.
func unset(c *dedupetest.Clock) sqlitededupe.Clock {
	start := c.Now()
	return func() (time.Time, time.Duration) {
		now := c.Now()
		return now, now.Sub(start)
	}
}

// disk is a ledger and the folder of its file.
type disk struct {
	dir    string
	file   *sqlitefile.File
	ledger *sqlitededupe.Ledger
}

func openDisk(tb testing.TB, dir string, o sqlitededupe.Options) *disk {
	tb.Helper()
	file, err := sqlitefile.Open(tb.Context(), sqlitefile.Options{Dir: dir})
	if err != nil {
		tb.Fatalf("open file: %v", err)
	}
	d := &disk{dir: dir, file: file}
	tb.Cleanup(func() { d.close(tb) })
	if d.ledger, err = sqlitededupe.New(tb.Context(), file, o); err != nil {
		tb.Fatalf("open ledger: %v", err)
	}
	return d
}

func (d *disk) close(tb testing.TB) {
	tb.Helper()
	if d.ledger != nil {
		if err := d.ledger.Close(); err != nil {
			tb.Errorf("close ledger: %v", err)
		}
	}
	if err := d.file.Close(); err != nil {
		tb.Errorf("close file: %v", err)
	}
}

// copied is a folder with what is on disk now, as a crash at this moment would leave it.
func (d *disk) copied(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		from := d.file.Path() + suffix
		if err := copyFile(from, filepath.Join(dir, filepath.Base(from))); err != nil {
			tb.Fatalf("copy %s: %v", filepath.Base(from), err)
		}
	}
	return dir
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

func BenchmarkLedger(b *testing.B) {
	dedupetest.Benchmark(b, func(b *testing.B) dedupe.Store {
		b.Helper()
		return openDisk(b, b.TempDir(), sqlitededupe.Options{Window: 48 * 60 * 60 * 1e9}).ledger
	})
}
