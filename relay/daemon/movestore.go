package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/memo/redismemo"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/queue/redisqueue"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// storeFile is the embedded store's file in its folder. It is not made by looking for it.
const storeFile = "imrelay.db"

// lastTime bounds what is done for a move although its context has ended: the last step, and what a failed one leaves.
const lastTime = time.Minute

// openSource opens what is moved.
func (m *move) openSource(ctx context.Context) error {
	if m.o.From.Redis.IsZero() {
		return m.openFile(ctx)
	}
	conn, err := m.connect(ctx, "source", m.o.From.Redis)
	if e := lasting(err); e != nil {
		return m.o.From.Mistake("redis", e.Error())
	}
	if err != nil {
		return err
	}
	m.from, err = m.onRedis(ctx, conn)
	return err
}

// openFile opens the embedded store. Its lock keeps relays away, and is refused while one runs.
func (m *move) openFile(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(m.o.From.Data, storeFile)); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w in %s", ErrNoStore, m.o.From.Data)
	}
	s, err := openStore(ctx, m.o.From, Options{Log: m.o.Log})
	if err != nil {
		return err
	}
	m.undo.add("source", s.Close)
	q, canQueue := s.queue.(queue.Exporter)
	l, canLedger := s.ledger.(dedupe.Exporter)
	n, canMemos := s.memos.(memo.Exporter)
	if !canQueue || !canLedger || !canMemos {
		return errors.New("the embedded store hands nothing out")
	}
	m.from.queue.export, m.from.ledger.export, m.from.memos.export = q.Export, l.Export, n.Export
	return nil
}

// connect connects to the Redis of one side.
func (m *move) connect(ctx context.Context, name string, url secret.Text) (*redisconn.Conn, error) {
	conn, err := redisconn.Open(ctx, redisconn.Options{URL: url, Insecure: m.o.Insecure, Log: m.o.Log, Moving: true})
	if err != nil {
		return nil, fmt.Errorf("open the %s: %w", name, err)
	}
	m.undo.add(name, conn.Close)
	return conn, nil
}

// onRedis opens what is moved of one side.
func (m *move) onRedis(ctx context.Context, conn *redisconn.Conn) (side, error) {
	q, err := redisqueue.Open(ctx, conn, redisqueue.Options{Retention: retentionOf(m.o.From), Log: m.o.Log})
	if err != nil {
		return side{}, fmt.Errorf("open the queue: %w", err)
	}
	m.undo.add("queue", q.Close)
	l, err := redisdedupe.Open(ctx, conn, redisdedupe.Options{Window: m.o.From.Dedupe.Window, Log: m.o.Log})
	if err != nil {
		return side{}, fmt.Errorf("open the send ledger: %w", err)
	}
	m.undo.add("send ledger", l.Close)
	n := redismemo.New(conn)
	m.undo.add("memory of adapters", n.Close)
	return side{
		conn:   conn,
		queue:  exchange[queue.Cargo]{q.Export, q.Import},
		ledger: exchange[[]dedupe.Stored]{l.Export, l.Import},
		memos:  exchange[[]memo.Note]{n.Export, n.Import},
	}, nil
}

// openTarget opens where it is moved to, and looks whether it can be.
func (m *move) openTarget(ctx context.Context) error {
	conn, err := m.connect(ctx, "target", m.o.To)
	if err != nil {
		return err
	}
	facts, err := conn.Facts(ctx)
	if err != nil {
		return fmt.Errorf("look at the target: %w", err)
	}
	for _, p := range facts.Problems() {
		if p.Severity != redisconn.SeverityWarning {
			return &TargetError{Problem: p.Text, Hint: p.Hint}
		}
	}
	if facts.ClockAhead.Abs() > mostSkew {
		return fmt.Errorf("%w by %v", ErrClocks, facts.ClockAhead.Abs().Round(time.Second))
	}
	if m.same, err = m.together(ctx, conn); err != nil {
		return err
	}
	m.to, err = m.onRedis(ctx, conn)
	return err
}

// together says whether both sides are one database of one Redis, whatever their URLs look like.
func (m *move) together(ctx context.Context, target *redisconn.Conn) (bool, error) {
	if m.from.conn == nil {
		return false, nil
	}
	key := "imrelay:move:" + target.Instance()
	if err := m.from.conn.Client().Set(ctx, key, 1, time.Minute).Err(); err != nil {
		return false, fmt.Errorf("compare source and target: %w: %w", redisconn.ErrUnavailable, err)
	}
	n, err := target.Client().Exists(ctx, key).Result()
	if err != nil {
		return false, fmt.Errorf("compare source and target: %w: %w", redisconn.ErrUnavailable, err)
	}
	return n == 1, nil
}

// begin looks whether the move may begin, marks the target and removes what an earlier one left there.
func (m *move) begin(ctx context.Context) error {
	has, err := m.to.conn.Layout(ctx)
	if err != nil {
		return fmt.Errorf("look at the target: %w", err)
	}
	shards, keep := len(m.to.conn.Shards()), 0
	if m.same {
		if old := len(m.from.conn.Shards()); has == (redisconn.Layout{Shards: shards, From: old}) && old != shards {
			return m.finished(ctx)
		}
		keep = has.Shards
	}
	if err := m.alone(ctx); err != nil {
		return err
	}
	if err := m.sound(ctx); err != nil {
		return err
	}
	switch {
	case m.same && has.Shards == shards:
		return ErrSameStore
	case !m.same:
		if err := m.vacant(ctx, has); err != nil {
			return err
		}
	}
	if err := m.take(ctx, keep); err != nil {
		return err
	}
	if _, err := m.to.conn.Remove(ctx, keep); err != nil {
		return fmt.Errorf("remove what an earlier move left: %w", err)
	}
	return nil
}

// take marks the target, whose relays use so many shards. From then on no other move can end: should one have ended since
// we looked, what it has brought is in use.
func (m *move) take(ctx context.Context, shards int) error {
	m.begun = true
	if err := m.to.conn.BeginMove(ctx); err != nil {
		return fmt.Errorf("begin the move: %w", err)
	}
	has, err := m.to.conn.Layout(ctx)
	if err != nil {
		return fmt.Errorf("look at the target: %w", err)
	}
	if has.Shards == shards {
		return nil
	}
	m.begun = false
	if err := m.to.conn.AbandonMove(ctx); err != nil {
		return fmt.Errorf("%w: %w", errAnother, err)
	}
	return errAnother
}

// sound looks whether a source on Redis is what the configuration says.
func (m *move) sound(ctx context.Context) error {
	if m.from.conn == nil {
		return nil
	}
	l, err := m.from.conn.Layout(ctx)
	if err != nil {
		return fmt.Errorf("look at the source: %w", err)
	}
	misfit := l.Fits(len(m.from.conn.Shards()))
	switch {
	case l.Shards == 0:
		return fmt.Errorf("%w in the Redis of the configuration", ErrNoStore)
	case misfit != nil:
		return m.o.From.Mistake("redis", misfit.Error())
	case l.Mover != "" && !m.same:
		return fmt.Errorf("read the source: %w", redisconn.ErrMoving)
	}
	return nil
}

// vacant refuses a target with anything in it, unless it is what a move left that was broken off: the mark of such a
// target names a mover and no layout.
func (m *move) vacant(ctx context.Context, has redisconn.Layout) error {
	if has.Mover != "" && has.Shards == 0 {
		return nil
	}
	holds, err := m.to.conn.Holds(ctx)
	if err != nil {
		return fmt.Errorf("look at the target: %w", err)
	}
	if holds {
		return ErrOccupied
	}
	if has == (redisconn.Layout{}) {
		return nil
	}
	return m.to.conn.Forget(ctx)
}

// alone refuses to go on while relays run, or when another move has begun.
func (m *move) alone(ctx context.Context) error {
	for _, s := range []struct {
		name string
		conn *redisconn.Conn
	}{{"source", m.from.conn}, {"target", m.to.conn}} {
		if s.conn == nil {
			continue
		}
		n, err := s.conn.Relays(ctx)
		if err != nil {
			return fmt.Errorf("look for relays: %w", err)
		}
		if n > 0 {
			return &RelaysError{Side: s.name, Count: n}
		}
	}
	m.watched = time.Now()
	if !m.begun {
		return nil
	}
	l, err := m.to.conn.Layout(ctx)
	if err != nil {
		return fmt.Errorf("look at the target: %w", err)
	}
	if l.Mover != m.to.conn.Instance() {
		return errAnother
	}
	return nil
}

// end lets relays start on the target. Of a store on the same Redis the old keys are removed. To be interrupted is too late
// from here on: who does not know whether the mark has changed knows not which keys are of use.
func (m *move) end(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := m.settle(ctx); err != nil {
		return err
	}
	if !m.same {
		return nil
	}
	return m.finished(ctx)
}

// settle ends the move, and whatever the answer was it finds out what became of it.
func (m *move) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
	defer cancel()
	err := again(ctx, m.to.conn.EndMove)
	if err == nil {
		m.begun = false
		return nil
	}
	has, unread := m.layout(ctx)
	switch {
	case unread != nil:
		return fmt.Errorf("%w: end the move: %w", ErrUnsure, err)
	case has.Shards == len(m.to.conn.Shards()) && has.Mover == "":
		// It may lack replicas: the old keys stay until somebody begins again.
		m.begun = false
		return fmt.Errorf("%w: end the move: %w", ErrMoved, err)
	}
	return fmt.Errorf("end the move: %w", err)
}

// layout reads the target's mark, again while Redis is out of reach.
func (m *move) layout(ctx context.Context) (l redisconn.Layout, err error) {
	err = again(ctx, func(ctx context.Context) (err error) {
		l, err = m.to.conn.Layout(ctx)
		return err
	})
	return l, err
}

// finished removes what is left of the old layout.
func (m *move) finished(ctx context.Context) (err error) {
	m.done = true
	if m.removed, err = m.to.conn.RemoveLayout(ctx, len(m.from.conn.Shards())); err != nil {
		return fmt.Errorf("%w: remove the old keys: %w", ErrMoved, err)
	}
	return nil
}

// abandon lets relays go on as before, where they share the Redis: they can do so, since their layout is whole. What was
// copied is removed only once the mark says that theirs is the layout in use, and that this move can no longer end.
func (m *move) abandon(ctx context.Context) error {
	if !m.begun || !m.same {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTime)
	defer cancel()
	if err := again(ctx, m.to.conn.AbandonMove); err != nil && !errors.Is(err, redisconn.ErrNotMover) {
		return fmt.Errorf("give the move up: %w", err)
	}
	has, err := m.layout(ctx)
	if err == nil && has.Shards == len(m.from.conn.Shards()) && has.Mover == "" {
		_, err = m.to.conn.RemoveLayout(ctx, len(m.to.conn.Shards()))
	}
	if err != nil {
		return fmt.Errorf("remove what was copied: %w", err)
	}
	return nil
}
