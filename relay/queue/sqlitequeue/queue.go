package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/clock"
	"github.com/imrelay/imrelay/relay/queue/lanes"
	"github.com/imrelay/imrelay/relay/queue/record"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// Options says how the queue behaves.
type Options struct {
	// Retention says what is kept. Zero fields: 48 h for Window and Delivered, 30 days for Dead, 1 GiB for MaxBytes.
	Retention queue.Retention
	// Lease is how long a lease lasts; 0: 10 s.
	Lease time.Duration
	// Budget bounds the bytes of bodies of waiting jobs that are kept in memory too; 0: 16 MiB, negative: none.
	Budget int64
	// Log gets what goes on in the background; nil: nothing.
	Log *zap.Logger
	// Clock is where the time comes from; nil: the system.
	Clock clock.Source
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
	if o.Budget == 0 {
		o.Budget = 16 << 20
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
}

// Queue is the queue. It is open until Close.
type Queue struct {
	file  *sqlitefile.File
	clock *clock.Clock
	keep  queue.Retention
	log   *zap.Logger

	closed atomic.Bool
	quit   chan struct{}
	tasks  sync.WaitGroup

	books *books
	seen  *seen
	names laneNames
	pile  pile

	sweeping sync.Mutex
	broom    broom

	mu     sync.Mutex
	set    *lanes.Set
	cache  cache
	held   map[uint64]*record.Record // of leased jobs, as last committed
	pauses map[queue.Scope]pause
}

type pause struct {
	until  clock.Time // 0: until Resume
	reason string
}

var _ queue.Queue = (*Queue)(nil)

// Open makes the queue of the file's tables, and the tables if they are missing. The file stays the caller's to close,
// after the queue.
func Open(ctx context.Context, f *sqlitefile.File, o Options) (*Queue, error) {
	o.fill()
	if err := f.Migrate(ctx, schema); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	q := &Queue{
		file: f, keep: o.Retention, log: o.Log, quit: make(chan struct{}),
		cache: cache{room: o.Budget, records: map[uint64]*record.Record{}},
		held:  map[uint64]*record.Record{}, pauses: map[queue.Scope]pause{},
	}
	q.pile.acks = map[ackKind][]*record.Record{}
	q.names.ids = map[queue.Lane]int64{}
	if err := q.rebuild(ctx, o); err != nil {
		return nil, fmt.Errorf("read queue: %w", err)
	}
	f.Gather(&q.pile)
	f.Gather(q.books)
	f.Gather(q.seen)
	f.Gather(&q.names)
	q.tasks.Go(q.tend)
	return q, nil
}

// tend moves keys into their tables when enough have gathered, and fills the filters of the tables.
func (q *Queue) tend() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	q.tasks.Go(func() {
		<-q.quit
		cancel()
	})
	if err := q.seen.fill(ctx); err != nil && ctx.Err() == nil {
		q.log.Warn("key filters not filled", zap.Error(err))
	}
	for {
		select {
		case <-q.quit:
			return
		case <-q.seen.ripe:
		}
		if err := q.seen.merge(ctx); err != nil && ctx.Err() == nil {
			q.log.Warn("keys not moved", zap.Error(err))
		}
	}
}

// Close ends the queue's work and saves where its clock is. It does not close the file. Later calls do nothing.
func (q *Queue) Close() error {
	if !q.closed.CompareAndSwap(false, true) {
		return nil
	}
	close(q.quit)
	q.tasks.Wait()
	if q.file.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := q.saveState(ctx); err != nil {
		return fmt.Errorf("close queue: %w", err)
	}
	return nil
}

// check says whether a call may begin.
func (q *Queue) check(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if q.closed.Load() {
		return fmt.Errorf("%w: closed", queue.ErrUnavailable)
	}
	if err := q.file.Err(); err != nil {
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
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

// cache keeps records of waiting jobs with their bodies. Its owner has the lock.
type cache struct {
	room    int64
	records map[uint64]*record.Record
}

// recordCost is what a cached record costs beside its bytes.
const recordCost = 512

func cost(r *record.Record) int64 { return int64(len(r.Body)+len(r.Meta)) + recordCost }

// add keeps the record if there is room.
func (c *cache) add(r *record.Record) {
	if n := cost(r); n <= c.room {
		c.room -= n
		c.records[r.Seq] = r
	}
}

func (c *cache) remove(seq uint64) {
	if r := c.records[seq]; r != nil {
		c.room += cost(r)
		delete(c.records, seq)
	}
}

// replace updates a record that is kept.
func (c *cache) replace(r *record.Record) {
	if c.records[r.Seq] != nil {
		c.remove(r.Seq)
		c.add(r)
	}
}
