package sqlitefile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

func TestMigrations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, sqlitefile.Options{Dir: dir})
	if err := f.Do(t.Context(), sqlitefile.Accept, insert(1, []byte("old"))); err != nil {
		t.Fatalf("Do: %v", err)
	}
	newer := sqlitefile.Schema{Name: "notes", Steps: append(notes.Steps, `ALTER TABLE notes ADD COLUMN tag TEXT; CREATE INDEX tags ON notes(tag)`)}
	if err := f.Migrate(t.Context(), newer); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	if err := f.Migrate(t.Context(), newer); err != nil {
		t.Fatalf("Migrate again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "imrelay.db.before-notes-2")); err != nil {
		t.Errorf("copy before the migration: %v", err)
	}
	err := f.Migrate(t.Context(), notes)
	if e, ok := errors.AsType[*sqlitefile.NewerError](err); !ok || e.Have != 2 || e.Known != 1 {
		t.Errorf("Migrate to an older schema: got %v, want a NewerError of 2 and 1", err)
	}
	broken := sqlitefile.Schema{Name: "other", Steps: []string{`CREATE TABLE other (id INTEGER)`, `no SQL`}}
	if err := f.Migrate(t.Context(), broken); err == nil {
		t.Error("Migrate with a broken step: got no error")
	}
	broken.Steps = broken.Steps[:1]
	if err := f.Migrate(t.Context(), broken); err != nil {
		t.Errorf("Migrate after a broken step left nothing behind: got %v", err)
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, sqlitefile.Options{Dir: dir})
	_, err := sqlitefile.Open(t.Context(), sqlitefile.Options{Dir: dir})
	if e, ok := errors.AsType[*sqlitefile.LockedError](err); !ok || e.PID != os.Getpid() {
		t.Errorf("second Open: got %v, want a LockedError of process %d", err, os.Getpid())
	}
	if err := f.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	open(t, sqlitefile.Options{Dir: dir})
}
