package sqlitequeue

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// found is a key and what is known of it.
type found struct {
	key  key
	seen sighting
}

// merge moves the keys that have gathered into the tables of their periods. A crash on the way costs nothing: what was
// moved is not moved again, and until the end the keys are still in the rows of their jobs.
func (s *seen) merge(ctx context.Context) error {
	select {
	case s.moving <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-s.moving }()
	batch, top, err := s.snapshot(ctx)
	if err != nil {
		return err
	}
	for period, fs := range byPeriod(batch) {
		for chunk := range slices.Chunk(fs, moveKeys) {
			if err := s.move(ctx, period, chunk); err != nil {
				return err
			}
		}
	}
	return s.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{
		Do: func(tx *sqlitefile.Tx) error {
			_, err := tx.Exec(`UPDATE queue_state SET merged = max(merged, ?)`, top)
			return err
		},
		Done: func() { s.merged = max(s.merged, top) },
	})
}

// snapshot returns the gathered keys, and the newest job up to which they are all.
func (s *seen) snapshot(ctx context.Context) (batch []found, top uint64, err error) {
	err = s.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: func(*sqlitefile.Tx) error {
		batch, top = make([]found, 0, len(s.staged)), s.merged
		for k, g := range s.staged {
			batch = append(batch, found{k, g})
			top = max(top, g.seq)
		}
		return nil
	}})
	return batch, top, err
}

// byPeriod sorts the keys about as their tables do: what is near there is moved together.
func byPeriod(batch []found) map[int64][]found {
	slices.SortFunc(batch, func(a, b found) int { return cmp.Compare(a.key.hi, b.key.hi) })
	all := map[int64][]found{}
	for _, f := range batch {
		p := periodOf(f.seen.at)
		all[p] = append(all[p], f)
	}
	return all
}

func (s *seen) move(ctx context.Context, period int64, chunk []found) error {
	return s.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{
		Do: func(tx *sqlitefile.Tx) error {
			t, err := s.table(tx, period)
			if err != nil {
				return err
			}
			for _, f := range chunk {
				if err := t.store(tx, f.key, f.seen, false); err != nil {
					return err
				}
			}
			return nil
		},
		Done: func() {
			s.adopt()
			for _, f := range chunk {
				if s.staged[f.key].seq == f.seen.seq {
					delete(s.staged, f.key)
				}
			}
		},
	})
}

// fill reads the keys of the tables that were there before, so that their filters can say "surely not".
func (s *seen) fill(ctx context.Context) error {
	var tables []*keyTable
	err := s.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: func(*sqlitefile.Tx) error {
		tables = slices.Clone(s.tables)
		return nil
	}})
	if err != nil {
		return err
	}
	for _, t := range tables {
		if err := s.fillTable(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (s *seen) fillTable(ctx context.Context, t *keyTable) error {
	for from, next := int64(math.MinInt64), int64(0); ; from = next {
		var keys []key
		err := s.file.Read(ctx, func(tx *sqlitefile.Tx) error {
			return tx.Each(`SELECT hi, lo FROM `+t.name+` WHERE hi > ? ORDER BY hi LIMIT ?`, func(r sqlitefile.Row) error {
				keys, next = append(keys, key{r.Uint(0), r.Uint(1)}), r.Int(0)
				return nil
			}, from, fillKeys)
		})
		if err != nil {
			return err
		}
		last := len(keys) < fillKeys
		err = s.file.Do(ctx, sqlitefile.Settle, &sqlitefile.Func{Do: func(*sqlitefile.Tx) error {
			for _, k := range keys {
				t.filter.add(k)
			}
			t.filter.ready = t.filter.ready || last
			return nil
		}})
		if err != nil || last {
			return err
		}
	}
}
