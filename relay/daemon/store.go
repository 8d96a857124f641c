package daemon

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/sqlitequeue"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// embeddedLease is how long the embedded store waits before it gives an unsettled event out again. Its only process is
// the one that holds the lease, so it is there for a mistake of ours, not for a crash: that ends all leases at once.
const embeddedLease = time.Minute

// LockedError says that another process has the store open.
type LockedError = sqlitefile.LockedError

// embedded is the store in one file: the queue and the ledger on it.
type embedded struct {
	file   *sqlitefile.File
	queue  *sqlitequeue.Queue
	ledger *sqlitededupe.Ledger
}

// openStore opens the embedded store, or refuses if another process has it.
func openStore(ctx context.Context, cfg config.Config, log *zap.Logger) (*embedded, error) {
	file, err := sqlitefile.Open(ctx, sqlitefile.Options{Dir: cfg.Data, Log: log})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	s := &embedded{file: file}
	s.queue, err = sqlitequeue.Open(ctx, file, sqlitequeue.Options{
		Retention: retentionOf(cfg), Lease: embeddedLease, Log: log,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the queue: %w", err), file.Close())
	}
	s.ledger, err = sqlitededupe.New(ctx, file, sqlitededupe.Options{Window: cfg.Dedupe.Window, Log: log})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the send ledger: %w", err), s.queue.Close(), file.Close())
	}
	return s, nil
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
func (s *embedded) ready(context.Context) error { return s.file.Err() }

// Close closes all of it, the file last.
func (s *embedded) Close() error {
	return errors.Join(s.ledger.Close(), s.queue.Close(), s.file.Close())
}

// Store is a store that no relay runs on, opened by a command.
type Store struct {
	queue.Inspector
	queue.Mender

	s *embedded
}

// OpenStore opens the store of a relay that is not running. While it is open no relay can start on it.
func OpenStore(ctx context.Context, cfg config.Config, log *zap.Logger) (*Store, error) {
	s, err := openStore(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	return &Store{Inspector: s.queue, Mender: s.queue, s: s}, nil
}

// Close gives the store back.
func (s *Store) Close() error { return s.s.Close() }
