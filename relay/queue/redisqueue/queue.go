// Package redisqueue is the queue on Redis.
package redisqueue

import (
	"context"
	"fmt"
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
}

// Queue is the queue. It is open until Close.
type Queue struct {
	conn *redisconn.Conn
}

var (
	_ queue.Queue    = (*Queue)(nil)
	_ queue.Exporter = (*Queue)(nil)
	_ queue.Importer = (*Queue)(nil)
)

var errUnbuilt = fmt.Errorf("%w: not there yet", queue.ErrUnavailable)

// Open makes the queue of what Redis holds.
func Open(_ context.Context, conn *redisconn.Conn, _ Options) (*Queue, error) {
	return &Queue{conn: conn}, nil
}

// Close implements io.Closer.
func (q *Queue) Close() error { return nil }

// Put implements queue.Putter.
func (q *Queue) Put(context.Context, ...queue.Job) ([]queue.Placed, error) { return nil, errUnbuilt }

// Remember implements queue.Putter.
func (q *Queue) Remember(context.Context, ...queue.Key) error { return errUnbuilt }

// Take implements queue.Source.
func (q *Queue) Take(context.Context, queue.Want) (queue.Taken, error) {
	return queue.Taken{}, errUnbuilt
}

// Wake implements queue.Source.
func (q *Queue) Wake(string) <-chan struct{} { return nil }

// Settle implements queue.Source.
func (q *Queue) Settle(context.Context, queue.Lease, queue.Verdict) error { return errUnbuilt }

// Renew implements queue.Source.
func (q *Queue) Renew(context.Context, []queue.Lease) ([]queue.Lease, error) { return nil, errUnbuilt }

// Rouse implements queue.Source.
func (q *Queue) Rouse(context.Context, string) error { return errUnbuilt }

// Get implements queue.Inspector.
func (q *Queue) Get(context.Context, string) (queue.Job, error) { return queue.Job{}, errUnbuilt }

// List implements queue.Inspector.
func (q *Queue) List(context.Context, queue.Filter) (queue.Page, error) {
	return queue.Page{}, errUnbuilt
}

// Stats implements queue.Inspector.
func (q *Queue) Stats(context.Context) (map[string]queue.Counts, error) { return nil, errUnbuilt }

// Accounts implements queue.Inspector.
func (q *Queue) Accounts(context.Context, string) ([]string, error) { return nil, errUnbuilt }

// Revive implements queue.Mender.
func (q *Queue) Revive(context.Context, []string, time.Duration) (int, error) { return 0, errUnbuilt }

// Drop implements queue.Mender.
func (q *Queue) Drop(context.Context, []string) (int, error) { return 0, errUnbuilt }

// Expire implements queue.Expirer.
func (q *Queue) Expire(context.Context, string, time.Duration, string) (int, error) {
	return 0, errUnbuilt
}

// Pause implements queue.Pauser.
func (q *Queue) Pause(context.Context, queue.Scope, time.Duration, string) error { return errUnbuilt }

// Resume implements queue.Pauser.
func (q *Queue) Resume(context.Context, queue.Scope) error { return errUnbuilt }

// Pauses implements queue.Pauser.
func (q *Queue) Pauses(context.Context) ([]queue.Pause, error) { return nil, errUnbuilt }

// Sweep implements queue.Queue.
func (q *Queue) Sweep(context.Context) error { return errUnbuilt }

// Export implements queue.Exporter.
func (q *Queue) Export(context.Context, func(queue.Cargo) error) error { return errUnbuilt }

// Import implements queue.Importer.
func (q *Queue) Import(context.Context, queue.Cargo) error { return errUnbuilt }
