package queue

import (
	"context"
	"time"
)

// Sighting is one key that a store remembers.
type Sighting struct {
	Sum KeySum
	// ID is the first job with the key; empty: the message is our own.
	ID string
	// At is when it was seen.
	At time.Time
}

// Chat is one conversation of an account.
type Chat struct{ Account, Conversation string }

// Cargo is a part of what a store holds.
type Cargo struct {
	// Jobs are whole ones, with bodies; of a lane they come in its order.
	Jobs []Job
	// Sightings are keys within the dedupe window. They name no chat.
	Sightings []Sighting
	// Pauses are those in force.
	Pauses []Pause
	// Chats are the known ones (see [Inspector]).
	Chats []Chat
}

// Exporter hands out all that a store holds, so that another can take it over. Nothing may change meanwhile.
type Exporter interface {
	// Export yields the store's cargo in pieces of a bounded size, and stops at the first error of yield.
	Export(ctx context.Context, yield func(Cargo) error) error
}

// Importer takes another store's cargo over.
type Importer interface {
	// Import stores the pieces in their order. Times, attempts, states and ids stay; seqs are new. What is there already
	// is passed over, so that a broken off import can be begun anew.
	Import(ctx context.Context, c Cargo) error
}
