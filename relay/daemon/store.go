package daemon

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/memo/sqlitememo"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
	"github.com/imrelay/imrelay/relay/seat"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// embeddedLease is how long the embedded store waits before it gives an unsettled event out again. Its only process is
// the one that holds the lease, so it is there for a mistake of ours, not for a crash: that ends all leases at once.
const embeddedLease = time.Minute

// LockedError says that another process has the store open.
type LockedError = sqlitefile.LockedError

// store is what a relay keeps everything in: a file of its own, or a Redis that it shares with others.
type store struct {
	queue   queue.Queue
	ledger  dedupe.Store
	limiter outbound.Limiter
	// memos is what adapters remember, seats is who may do what only one relay may do at a time.
	memos memo.Store
	seats seat.Keeper
	// lease is how long the ledger counts with a relay that it does not hear of; 0: for good.
	lease time.Duration
	// file is the embedded store's, conn the shared one's; the other is nil.
	file *sqlitefile.File
	conn *redisconn.Conn

	undo teardown
}

// openStore opens the store that the configuration names.
func openStore(ctx context.Context, cfg config.Config, o Options) (*store, error) {
	s := &store{}
	open := s.embed
	if !cfg.Redis.IsZero() {
		open = s.share
	}
	if err := open(ctx, cfg, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// embed opens the store in the data folder, or refuses if another process has it.
func (s *store) embed(ctx context.Context, cfg config.Config, o Options) error {
	file, err := sqlitefile.Open(ctx, sqlitefile.Options{Dir: cfg.Data, Log: o.Log})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	s.file = file
	s.undo.add("store file", file.Close)
	q, err := sqlitequeue.Open(ctx, file, sqlitequeue.Options{
		Retention: retentionOf(cfg), Lease: embeddedLease, Log: o.Log,
	})
	if err != nil {
		return fmt.Errorf("open the queue: %w", err)
	}
	s.queue = q
	s.undo.add("queue", q.Close)
	l, err := sqlitededupe.New(ctx, file, sqlitededupe.Options{Window: cfg.Dedupe.Window, Log: o.Log})
	if err != nil {
		return fmt.Errorf("open the send ledger: %w", err)
	}
	s.ledger, s.limiter = l, new(limit.Limiter)
	s.undo.add("send ledger", l.Close)
	m, err := sqlitememo.New(ctx, file, sqlitememo.Options{})
	if err != nil {
		return fmt.Errorf("open the memory of adapters: %w", err)
	}
	s.memos, s.seats = m, seat.Alone{}
	s.undo.add("memory of adapters", m.Close)
	return nil
}

// folder makes the data folder, which the embedded store makes for itself.
func folder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	return nil
}

// retentionOf is the configured retention in the queue's words, to which 0 means the default.
func retentionOf(cfg config.Config) queue.Retention {
	r := queue.Retention{
		Window: cfg.Dedupe.Window, Delivered: max(cfg.Retention.Delivered, time.Millisecond),
		MaxBytes: int64(cfg.Retention.MaxBytes), Dead: cfg.Retention.Dead,
	}
	if r.MaxBytes == 0 {
		r.MaxBytes = math.MaxInt64
	}
	if r.Dead == 0 {
		r.Dead = math.MaxInt64
	}
	return r
}

// ready says why the store takes nothing; nil: it does.
func (s *store) ready(ctx context.Context) error {
	if s.file != nil {
		return s.file.Err()
	}
	return s.conn.Ready(ctx)
}

// Close closes all of it, what was opened first last.
func (s *store) Close() error { return s.undo.run() }

// Store is a store that a command opens: an embedded one that no relay runs on, or a shared one.
type Store struct {
	queue.Inspector
	queue.Mender

	s *store
}

// OpenStore opens the configured store. While an embedded one is open no relay can start on it.
func OpenStore(ctx context.Context, cfg config.Config, log *zap.Logger) (*Store, error) {
	s, err := openStore(ctx, cfg, Options{Log: log, visit: true})
	if err != nil {
		return nil, err
	}
	return &Store{Inspector: s.queue, Mender: s.queue, s: s}, nil
}

// Close gives the store back.
func (s *Store) Close() error { return s.s.Close() }
