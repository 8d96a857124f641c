package redisqueue

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// Options says how the queue behaves.
type Options struct {
	// Retention says what is kept. Zero fields: 48 h for Window and Delivered, 30 days for Dead, 1 GiB for MaxBytes.
	Retention queue.Retention
	// Lease is how long a lease lasts; 0: 10 s.
	Lease time.Duration
	// Log gets what goes on in the background; nil: nothing.
	Log *zap.Logger
	// Clock is the local clock; nil: the system's. Only the suites give another, that of the connection.
	Clock func() time.Time
}

func (o *Options) fill() {
	orDuration := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	orDuration(&o.Retention.Window, 48*time.Hour)
	orDuration(&o.Retention.Delivered, 48*time.Hour)
	orDuration(&o.Retention.Dead, 30*24*time.Hour)
	orDuration(&o.Lease, 10*time.Second)
	if o.Retention.MaxBytes <= 0 {
		o.Retention.MaxBytes = 1 << 30
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
}

// slack is how much longer Redis keeps a key than it counts.
const slack = time.Hour

// Queue is the queue. It is open until Close.
type Queue struct {
	conn  *redisconn.Conn
	keep  queue.Retention
	lease time.Duration
	log   *zap.Logger
	clock func() time.Time

	id    string // of this queue among all
	calls atomic.Uint64

	importing atomic.Bool // Import was called

	closed atomic.Bool
	quit   chan struct{}
	tasks  sync.WaitGroup
	tell   chan struct{} // capacity 1: a shard became dirty that others may have to hear of

	mu    sync.Mutex
	desks map[string]*desk
}

var (
	_ queue.Queue    = (*Queue)(nil)
	_ queue.Exporter = (*Queue)(nil)
	_ queue.Importer = (*Queue)(nil)
)

// Open makes the queue of what Redis holds. The connection stays the caller's to close, after the queue.
func Open(ctx context.Context, conn *redisconn.Conn, o Options) (*Queue, error) {
	o.fill()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("make an id of the queue: %w", err)
	}
	q := &Queue{
		conn: conn, keep: o.Retention, lease: o.Lease, log: o.Log, clock: o.Clock, id: hex.EncodeToString(id[:]),
		quit: make(chan struct{}), tell: make(chan struct{}, 1), desks: map[string]*desk{},
	}
	conn.Subscribe(channel, q.hear)
	q.tasks.Go(q.look)
	q.tasks.Go(q.tellOthers)
	return q, nil
}

// Close ends the queue's work. It does not close the connection. Later calls do nothing.
func (q *Queue) Close() error {
	if q.closed.CompareAndSwap(false, true) {
		close(q.quit)
		q.tasks.Wait()
	}
	return nil
}

// nonce returns what tells one call from all others.
func (q *Queue) nonce() string { return q.id + "." + strconv.FormatUint(q.calls.Add(1), 36) }

// do runs one script.
func (q *Queue) do(ctx context.Context, call redisconn.Call) (any, error) {
	replies, err := q.all(ctx, []redisconn.Call{call})
	if err != nil {
		return nil, err
	}
	return replies[0], nil
}

// all runs the scripts.
func (q *Queue) all(ctx context.Context, calls []redisconn.Call) ([]any, error) {
	if err := q.check(ctx); err != nil {
		return nil, err
	}
	return q.conn.All(ctx, calls...)
}

// everywhere runs the script in every shard.
func (q *Queue) everywhere(ctx context.Context, s *redisconn.Script, args ...any) ([]any, error) {
	shards := q.conn.Shards()
	calls := make([]redisconn.Call, len(shards))
	for i, shard := range shards {
		calls[i] = redisconn.Call{Script: s, Shard: shard, Args: args}
	}
	return q.all(ctx, calls)
}

// check says whether a call may begin.
func (q *Queue) check(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if q.closed.Load() {
		return fmt.Errorf("%w: closed", queue.ErrUnavailable)
	}
	return nil
}

// explain wraps an error with what was done, and as ErrUnavailable where it is the store's.
func explain(what string, err error) error {
	for _, known := range []error{
		context.Canceled, context.DeadlineExceeded,
		queue.ErrState, queue.ErrNotFound, queue.ErrLeaseLost, queue.ErrUnavailable,
	} {
		if errors.Is(err, known) {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return fmt.Errorf("%s: %w: %w", what, queue.ErrUnavailable, err)
}
