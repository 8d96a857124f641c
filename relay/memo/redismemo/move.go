package redismemo

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// pieceBytes bounds what one run of a script hands out or takes over, but for the last value.
const pieceBytes = 1 << 20

// noteCost is what a note takes beside its name and value.
const noteCost = 256

// Export implements [memo.Exporter].
func (s *Store) Export(ctx context.Context, yield func([]memo.Note) error) error {
	if err := s.enter(ctx); err != nil {
		return fail("export notes", err)
	}
	var refused error // of yield, which is not ours to name
	err := s.conn.EachKey(ctx, func(shard redisconn.Shard, names []string) error {
		names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, family) })
		for len(names) > 0 {
			notes, seen, err := s.piece(ctx, shard, names)
			if err != nil {
				return err
			}
			names = names[seen:]
			if len(notes) == 0 {
				continue
			}
			if refused = yield(notes); refused != nil {
				return refused
			}
		}
		return nil
	})
	switch {
	case refused != nil:
		return refused
	case err != nil:
		return fail("export notes", err)
	}
	return nil
}

// piece reads the first notes of those names, and says how many names that were.
func (s *Store) piece(ctx context.Context, shard redisconn.Shard, names []string) ([]memo.Note, int, error) {
	args := []any{pieceBytes}
	for _, n := range names {
		args = append(args, strings.TrimPrefix(n, family))
	}
	reply, err := s.do(ctx, redisconn.Call{Script: notesScript, Shard: shard, Args: args})
	if err != nil {
		return nil, 0, err
	}
	parts, _ := reply.([]any)
	if len(parts)%3 != 1 {
		return nil, 0, errReply
	}
	seen, _ := parts[0].(int64)
	if seen < 1 || seen > int64(len(names)) {
		return nil, 0, errReply
	}
	var notes []memo.Note
	for part := range slices.Chunk(parts[1:], 3) {
		n, err := noteOf(part)
		if err != nil {
			return nil, 0, err
		}
		notes = append(notes, n)
	}
	return notes, int(seen), nil
}

// noteOf reads name, end and value.
func noteOf(part []any) (memo.Note, error) {
	name, _ := part[0].(string)
	end, _ := part[1].(string)
	value, ok := part[2].(string)
	k, known := keyOf(name)
	over, err := strconv.ParseInt(end, 10, 64)
	if !ok || !known || err != nil {
		return memo.Note{}, errReply
	}
	return memo.Note{Key: k, Value: []byte(value), Over: time.UnixMicro(over)}, nil
}

// Import implements [memo.Importer].
func (s *Store) Import(ctx context.Context, notes []memo.Note) error {
	if err := s.enter(ctx); err != nil {
		return fail("import notes", err)
	}
	for len(notes) > 0 {
		calls, n := map[redisconn.Shard]redisconn.Call{}, 0
		for size := 0; n < len(notes) && size < pieceBytes; n++ {
			size += noteCost + len(notes[n].Name) + len(notes[n].Value)
			s.include(calls, notes[n])
		}
		var all []redisconn.Call
		for _, c := range calls {
			all = append(all, c)
		}
		if _, err := s.conn.All(ctx, all...); err != nil {
			return fail("import notes", err)
		}
		notes = notes[n:]
	}
	return nil
}

// include adds a note to the call of its shard.
func (s *Store) include(calls map[redisconn.Shard]redisconn.Call, n memo.Note) {
	shard := s.shard(n.Key)
	c, begun := calls[shard]
	if !begun {
		c = redisconn.Call{Script: importScript, Shard: shard, Sync: true}
	}
	c.Args = append(c.Args, nameOf(n.Key), n.Over.UnixMicro(), present+string(n.Value))
	calls[shard] = c
}
