package sqlitequeue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
)

// TestWindowChanges opens one file with one window after the other. Each keeps its own promise: keys are known exactly
// that long, whichever window they were stored under.
func TestWindowChanges(t *testing.T) {
	t.Parallel()
	type phase struct{ window, until time.Duration }
	const h = time.Hour
	tests := []struct {
		name   string
		phases []phase
	}{
		{"the same", []phase{{48 * h, 10 * h}, {48 * h, 48 * h}}},
		{"smaller", []phase{{48 * h, time.Minute}, {24 * h, 24 * h}}},
		{"larger", []phase{{48 * h, time.Minute}, {96 * h, 96 * h}}},
		{"smaller and back", []phase{{48 * h, time.Minute}, {24 * h, 20 * h}, {48 * h, 48 * h}}},
		{"less than a day, and back", []phase{{48 * h, time.Minute}, {h, 30 * time.Minute}, {48 * h, 48 * h}}},
		{"a day to less", []phase{{24 * h, time.Minute}, {h, h}}},
		{"an odd one", []phase{{7 * h, time.Minute}, {31 * h, 31 * h}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.opts.Retention.Window = tt.phases[0].window
			q := w.open(t)
			sight(t, q)
			age := time.Duration(0)
			for i, p := range tt.phases {
				w.opts.Retention.Window = p.window
				q = w.reopen(t)
				w.clock.Advance(p.until - age - time.Second)
				checkKeys(t, q, true, fmt.Sprintf("%v with window %v", p.until-time.Second, p.window))
				w.clock.Advance(time.Second)
				age = p.until
				if i == len(tt.phases)-1 {
					checkKeys(t, q, false, fmt.Sprintf("%v with window %v", age, p.window))
				}
			}
		})
	}
}

// sight makes keys known in every way: one is of our own, one of a job that is there, one of a job that is gone.
func sight(t *testing.T, q *sqlitequeue.Queue) {
	t.Helper()
	gone, there := sample(1, 1), sample(2, 1)
	put(t, q, gone, there)
	if err := q.Settle(t.Context(), take(t, q)[0], queue.Verdict{Action: queue.Bury, Reason: "by the test"}); err != nil {
		t.Fatalf("Settle: %v", err)
	}
	if n, err := q.Drop(t.Context(), []string{gone.ID}); n != 1 {
		t.Fatalf("Drop: got %d, %v, want 1", n, err)
	}
	if err := q.Remember(t.Context(), queue.Key{Identity: "own"}); err != nil {
		t.Fatalf("Remember: %v", err)
	}
}

func checkKeys(t *testing.T, q *sqlitequeue.Queue, known bool, when string) {
	t.Helper()
	if err := q.Sweep(t.Context()); err != nil {
		t.Fatalf("Sweep: %v", err)
	}
	gone, there, own := sample(1, 1), sample(2, 1), sample(3, 1)
	own.Key = queue.Key{Identity: "own"}
	for _, j := range []*queue.Job{&gone, &there, &own} {
		j.ID += "-again"
	}
	ps, err := q.Put(t.Context(), gone, there, own)
	if err != nil {
		t.Fatalf("Put: %v", err)
	}
	for i, name := range []string{"of a job that is gone", "of a job that is there", "of our own"} {
		if ps[i].Fresh == known || ps[i].Echo != (known && i == 2) {
			t.Errorf("key %s after %s: got %+v, want it known %v", name, when, ps[i], known)
		}
	}
}
