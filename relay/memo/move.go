package memo

import (
	"context"
	"time"
)

// Note is a value that is remembered.
type Note struct {
	Key
	Value []byte
	// Over is when its time is over.
	Over time.Time
}

// Exporter hands out all notes whose time is not over, so that another store can take them over. Nothing may change
// meanwhile.
type Exporter interface {
	// Export yields the notes in pieces of a bounded size, in no order, and stops at the first error of yield. A note may be
	// handed out twice.
	Export(ctx context.Context, yield func([]Note) error) error
}

// Importer takes another store's notes over.
type Importer interface {
	// Import stores the notes until their time is over. What is there already is passed over, so that a broken off import
	// can be begun anew.
	Import(ctx context.Context, notes []Note) error
}
