// Package redisdedupe is the send ledger that many relays share on one Redis. It keeps no row in memory: every answer is
// that of Redis, whose clock is the clock of all relays.
//
// # Where a row is
//
// A row is in the shard of its lane, so that the background sends of a recipient keep their order within one script. The
// same key with other content may name another recipient, and so another shard. Therefore a pointer, in the shard of
// owner and key, names the shard that has the row; it is set before the row is made, and outlives it. When it names a
// shard that is not the lane's, the row there decides; only when there is none is the pointer moved. Since its maker may
// be on the way to make the row, a pointer has a version, and before it is moved its shard is told that no row may be made
// any more by this version or an earlier one. So of two claims of one key with two recipients one finds the other's row,
// or finds its pointer void and begins anew. A key that is the message's own id has no pointer: nobody else can have it.
//
// The scripts in the folder lua tell the names and the fields of what is stored. Each transition is one script, which may
// be run twice: it finds the nonce of the call at the row that it changed.
//
// What a relay that was lost held is what the lease makes of it: Started is Unknown, Claimed is what it was. Expiry is
// decided by the times in the row; the time-to-live of a key only collects what nobody sweeps.
package redisdedupe

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

const (
	defaultWindow = 48 * time.Hour
	defaultLease  = 10 * time.Second
	// slack is by how much a key outlives what decides. The scripts know it too.
	slack = 24 * time.Hour
	// waitsAtMost is how long the pointer of a background send lives before it is sent.
	waitsAtMost = 30 * 24 * time.Hour
	// atOnce bounds what one run of a script goes through.
	atOnce = 500
)

// Options are the ledger's settings.
type Options struct {
	// Window is how long a finished row is kept; 0: 48 h.
	Window time.Duration
	// Lease is how long a claim lasts unless it is renewed; 0: 10 s.
	Lease time.Duration
	// Log gets a line for a row that cannot be read; nil: none.
	Log *zap.Logger
}

// Ledger is the ledger. All methods are safe for concurrent use.
type Ledger struct {
	conn *redisconn.Conn
	o    Options
	// calls numbers the calls behind prefix, which no other process has: together they are a call's nonce.
	prefix string
	calls  atomic.Uint64
	// high is the highest seq that was given here. The next one is higher in every shard, even if the masters of a Cluster
	// do not agree on the time.
	high   atomic.Uint64
	closed atomic.Bool

	mu sync.Mutex
	// unanswered are the runs of take of which nobody here knows what they took.
	unanswered []run
}

var (
	_ dedupe.Store    = (*Ledger)(nil)
	_ dedupe.Exporter = (*Ledger)(nil)
	_ dedupe.Importer = (*Ledger)(nil)
)

var errClosed = errors.New("closed")

// Open makes the ledger of what Redis holds. Closing it leaves the connection open.
func Open(ctx context.Context, conn *redisconn.Conn, o Options) (*Ledger, error) {
	if o.Window < 0 || o.Lease < 0 {
		return nil, fmt.Errorf("open ledger: window %v, lease %v: below zero", o.Window, o.Lease)
	}
	if o.Window == 0 {
		o.Window = defaultWindow
	}
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	l := &Ledger{conn: conn, o: o, prefix: rand.Text()[:12] + "-"}
	if _, err := l.Waiting(ctx); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return l, nil
}

// Sweep implements [dedupe.Store].
func (l *Ledger) Sweep(ctx context.Context) error {
	shards := l.conn.Shards()
	for len(shards) > 0 {
		replies, err := l.each(ctx, shards, func(redisconn.Shard) redisconn.Call {
			return redisconn.Call{Script: sweepScript, Args: []any{atOnce}}
		})
		if err != nil {
			return fail("sweep", err)
		}
		var more []redisconn.Shard
		for i, reply := range replies {
			if n, _ := reply.(int64); n >= atOnce {
				more = append(more, shards[i])
			}
		}
		shards = more
	}
	return nil
}

// Close implements [dedupe.Store]. What is held is left to its lease.
func (l *Ledger) Close() error {
	l.closed.Store(true)
	return nil
}

// each runs one call in every one of the shards.
func (l *Ledger) each(ctx context.Context, shards []redisconn.Shard, of func(redisconn.Shard) redisconn.Call) ([]any, error) {
	calls := make([]redisconn.Call, len(shards))
	for i, s := range shards {
		calls[i] = of(s)
		calls[i].Shard = s
	}
	return l.all(ctx, calls...)
}

func (l *Ledger) all(ctx context.Context, calls ...redisconn.Call) ([]any, error) {
	if l.closed.Load() {
		return nil, errClosed
	}
	return l.conn.All(ctx, calls...)
}

func (l *Ledger) do(ctx context.Context, call redisconn.Call) (any, error) {
	if l.closed.Load() {
		return nil, errClosed
	}
	return l.conn.Do(ctx, call)
}

// nonce is a text that no other call of any relay has.
func (l *Ledger) nonce() string { return l.prefix + strconv.FormatUint(l.calls.Add(1), 36) }

// fail wraps what went wrong on the way to Redis.
func fail(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, dedupe.ErrUnavailable, err)
}

// sumOf names the row of owner and key.
func sumOf(owner, key string) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d:%s:%s", len(owner), owner, key)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// numbered makes a number that is unique over all shards of one that is unique in its shard, and rises like it.
func numbered(tick uint64, s redisconn.Shard) uint64 {
	return tick<<8 | uint64(s.Index()) //nolint:gosec // below 256
}

func micros(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// raise notes a seq that was given.
func (l *Ledger) raise(tick uint64) {
	for {
		was := l.high.Load()
		if tick <= was || l.high.CompareAndSwap(was, tick) {
			return
		}
	}
}

// next is the least seq that may be given now.
func (l *Ledger) next() string { return strconv.FormatUint(l.high.Load()+1, 10) }
