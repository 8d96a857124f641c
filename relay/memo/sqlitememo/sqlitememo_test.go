package sqlitememo_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/memo/memmemo"
	"github.com/imrelay/imrelay/relay/memo/memotest"
	"github.com/imrelay/imrelay/relay/memo/sqlitememo"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	memotest.Run(t, subject)
}

// TestMove moves what is in a file into memory.
func TestMove(t *testing.T) {
	t.Parallel()
	memotest.RunMove(t, subject, func(_ *testing.T, c *memotest.Clock) memotest.Subject {
		return memotest.Subject{Store: memmemo.New(memmemo.Options{Now: c.Now})}
	})
}

func subject(t *testing.T, c *memotest.Clock) memotest.Subject {
	t.Helper()
	o := sqlitefile.Options{Dir: t.TempDir()}
	store, file := open(t, o, c.Now)
	return memotest.Subject{
		Store: store,
		Reopen: func() memo.Store {
			if err := errors.Join(store.Close(), file.Close()); err != nil {
				t.Errorf("close: %v", err)
			}
			store, file = open(t, o, c.Now)
			return store
		},
		Break: func() {
			if err := file.Close(); err != nil {
				t.Errorf("close file: %v", err)
			}
		},
	}
}

func openFile(t *testing.T, o sqlitefile.Options) *sqlitefile.File {
	t.Helper()
	file, err := sqlitefile.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open file: %v", err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Errorf("close file: %v", err)
		}
	})
	return file
}

func open(t *testing.T, o sqlitefile.Options, now func() time.Time) (*sqlitememo.Store, *sqlitefile.File) {
	t.Helper()
	file := openFile(t, o)
	store, err := sqlitememo.New(t.Context(), file, sqlitememo.Options{Now: now})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	return store, file
}

// A file of a program that remembered nothing gets the table beside what it has.
func TestAFileFromBefore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ledger := func(file *sqlitefile.File, want dedupe.Status) {
		t.Helper()
		l, err := sqlitededupe.New(t.Context(), file, sqlitededupe.Options{Window: time.Hour})
		if err != nil {
			t.Fatalf("open ledger: %v", err)
		}
		e, err := l.Claim(t.Context(), dedupe.Claim{Owner: "heron", Key: "k", ID: "msg_k"})
		if err != nil || e.Status != want {
			t.Fatalf("claim: got %v, %v, want %v", e.Status, err, want)
		}
		if want == dedupe.Claimed {
			err = l.Finish(t.Context(), e, dedupe.Done, nil)
		}
		if err = errors.Join(err, l.Close()); err != nil {
			t.Fatalf("close ledger: %v", err)
		}
	}
	before := openFile(t, sqlitefile.Options{Dir: dir})
	ledger(before, dedupe.Claimed)
	if err := before.Close(); err != nil {
		t.Fatalf("close file: %v", err)
	}
	for _, want := range []string{"", "kept"} {
		store, file := open(t, sqlitefile.Options{Dir: dir}, nil)
		k := memo.Key{Owner: "agent/heron", Name: "n"}
		got, err := store.Load(t.Context(), k)
		if err != nil || string(got) != want {
			t.Errorf("load: got %q, %v, want %q", got, err, want)
		}
		if err := store.Save(t.Context(), k, []byte("kept"), time.Hour); err != nil {
			t.Errorf("save: %v", err)
		}
		ledger(file, dedupe.Done)
		if err := file.Close(); err != nil {
			t.Fatalf("close file: %v", err)
		}
	}
	// The program from before goes on with the file, and there is no copy of it, for nothing was changed.
	ledger(openFile(t, sqlitefile.Options{Dir: dir}), dedupe.Done)
	if copies, err := filepath.Glob(filepath.Join(dir, "*.before-*")); err != nil || len(copies) > 0 {
		t.Errorf("copies: got %v, %v, want none", copies, err)
	}
}

// A sweep of nothing, like a load, commits nothing.
func TestCommits(t *testing.T) {
	t.Parallel()
	clock := memotest.NewClock()
	store, file := open(t, sqlitefile.Options{Dir: t.TempDir()}, clock.Now)
	k := memo.Key{Owner: "agent/heron", Name: "n"}
	for _, step := range []struct {
		name string
		do   func() error
		want uint64
	}{
		{"a save", func() error { return store.Save(t.Context(), k, []byte("x"), time.Minute) }, 1},
		{"a load", func() error { _, err := store.Load(t.Context(), k); return err }, 0},
		{"a sweep of nothing", func() error { return store.Sweep(t.Context()) }, 0},
		{"a sweep", func() error { clock.Advance(time.Minute); return store.Sweep(t.Context()) }, 1},
		{"a sweep afterwards", func() error { return store.Sweep(t.Context()) }, 0},
	} {
		before := file.Commits()
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if got := file.Commits() - before; got != step.want {
			t.Errorf("commits of %s: got %d, want %d", step.name, got, step.want)
		}
	}
}

// A full disk takes no new note, keeps the old ones, and lets them be forgotten.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	full := false
	store, _ := open(t, sqlitefile.Options{
		Dir: t.TempDir(), Space: func() (sqlitefile.Space, error) {
			if full {
				return sqlitefile.Space{Free: 1 << 20, Total: 1 << 40}, nil
			}
			return sqlitefile.Space{Free: 1 << 39, Total: 1 << 40}, nil
		},
		Now: func() func() time.Time { // each look at the clock is late enough to look at the disk anew
			now := time.Now()
			return func() time.Time { now = now.Add(time.Second); return now }
		}(),
	}, nil)
	k := memo.Key{Owner: "agent/heron", Name: "n"}
	if err := store.Save(t.Context(), k, []byte("old"), time.Hour); err != nil {
		t.Fatalf("save: %v", err)
	}
	full = true
	err := store.Save(t.Context(), k, []byte("new"), time.Hour)
	if !errors.Is(err, memo.ErrUnavailable) || !errors.Is(err, sqlitefile.ErrFull) {
		t.Errorf("save: got %v, want %v and %v", err, memo.ErrUnavailable, sqlitefile.ErrFull)
	}
	if got, err := store.Load(t.Context(), k); err != nil || string(got) != "old" {
		t.Errorf("load: got %q, %v, want what was before", got, err)
	}
	if err := store.Save(t.Context(), k, nil, 0); err != nil {
		t.Errorf("forget: %v", err)
	}
}

// What a commit failed for is not remembered.
func TestAFailedCommit(t *testing.T) {
	t.Parallel()
	var fault error
	store, _ := open(t, sqlitefile.Options{Dir: t.TempDir(), BeforeCommit: func() error { return fault }}, nil)
	k := memo.Key{Owner: "agent/heron", Name: "n"}
	if err := store.Save(t.Context(), k, []byte("old"), time.Hour); err != nil {
		t.Fatalf("save: %v", err)
	}
	fault = fmt.Errorf("write: %w", syscall.ENOSPC)
	if err := store.Save(t.Context(), k, []byte("new"), time.Hour); !errors.Is(err, memo.ErrUnavailable) {
		t.Errorf("save: got %v, want %v", err, memo.ErrUnavailable)
	}
	if got, err := store.Load(t.Context(), k); err != nil || string(got) != "old" {
		t.Errorf("load: got %q, %v, want what was before", got, err)
	}
}
