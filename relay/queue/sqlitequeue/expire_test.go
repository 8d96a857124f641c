package sqlitequeue_test

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

// TestExpireOnFullDisk fails the commit of a burial: the lane gives its jobs out in their order, as if nothing had been.
func TestExpireOnFullDisk(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	w := newWorld(t)
	w.files.BeforeCommit = func() error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	q := w.open(t)
	put(t, q, sample(1, 1), sample(2, 1))
	w.clock.Advance(time.Hour)
	full.Store(true)
	if n, err := q.Expire(t.Context(), "crane", time.Hour, "too old"); n != 0 || !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("Expire on a full disk: got %d, %v, want %v", n, err, queue.ErrUnavailable)
	}
	full.Store(false)
	for n := 1; n <= 2; n++ {
		ls := take(t, q)
		if len(ls) != 1 || ls[0].Job.ID != sample(n, 1).ID {
			t.Fatalf("Take %d: got %d leases, want the job", n, len(ls))
		}
		if err := q.Settle(t.Context(), ls[0], acked); err != nil {
			t.Errorf("Settle: %v", err)
		}
	}
}

// TestNothingIsTakenWhileItExpires looks at a lane whose burial is on its way to the disk.
func TestNothingIsTakenWhileItExpires(t *testing.T) {
	t.Parallel()
	g := &gate{}
	w := newWorld(t)
	w.files.BeforeCommit = g.pass
	q := w.open(t)
	put(t, q, sample(1, 1))
	w.clock.Advance(time.Hour)
	put(t, q, sample(2, 1))
	entered, leave := g.shut()
	done := make(chan error, 1)
	go func() {
		_, err := q.Expire(t.Context(), "crane", time.Hour, "too old")
		done <- err
	}()
	<-entered
	if ls := take(t, q); len(ls) != 0 {
		t.Errorf("Take while the head expires: got %s, want none", ls[0].Job.ID)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Fatalf("Expire: %v", err)
	}
	if ls := take(t, q); len(ls) != 1 || ls[0].Job.ID != sample(2, 1).ID {
		t.Errorf("Take afterwards: got %d leases, want that of the second job", len(ls))
	}
}
