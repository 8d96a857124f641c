package sqlitefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/zap"
)

// Options says where the file is. Only Dir is needed.
type Options struct {
	// Dir is the folder of the file; it is made if it is missing.
	Dir string
	// Log gets one line for a migration and one for each failure that stays; nil: none.
	Log *zap.Logger
	// MaxPending bounds the bytes of the ops of each kind that wait; who comes then waits for room. 0: 16 MiB.
	MaxPending int64
	// Space looks at the disk; nil: it asks the system. For tests.
	Space func() (Space, error)
	// Probe writes a little to the disk after a write failed for an unknown reason; nil: into Dir. For tests.
	Probe func() error
	// BeforeCommit is called in place of a commit that its error then fails as the disk would. For tests; nil: never.
	BeforeCommit func() error
	// Now is the clock that limits looks at the disk; nil: time.Now. For tests.
	Now func() time.Time
}

const (
	// fileName is part of what people back up: it stays.
	fileName = "imrelay.db"
	readers  = 2
	// opCost is what a waiting op costs beside its bytes.
	opCost = 256
)

// File is the open file. All methods are safe for concurrent use.
type File struct {
	path   string
	log    *zap.Logger
	lock   *flock.Flock
	gauge  gauge
	probe  func() error
	writer *writer
	ckpt   *checkpointer
	reads  chan *Tx

	failure atomic.Pointer[failure]
	closing sync.Once
	closed  atomic.Bool
	closeEr error
}

type failure struct{ err error }

// Open locks the folder and opens the file, making both if they are missing. What a crash left of the write-ahead log
// is recovered by the way. A folder that another process holds is a [*LockedError].
func Open(ctx context.Context, o Options) (*File, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make store folder: %w", err)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("find store folder: %w", err)
	}
	l, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	f, err := open(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", errors.Join(err, l.Unlock()))
	}
	f.lock = l
	return f, nil
}

func open(ctx context.Context, dir string, o Options) (*File, error) {
	f := &File{path: filepath.Join(dir, fileName), log: o.Log, reads: make(chan *Tx, readers)}
	if f.log == nil {
		f.log = zap.NewNop()
	}
	f.gauge, f.probe = gauge{look: o.Space, now: o.Now}, o.Probe
	if f.probe == nil {
		f.probe = func() error { return probe(dir) }
	}
	if f.gauge.look == nil {
		f.gauge.look = func() (Space, error) { return diskSpace(dir) }
	}
	if f.gauge.now == nil {
		f.gauge.now = time.Now
	}
	conns, err := connectAll(ctx, f.path)
	if err != nil {
		return nil, err
	}
	f.ckpt = newCheckpointer(conns[1])
	f.writer = newWriter(f, conns[0], o)
	f.ckpt.finish = f.writer.finishCheckpoint
	f.ckpt.final = func(err error) bool { return f.fate(err) == fateFinal }
	f.ckpt.broken = f.fail
	for _, tx := range conns[2:] {
		f.reads <- tx
	}
	f.writer.start()
	f.ckpt.start()
	return f, nil
}

// connectAll opens the connections: the writer's, the checkpointer's, the readers'. The writer's comes first, since it
// is the one that recovers and that makes a new file what it is.
func connectAll(ctx context.Context, path string) ([]*Tx, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	// Pages of 8 KiB are a third fewer writes a message than the usual ones: bodies fill most of them.
	common := []string{"busy_timeout=5000", "temp_store=MEMORY", "journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0"}
	sets := [][]string{
		append([]string{"page_size=8192"}, append(common, "journal_size_limit=67108864", "cache_size=-8192")...),
		append(common, "cache_size=-256"),
	}
	for range readers {
		sets = append(sets, append(common, "cache_size=-2048", "query_only=ON"))
	}
	var conns []*Tx
	for _, pragmas := range sets {
		tx, err := connect(ctx, path, pragmas...)
		if err != nil {
			return nil, errors.Join(err, closeAll(conns))
		}
		conns = append(conns, tx)
	}
	return conns, nil
}

func closeAll(conns []*Tx) error {
	var errs []error
	for _, tx := range conns {
		errs = append(errs, tx.close())
	}
	return errors.Join(errs...)
}

// Gather adds a gatherer. It must be called before the ops that rely on it.
func (f *File) Gather(g Gatherer) { f.writer.addGatherer(g) }

// Err returns what broke the file for good, wrapping ErrFailed, or ErrClosed, or nil: it is what readiness asks.
func (f *File) Err() error {
	if p := f.failure.Load(); p != nil {
		return p.err
	}
	if f.closed.Load() {
		return ErrClosed
	}
	return nil
}

// Full says whether Accept ops are refused for lack of space.
func (f *File) Full() bool { return f.gauge.full() }

// Commits counts the transactions committed since Open.
func (f *File) Commits() uint64 { return f.writer.commits.Load() }

// Path returns the path of the database file.
func (f *File) Path() string { return f.path }

func (f *File) fail(err error) {
	if f.failure.CompareAndSwap(nil, &failure{err: fmt.Errorf("%w: %w", ErrFailed, err)}) {
		f.log.Error("store failed, restart needed", zap.Error(err))
	}
}

// Do submits the op and waits until it is durable. The package comment lists the errors.
func (f *File) Do(ctx context.Context, k Kind, op Op) error {
	c, err := f.Submit(ctx, k, op)
	if err != nil {
		return err
	}
	return c.Wait(ctx)
}

// Submit queues the op for the writer and returns as soon as it stands in its order. It waits only for room.
func (f *File) Submit(ctx context.Context, k Kind, op Op) (*Commit, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	if k == Accept && f.gauge.full() {
		return nil, fmt.Errorf("%w: free space is under the reserve", ErrFull)
	}
	return f.writer.submit(ctx, k, op)
}

// Read calls fn with a read-only snapshot. A few run at once, others wait. A snapshot that stays open keeps the
// write-ahead log growing: what is long is read in pieces.
func (f *File) Read(ctx context.Context, fn func(tx *Tx) error) error {
	if err := f.Err(); err != nil {
		return err
	}
	var tx *Tx
	select {
	case tx = <-f.reads:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if tx == nil {
		return ErrClosed
	}
	defer func() { f.reads <- tx }()
	if _, err := tx.Exec("BEGIN"); err != nil {
		return f.judge(fmt.Errorf("begin read: %w", err))
	}
	err := fn(tx)
	_, rb := tx.Exec("ROLLBACK")
	return f.judge(errors.Join(err, rb))
}

// judge makes the file failed if a read met a broken disk.
func (f *File) judge(err error) error {
	if err == nil {
		return nil
	}
	if fateOf(err) == fateFinal {
		f.fail(err)
		return f.Err()
	}
	return err
}

// Close commits what waits, moves the log into the database and gives the lock back. Later calls do nothing and return
// the same. It must not be called from within an op.
func (f *File) Close() error {
	f.closing.Do(func() {
		f.closed.Store(true)
		f.ckpt.stop()
		f.writer.stop()
		f.closeEr = errors.Join(f.closeConns(), f.lock.Unlock())
	})
	return f.closeEr
}

// closeConns closes the connections, unless the file has failed: the last one to close would move the log into the
// database, and what the log holds is not known any more. They go with the process.
func (f *File) closeConns() error {
	conns := make([]*Tx, 0, readers+2)
	for range readers {
		conns = append(conns, <-f.reads)
	}
	close(f.reads)
	if f.failure.Load() != nil {
		return nil
	}
	var err error
	if !f.gauge.full() {
		err = f.writer.tx.Each("PRAGMA wal_checkpoint(TRUNCATE)", func(Row) error { return nil })
	}
	conns = append(conns, f.ckpt.tx, f.writer.tx)
	return errors.Join(err, closeAll(conns))
}
