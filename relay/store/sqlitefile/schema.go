package sqlitefile

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"
)

// Schema is the tables of one package in the file.
type Schema struct {
	// Name says whose they are. It is stored, so it never changes.
	Name string
	// Steps are SQL scripts, each of which takes the tables from the version before to its own; the first makes them.
	// Steps that were released never change, new ones are appended.
	Steps []string
}

const createVersions = `CREATE TABLE IF NOT EXISTS schema_versions (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID`

// Migrate brings the schema's tables to its newest version, all steps in one transaction. A file whose tables are
// newer is refused with a [*NewerError]; of one whose tables are older a copy is made first. It must not run beside ops
// that use the tables.
func (f *File) Migrate(ctx context.Context, s Schema) error {
	have, err := f.version(ctx, s.Name)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	want := len(s.Steps)
	switch {
	case have > want:
		return &NewerError{Schema: s.Name, Have: have, Known: want}
	case have == want:
		return nil
	case have > 0:
		if err := f.backup(ctx, fmt.Sprintf("%s.before-%s-%d", f.path, s.Name, want)); err != nil {
			return fmt.Errorf("copy store before migration: %w", err)
		}
	}
	op := &migrateOp{schema: s, have: have}
	if err := f.Do(ctx, Accept, op); err != nil {
		return fmt.Errorf("migrate schema %s: %w", s.Name, err)
	}
	f.log.Info("store migrated", zap.String("schema", s.Name), zap.Int("from", have), zap.Int("to", want))
	return nil
}

func (f *File) version(ctx context.Context, name string) (int, error) {
	v := 0
	err := f.Do(ctx, Settle, &Func{Do: func(tx *Tx) error {
		if _, err := tx.Exec(createVersions); err != nil {
			return err
		}
		v = 0
		_, err := tx.One(`SELECT version FROM schema_versions WHERE name = ?`, func(r Row) error {
			v = int(r.Int(0))
			return nil
		}, name)
		return err
	}})
	return v, err
}

type migrateOp struct {
	schema Schema
	have   int
}

func (o *migrateOp) Size() int { return 0 }

func (o *migrateOp) Exec(tx *Tx) error {
	for i, step := range o.schema.Steps[o.have:] {
		if err := tx.script(step); err != nil {
			return fmt.Errorf("run step %d: %w", o.have+i+1, err)
		}
	}
	_, err := tx.Exec(`INSERT INTO schema_versions VALUES (?, ?) ON CONFLICT DO UPDATE SET version = excluded.version`,
		o.schema.Name, len(o.schema.Steps))
	return err
}

func (o *migrateOp) Committed() {}

// backup writes a consistent copy. It is whole or not there: it gets its name when it is complete.
func (f *File) backup(ctx context.Context, path string) error {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	tx, err := connect(ctx, f.path)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`VACUUM INTO ?`, part)
	if err := errors.Join(err, tx.close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := os.Chmod(part, 0o600); err != nil {
		return err
	}
	return os.Rename(part, path)
}
