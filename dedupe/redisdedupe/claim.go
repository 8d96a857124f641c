package redisdedupe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

const (
	// rounds is how often a claim follows the pointer of a key that others move at the same time.
	rounds = 20
	// patience is how often it finds a pointer whose row is on the way before it takes the pointer over.
	patience = 3
	// aWhile is about how long a row takes from its pointer.
	aWhile = 4 * time.Millisecond
)

// What a script answers when there is no row, and none was made.
const (
	isVoid  = "void"
	isYoung = "young"
	isNone  = "none"
)

// How a script is asked that makes a row: in its lane's shard, or in the one that only the pointer names.
const (
	modeMake  = ""
	modeLook  = "look"
	modeFence = "fence"
)

var errContended = errors.New("too many others claim the key")

// keyed is a key, and where its row belongs.
type keyed struct {
	owner, key, sum string
	home            redisconn.Shard
	// life is how long its pointer must live.
	life time.Duration
}

// pointer names the shard that has a key's row. The zero pointer is that of a key without one.
type pointer struct{ text, version string }

func (p pointer) shard() int {
	n, _, _ := strings.Cut(p.text, ":")
	i, err := strconv.Atoi(n)
	if err != nil {
		return -1
	}
	return i
}

func pointerOf(reply any, err error) (pointer, error) {
	if err != nil {
		return pointer{}, err
	}
	text, ok := reply.(string)
	_, version, found := strings.Cut(text, ":")
	if !ok || !found {
		return pointer{}, errReply
	}
	return pointer{text, version}, nil
}

// asked is one run of a script that may make a row.
type asked struct {
	shard redisconn.Shard
	// version is that of the key's pointer.
	version, mode string
}

// Claim implements [dedupe.Ledger].
func (l *Ledger) Claim(ctx context.Context, c dedupe.Claim) (dedupe.Entry, error) {
	k := keyed{c.Owner, c.Key, sumOf(c.Owner, c.Key), l.conn.Place(c.Lane), l.o.Window + slack}
	if c.Payload != nil {
		k.life = l.o.Window + waitsAtMost
	}
	var e dedupe.Entry
	ask := func(a asked) (what string, err error) {
		e, what, err = l.claim(ctx, k.sum, c, a)
		return what, err
	}
	var err error
	if c.Key == c.ID {
		_, err = ask(asked{shard: k.home})
	} else {
		err = l.follow(ctx, k, ask)
	}
	if err != nil {
		return dedupe.Entry{}, fail("claim key", err)
	}
	return e, nil
}

// follow asks where the key's row is, or where it is to be made.
func (l *Ledger) follow(ctx context.Context, k keyed, ask func(asked) (string, error)) error {
	p, err := l.point(ctx, k)
	young := 0
	for range rounds {
		if err != nil {
			return err
		}
		a := asked{version: p.version, mode: modeMake}
		if a.shard, err = l.shardOf(p); err != nil {
			return err
		}
		if a.shard != k.home {
			a.mode = modeLook
			if young >= patience {
				a.mode = modeFence
			}
		}
		what, failed := ask(a)
		if failed != nil {
			return failed
		}
		switch what {
		case isVoid:
			p, err = l.point(ctx, k)
		case isNone:
			p, err = l.move(ctx, k, p)
		case isYoung:
			if young++; pause(ctx) != nil {
				return context.Cause(ctx)
			}
			p, err = l.point(ctx, k)
		default:
			return nil
		}
	}
	return errContended
}

func (l *Ledger) shardOf(p pointer) (redisconn.Shard, error) {
	shards, n := l.conn.Shards(), p.shard()
	if n < 0 || n >= len(shards) {
		return redisconn.Shard{}, fmt.Errorf("%w: pointer to shard %d", errReply, n)
	}
	return shards[n], nil
}

// point makes the key's pointer, or finds it.
func (l *Ledger) point(ctx context.Context, k keyed) (pointer, error) {
	return pointerOf(l.do(ctx, l.pointCall(k, false)))
}

// pointCall is point's call. exact: the pointer is not to live longer than it must, either.
func (l *Ledger) pointCall(k keyed, exact bool) redisconn.Call {
	cut := ""
	if exact {
		cut = "1"
	}
	return redisconn.Call{
		Script: pointScript, Shard: l.conn.Place(k.owner, k.key), Args: []any{k.sum, k.home.Index(), millis(k.life), cut},
	}
}

// move makes the key's pointer name its home if it still is what was seen, and returns what it is now.
func (l *Ledger) move(ctx context.Context, k keyed, seen pointer) (pointer, error) {
	return pointerOf(l.do(ctx, redisconn.Call{
		Script: moveScript, Shard: l.conn.Place(k.owner, k.key),
		Args: []any{k.sum, seen.text, k.home.Index(), millis(k.life)},
	}))
}

// pause lets another make his row.
func pause(ctx context.Context) error {
	t := time.NewTimer(aWhile/2 + rand.N(aWhile)) //nolint:gosec // only so that not all come back at once
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// claim asks one shard.
func (l *Ledger) claim(ctx context.Context, sum string, c dedupe.Claim, a asked) (dedupe.Entry, string, error) {
	reply, err := l.do(ctx, redisconn.Call{
		Script: claimScript, Shard: a.shard, Sync: c.Payload != nil,
		Args: []any{
			sum, c.Owner, c.Key, c.ID, c.Lane, c.Digest[:], flag(c.Resend), flag(c.Payload != nil), string(c.Payload), l.nonce(),
			micros(l.o.Lease), micros(l.o.Window), a.version, a.mode, l.next(),
		},
	})
	if err != nil {
		return dedupe.Entry{}, "", err
	}
	parts, _ := reply.([]any)
	if len(parts) == 0 {
		return dedupe.Entry{}, "", errReply
	}
	what, _ := parts[0].(string)
	if len(parts) == 1 {
		return dedupe.Entry{}, what, nil
	}
	e, err := l.entry(c, parts, a.shard)
	return e, what, err
}

// entry is what the caller is told.
func (l *Ledger) entry(c dedupe.Claim, parts []any, s redisconn.Shard) (dedupe.Entry, error) {
	r := stored{Entry: dedupe.Entry{Owner: c.Owner, Key: c.Key, ID: c.ID, Lane: c.Lane, Digest: c.Digest}}
	what, _ := parts[0].(string)
	status, known := statuses[what]
	if !known || len(parts) != 3 {
		return r.Entry, errReply
	}
	if err := r.read(parts[2], s); err != nil {
		return dedupe.Entry{}, err
	}
	r.Status = status
	switch {
	case what == "queued":
		r.Payload = append([]byte{}, c.Payload...)
		l.raise(r.Seq >> 8)
	case status == dedupe.Claimed:
		token, err := tokenOf(parts[1], s)
		if err != nil {
			return dedupe.Entry{}, err
		}
		r.Token = token
	}
	return r.Entry, nil
}

func tokenOf(reply any, s redisconn.Shard) (uint64, error) {
	text, _ := reply.(string)
	tick, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, errReply
	}
	return numbered(tick, s), nil
}

func flag(is bool) string {
	if is {
		return "1"
	}
	return ""
}
