package redisdedupe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

const (
	// pieceRows and pieceBytes bound what one run of a script hands out or takes over.
	pieceRows  = 100
	pieceBytes = 1 << 20
)

// Which rows a stream is of.
const (
	waitingRows  = "wait"
	finishedRows = "over"
)

var errInUse = errors.New("somebody else uses the ledger")

// Export implements [dedupe.Exporter].
func (l *Ledger) Export(ctx context.Context, yield func([]dedupe.Stored) error) error {
	if err := l.exportWaiting(ctx, yield); err != nil {
		return err
	}
	for _, s := range l.conn.Shards() {
		for from := (&stream{ledger: l, shard: s, kind: finishedRows}); !from.over; {
			if err := from.fill(ctx); err != nil {
				return err
			}
			if len(from.rows) == 0 {
				continue
			}
			if err := yield(from.rows); err != nil {
				return err
			}
			from.rows = nil
		}
	}
	return nil
}

// exportWaiting merges the shards' rows by when they were accepted.
func (l *Ledger) exportWaiting(ctx context.Context, yield func([]dedupe.Stored) error) error {
	streams := make([]*stream, 0, len(l.conn.Shards()))
	for _, s := range l.conn.Shards() {
		streams = append(streams, &stream{ledger: l, shard: s, kind: waitingRows})
	}
	var piece []dedupe.Stored
	bytes := 0
	for {
		for _, from := range streams {
			if err := from.fill(ctx); err != nil {
				return err
			}
		}
		streams = slices.DeleteFunc(streams, func(s *stream) bool { return len(s.rows) == 0 })
		if len(streams) == 0 {
			break
		}
		first := slices.MinFunc(streams, func(a, b *stream) int { return cmp.Compare(a.rows[0].Seq, b.rows[0].Seq) })
		row := first.rows[0]
		first.rows = first.rows[1:]
		piece, bytes = append(piece, row), bytes+len(row.Payload)+len(row.Record)
		if len(piece) < pieceRows && bytes < pieceBytes {
			continue
		}
		if err := yield(piece); err != nil {
			return err
		}
		piece, bytes = nil, 0
	}
	if len(piece) == 0 {
		return nil
	}
	return yield(piece)
}

// stream is the rows of one shard.
type stream struct {
	ledger *Ledger
	shard  redisconn.Shard
	kind   string

	rows []dedupe.Stored
	next int64
	over bool
}

// fill reads the next rows if there are none at hand. None afterwards: it is over.
func (s *stream) fill(ctx context.Context) error {
	for len(s.rows) == 0 && !s.over {
		reply, err := s.ledger.do(ctx, redisconn.Call{
			Script: rowsScript, Shard: s.shard, Args: []any{s.kind, s.next, pieceRows, pieceBytes},
		})
		if err == nil {
			err = s.read(reply)
		}
		if err != nil {
			return fail("export", err)
		}
	}
	return nil
}

func (s *stream) read(reply any) error {
	parts, _ := reply.([]any)
	if len(parts) == 0 {
		return errReply
	}
	s.next, _ = parts[0].(int64)
	s.over = s.next == 0
	for _, flat := range parts[1:] {
		var r stored
		if err := r.read(flat, s.shard); err != nil {
			return err
		}
		r.Status = statuses[r.status]
		if r.Status != dedupe.Waiting {
			r.Payload = nil
		}
		s.rows = append(s.rows, dedupe.Stored{Entry: r.Entry, Over: r.over})
	}
	return nil
}

// Import implements [dedupe.Importer].
func (l *Ledger) Import(ctx context.Context, rows []dedupe.Stored) error {
	_, base, err := l.count(ctx)
	if err != nil {
		return fail("import", err)
	}
	base = max(base, l.high.Load()+1)
	for len(rows) > 0 {
		n := 0
		for bytes := 0; n < min(len(rows), pieceRows) && bytes < pieceBytes; n++ {
			bytes += len(rows[n].Payload) + len(rows[n].Record)
		}
		if err := l.importPiece(ctx, rows[:n], base); err != nil {
			return fail("import", err)
		}
		rows, base = rows[n:], base+uint64(n)
		l.raise(base)
	}
	return nil
}

// moved is one row on its way in.
type moved struct {
	dedupe.Stored
	keyed
	at pointer
	// seq is the least that it may get: its place among all rows.
	seq uint64
}

// importPiece stores the rows. Their pointers come first, as with a claim.
func (l *Ledger) importPiece(ctx context.Context, rows []dedupe.Stored, base uint64) error {
	all := make([]moved, len(rows))
	for i, r := range rows {
		all[i] = moved{Stored: r, seq: base + uint64(i), keyed: keyed{
			r.Owner, r.Key, sumOf(r.Owner, r.Key), l.conn.Place(r.Lane), l.o.Window + slack,
		}}
		if r.Status == dedupe.Waiting {
			all[i].life = l.o.Window + waitsAtMost
		} else if r.Over.IsZero() {
			all[i].Over = time.Now().Add(l.o.Window) // the other ledger kept it for good
		}
	}
	todo, err := l.pointAll(ctx, all)
	if err != nil {
		return err
	}
	calls := map[redisconn.Shard]redisconn.Call{}
	for _, m := range todo {
		call, begun := calls[m.home]
		if !begun {
			call = redisconn.Call{Script: importScript, Shard: m.home, Args: []any{modeMake}, Sync: true}
		}
		call.Args = append(call.Args, m.args()...)
		calls[m.home] = call
	}
	var list []redisconn.Call
	for _, c := range calls {
		list = append(list, c)
	}
	replies, err := l.all(ctx, list...)
	if err != nil {
		return err
	}
	for _, reply := range replies {
		if results, _ := reply.([]any); slices.Contains(results, any(isVoid)) {
			return errInUse
		}
	}
	return nil
}

// pointAll makes the rows' pointers, and returns the rows that are to be stored: not those whose key has a row in a shard
// that is not its lane's.
func (l *Ledger) pointAll(ctx context.Context, all []moved) ([]moved, error) {
	var (
		calls []redisconn.Call
		of    []int
	)
	for i, m := range all {
		if m.Key != m.ID {
			calls, of = append(calls, l.pointCall(m.keyed, false)), append(of, i)
		}
	}
	replies, err := l.all(ctx, calls...)
	if err != nil {
		return nil, err
	}
	elsewhere := make([]bool, len(all))
	for n, reply := range replies {
		m := &all[of[n]]
		if m.at, err = pointerOf(reply, nil); err == nil && m.at.shard() != m.home.Index() {
			elsewhere[of[n]], err = l.elsewhere(ctx, m)
		}
		if err != nil {
			return nil, err
		}
	}
	var todo []moved
	for i, m := range all {
		if !elsewhere[i] {
			todo = append(todo, m)
		}
	}
	return todo, nil
}

// elsewhere says whether the key has a row where its pointer names another shard than the lane's. If not, the pointer is
// moved.
func (l *Ledger) elsewhere(ctx context.Context, m *moved) (bool, error) {
	shard, err := l.shardOf(m.at)
	if err != nil {
		return false, err
	}
	reply, err := l.do(ctx, redisconn.Call{
		Script: importScript, Shard: shard, Args: append([]any{modeFence}, m.args()...),
	})
	if err != nil {
		return false, err
	}
	if results, _ := reply.([]any); !slices.Contains(results, any(isNone)) {
		return true, nil
	}
	if m.at, err = l.move(ctx, m.keyed, m.at); err != nil {
		return false, err
	}
	if m.at.shard() != m.home.Index() {
		return false, fmt.Errorf("%w: a key was claimed meanwhile", errInUse)
	}
	return false, nil
}

// args are the row as import.lua wants it.
func (m *moved) args() []any {
	over := ""
	if m.Status != dedupe.Waiting {
		over = strconv.FormatInt(m.Over.Add(time.Microsecond-1).UnixMicro(), 10)
	}
	return []any{
		m.sum, m.Owner, m.Key, m.ID, m.Lane, string(m.Digest[:]), letters[m.Status],
		strconv.FormatInt(m.Accepted.UnixMicro(), 10), over, marked(m.Record), string(m.Payload), m.at.version,
		strconv.FormatUint(m.seq, 10),
	}
}
