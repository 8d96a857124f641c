package dedupe

import (
	"context"
	"time"
)

// Stored is a row as it stands without a holder.
type Stored struct {
	// Entry's Status is Waiting, Done, Unknown or Failed; its Token is 0.
	Entry
	// Over is when its window ends; zero: it waits.
	Over time.Time
}

// Exporter hands out all rows, so that another ledger can take them over. Nothing may change meanwhile.
type Exporter interface {
	// Export yields the rows in pieces of a bounded size, waiting ones in order of acceptance, and stops at the first error
	// of yield.
	Export(ctx context.Context, yield func([]Stored) error) error
}

// Importer takes another ledger's rows over.
type Importer interface {
	// Import stores the rows in their order, under new seqs. A row that is there already is passed over.
	Import(ctx context.Context, rows []Stored) error
}
