package daemon

import (
	"context"
	"fmt"

	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// Integrity reads the whole embedded store and says what is broken in it; nil: nothing. It takes as long as reading the
// file. Redis looks after its own files.
func (s *Store) Integrity(ctx context.Context) error {
	if s.s.file == nil {
		return nil
	}
	var first string
	err := s.s.file.Read(ctx, func(tx *sqlitefile.Tx) error {
		return tx.Each("PRAGMA quick_check(1)", func(r sqlitefile.Row) error {
			first = r.Text(0)
			return nil
		})
	})
	switch {
	case err != nil:
		return fmt.Errorf("check the store: %w", err)
	case first != "ok":
		return fmt.Errorf("the store is damaged: %s", first)
	}
	return nil
}
