package sqlitefile

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/disk"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Accepts stop while less than this, or a quarter of a disk that is smaller than four times this, is free. Settles,
// which make the work less, go on.
const reserve = 16 << 20

// spaceEvery is how long one look at the disk is believed.
const spaceEvery = 250 * time.Millisecond

// Space is what the disk has, in bytes.
type Space struct{ Free, Total uint64 }

// diskSpace looks at the disk of the folder.
func diskSpace(dir string) (Space, error) {
	u, err := disk.Usage(dir)
	if err != nil {
		return Space{}, fmt.Errorf("look at disk space: %w", err)
	}
	return Space{Free: u.Free, Total: u.Free + u.Used}, nil
}

// probeBytes is how much a probe writes.
const probeBytes = 64 << 10

// probe writes a little into the folder and takes it away again.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, "probe-*")
	if err != nil {
		return fmt.Errorf("probe disk: %w", err)
	}
	_, err = f.Write(make([]byte, probeBytes))
	if err = errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return fmt.Errorf("probe disk: %w", err)
	}
	return nil
}

// fate is what an error means for this file. SQLite knows a full disk from a broken one only by ENOSPC, and does not
// tell what else a write failed with, so that a used-up quota looks like a broken disk: a write of our own tells.
func (f *File) fate(err error) fate {
	e, ok := errors.AsType[*sqlite.Error](err)
	if ok && e.Code() == sqlite3.SQLITE_IOERR_WRITE && fateOf(err) == fateFinal && fateOf(f.probe()) == fateFull {
		return fateFull
	}
	return fateOf(err)
}

// gauge remembers whether there is room.
type gauge struct {
	look func() (Space, error)
	now  func() time.Time

	mu   sync.Mutex
	next time.Time
	low  bool
}

// full says whether free space is under the reserve. Where nobody can tell, it is not: the disk itself will say so.
func (g *gauge) full() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if wait := g.next.Sub(now); wait > 0 && wait <= spaceEvery {
		return g.low
	}
	g.next = now.Add(spaceEvery)
	s, err := g.look()
	g.low = err == nil && s.Free < min(reserve, s.Total/4)
	return g.low
}

// again makes the next question look at the disk.
func (g *gauge) again() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = time.Time{}
}
