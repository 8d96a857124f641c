// Package redisdedupe is the send ledger that many relays share on one Redis.
package redisdedupe

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn"
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
}

var (
	_ dedupe.Store    = (*Ledger)(nil)
	_ dedupe.Exporter = (*Ledger)(nil)
	_ dedupe.Importer = (*Ledger)(nil)
)

var errUnbuilt = fmt.Errorf("%w: not there yet", dedupe.ErrUnavailable)

// Open makes the ledger of what Redis holds. Closing it leaves the connection open.
func Open(_ context.Context, conn *redisconn.Conn, o Options) (*Ledger, error) {
	return &Ledger{conn: conn, o: o}, nil
}

// Claim implements [dedupe.Ledger].
func (l *Ledger) Claim(context.Context, dedupe.Claim) (dedupe.Entry, error) {
	return dedupe.Entry{}, errUnbuilt
}

// Start implements [dedupe.Ledger].
func (l *Ledger) Start(context.Context, dedupe.Entry, []byte) error { return errUnbuilt }

// Note implements [dedupe.Ledger].
func (l *Ledger) Note(context.Context, dedupe.Entry, []byte) error { return errUnbuilt }

// Finish implements [dedupe.Ledger].
func (l *Ledger) Finish(context.Context, dedupe.Entry, dedupe.Status, []byte) error { return errUnbuilt }

// Release implements [dedupe.Ledger].
func (l *Ledger) Release(context.Context, dedupe.Entry, []byte) error { return errUnbuilt }

// Take implements [dedupe.Mailbox].
func (l *Ledger) Take(context.Context, int) ([]dedupe.Entry, error) { return nil, errUnbuilt }

// Find implements [dedupe.Mailbox].
func (l *Ledger) Find(context.Context, string, string) (dedupe.Entry, error) {
	return dedupe.Entry{}, errUnbuilt
}

// Renew implements [dedupe.Mailbox].
func (l *Ledger) Renew(context.Context, []dedupe.Entry) ([]dedupe.Entry, error) { return nil, errUnbuilt }

// Waiting implements [dedupe.Mailbox].
func (l *Ledger) Waiting(context.Context) (int, error) { return 0, errUnbuilt }

// Abandon implements [dedupe.Mailbox]. It does nothing: the lease ends what its holder does not.
func (l *Ledger) Abandon(dedupe.Entry) {}

// Sweep implements [dedupe.Store].
func (l *Ledger) Sweep(context.Context) error { return errUnbuilt }

// Close implements [dedupe.Store].
func (l *Ledger) Close() error { return nil }

// Export implements [dedupe.Exporter].
func (l *Ledger) Export(context.Context, func([]dedupe.Stored) error) error { return errUnbuilt }

// Import implements [dedupe.Importer].
func (l *Ledger) Import(context.Context, []dedupe.Stored) error { return errUnbuilt }
