package sqlitefile_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// TestLockedByAnother has a shell hold the write lock: all ops that wait fail together, after one busy timeout and not
// after one each, and work goes on when the lock is free.
func TestLockedByAnother(t *testing.T) {
	t.Parallel()
	const ops, timeout = 40, 250 * time.Millisecond
	f := open(t, sqlitefile.Options{})
	short := &sqlitefile.Func{Do: func(tx *sqlitefile.Tx) error {
		return tx.Each("PRAGMA busy_timeout=250", func(sqlitefile.Row) error { return nil })
	}}
	if err := f.Do(t.Context(), sqlitefile.Settle, short); err != nil {
		t.Fatalf("set busy timeout: %v", err)
	}
	unlock := lockFile(t, f.Path())
	start := time.Now()
	var waits []*sqlitefile.Commit
	for i := range ops {
		c, err := f.Submit(t.Context(), sqlitefile.Accept, insert(i, nil))
		if err != nil {
			t.Fatalf("Submit: %v", err)
		}
		waits = append(waits, c)
	}
	for i, c := range waits {
		if err := c.Wait(t.Context()); err == nil {
			t.Errorf("op %d of a locked file: got no error", i)
		}
	}
	if got := time.Since(start); got > ops/2*timeout {
		t.Errorf("time until all failed: got %v, want about twice %v", got, timeout)
	}
	if err := f.Err(); err != nil {
		t.Errorf("Err: got %v, want none", err)
	}
	unlock()
	if err := f.Do(t.Context(), sqlitefile.Accept, insert(1, nil)); err != nil {
		t.Errorf("Do when the lock is free: %v", err)
	}
}

// lockFile takes the write lock as another process would, and returns what frees it.
func lockFile(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatalf("open a second time: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatalf("open a second time: %v", err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatalf("lock file: %v", err)
	}
	return func() {
		if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Errorf("unlock file: %v", err)
		}
	}
}
