package sqlitequeue_test

import (
	"testing"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/memqueue"
	"github.com/imrelay/imrelay/relay/queue/queuetest"
)

// TestMove moves what is in a file into memory.
func TestMove(t *testing.T) {
	t.Parallel()
	from := func(t *testing.T, o queuetest.Options) queuetest.Harness {
		t.Helper()
		w := newWorld(t)
		w.opts.Retention, w.opts.Lease = o.Retention, o.Lease
		return queuetest.Harness{Queue: w.open(t), Advance: w.clock.Advance}
	}
	to := func(t *testing.T, o queuetest.Options) queuetest.Harness {
		t.Helper()
		c := queuetest.NewClock()
		q := memqueue.New(memqueue.Options{Retention: o.Retention, Lease: o.Lease, Clock: c.Read})
		return queuetest.Harness{Queue: q, Advance: c.Advance}
	}
	queuetest.RunMove(t, from, to)
}

// TestExportOfAStoppedRelay exports from a file that was closed and opened again, which is what a move does: keys that
// were in memory only, leases and all.
func TestExportOfAStoppedRelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.open(t)
	jobs := []queue.Job{sample(1, 2), sample(2, 2), sample(3, 2)}
	put(t, q, jobs...)
	if err := q.Settle(t.Context(), take(t, q)[0], queue.Verdict{Action: queue.Ack, Counted: true}); err != nil {
		t.Fatalf("Settle: %v", err)
	}
	take(t, q)
	got := export(t, w.reopen(t))
	if len(got.Jobs) != 3 || len(got.Sightings) != 3 {
		t.Fatalf("Export: got %d jobs and %d keys, want 3 of each", len(got.Jobs), len(got.Sightings))
	}
	known := map[queue.KeySum]string{}
	for _, s := range got.Sightings {
		known[s.Sum] = s.ID
	}
	for i, j := range got.Jobs {
		if j.ID != jobs[i].ID || j.Leased {
			t.Errorf("job %d: got %s, leased %v, want %s and not leased", i, j.ID, j.Leased, jobs[i].ID)
		}
		if got := known[jobs[i].Key.Sum()]; got != j.ID {
			t.Errorf("key of %s: got %q", j.ID, got)
		}
	}
}

// TestExportOfADamagedBody must not make whole what is not: where it is moved to nobody could tell.
func TestExportOfADamagedBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q, bad, good := w.openCorrupt(t)
	got := export(t, q)
	if len(got.Jobs) != 2 {
		t.Fatalf("Export: got %d jobs, want 2", len(got.Jobs))
	}
	if j := got.Jobs[0]; j.ID != bad.ID || j.State != queue.Dead || j.LastError != "corrupt" || j.Body != nil {
		t.Errorf("the damaged one: got %s %v %q with %d bytes, want it dead as corrupt, with none", j.ID, j.State, j.LastError, len(j.Body))
	}
	if j := got.Jobs[1]; j.ID != good.ID || j.State != queue.Queued || string(j.Body) != string(good.Body) {
		t.Errorf("the other: got %s %v, want it as it was", j.ID, j.State)
	}
	if j, err := q.Get(t.Context(), bad.ID); err != nil || j.State != queue.Queued {
		t.Errorf("Get after the export: got %v, %v, want it unchanged", j.State, err)
	}
}

func export(t *testing.T, q queue.Exporter) queue.Cargo {
	t.Helper()
	var all queue.Cargo
	if err := q.Export(t.Context(), func(c queue.Cargo) error {
		all.Jobs = append(all.Jobs, c.Jobs...)
		all.Sightings = append(all.Sightings, c.Sightings...)
		return nil
	}); err != nil {
		t.Fatalf("Export: %v", err)
	}
	return all
}
