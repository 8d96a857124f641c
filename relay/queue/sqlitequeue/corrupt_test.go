package sqlitequeue_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
)

func TestFlippedBitIsNeverDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q, bad, good := w.openCorrupt(t)
	ls := take(t, q)
	if len(ls) != 1 || ls[0].Job.ID != good.ID || !bytes.Equal(ls[0].Job.Body, good.Body) {
		t.Errorf("Take: got %d leases, want only the intact job", len(ls))
	}
	wantCorrupt(t, q, bad.ID)
}

// openCorrupt opens a queue of two jobs, each in a lane of its own, the first of which is not what was put.
func (w *world) openCorrupt(t *testing.T) (q *sqlitequeue.Queue, bad, good queue.Job) {
	t.Helper()
	w.opts.Budget = -1
	q = w.open(t)
	bad, good = sample(1, 2), sample(2, 2)
	bad.Body, good.Body = bytes.Repeat([]byte("bittern "), 64), bytes.Repeat([]byte("avocet "), 64)
	put(t, q, bad, good)
	w.close(t)
	path := filepath.Join(w.files.Dir, "imrelay.db")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read file: %v", err)
	}
	at := bytes.Index(file, bad.Body)
	if at < 0 {
		t.Fatal("body not found in the file")
	}
	file[at+100] ^= 4
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatalf("write file: %v", err)
	}
	return w.open(t), bad, good
}

func wantCorrupt(t *testing.T, q *sqlitequeue.Queue, id string) {
	t.Helper()
	j, err := q.Get(t.Context(), id)
	if err != nil || j.State != queue.Dead || j.LastError != "corrupt" {
		t.Errorf("Get: got %v %q, %v, want it dead as corrupt", j.State, j.LastError, err)
	}
}

// TestCorruptOnFullDisk cannot bury the corrupt job at first: the other is given out all the same, and the corrupt one is
// buried when its lease has lapsed and there is room.
func TestCorruptOnFullDisk(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	w := newWorld(t)
	w.files.BeforeCommit = func() error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	q, bad, good := w.openCorrupt(t)
	full.Store(true)
	if ls := take(t, q); len(ls) != 1 || ls[0].Job.ID != good.ID {
		t.Errorf("Take on a full disk: got %d leases, want that of the intact job", len(ls))
	}
	full.Store(false)
	w.clock.Advance(10 * time.Second)
	if ls := take(t, q); len(ls) != 1 || ls[0].Job.ID != good.ID {
		t.Errorf("Take when there is room: got %d leases, want that of the intact job", len(ls))
	}
	wantCorrupt(t, q, bad.ID)
}
