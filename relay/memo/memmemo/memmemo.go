// Package memmemo remembers in memory, for tests and as the plainest form of a [memo.Store]. Nothing survives its process.
package memmemo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/imrelay/imrelay/relay/memo"
)

// pieceNotes is how many notes a piece of an export has at most: with those of the largest size it is 4 MiB.
const pieceNotes = 4 << 20 / memo.MaxValue

// Options are the store's settings.
type Options struct {
	// Now is read for the time; nil: time.Now.
	Now func() time.Time
}

// Store is a [memo.Store] in memory. All methods are safe for concurrent use.
type Store struct {
	now func() time.Time

	mu     sync.Mutex
	notes  map[memo.Key]note
	closed bool
}

type note struct {
	value []byte
	over  time.Time
}

var (
	_ memo.Store    = (*Store)(nil)
	_ memo.Exporter = (*Store)(nil)
	_ memo.Importer = (*Store)(nil)
)

var errClosed = errors.New("memory closed")

// New makes an empty store.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{now: o.Now, notes: map[memo.Key]note{}}
}

// Load implements [memo.Store].
func (s *Store) Load(ctx context.Context, k memo.Key) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, fail("load note", err)
	}
	defer s.mu.Unlock()
	n, ok := s.notes[k]
	if !ok || !s.now().Before(n.over) {
		return nil, nil
	}
	return bytes.Clone(n.value), nil
}

// Save implements [memo.Store].
func (s *Store) Save(ctx context.Context, k memo.Key, value []byte, keep time.Duration) error {
	if len(value) > memo.MaxValue {
		return fmt.Errorf("save note: %w", memo.ErrTooLarge)
	}
	if err := s.enter(ctx); err != nil {
		return fail("save note", err)
	}
	defer s.mu.Unlock()
	if value == nil || keep <= 0 {
		delete(s.notes, k)
		return nil
	}
	s.notes[k] = note{bytes.Clone(value), s.now().Add(keep)}
	return nil
}

// Sweep implements [memo.Store].
func (s *Store) Sweep(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return fail("sweep notes", err)
	}
	defer s.mu.Unlock()
	now := s.now()
	maps.DeleteFunc(s.notes, func(_ memo.Key, n note) bool { return !now.Before(n.over) })
	return nil
}

// Export implements [memo.Exporter].
func (s *Store) Export(ctx context.Context, yield func([]memo.Note) error) error {
	if err := s.enter(ctx); err != nil {
		return fail("export notes", err)
	}
	now := s.now()
	var all []memo.Note
	for k, n := range s.notes {
		if now.Before(n.over) {
			all = append(all, memo.Note{Key: k, Value: n.value, Over: n.over})
		}
	}
	s.mu.Unlock()
	for piece := range slices.Chunk(all, pieceNotes) {
		if err := yield(piece); err != nil {
			return err
		}
	}
	return nil
}

// Import implements [memo.Importer].
func (s *Store) Import(ctx context.Context, notes []memo.Note) error {
	if err := s.enter(ctx); err != nil {
		return fail("import notes", err)
	}
	defer s.mu.Unlock()
	now := s.now()
	for _, n := range notes {
		if old, ok := s.notes[n.Key]; !ok || !now.Before(old.over) {
			s.notes[n.Key] = note{bytes.Clone(n.Value), n.Over}
		}
	}
	return nil
}

// Close implements [memo.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// enter locks the store, or refuses a call that cannot do anything.
func (s *Store) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	return nil
}

// fail says what could not be done.
func fail(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, memo.ErrUnavailable, err)
}
