package sqlitefile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

var notes = sqlitefile.Schema{Name: "notes", Steps: []string{
	`CREATE TABLE notes (id INTEGER PRIMARY KEY, body BLOB)`,
}}

func open(tb testing.TB, o sqlitefile.Options) *sqlitefile.File {
	tb.Helper()
	if o.Dir == "" {
		o.Dir = tb.TempDir()
	}
	f, err := sqlitefile.Open(tb.Context(), o)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	if err := f.Migrate(tb.Context(), notes); err != nil {
		tb.Fatalf("Migrate: %v", err)
	}
	return f
}

func insert(id int, body []byte) *sqlitefile.Func {
	return &sqlitefile.Func{Bytes: len(body), Do: func(tx *sqlitefile.Tx) error {
		_, err := tx.Exec(`INSERT INTO notes VALUES (?, ?)`, id, body)
		return err
	}}
}

func count(tb testing.TB, f *sqlitefile.File) int {
	tb.Helper()
	n := 0
	err := f.Read(tb.Context(), func(tx *sqlitefile.Tx) error {
		_, err := tx.One(`SELECT count(*) FROM notes`, func(r sqlitefile.Row) error {
			n = int(r.Int(0))
			return nil
		})
		return err
	})
	if err != nil {
		tb.Fatalf("Read: %v", err)
	}
	return n
}

func TestValuesSurviveReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, sqlitefile.Options{Dir: dir})
	bodies := [][]byte{nil, {}, []byte("plain"), {0, 0xff, 0}}
	for i, b := range bodies {
		if err := f.Do(t.Context(), sqlitefile.Accept, insert(i, b)); err != nil {
			t.Fatalf("Do: %v", err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	f = open(t, sqlitefile.Options{Dir: dir})
	err := f.Read(t.Context(), func(tx *sqlitefile.Tx) error {
		return tx.Each(`SELECT id, body FROM notes ORDER BY id`, func(r sqlitefile.Row) error {
			want := bodies[r.Int(0)]
			if got := r.Bytes(1); string(got) != string(want) || (got == nil) != (want == nil) {
				t.Errorf("body %d: got %#v, want %#v", r.Int(0), got, want)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if got := count(t, f); got != len(bodies) {
		t.Errorf("rows: got %d, want %d", got, len(bodies))
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made")
	open(t, sqlitefile.Options{Dir: dir})
	for name, want := range map[string]os.FileMode{"": 0o700, "imrelay.db": 0o600, "imrelay.db-wal": 0o600, "lock": 0o600} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatalf("Stat: %v", err)
		}
		if got := st.Mode().Perm(); got != want {
			t.Errorf("mode of %q: got %v, want %v", name, got, want)
		}
	}
}

// TestGroupCommit holds the writer in a first op while others queue, and counts the transactions they take.
func TestGroupCommit(t *testing.T) {
	t.Parallel()
	f := open(t, sqlitefile.Options{})
	before := f.Commits()
	entered, leave := make(chan struct{}), make(chan struct{})
	hold := &sqlitefile.Func{Do: func(*sqlitefile.Tx) error {
		close(entered)
		<-leave
		return nil
	}}
	first, err := f.Submit(t.Context(), sqlitefile.Settle, hold)
	if err != nil {
		t.Fatalf("Submit: %v", err)
	}
	<-entered
	var order []string
	var waits []*sqlitefile.Commit
	for i := range 100 {
		kind, name := sqlitefile.Accept, fmt.Sprintf("accept %d", i)
		if i%2 == 1 {
			kind, name = sqlitefile.Settle, fmt.Sprintf("settle %d", i)
		}
		op := insert(i, nil)
		op.Done = func() { order = append(order, name) }
		c, err := f.Submit(t.Context(), kind, op)
		if err != nil {
			t.Fatalf("Submit: %v", err)
		}
		waits = append(waits, c)
	}
	close(leave)
	for _, c := range append(waits, first) {
		if err := c.Wait(t.Context()); err != nil {
			t.Fatalf("Wait: %v", err)
		}
	}
	if got := f.Commits() - before; got != 2 {
		t.Errorf("commits: got %d, want 2", got)
	}
	if len(order) != 100 || order[0] != "settle 1" || order[49] != "settle 99" || order[50] != "accept 0" {
		t.Errorf("order: got %v, want settles 1 to 99, then accepts 0 to 98", order)
	}
}

func TestBadOpFailsAlone(t *testing.T) {
	t.Parallel()
	f := open(t, sqlitefile.Options{})
	bad := errors.New("bad")
	var wg sync.WaitGroup
	var applied, failed atomic.Int32
	for i := range 64 {
		wg.Go(func() {
			op := insert(i, nil)
			op.Done = func() { applied.Add(1) }
			if i%8 == 3 {
				op.Do = func(tx *sqlitefile.Tx) error {
					if _, err := tx.Exec(`INSERT INTO notes VALUES (?, NULL)`, i); err != nil {
						return err
					}
					return bad
				}
			}
			switch err := f.Do(t.Context(), sqlitefile.Accept, op); {
			case errors.Is(err, bad):
				failed.Add(1)
			case err != nil:
				t.Errorf("Do: %v", err)
			}
		})
	}
	wg.Wait()
	if got := [3]int{int(applied.Load()), int(failed.Load()), count(t, f)}; got != [3]int{56, 8, 56} {
		t.Errorf("applied, failed, stored: got %v, want [56 8 56]", got)
	}
}

func TestCommitErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		err   error
		want  error
		final bool
	}{
		{"a failed sync is final", fmt.Errorf("sync: %w", syscall.EIO), sqlitefile.ErrFailed, true},
		{"a full disk heals", fmt.Errorf("write: %w", syscall.ENOSPC), sqlitefile.ErrFull, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var fault atomic.Pointer[error]
			dir := t.TempDir()
			f := open(t, sqlitefile.Options{Dir: dir, BeforeCommit: func() error {
				if p := fault.Load(); p != nil {
					return *p
				}
				return nil
			}})
			fault.Store(&tt.err)
			if err := f.Do(t.Context(), sqlitefile.Accept, insert(1, nil)); !errors.Is(err, tt.want) {
				t.Fatalf("Do with a broken disk: got %v, want %v", err, tt.want)
			}
			fault.Store(nil)
			err := f.Do(t.Context(), sqlitefile.Settle, insert(2, nil))
			if got := errors.Is(err, sqlitefile.ErrFailed); got != tt.final || (err != nil) != tt.final {
				t.Errorf("Do afterwards: got %v, want failed %v", err, tt.final)
			}
			if got := f.Err() != nil; got != tt.final {
				t.Errorf("Err: got %v, want failed %v", f.Err(), tt.final)
			}
			if err := f.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			want := 1
			if tt.final {
				want = 0
			}
			if got := count(t, open(t, sqlitefile.Options{Dir: dir})); got != want {
				t.Errorf("rows after a restart: got %d, want %d", got, want)
			}
		})
	}
}

func TestReserve(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		space sqlitefile.Space
		want  error
	}{
		{"roomy", sqlitefile.Space{Free: 17 << 20, Total: 1 << 40}, nil},
		{"under the reserve", sqlitefile.Space{Free: 15 << 20, Total: 1 << 40}, sqlitefile.ErrFull},
		{"small disk with room", sqlitefile.Space{Free: 5 << 20, Total: 16 << 20}, nil},
		{"small disk under a quarter", sqlitefile.Space{Free: 3 << 20, Total: 16 << 20}, sqlitefile.ErrFull},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			space, now := sqlitefile.Space{Free: 1 << 30, Total: 1 << 40}, time.Unix(1_700_000_000, 0)
			f := open(t, sqlitefile.Options{
				Space: func() (sqlitefile.Space, error) { return space, nil },
				Now:   func() time.Time { return now },
			})
			space, now = tt.space, now.Add(time.Second)
			if err := f.Do(t.Context(), sqlitefile.Accept, insert(1, nil)); !errors.Is(err, tt.want) {
				t.Errorf("accept: got %v, want %v", err, tt.want)
			}
			if err := f.Do(t.Context(), sqlitefile.Settle, insert(2, nil)); err != nil {
				t.Errorf("settle: got %v, want none", err)
			}
			space, now = sqlitefile.Space{Free: 1 << 30, Total: 1 << 40}, now.Add(time.Second)
			if err := f.Do(t.Context(), sqlitefile.Accept, insert(3, nil)); err != nil {
				t.Errorf("accept when there is room again: got %v, want none", err)
			}
		})
	}
}

// TestFullDiskIsLookedAtAgain fails a commit between two looks at the disk: the next accept is not even tried.
func TestFullDiskIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	var commits atomic.Int32
	var full atomic.Bool
	now := time.Unix(1_700_000_000, 0)
	f := open(t, sqlitefile.Options{
		Now: func() time.Time { return now },
		Space: func() (sqlitefile.Space, error) {
			if full.Load() {
				return sqlitefile.Space{Total: 1 << 40}, nil
			}
			return sqlitefile.Space{Free: 1 << 39, Total: 1 << 40}, nil
		},
		BeforeCommit: func() error {
			commits.Add(1)
			if full.Load() {
				return syscall.ENOSPC
			}
			return nil
		},
	})
	full.Store(true)
	before := commits.Load()
	for range 3 {
		if err := f.Do(t.Context(), sqlitefile.Accept, insert(1, nil)); !errors.Is(err, sqlitefile.ErrFull) {
			t.Errorf("Do: got %v, want %v", err, sqlitefile.ErrFull)
		}
	}
	if got := commits.Load() - before; got != 1 {
		t.Errorf("commits tried: got %d, want 1", got)
	}
}

func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	f := open(t, sqlitefile.Options{MaxPending: 4096})
	entered, leave := make(chan struct{}), make(chan struct{})
	hold := &sqlitefile.Func{Bytes: 4000, Do: func(*sqlitefile.Tx) error {
		close(entered)
		<-leave
		return nil
	}}
	c, err := f.Submit(t.Context(), sqlitefile.Accept, hold)
	if err != nil {
		t.Fatalf("Submit: %v", err)
	}
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.Submit(ctx, sqlitefile.Accept, insert(1, make([]byte, 3000))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Submit without room: got %v, want %v", err, context.DeadlineExceeded)
	}
	if _, err := f.Submit(t.Context(), sqlitefile.Settle, insert(2, nil)); err != nil {
		t.Errorf("settle beside full accepts: got %v, want none", err)
	}
	close(leave)
	if err := c.Wait(t.Context()); err != nil {
		t.Fatalf("Wait: %v", err)
	}
	if err := f.Do(t.Context(), sqlitefile.Accept, insert(1, make([]byte, 3000))); err != nil {
		t.Errorf("Do when there is room: got %v, want none", err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	f := open(t, sqlitefile.Options{})
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	if err := f.Do(t.Context(), sqlitefile.Settle, insert(1, nil)); !errors.Is(err, sqlitefile.ErrClosed) {
		t.Errorf("Do: got %v, want %v", err, sqlitefile.ErrClosed)
	}
	if err := f.Read(t.Context(), func(*sqlitefile.Tx) error { return nil }); !errors.Is(err, sqlitefile.ErrClosed) {
		t.Errorf("Read: got %v, want %v", err, sqlitefile.ErrClosed)
	}
}

func TestContextOverChangesNothing(t *testing.T) {
	t.Parallel()
	f := open(t, sqlitefile.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Do(ctx, sqlitefile.Accept, insert(1, nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("Do: got %v, want %v", err, context.Canceled)
	}
	if got := count(t, f); got != 0 {
		t.Errorf("rows: got %d, want 0", got)
	}
}

// TestLogSpaceIsUsedAgain writes far more than a checkpoint's worth without a pause.
func TestLogSpaceIsUsedAgain(t *testing.T) {
	t.Parallel()
	f := open(t, sqlitefile.Options{})
	body := make([]byte, 64<<10)
	for i := range 1000 {
		if err := f.Do(t.Context(), sqlitefile.Accept, insert(i%10, nil)); i < 10 && err != nil {
			t.Fatalf("Do: %v", err)
		}
		op := &sqlitefile.Func{Do: func(tx *sqlitefile.Tx) error {
			_, err := tx.Exec(`UPDATE notes SET body = ? WHERE id = ?`, body, i%10)
			return err
		}}
		if err := f.Do(t.Context(), sqlitefile.Settle, op); err != nil {
			t.Fatalf("Do: %v", err)
		}
	}
	st, err := os.Stat(f.Path() + "-wal")
	if err != nil {
		t.Fatalf("Stat: %v", err)
	}
	if got := st.Size(); got > 48<<20 {
		t.Errorf("log after 64 MB: got %d bytes, want at most 48 MiB", got)
	}
}
