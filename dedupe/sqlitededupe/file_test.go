package sqlitededupe_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/dedupetest"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

const window = 48 * time.Hour

func claimOf(key string) dedupe.Claim {
	return dedupe.Claim{Owner: "openclaw", Key: key, ID: "msg_" + key, Lane: "wechat/wxid_bob"}
}

func queuedOf(key string) dedupe.Claim {
	c := claimOf(key)
	c.Payload = []byte("payload of " + key)
	return c
}

func claim(t *testing.T, l dedupe.Store, c dedupe.Claim, want dedupe.Status) dedupe.Entry {
	t.Helper()
	e, err := l.Claim(t.Context(), c)
	if err != nil || e.Status != want {
		t.Fatalf("claim %s: got %v, %v; want %v", c.Key, e.Status, err, want)
	}
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// One send is two commits, and what only reads is none.
func TestCommits(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir(), sqlitededupe.Options{Window: window})
	steps := []struct {
		name string
		do   func()
		want uint64
	}{
		{"a send", func() {
			e := claim(t, d.ledger, claimOf("sent"), dedupe.Claimed)
			must(t, d.ledger.Start(t.Context(), e, nil))
			must(t, d.ledger.Finish(t.Context(), e, dedupe.Done, []byte("sent")))
		}, 2},
		{"a replay", func() { claim(t, d.ledger, claimOf("sent"), dedupe.Done) }, 0},
		{"a claim that is released", func() {
			e := claim(t, d.ledger, claimOf("released"), dedupe.Claimed)
			must(t, d.ledger.Release(t.Context(), e, nil))
		}, 0},
		{"queueing", func() { claim(t, d.ledger, queuedOf("queued"), dedupe.Waiting) }, 1},
		{"a take that is released", func() {
			es, err := d.ledger.Take(t.Context(), 1)
			must(t, err)
			must(t, d.ledger.Release(t.Context(), es[0], nil))
		}, 0},
	}
	for _, s := range steps {
		before := d.file.Commits()
		s.do()
		if got := d.file.Commits() - before; got != s.want {
			t.Errorf("commits of %s: got %d, want %d", s.name, got, s.want)
		}
	}
}

// What was swept is gone from the table, a step's worth and more, and what is not over stays.
func TestSweepRemovesRows(t *testing.T) {
	t.Parallel()
	clock := dedupetest.NewClock()
	d := openDisk(t, t.TempDir(), sqlitededupe.Options{Window: window, Clock: unset(clock)})
	claim(t, d.ledger, queuedOf("waits"), dedupe.Waiting)
	const many = 1100
	for i := range many {
		e := claim(t, d.ledger, claimOf(fmt.Sprint(i)), dedupe.Claimed)
		must(t, d.ledger.Finish(t.Context(), e, dedupe.Done, nil))
	}
	clock.Advance(window / 2)
	e := claim(t, d.ledger, claimOf("young"), dedupe.Claimed)
	must(t, d.ledger.Finish(t.Context(), e, dedupe.Done, nil))
	must(t, d.ledger.Sweep(t.Context()))
	if got := rows(t, d); got != many+2 {
		t.Fatalf("rows after a sweep of nothing: got %d, want %d", got, many+2)
	}
	clock.Advance(window/2 + time.Second)
	must(t, d.ledger.Sweep(t.Context()))
	if got := rows(t, d); got != 2 {
		t.Fatalf("rows after the sweep: got %d, want 2", got)
	}
}

func rows(t *testing.T, d *disk) (n int64) {
	t.Helper()
	must(t, d.file.Read(t.Context(), func(tx *sqlitefile.Tx) error {
		_, err := tx.One(`SELECT count(*) FROM sends`, func(r sqlitefile.Row) error {
			n = r.Int(0)
			return nil
		})
		return err
	}))
	return n
}

// With the default options a claim never lapses, and a Start that is under way when a year goes by is not lost.
func TestNoLeaseByDefault(t *testing.T) {
	t.Parallel()
	clock := dedupetest.NewClock()
	d := openDisk(t, t.TempDir(), sqlitededupe.Options{Window: window, Clock: unset(clock)})
	e := claim(t, d.ledger, claimOf("k"), dedupe.Claimed)
	claim(t, d.ledger, queuedOf("q"), dedupe.Waiting)
	es, err := d.ledger.Take(t.Context(), 1)
	must(t, err)
	clock.Advance(365 * 24 * time.Hour)
	claim(t, d.ledger, claimOf("k"), dedupe.Running)
	kept, err := d.ledger.Renew(t.Context(), []dedupe.Entry{e, es[0]})
	must(t, err)
	if len(kept) != 2 {
		t.Fatalf("renew after a year: got %d entries, want both", len(kept))
	}
	must(t, d.ledger.Start(t.Context(), e, nil))
	clock.Advance(365 * 24 * time.Hour)
	must(t, d.ledger.Finish(t.Context(), e, dedupe.Done, nil))
	must(t, d.ledger.Finish(t.Context(), es[0], dedupe.Done, nil))
}

// A commit that fails changes nothing in memory either: the holder still holds, and may try again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	file, err := sqlitefile.Open(t.Context(), sqlitefile.Options{
		Dir: t.TempDir(),
		BeforeCommit: func() error {
			if full.Load() {
				return fmt.Errorf("write: %w", syscall.ENOSPC)
			}
			return nil
		},
	})
	must(t, err)
	t.Cleanup(func() { must(t, file.Close()) })
	l, err := sqlitededupe.New(t.Context(), file, sqlitededupe.Options{Window: window})
	must(t, err)
	fresh := claim(t, l, claimOf("fresh"), dedupe.Claimed)
	started := claim(t, l, claimOf("started"), dedupe.Claimed)
	must(t, l.Start(t.Context(), started, []byte("under way")))
	full.Store(true)
	calls := map[string]func() error{
		"start":   func() error { return l.Start(t.Context(), fresh, nil) },
		"note":    func() error { return l.Note(t.Context(), started, nil) },
		"finish":  func() error { return l.Finish(t.Context(), started, dedupe.Done, nil) },
		"release": func() error { return l.Release(t.Context(), started, nil) },
		"queue":   func() error { _, err := l.Claim(t.Context(), queuedOf("queued")); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, dedupe.ErrUnavailable) || errors.Is(err, dedupe.ErrLost) {
			t.Errorf("%s on a full disk: got %v, want ErrUnavailable", name, err)
		}
	}
	claim(t, l, claimOf("started"), dedupe.Running)
	if n, err := l.Waiting(t.Context()); n != 0 || err != nil {
		t.Errorf("waiting: got %d, %v; want 0", n, err)
	}
	full.Store(false)
	must(t, l.Finish(t.Context(), started, dedupe.Done, []byte("sent")))
	must(t, l.Start(t.Context(), fresh, nil))
	must(t, l.Release(t.Context(), fresh, nil))
	claim(t, l, queuedOf("queued"), dedupe.Waiting)
	if e := claim(t, l, claimOf("started"), dedupe.Done); string(e.Record) != "sent" {
		t.Errorf("record: got %q, want %q", e.Record, "sent")
	}
}

// A change that is under way when the lease ends has not lapsed, and one that failed has.
func TestLapseUnderWay(t *testing.T) {
	t.Parallel()
	commits := make(chan chan error, 1)
	var held atomic.Bool
	file, err := sqlitefile.Open(t.Context(), sqlitefile.Options{Dir: t.TempDir(), BeforeCommit: func() error {
		if !held.Load() {
			return nil
		}
		answer := make(chan error)
		commits <- answer
		return <-answer
	}})
	must(t, err)
	t.Cleanup(func() { must(t, file.Close()) })
	clock := dedupetest.NewClock()
	l, err := sqlitededupe.New(t.Context(), file, sqlitededupe.Options{Lease: time.Second, Clock: unset(clock)})
	must(t, err)

	held.Store(true)
	for _, outcome := range []error{fmt.Errorf("write: %w", syscall.ENOSPC), nil} {
		e := claim(t, l, claimOf("k"), dedupe.Claimed)
		started := make(chan error)
		go func() { started <- l.Start(t.Context(), e, nil) }()
		answer := <-commits
		clock.Advance(2 * time.Second)
		claim(t, l, claimOf("k"), dedupe.Running)
		answer <- outcome
		if err := <-started; !errors.Is(err, outcome) {
			t.Fatalf("start: got %v, want %v", err, outcome)
		}
	}
	claim(t, l, claimOf("k"), dedupe.Unknown)
}

// A finished row keeps nothing of its message on disk, not even one that a caller sent in place of the lost holder.
func TestPayloadsGo(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir(), sqlitededupe.Options{Window: window})
	claim(t, d.ledger, queuedOf("finished"), dedupe.Waiting)
	es, err := d.ledger.Take(t.Context(), 1)
	must(t, err)
	must(t, d.ledger.Finish(t.Context(), es[0], dedupe.Failed, nil))
	claim(t, d.ledger, queuedOf("lost"), dedupe.Waiting)
	es, err = d.ledger.Take(t.Context(), 1)
	must(t, err)
	must(t, d.ledger.Start(t.Context(), es[0], nil))

	d = openDisk(t, d.copied(t), sqlitededupe.Options{Window: window})
	if e := claim(t, d.ledger, claimOf("lost"), dedupe.Unknown); e.Payload != nil {
		t.Errorf("payload of an unknown row: got %q, want nil", e.Payload)
	}
	resend := claimOf("lost")
	resend.Resend = true
	e := claim(t, d.ledger, resend, dedupe.Claimed)
	must(t, d.ledger.Start(t.Context(), e, nil))
	must(t, d.ledger.Finish(t.Context(), e, dedupe.Done, nil))
	must(t, d.file.Read(t.Context(), func(tx *sqlitefile.Tx) error {
		return tx.Each(`SELECT key FROM sends WHERE payload IS NOT NULL`, func(r sqlitefile.Row) error {
			t.Errorf("the finished row %s has a payload on disk", r.Text(0))
			return nil
		})
	}))
}

// A row that somebody damaged is an error to its key, is left out by Take with one line, and holds up no lane.
func TestDamagedRow(t *testing.T) {
	t.Parallel()
	core, logged := observer.New(zap.InfoLevel)
	d := openDisk(t, t.TempDir(), sqlitededupe.Options{Window: window, Log: zap.New(core)})
	for _, key := range []string{"damaged", "missing", "whole"} {
		claim(t, d.ledger, queuedOf(key), dedupe.Waiting)
	}
	must(t, d.file.Do(t.Context(), sqlitefile.Settle, &sqlitefile.Func{Do: func(tx *sqlitefile.Tx) error {
		_, err := tx.Exec(`UPDATE sends SET digest = x'00' WHERE key = 'damaged'`)
		_, gone := tx.Exec(`DELETE FROM sends WHERE key = 'missing'`)
		return errors.Join(err, gone)
	}}))
	if e, err := d.ledger.Claim(t.Context(), claimOf("damaged")); !errors.Is(err, dedupe.ErrUnavailable) {
		t.Errorf("claim of a damaged row: got %v, %v; want ErrUnavailable", e.Status, err)
	}
	var got []string
	for range 3 {
		es, err := d.ledger.Take(t.Context(), 5)
		must(t, err)
		for _, e := range es {
			got = append(got, e.Key)
		}
	}
	if !slices.Equal(got, []string{"whole"}) {
		t.Errorf("taken: got %v, want [whole]", got)
	}
	if n := logged.FilterMessage("queued message is lost").Len(); n != 2 {
		t.Errorf("lines about lost messages: got %d, want 2", n)
	}
}

// Without leases a holder who gives up frees the key and the lane at once.
func TestAbandonWithoutALease(t *testing.T) {
	t.Parallel()
	d := openDisk(t, t.TempDir(), sqlitededupe.Options{Window: window})
	e := claim(t, d.ledger, claimOf("k"), dedupe.Claimed)
	must(t, d.ledger.Start(t.Context(), e, nil))
	d.ledger.Abandon(e)
	claim(t, d.ledger, claimOf("k"), dedupe.Unknown)
	claim(t, d.ledger, queuedOf("q"), dedupe.Waiting)
	for range 2 {
		es, err := d.ledger.Take(t.Context(), 1)
		must(t, err)
		if len(es) != 1 {
			t.Fatalf("take: got %d rows, want the one that waits", len(es))
		}
		d.ledger.Abandon(es[0])
	}
}
