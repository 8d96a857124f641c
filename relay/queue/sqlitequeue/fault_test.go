package sqlitequeue_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

var (
	everything = queue.Want{Agent: "crane", Max: 1000, Troubled: 1000}
	acked      = queue.Verdict{Action: queue.Ack, Counted: true, Status: 200}
)

func put(tb testing.TB, q *sqlitequeue.Queue, jobs ...queue.Job) {
	tb.Helper()
	if _, err := q.Put(tb.Context(), jobs...); err != nil {
		tb.Fatalf("Put: %v", err)
	}
}

func take(tb testing.TB, q *sqlitequeue.Queue) []queue.Lease {
	tb.Helper()
	taken, err := q.Take(tb.Context(), everything)
	if err != nil {
		tb.Fatalf("Take: %v", err)
	}
	return taken.Leases
}

// crashed copies the folder of an open store as a power cut would leave it.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"imrelay.db", "imrelay.db-wal"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatalf("copy store: %v", err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatalf("copy store: %v", err)
		}
	}
	return to
}

func TestTornTail(t *testing.T) {
	t.Parallel()
	const jobs = 50
	tests := []struct {
		name string
		tear func(log []byte) []byte
		lost int
	}{
		{"nothing torn", func(log []byte) []byte { return log }, 0},
		{"a few bytes short", func(log []byte) []byte { return log[:len(log)-7] }, 1},
		{"a page short", func(log []byte) []byte { return log[:len(log)-8192] }, 1},
		{"garbled end", func(log []byte) []byte {
			copy(log[len(log)-100:], bytes.Repeat([]byte{0xa5}, 100))
			return log
		}, 1},
		{"garbage behind", func(log []byte) []byte { return append(log, bytes.Repeat([]byte{0x5a}, 9999)...) }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			q := w.open(t)
			for n := range jobs {
				put(t, q, sample(n, 10))
			}
			dir := crashed(t, w.files.Dir)
			path := filepath.Join(dir, "imrelay.db-wal")
			log, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("read log: %v", err)
			}
			if err := os.WriteFile(path, tt.tear(log), 0o600); err != nil {
				t.Fatalf("write log: %v", err)
			}
			after := newWorld(t)
			after.files.Dir = dir
			q = after.open(t)
			for n := range jobs - tt.lost {
				if _, err := q.Get(t.Context(), sample(n, 10).ID); err != nil {
					t.Errorf("Get of job %d: %v", n, err)
				}
			}
			put(t, q, sample(jobs, 10))
		})
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	w := newWorld(t)
	w.files.BeforeCommit = func() error {
		if broken.Load() {
			return fmt.Errorf("sync: %w", syscall.EIO)
		}
		return nil
	}
	q := w.open(t)
	put(t, q, sample(1, 10), sample(2, 10))
	l := take(t, q)[0]
	broken.Store(true)
	_, err := q.Put(t.Context(), sample(3, 10))
	if !errors.Is(err, queue.ErrUnavailable) {
		t.Errorf("Put: got %v, want %v", err, queue.ErrUnavailable)
	}
	broken.Store(false)
	calls := map[string]func() error{
		"Put":    func() error { _, err := q.Put(t.Context(), sample(4, 10)); return err },
		"Take":   func() error { _, err := q.Take(t.Context(), everything); return err },
		"Settle": func() error { return q.Settle(t.Context(), l, acked) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, queue.ErrUnavailable) {
			t.Errorf("%s afterwards: got %v, want %v", name, err, queue.ErrUnavailable)
		}
	}
	if err := w.file.Err(); !errors.Is(err, sqlitefile.ErrFailed) {
		t.Errorf("Err: got %v, want %v", err, sqlitefile.ErrFailed)
	}
	q = w.reopen(t)
	if got := len(take(t, q)); got != 2 {
		t.Errorf("Take after a restart: got %d leases, want 2", got)
	}
}

// TestSettleOnFullDisk fails one commit of each action: the lease stays good, and the next settle of it is taken.
func TestSettleOnFullDisk(t *testing.T) {
	t.Parallel()
	for action := queue.Ack; action <= queue.Bury; action++ {
		t.Run(fmt.Sprint("action ", action), func(t *testing.T) {
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
			l := take(t, q)[0]
			v := queue.Verdict{Action: action, Counted: true, Delay: time.Hour}
			full.Store(true)
			if err := q.Settle(t.Context(), l, v); !errors.Is(err, queue.ErrUnavailable) {
				t.Errorf("Settle on a full disk: got %v, want %v", err, queue.ErrUnavailable)
			}
			if got := take(t, q); len(got) != 0 {
				t.Errorf("Take: got %s, want none while the lease is good", got[0].Job.ID)
			}
			full.Store(false)
			if err := q.Settle(t.Context(), l, v); err != nil {
				t.Errorf("Settle when there is room: %v", err)
			}
			j, err := q.Get(t.Context(), l.Job.ID)
			if err != nil || j.Attempts != 1 {
				t.Errorf("attempts: got %d, %v, want 1", j.Attempts, err)
			}
		})
	}
}

// gate holds commits back while it is shut.
type gate struct {
	mu      sync.Mutex
	entered chan struct{}
	open    chan struct{}
}

func (g *gate) shut() (entered, open chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.entered, g.open = make(chan struct{}), make(chan struct{})
	return g.entered, g.open
}

func (g *gate) pass() error {
	g.mu.Lock()
	entered, open := g.entered, g.open
	g.entered, g.open = nil, nil
	g.mu.Unlock()
	if entered != nil {
		close(entered)
		<-open
	}
	return nil
}

func TestAckRunsAheadByOne(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		first  queue.Action
		leases []int // of the lane after the first settle was submitted, and after the second
	}{
		{"one ack, not two", queue.Ack, []int{1, 0}},
		{"a retry never", queue.Retry, []int{0}},
		{"a park never", queue.Park, []int{0}},
		{"a burial never", queue.Bury, []int{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := &gate{}
			w := newWorld(t)
			w.files.BeforeCommit = g.pass
			q := w.open(t)
			put(t, q, sample(1, 1), sample(2, 1), sample(3, 1))
			held := take(t, q)
			entered, leave := g.shut()
			var wg sync.WaitGroup
			action := tt.first
			for i, want := range tt.leases {
				l := held[0]
				wg.Go(func() {
					if err := q.Settle(t.Context(), l, queue.Verdict{Action: action, Counted: true}); err != nil {
						t.Errorf("Settle: %v", err)
					}
				})
				if i == 0 {
					<-entered
				} else {
					waitSettling(t, q)
				}
				if renewed, err := q.Renew(t.Context(), []queue.Lease{l}); len(renewed) != 1 {
					t.Errorf("Renew during settle %d: got %d held, %v, want 1", i+1, len(renewed), err)
				}
				if held = take(t, q); len(held) != want {
					t.Errorf("leases after settle %d: got %d, want %d", i+1, len(held), want)
				}
			}
			close(leave)
			wg.Wait()
			if got := len(take(t, q)); got != 1 {
				t.Errorf("leases after the commits: got %d, want 1", got)
			}
		})
	}
}

// waitSettling waits until a settle of the only lease is under way: then there is none that could lapse.
func waitSettling(t *testing.T, q *sqlitequeue.Queue) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		taken, err := q.Take(t.Context(), queue.Want{Agent: "crane"})
		if err != nil {
			t.Fatalf("Take: %v", err)
		}
		if taken.Next == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("settle was not submitted within 10 s")
		}
	}
}

func TestClockSteps(t *testing.T) {
	t.Parallel()
	for _, step := range []time.Duration{-24 * time.Hour, -time.Hour, -time.Second, time.Hour, 24 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.opts.Retention = queue.Retention{Window: 2 * time.Hour, Delivered: time.Hour, Dead: time.Hour}
			q := w.open(t)
			first, second := sample(1, 2), sample(2, 2)
			put(t, q, first, second)
			for _, l := range take(t, q) {
				v := acked
				if l.Job.ID == second.ID {
					v = queue.Verdict{Action: queue.Retry, Delay: time.Minute}
				}
				if err := q.Settle(t.Context(), l, v); err != nil {
					t.Fatalf("Settle: %v", err)
				}
			}
			w.clock.Step(step)
			checkSteady(t, w, q, first, 59*time.Second)
			if ls := take(t, q); len(ls) != 0 {
				t.Error("Take before the retry is due: got one")
			}
			if step < 0 { // one forward cannot be told from a rest
				w.clock.Advance(time.Second)
				w.close(t)
				w.clock.Step(step)
				q = w.open(t)
				checkSteady(t, w, q, first, 0)
			} else {
				w.clock.Advance(time.Second)
			}
			ls := take(t, q)
			if len(ls) != 1 || ls[0].Job.ID != second.ID {
				t.Fatalf("Take when the retry is due: got %d leases, want its", len(ls))
			}
			wall, _ := w.clock.Read()
			if d := wall.Sub(ls[0].Job.Accepted); d != time.Minute {
				t.Errorf("accepted, by the clock as it is now: got %v ago, want %v", d, time.Minute)
			}
		})
	}
}

// checkSteady sweeps, lets time pass, and looks for a delivered job and its key.
func checkSteady(t *testing.T, w *world, q *sqlitequeue.Queue, j queue.Job, after time.Duration) {
	t.Helper()
	w.clock.Advance(after)
	if err := q.Sweep(t.Context()); err != nil {
		t.Fatalf("Sweep: %v", err)
	}
	if _, err := q.Get(t.Context(), j.ID); err != nil {
		t.Errorf("Get of a delivered job: %v", err)
	}
	again := j
	again.ID = "evt_again"
	p, err := q.Put(t.Context(), again)
	if err != nil || p[0].ID != j.ID {
		t.Errorf("Put of a known key: got %+v, %v, want a repeat", p, err)
	}
}
