package dedupe

import (
	"context"
	"errors"
	"io"
	"time"
)

// Errors that callers branch on.
var (
	// ErrLost says that the entry is no longer the caller's. Nothing was changed.
	ErrLost = errors.New("claim lost")
	// ErrNotFound says that no row has the id.
	ErrNotFound = errors.New("no such message")
	// ErrUnavailable says that the ledger cannot do it now: full, failed, closed or out of reach.
	ErrUnavailable = errors.New("ledger unavailable")
)

// Status is what Claim found, and where a row stands.
type Status uint8

// The states.
const (
	Claimed  Status = iota + 1 // the caller's to send: a new key, or one that was free again
	Running                    // another holds it (claimed or started)
	Waiting                    // queued to be sent in the background
	Done                       // sent; Record says how
	Unknown                    // it may have been sent; Record says what is known
	Failed                     // a background send was refused for good; Record says why
	Conflict                   // the key was used with another digest
)

var statusNames = [...]string{
	Claimed: "claimed", Running: "running", Waiting: "waiting", Done: "done", Unknown: "unknown", Failed: "failed",
	Conflict: "conflict",
}

// String returns the status in one word.
func (s Status) String() string {
	if s < Claimed || s > Conflict {
		return "none"
	}
	return statusNames[s]
}

// Claim asks for a key.
type Claim struct {
	// Owner is the client that the key belongs to. The same key of two owners is two keys.
	Owner string
	// Key is the idempotency key. It is never empty: who has none uses the message's ID.
	Key string
	// ID is the message's id, unique; it is kept only if the claim makes a new row.
	ID string
	// Lane is what background sends keep their order in: account and recipient.
	Lane string
	// Digest is what "the same content" means.
	Digest [32]byte
	// Payload, when not nil, makes it a background send: the row is the queued message, and Claim leaves it Waiting.
	Payload []byte
	// Resend claims a row whose outcome is Unknown.
	Resend bool
}

// Entry is one row, as of the call that returned it.
type Entry struct {
	Owner, Key, ID, Lane string
	Digest               [32]byte
	// Status is what the call found. Only a Claimed entry may be given to Start, Note, Finish and Release.
	Status Status
	// Token fences a late holder.
	Token uint64
	// Seq is the order of acceptance among background sends.
	Seq uint64
	// Record is what Start, Note, Finish or Release stored last; nil at first.
	Record []byte
	// Payload is the queued message; nil for a sync one, and forgotten by Finish.
	Payload []byte
	// Accepted is when the row was made.
	Accepted time.Time
}

// Ledger is the send memory. Every method returns when its change is durable, is one commit, and is safe for
// concurrent use. Errors other than those named wrap ErrUnavailable.
type Ledger interface {
	// Claim looks at the key and takes it if it can be had: no row, a row whose window is over, a lapsed claim, a
	// Failed one, or an Unknown one with Resend. Entry.Status tells: Claimed (Record is what an earlier, released try
	// left), Waiting (a payload was given, or the key is a queued send that waits), Running, Done, Unknown, Failed is
	// never returned, Conflict. Of many concurrent claims of one key exactly one gets it.
	Claim(ctx context.Context, c Claim) (Entry, error)
	// Start is called just before the first byte goes to the IM. From here a lost holder means Unknown.
	Start(ctx context.Context, e Entry, record []byte) error
	// Note stores that what was started has a known end and nothing is under way: a part was sent, more may follow.
	Note(ctx context.Context, e Entry, record []byte) error
	// Finish ends the row as Done, Unknown or Failed; it is kept for the window from now. It is still good when the
	// lease of a started row has lapsed and nobody has claimed the row since: what is known is worth keeping.
	Finish(ctx context.Context, e Entry, s Status, record []byte) error
	// Release gives the key back: surely not sent. With a record (earlier parts were sent) the row stays, so that the
	// next claim goes on from there; with nil it is as if the key had never been used. A background send is Waiting
	// again.
	Release(ctx context.Context, e Entry, record []byte) error
}

// Mailbox is the part of the ledger that background sends need.
type Mailbox interface {
	// Take claims up to limit Waiting rows in order of acceptance, skipping lanes of which an earlier row is held. The rows
	// come back Claimed.
	Take(ctx context.Context, limit int) ([]Entry, error)
	// Find returns the owner's row with the id, whatever its status (Running for a held one), or ErrNotFound.
	Find(ctx context.Context, owner, id string) (Entry, error)
	// Renew prolongs claims and returns those still held.
	Renew(ctx context.Context, es []Entry) ([]Entry, error)
	// Waiting counts the Waiting rows.
	Waiting(ctx context.Context) (int, error)
	// Abandon ends a claim whose holder cannot store what became of it: the row becomes what it would be if the holder
	// had been lost. It writes nothing and never blocks. A store whose leases lapse may leave it to them.
	Abandon(e Entry)
}

// Store is all that an implementation offers.
type Store interface {
	Ledger
	Mailbox
	// Sweep removes rows whose window is over.
	Sweep(ctx context.Context) error
	io.Closer
}
