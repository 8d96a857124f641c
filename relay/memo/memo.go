// Package memo is what adapters remember beside events and sends: small values under names, each for a time. A token that
// was changed by its issuer, a conversation's last lines, a run that an agent has not ended. It survives restarts, and
// relays that share a store share it. It is no place for messages: what must not be lost is in the queue and the ledger.
package memo

import (
	"context"
	"errors"
	"io"
	"time"
)

// Errors that callers branch on.
var (
	// ErrUnavailable says that the store cannot do it now.
	ErrUnavailable = errors.New("memory unavailable")
	// ErrTooLarge says that the value is over MaxValue. Nothing was changed.
	ErrTooLarge = errors.New("value too large to remember")
)

// MaxValue bounds one value, in bytes.
const MaxValue = 256 << 10

// Key names a value.
type Key struct {
	// Owner is the adapter that the value belongs to: "agent/astrbot".
	Owner string
	// Name tells the owner's values apart.
	Name string
}

// Store remembers. Its methods are safe for concurrent use; errors other than those named wrap ErrUnavailable.
type Store interface {
	// Load returns the value that was last saved; nil: none was, or its time is over.
	Load(ctx context.Context, k Key) ([]byte, error)
	// Save keeps the value in place of an earlier one, for that long from now, and returns when that is durable. A nil
	// value forgets the key, and so does no time at all. A Save that failed may have been done all the same, but not once a
	// later one through the same Store has returned.
	Save(ctx context.Context, k Key, value []byte, keep time.Duration) error
	// Sweep removes what is over.
	Sweep(ctx context.Context) error
	io.Closer
}
