package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sethvargo/go-retry"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// Errors of a move that callers branch on.
var (
	// ErrNoStore says that the configured folder holds no embedded store.
	ErrNoStore = errors.New("there is no store to move")
	// ErrSameStore says that the target is the store itself.
	ErrSameStore = errors.New("the store is there already, in as many shards")
	// ErrOccupied says that the target holds the data of relays.
	ErrOccupied = errors.New("the target holds the data of relays already")
	// ErrClocks says that Redis has another time than this machine.
	ErrClocks = errors.New("the clocks of this machine and of Redis differ")
	// ErrMoved says that the move is done, and only what comes after it failed: what is said with it.
	ErrMoved = errors.New("the store is moved")
	// ErrUnsure says that Redis did not tell whether the last step was done. Nothing is lost either way.
	ErrUnsure = errors.New("it is not known whether the store is moved")

	errAnother = errors.New("another move to this target has begun")
)

// RelaysError says that relays run on one side of a move.
type RelaysError struct {
	// Side is "source" or "target".
	Side string
	// Count is how many.
	Count int
}

// Error implements error.
func (e *RelaysError) Error() string {
	if e.Count == 1 {
		return "a relay runs on the " + e.Side
	}
	return fmt.Sprintf("%d relays run on the %s", e.Count, e.Side)
}

// URLError says what is wrong with the URL of the target.
type URLError = redisconn.URLError

// TargetError says that the target is not set up as relays need it.
type TargetError struct {
	// Problem is what is wrong with it, Hint what to do.
	Problem, Hint string
}

// Error implements error.
func (e *TargetError) Error() string { return "the target: " + e.Problem }

// MismatchError says that the target does not hold what was copied to it.
type MismatchError struct{ differences []difference }

// Error implements error.
func (e *MismatchError) Error() string {
	var parts []string
	for _, d := range e.differences {
		name := strings.Join(strings.Fields(d.what+" "+d.agent+" "+d.state), " ")
		parts = append(parts, fmt.Sprintf("%s: %d in the source, %d in the target", name, d.want, d.got))
	}
	return "the counts differ: " + strings.Join(parts, "; ")
}

// What bounds a move.
const (
	// copyPatience is how long a piece, or a step, is tried again while Redis is out of reach.
	copyPatience = 30 * time.Second
	copyPause    = 500 * time.Millisecond
	// watchEvery is how often a source that others can reach is looked at for relays. They are seen for 5 s.
	watchEvery = 3 * time.Second
	// overSoon is what the counts leave out: what is over so soon may be gone on one side already.
	overSoon = 10 * time.Minute
	// mostSkew is how far the clock of Redis may be from ours: all times are carried over as they are.
	mostSkew = time.Minute
)

// MoveOptions say what is moved where.
type MoveOptions struct {
	// From is the configuration of the relay whose store is moved: an embedded one, or that on its Redis.
	From config.Config
	// To is the URL of the Redis that takes the store over; also that of From, with another number of shards.
	To secret.Text
	// Insecure lets settings of that Redis pass which a relay would refuse.
	Insecure bool
	// Log gets what goes wrong on the way; nil: nothing.
	Log *zap.Logger
	// Progress is called after each piece; nil: nobody asks.
	Progress func(MoveProgress)
}

// MoveProgress is how far a move is.
type MoveProgress struct {
	// Events, Keys, Sends and Notes are how many were copied so far.
	Events, Keys, Sends, Notes int
}

// MoveReport is what a move did.
type MoveReport struct {
	// Embedded says that the source was an embedded store, which is left as it was.
	Embedded bool `json:"embedded"`
	// Shards is the number of shards of the target.
	Shards int `json:"shards"`
	// Moved are the counts, which are the same on both sides.
	Moved []Moved `json:"moved"`
	// Bytes are those of all bodies, records and notes.
	Bytes int64 `json:"bytes"`
	// Removed is how many keys of the former layout were removed.
	Removed int `json:"removed"`
	// Took is how long it took.
	Took time.Duration `json:"-"`
}

// Move copies all that a relay's store holds into a Redis, compares the counts, and only then lets relays start there. No
// relay may run on either side. Until it is done the source stays what it is; an embedded one stays so also afterwards,
// and of one on the same Redis the keys of the old layout are removed at the end. A move that was broken off, also by a
// kill, is done by beginning it anew: what it left in the target is removed first.
func Move(ctx context.Context, o MoveOptions) (MoveReport, error) {
	if _, err := redisconn.Parse(o.To); err != nil {
		return MoveReport{}, err
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	m := &move{o: o, began: time.Now(), copied: newTally(o.From.Dedupe.Window)}
	err := m.run(ctx)
	if err != nil {
		err = errors.Join(err, m.abandon(ctx))
	}
	if err = errors.Join(err, m.undo.run()); err != nil {
		return MoveReport{}, err
	}
	return MoveReport{
		Embedded: m.from.conn == nil, Shards: len(m.to.conn.Shards()), Moved: m.copied.moved(), Bytes: m.copied.bytes,
		Removed: m.removed, Took: time.Since(m.began),
	}, nil
}

// move is one under way.
type move struct {
	o        MoveOptions
	undo     teardown
	from, to side
	same     bool // both are on one Redis
	begun    bool // the target is marked, or may be
	done     bool // all is copied, and relays may start
	began    time.Time
	watched  time.Time
	copied   *tally
	progress MoveProgress
	removed  int
}

// side is one of the two stores.
type side struct {
	conn   *redisconn.Conn // nil: the embedded store
	queue  exchange[queue.Cargo]
	ledger exchange[[]dedupe.Stored]
	memos  exchange[[]memo.Note]
}

// exchange is a part of a store: what it hands out, and how it takes over another's. An embedded one takes nothing.
type exchange[T any] struct {
	export func(ctx context.Context, yield func(T) error) error
	load   func(ctx context.Context, piece T) error
}

func (m *move) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{m.openSource, m.openTarget, m.begin, m.copy, m.verify, m.end} {
		if err := step(ctx); err != nil || m.done {
			return err
		}
	}
	return nil
}

// copy copies the queue, then the ledger, then what adapters remember.
func (m *move) copy(ctx context.Context) error {
	err := m.from.queue.export(ctx, func(c queue.Cargo) error {
		m.copied.cargo(c)
		m.progress.Events += len(c.Jobs)
		m.progress.Keys += len(c.Sightings)
		return m.piece(ctx, func(ctx context.Context) error { return m.to.queue.load(ctx, c) })
	})
	if err != nil {
		return fmt.Errorf("copy the queue: %w", err)
	}
	err = m.from.ledger.export(ctx, func(rows []dedupe.Stored) error {
		m.copied.rows(rows)
		m.progress.Sends += len(rows)
		return m.piece(ctx, func(ctx context.Context) error { return m.to.ledger.load(ctx, rows) })
	})
	if err != nil {
		return fmt.Errorf("copy the send ledger: %w", err)
	}
	err = m.from.memos.export(ctx, func(notes []memo.Note) error {
		m.copied.remembered(notes)
		m.progress.Notes += len(notes)
		return m.piece(ctx, func(ctx context.Context) error { return m.to.memos.load(ctx, notes) })
	})
	if err != nil {
		return fmt.Errorf("copy the memory of adapters: %w", err)
	}
	m.copied.settle()
	return nil
}

// piece loads one piece, again while Redis is out of reach for a moment: importing passes over what is there.
func (m *move) piece(ctx context.Context, load func(context.Context) error) error {
	if err := m.watch(ctx); err != nil {
		return err
	}
	err := again(ctx, load)
	if err == nil && m.o.Progress != nil {
		m.o.Progress(m.progress)
	}
	return err
}

// again repeats what can be repeated while Redis is out of reach.
func again(ctx context.Context, do func(context.Context) error) error {
	patience := retry.WithMaxDuration(copyPatience, retry.NewConstant(copyPause))
	return retry.Do(ctx, patience, func(ctx context.Context) error {
		err := do(ctx)
		if errors.Is(err, redisconn.ErrUnavailable) {
			return retry.RetryableError(err)
		}
		return err
	})
}

// watch is alone, now and then.
func (m *move) watch(ctx context.Context) error {
	if time.Since(m.watched) < watchEvery {
		return nil
	}
	return m.alone(ctx)
}

// verify counts what the target hands out.
func (m *move) verify(ctx context.Context) error {
	found := newTally(m.o.From.Dedupe.Window)
	err := m.to.queue.export(ctx, func(c queue.Cargo) error {
		found.cargo(c)
		return m.watch(ctx)
	})
	if err == nil {
		err = m.to.ledger.export(ctx, func(rows []dedupe.Stored) error {
			found.rows(rows)
			return m.watch(ctx)
		})
	}
	if err == nil {
		err = m.to.memos.export(ctx, func(notes []memo.Note) error {
			found.remembered(notes)
			return m.watch(ctx)
		})
	}
	if err != nil {
		return fmt.Errorf("count what was copied: %w", err)
	}
	found.settle()
	if ds := compare(m.copied, found, time.Now().Add(overSoon)); len(ds) > 0 {
		return &MismatchError{ds}
	}
	return m.alone(ctx)
}
