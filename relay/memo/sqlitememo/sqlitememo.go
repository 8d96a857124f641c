// Package sqlitememo remembers in the embedded store's file. The file, its lock and its writer belong to whoever opened
// the [sqlitefile.File].
//
// The end of a note's time is one of the system's clock: a clock that is set forward ends notes early, and one that is set
// back keeps them for longer.
package sqlitememo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// schema is the table. Times are in microseconds. A file of a program that did not know it gets it when it is opened.
var schema = sqlitefile.Schema{Name: "memo", Steps: []string{`
	CREATE TABLE notes (
		id    INTEGER PRIMARY KEY,
		owner TEXT NOT NULL,
		name  TEXT NOT NULL,
		over  INTEGER NOT NULL,
		value BLOB NOT NULL
	);
	CREATE UNIQUE INDEX notes_key ON notes (owner, name);
	CREATE INDEX notes_over ON notes (over);`}}

const (
	loadNote = `SELECT value FROM notes WHERE owner = ? AND name = ? AND over > ?`
	saveNote = `INSERT INTO notes (owner, name, over, value) VALUES (?, ?, ?, ?)
		ON CONFLICT (owner, name) DO UPDATE SET over = excluded.over, value = excluded.value`
	forgetNote = `DELETE FROM notes WHERE owner = ? AND name = ?`
	anyOver    = `SELECT 1 FROM notes WHERE over <= ? LIMIT 1`
	deleteOver = `DELETE FROM notes WHERE id IN (SELECT id FROM notes WHERE over <= ? ORDER BY over LIMIT ?)`
	nextNotes  = `SELECT id, owner, name, over, value FROM notes WHERE id > ? AND over > ? ORDER BY id LIMIT ?`
)

const (
	// sweepStep bounds what one transaction removes: at most 16 MiB of values.
	sweepStep = 64
	// pieceNotes bounds a piece of an export, which is no longer than 4 MiB then.
	pieceNotes = 4 << 20 / memo.MaxValue
)

// Options are the store's settings.
type Options struct {
	// Now is read for the time; nil: time.Now. For tests.
	Now func() time.Time
}

// Store is a [memo.Store] in one file. All methods are safe for concurrent use.
type Store struct {
	file   *sqlitefile.File
	now    func() time.Time
	closed atomic.Bool
}

var (
	_ memo.Store    = (*Store)(nil)
	_ memo.Exporter = (*Store)(nil)
)

var errClosed = errors.New("memory closed")

// New makes the table if it is missing. Closing the store leaves the file open.
func New(ctx context.Context, file *sqlitefile.File, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := file.Migrate(ctx, schema); err != nil {
		return nil, fmt.Errorf("open memory: %w", err)
	}
	return &Store{file: file, now: o.Now}, nil
}

// Load implements [memo.Store].
func (s *Store) Load(ctx context.Context, k memo.Key) (value []byte, err error) {
	err = s.read(ctx, func(tx *sqlitefile.Tx) error {
		_, err := tx.One(loadNote, func(r sqlitefile.Row) error {
			value = r.Bytes(0)
			return nil
		}, k.Owner, k.Name, s.now().UnixMicro())
		return err
	})
	if err != nil {
		return nil, fail("load note", err)
	}
	return value, nil
}

// Save implements [memo.Store].
func (s *Store) Save(ctx context.Context, k memo.Key, value []byte, keep time.Duration) error {
	if len(value) > memo.MaxValue {
		return fmt.Errorf("save note: %w", memo.ErrTooLarge)
	}
	var err error
	if value == nil || keep <= 0 {
		err = s.write(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: func(tx *sqlitefile.Tx) error {
			_, err := tx.Exec(forgetNote, k.Owner, k.Name)
			return err
		}})
	} else {
		value = bytes.Clone(value) // it may still be read when the caller's context has ended
		err = s.write(ctx, sqlitefile.Accept, &sqlitefile.Func{Bytes: len(value), Do: func(tx *sqlitefile.Tx) error {
			_, err := tx.Exec(saveNote, k.Owner, k.Name, s.now().Add(keep).UnixMicro(), value)
			return err
		}})
	}
	if err != nil {
		return fail("save note", err)
	}
	return nil
}

// Sweep implements [memo.Store]. Where nothing is over it writes nothing.
func (s *Store) Sweep(ctx context.Context) error {
	now, some := s.now().UnixMicro(), false
	err := s.read(ctx, func(tx *sqlitefile.Tx) (err error) {
		some, err = tx.One(anyOver, nil, now)
		return err
	})
	for err == nil && some {
		err = s.write(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: func(tx *sqlitefile.Tx) error {
			n, err := tx.Exec(deleteOver, now, sweepStep)
			some = n == sweepStep
			return err
		}})
	}
	if err != nil {
		return fail("sweep notes", err)
	}
	return nil
}

// Export implements [memo.Exporter]. Each piece is a read of its own.
func (s *Store) Export(ctx context.Context, yield func([]memo.Note) error) error {
	for last := int64(0); ; {
		var piece []memo.Note
		err := s.read(ctx, func(tx *sqlitefile.Tx) error {
			return tx.Each(nextNotes, func(r sqlitefile.Row) error {
				last = r.Int(0)
				piece = append(piece, memo.Note{
					Key: memo.Key{Owner: r.Text(1), Name: r.Text(2)}, Over: time.UnixMicro(r.Int(3)), Value: r.Bytes(4),
				})
				return nil
			}, last, s.now().UnixMicro(), pieceNotes)
		})
		if err != nil {
			return fail("export notes", err)
		}
		if len(piece) == 0 {
			return nil
		}
		if err := yield(piece); err != nil {
			return err
		}
	}
}

// Close implements [memo.Store]. The file stays open.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// read reads a snapshot, unless the call cannot do anything.
func (s *Store) read(ctx context.Context, do func(*sqlitefile.Tx) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	return s.file.Read(ctx, do)
}

// write commits, unless the call cannot do anything.
func (s *Store) write(ctx context.Context, k sqlitefile.Kind, op sqlitefile.Op) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	return s.file.Do(ctx, k, op)
}

func (s *Store) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.closed.Load() {
		return errClosed
	}
	return nil
}

// fail says what could not be done.
func fail(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, memo.ErrUnavailable, err)
}
