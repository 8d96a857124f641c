package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/outbound/limit/redislimit"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/memo/redismemo"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
	"github.com/imrelay/imrelay/relay/seat/redisseat"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

const (
	// sharedLease is how long an event, a send or a seat is left to a relay that is not heard of any more.
	sharedLease = 10 * time.Second
	// redisPatience is how long a start waits for Redis: the machine's services may start in any order, and a large one
	// loads for a while.
	redisPatience = 30 * time.Second
	redisAgain    = 500 * time.Millisecond
	// neighbourWait is how long another relay on the same data folder has to answer.
	neighbourWait = time.Second
)

// share opens the store in Redis.
func (s *store) share(ctx context.Context, cfg config.Config, o Options) error {
	open := dial
	if o.visit {
		open = visit
	}
	conn, err := open(ctx, cfg, o)
	if err != nil {
		return err
	}
	s.conn = conn
	s.undo.add("redis", conn.Close)
	q, err := redisqueue.Open(ctx, conn, redisqueue.Options{Retention: retentionOf(cfg), Lease: sharedLease, Log: o.Log})
	if err != nil {
		return fmt.Errorf("open the queue: %w", err)
	}
	s.queue = q
	s.undo.add("queue", q.Close)
	l, err := redisdedupe.Open(ctx, conn, redisdedupe.Options{Window: cfg.Dedupe.Window, Lease: sharedLease, Log: o.Log})
	if err != nil {
		return fmt.Errorf("open the send ledger: %w", err)
	}
	s.ledger, s.lease = l, sharedLease
	s.undo.add("send ledger", l.Close)
	s.limiter = redislimit.New(conn, redislimit.Options{Log: o.Log})
	m := redismemo.New(conn)
	s.memos, s.seats = m, redisseat.New(conn, redisseat.Options{Lease: sharedLease, Log: o.Log})
	s.undo.add("memory of adapters", m.Close)
	return nil
}

// dial connects, and waits for a Redis that is not up yet.
func dial(ctx context.Context, cfg config.Config, o Options) (*redisconn.Conn, error) {
	patience, cancel := context.WithTimeout(ctx, redisPatience)
	defer cancel()
	var last error
	for {
		conn, err := redisconn.Open(patience, redisconn.Options{
			URL: cfg.Redis, Insecure: o.Insecure, Log: o.Log,
		})
		if err == nil {
			if err := examine(ctx, cfg, conn, o.Log); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			return conn, nil
		}
		if e := lasting(err); e != nil {
			return nil, cfg.Mistake("redis", e.Error())
		}
		if last != nil && ctx.Err() != context.Canceled && patience.Err() != nil {
			return nil, fmt.Errorf("open the store: %w", last)
		}
		if !errors.Is(err, redisconn.ErrUnavailable) || errors.Is(err, redisconn.ErrMoving) {
			return nil, fmt.Errorf("open the store: %w", err)
		}
		if last == nil {
			o.Log.Warn("Redis is not there yet; waiting for it", zap.String("event", "store.waiting"), zap.Error(err))
		}
		last = err
		select {
		case <-patience.Done():
			return nil, fmt.Errorf("open the store: %w", err)
		case <-time.After(redisAgain):
		}
	}
}

// visit connects for a command: it waits for nothing, leaves no mark and does not count as a relay.
func visit(ctx context.Context, cfg config.Config, o Options) (*redisconn.Conn, error) {
	conn, err := redisconn.Open(ctx, redisconn.Options{URL: cfg.Redis, Moving: true, Log: o.Log})
	if err != nil {
		if e := lasting(err); e != nil {
			return nil, cfg.Mistake("redis", e.Error())
		}
		return nil, fmt.Errorf("open the store: %w", err)
	}
	if err := fit(ctx, cfg, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// fit says whether the data is as the configuration says, and at rest.
func fit(ctx context.Context, cfg config.Config, conn *redisconn.Conn) error {
	layout, err := conn.Layout(ctx)
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	if err := layout.Fits(len(conn.Shards())); err != nil {
		return cfg.Mistake("redis", err.Error())
	}
	if layout.Mover != "" {
		return fmt.Errorf("open the store: %w", redisconn.ErrMoving)
	}
	return nil
}

// lasting returns the part of the error that another configuration, or an operator, has to heal, for waiting does not;
// nil: there is none.
func lasting(err error) error {
	if e, ok := errors.AsType[*redisconn.LayoutError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*redisconn.VersionError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*redisconn.URLError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*redisconn.RefusedError](err); ok {
		return e
	}
	return nil
}

// examine looks at how Redis is set up, and refuses what only another configuration can heal.
func examine(ctx context.Context, cfg config.Config, conn *redisconn.Conn, log *zap.Logger) error {
	facts, err := conn.Facts(ctx)
	if err != nil {
		return fmt.Errorf("look at Redis: %w", err)
	}
	var errs []error
	for _, p := range facts.Problems() {
		fields := []zap.Field{zap.String("event", "store.doubtful"), zap.String("hint", p.Hint)}
		switch p.Severity {
		case redisconn.SeverityWarning:
			log.Warn(p.Text, fields...)
		case redisconn.SeverityOutage:
			log.Error(p.Text, fields...)
		case redisconn.SeverityError:
			errs = append(errs, cfg.Mistake("redis", p.Text+"; "+p.Hint))
		}
	}
	if err := config.Merge(errs...); err != nil {
		return err
	}
	log.Info("store is Redis", zap.String("event", "store.opened"), zap.String("version", facts.Version),
		zap.String("mode", facts.Mode.String()), zap.Int("shards", len(conn.Shards())), zap.String("loss", facts.Loss()))
	return nil
}

// alone refuses a data folder whose run file is another relay's: the commands could not tell the two apart.
func alone(ctx context.Context, dir string) error {
	run, err := ReadRunFile(dir)
	if err != nil || run.PID == os.Getpid() {
		return nil // no run file, or one that nobody can read, is nobody's
	}
	ctx, cancel := context.WithTimeout(ctx, neighbourWait)
	defer cancel()
	if !takes(ctx, run.URL, run.AdminToken) || takes(ctx, run.URL, rand.Text()) {
		return nil // its process or its port is somebody else's by now
	}
	return &LockedError{PID: run.PID}
}

// takes says whether a relay answers there that takes the admin token. Its store may be away.
func takes(ctx context.Context, url, token string) bool {
	_, err := httpapi.NewClient(url, secret.New(token), &http.Client{}).List(ctx, queue.Filter{Limit: 1})
	return err == nil || errors.Is(err, queue.ErrUnavailable)
}
