package redisconn

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// batchCalls and batchBytes bound one pipeline, so that one that waits behind it does not wait long.
	batchCalls = 128
	batchBytes = 1 << 20
	// callCost is what a call takes beside its arguments.
	callCost = 256
	// patience is how long a call may take, and patienceAway how long when the server is known to be away: whoever makes
	// several calls for one request would else wait for each of them.
	patience     = 850 * time.Millisecond
	patienceAway = 300 * time.Millisecond
)

// group is the calls of one caller.
type group struct {
	tasks   []task
	pending atomic.Int32
	done    chan struct{}
	until   time.Time
	room    *semaphore.Weighted
	// gone says that nobody waits any more.
	gone atomic.Bool
}

// task is one call on its way.
type task struct {
	group *group
	call  Call
	now   string
	size  int64
	reply any
	err   error
	// last is why it is not done yet.
	last error
}

// dead says that sending the call would serve nobody.
func (t *task) dead(now time.Time) bool { return t.group.gone.Load() || now.After(t.group.until) }

// finish gives the caller the outcome.
func (t *task) finish(reply any, err error) {
	t.reply, t.err = reply, err
	t.group.room.Release(t.size)
	if t.group.pending.Add(-1) == 0 {
		close(t.group.done)
	}
}

// lapse tells the caller that the time was up.
func (t *task) lapse() {
	if t.last == nil {
		t.last = errWaited
	}
	t.finish(nil, unavailable(t.last))
}

// queue is what waits for the lanes of one kind.
type queue struct {
	mu      sync.Mutex
	some    sync.Cond
	waiting []*task
	closed  bool
}

func newQueue() *queue {
	q := &queue{}
	q.some.L = &q.mu
	return q
}

// push adds a task at the end, or in front one that was sent before.
func (q *queue) push(front bool, tasks ...*task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if front {
		q.waiting = append(tasks, q.waiting...)
	} else {
		q.waiting = append(q.waiting, tasks...)
	}
	q.some.Signal()
	return true
}

// await returns when something waits; false: the queue is closed.
func (q *queue) await() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.some.Wait()
	}
	return !q.closed
}

// take fills a batch.
func (q *queue) take(batch []*task) []*task {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := 0, int64(0)
	for _, t := range q.waiting {
		if len(batch) == batchCalls || (bytes > 0 && bytes+t.size > batchBytes) {
			break
		}
		n++
		bytes += t.size
		batch = append(batch, t)
	}
	q.cut(n)
	if len(q.waiting) > 0 {
		q.some.Signal()
	}
	return batch
}

// cut removes the first n.
func (q *queue) cut(n int) {
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
}

// empty takes everything out.
func (q *queue) empty() []*task {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

func (q *queue) close() []*task {
	q.mu.Lock()
	q.closed = true
	q.some.Broadcast()
	q.mu.Unlock()
	return q.empty()
}

// submit sends the calls on their way and waits for all of them. now is what their scripts are told of the time.
func (c *Conn) submit(ctx context.Context, now string, calls []Call) ([]any, error) {
	g := &group{
		tasks: make([]task, len(calls)), done: make(chan struct{}), until: time.Now().Add(c.patience()), room: c.room,
	}
	g.pending.Store(int32(len(calls))) //nolint:gosec // no caller has so many
	for i := range calls {
		t := &g.tasks[i]
		t.group, t.call, t.now, t.size = g, calls[i], now, sizeOf(calls[i])
		c.admit(ctx, t)
	}
	timer := time.NewTimer(time.Until(g.until))
	defer timer.Stop()
	select {
	case <-g.done:
		return g.outcome()
	case <-timer.C:
	case <-ctx.Done():
	}
	g.gone.Store(true)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, fmt.Errorf("%s: %w", calls[0].Script.name, unavailable(c.why()))
}

// admit lets a call in when there is room, and queues it.
func (c *Conn) admit(ctx context.Context, t *task) {
	if !c.room.TryAcquire(t.size) {
		ctx, cancel := context.WithDeadline(ctx, t.group.until)
		defer cancel()
		if err := c.room.Acquire(ctx, t.size); err != nil {
			t.size = 0
			t.finish(nil, unavailable(errWaited))
			return
		}
	}
	c.place(ctx, t)
}

// place queues a call where its shard is now.
func (c *Conn) place(ctx context.Context, t *task) {
	n, err := c.route(ctx, t.call.Shard)
	if err != nil {
		t.finish(nil, unavailable(err))
		return
	}
	if !n.queueFor(t).push(false, t) {
		t.finish(nil, unavailable(ErrClosed))
	}
}

// sizeOf is what a call counts for, at most all the room.
func sizeOf(call Call) int64 {
	n := int64(callCost)
	for _, a := range call.Args {
		switch a := a.(type) {
		case string:
			n += int64(len(a))
		case []byte:
			n += int64(len(a))
		}
	}
	return min(n, room)
}

// outcome is the replies of all tasks, or the first error.
func (g *group) outcome() ([]any, error) {
	replies := make([]any, len(g.tasks))
	for i := range g.tasks {
		t := &g.tasks[i]
		if t.err != nil {
			return nil, fmt.Errorf("%s: %w", t.call.Script.name, t.err)
		}
		replies[i] = t.reply
	}
	return replies, nil
}
