// Package redismemo remembers in a Redis that many relays share. A note is one key, which Redis removes by itself when
// the note's time has been over for a minute; there is nothing to sweep. The connection belongs to whoever opened it.
//
// Of two relays that save the same key the one that Redis hears last has it, and while Redis is away that need not be the
// one that asked last. The saves of one Store keep their order.
package redismemo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

const (
	// family is what the names of our keys begin with.
	family = "memo:"
	// present and forgotten are what a stored note begins with.
	present   = "="
	forgotten = "-"
)

// Store is a [memo.Store] on Redis. All methods are safe for concurrent use.
type Store struct {
	conn   *redisconn.Conn
	writer string
	saves  atomic.Int64
	closed atomic.Bool
}

var (
	_ memo.Store    = (*Store)(nil)
	_ memo.Exporter = (*Store)(nil)
	_ memo.Importer = (*Store)(nil)
)

var (
	errClosed = errors.New("memory closed")
	errReply  = errors.New("reply of a script cannot be read")
)

// New makes a store on the connection, which stays the caller's.
func New(conn *redisconn.Conn) *Store { return &Store{conn: conn, writer: rand.Text()} }

// Load implements [memo.Store].
func (s *Store) Load(ctx context.Context, k memo.Key) ([]byte, error) {
	reply, err := s.do(ctx, redisconn.Call{Script: loadScript, Shard: s.shard(k), Args: []any{nameOf(k)}})
	if err != nil {
		return nil, fail("load note", err)
	}
	value, ok := reply.(string)
	if !ok {
		return nil, nil
	}
	return []byte(value), nil
}

// Save implements [memo.Store].
func (s *Store) Save(ctx context.Context, k memo.Key, value []byte, keep time.Duration) error {
	if len(value) > memo.MaxValue {
		return fmt.Errorf("save note: %w", memo.ErrTooLarge)
	}
	script, stored := saveScript, present+string(value)
	if value == nil || keep <= 0 {
		script, stored, keep = forgetScript, forgotten, 0
	}
	args := []any{nameOf(k), s.writer, s.saves.Add(1), keep.Microseconds(), stored}
	if _, err := s.do(ctx, redisconn.Call{Script: script, Shard: s.shard(k), Args: args, Sync: true}); err != nil {
		return fail("save note", err)
	}
	return nil
}

// Sweep implements [memo.Store]: Redis does it.
func (s *Store) Sweep(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return fail("sweep notes", err)
	}
	return nil
}

// Close implements [memo.Store]. The connection stays open.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

func (s *Store) do(ctx context.Context, call redisconn.Call) (any, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	return s.conn.Do(ctx, call)
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

func (s *Store) shard(k memo.Key) redisconn.Shard { return s.conn.Place(k.Owner, k.Name) }

// nameOf is the key's name behind [family]. The owner's length tells where the name begins.
func nameOf(k memo.Key) string { return strconv.Itoa(len(k.Owner)) + ":" + k.Owner + ":" + k.Name }

// keyOf reads what nameOf wrote.
func keyOf(name string) (memo.Key, bool) {
	digits, rest, ok := strings.Cut(name, ":")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 || n >= len(rest) || rest[n] != ':' {
		return memo.Key{}, false
	}
	return memo.Key{Owner: rest[:n], Name: rest[n+1:]}, true
}

// fail says what could not be done.
func fail(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, memo.ErrUnavailable, err)
}
