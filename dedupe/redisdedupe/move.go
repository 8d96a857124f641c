package redisdedupe

import (
	"context"

	"github.com/imrelay/imrelay/dedupe"
)

// Export implements [dedupe.Exporter].
func (l *Ledger) Export(context.Context, func([]dedupe.Stored) error) error { return nil }

// Import implements [dedupe.Importer].
func (l *Ledger) Import(context.Context, []dedupe.Stored) error { return nil }
