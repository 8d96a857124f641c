package redisdedupe

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// step is one of the four that a holder takes.
type step struct {
	name   string
	script *redisconn.Script
	record []byte
	// more is what the script is told beside the record and the window.
	more []any
	sync bool
}

// Start implements [dedupe.Ledger].
func (l *Ledger) Start(ctx context.Context, e dedupe.Entry, record []byte) error {
	return l.change(ctx, e, step{"start", startScript, record, []any{micros(l.o.Lease)}, true})
}

// Note implements [dedupe.Ledger].
func (l *Ledger) Note(ctx context.Context, e dedupe.Entry, record []byte) error {
	return l.change(ctx, e, step{"note", noteScript, record, []any{micros(l.o.Lease)}, false})
}

// Finish implements [dedupe.Ledger].
func (l *Ledger) Finish(ctx context.Context, e dedupe.Entry, s dedupe.Status, record []byte) error {
	if s != dedupe.Done && s != dedupe.Unknown && s != dedupe.Failed {
		return fmt.Errorf("finish as %v: %w", s, dedupe.ErrUnavailable)
	}
	if err := l.change(ctx, e, step{"finish", finishScript, record, []any{letters[s]}, true}); err != nil {
		return err
	}
	l.keepPointer(ctx, e)
	return nil
}

// Release implements [dedupe.Ledger].
func (l *Ledger) Release(ctx context.Context, e dedupe.Entry, record []byte) error {
	return l.change(ctx, e, step{name: "release", script: releaseScript, record: record})
}

// change takes one step with the row that e holds.
func (l *Ledger) change(ctx context.Context, e dedupe.Entry, s step) error {
	shard := l.conn.Place(e.Lane)
	args := []any{
		sumOf(e.Owner, e.Key), strconv.FormatUint(e.Token>>8, 10), l.nonce(), marked(s.record), micros(l.o.Window),
	}
	if numbered(e.Token>>8, shard) != e.Token {
		args[1] = "0" // it is of another shard: nobody has it
	}
	reply, err := l.do(ctx, redisconn.Call{Script: s.script, Shard: shard, Args: append(args, s.more...), Sync: s.sync})
	if err != nil {
		return fail(s.name, err)
	}
	if done, _ := reply.(int64); done != 1 {
		return fmt.Errorf("%s: %w", s.name, dedupe.ErrLost)
	}
	return nil
}

// keepPointer lets the pointer of a finished row live as long as the row. That of a caller's send, which is made at its
// claim, does so by itself. If it cannot be done the pointer lives for longer, or, after a month of waiting, is gone.
func (l *Ledger) keepPointer(ctx context.Context, e dedupe.Entry) {
	if e.Key == e.ID || e.Payload == nil && time.Since(e.Accepted) < slack/2 {
		return
	}
	k := keyed{e.Owner, e.Key, sumOf(e.Owner, e.Key), l.conn.Place(e.Lane), l.o.Window + slack}
	_, _ = l.do(ctx, l.pointCall(k, true))
}
