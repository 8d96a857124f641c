package sqlitefile

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	// batchOps and batchBytes bound one transaction, so that one that waits behind it does not wait long.
	batchOps   = 512
	batchBytes = 4 << 20
)

// writer is the only one that changes the file.
type writer struct {
	file         *File
	tx           *Tx
	beforeCommit func() error
	gatherers    atomic.Pointer[[]Gatherer]
	commits      atomic.Uint64
	limit        int64
	room         [kinds]*semaphore.Weighted

	mu      sync.Mutex
	waiting [kinds][]*Commit
	stopped bool

	kick     chan struct{}
	over     chan struct{}
	finishes chan chan struct{}
	seen     int // pages written as of the last finished checkpoint
}

func newWriter(f *File, tx *Tx, o Options) *writer {
	w := &writer{
		file: f, tx: tx, beforeCommit: o.BeforeCommit, limit: o.MaxPending,
		kick: make(chan struct{}, 1), over: make(chan struct{}), finishes: make(chan chan struct{}),
	}
	if w.limit <= 0 {
		w.limit = 16 << 20
	}
	for k := range w.room {
		w.room[k] = semaphore.NewWeighted(w.limit)
	}
	return w
}

func (w *writer) start() { go w.run() }

func (w *writer) addGatherer(g Gatherer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := append(slices.Clone(w.all()), g)
	w.gatherers.Store(&all)
}

func (w *writer) all() []Gatherer {
	if p := w.gatherers.Load(); p != nil {
		return *p
	}
	return nil
}

func (w *writer) submit(ctx context.Context, k Kind, op Op) (*Commit, error) {
	c := &Commit{op: op, kind: k, size: min(int64(op.Size())+opCost, w.limit), done: make(chan struct{})}
	if err := w.room[k].Acquire(ctx, c.size); err != nil {
		return nil, err
	}
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		w.room[k].Release(c.size)
		return nil, ErrClosed
	}
	w.waiting[k] = append(w.waiting[k], c)
	w.mu.Unlock()
	w.wake()
	return c, nil
}

func (w *writer) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

func (w *writer) stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.wake()
	<-w.over
}

func (w *writer) run() {
	defer close(w.over)
	var batch []*Commit
	for {
		select {
		case <-w.kick:
		case done := <-w.finishes:
			w.checkpoint()
			close(done)
		}
		for last := false; ; {
			letSubmit()
			batch, last = w.gather(batch[:0])
			if len(batch) == 0 && last {
				return
			}
			if len(batch) == 0 {
				break
			}
			w.process(batch)
			clear(batch)
			w.letFinish()
		}
	}
}

// letSubmit lets goroutines that can run go first. Those whom the last commit woke are about to submit their next op: with
// them the batch is larger, and a commit costs about the same for one op as for many. It is no wait: where nothing else
// can run it returns at once, so a lone op is committed as soon as before. More than one round is needed because one
// goroutine often readies the next.
func letSubmit() {
	for range 3 {
		runtime.Gosched()
	}
}

// letFinish serves the checkpointer, which would starve while ops never cease.
func (w *writer) letFinish() {
	select {
	case done := <-w.finishes:
		w.checkpoint()
		close(done)
	default:
	}
}

// gather takes what waits, settles first, up to the bounds of a batch. It says whether nothing will follow.
func (w *writer) gather(batch []*Commit) ([]*Commit, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	bytes := int64(0)
	for k := range w.waiting {
		n := 0
		for _, c := range w.waiting[k] {
			if len(batch) >= batchOps || (bytes > 0 && bytes+c.size > batchBytes) {
				break
			}
			bytes += c.size
			batch = append(batch, c)
			n++
		}
		rest := copy(w.waiting[k], w.waiting[k][n:])
		clear(w.waiting[k][rest:])
		w.waiting[k] = w.waiting[k][:rest]
	}
	return batch, w.stopped
}

// process commits the batch, or each op of it alone if that fails, and answers.
func (w *writer) process(batch []*Commit) {
	err := w.commit(batch)
	if err != nil && len(batch) > 1 && !notBegun(err) && w.file.failure.Load() == nil {
		w.processAlone(batch, fateOf(err) == fateFull)
	} else {
		for _, c := range batch {
			c.err = err
		}
		w.applied(batch)
	}
	var freed [kinds]int64
	for _, c := range batch {
		freed[c.kind] += c.size
		close(c.done)
	}
	for k, n := range freed {
		w.room[k].Release(n)
	}
	w.pace()
}

// processAlone redoes the ops one by one. When the disk is full only settles are tried: they may find room where new
// rows do not. Once a transaction could not begin none is tried any more.
func (w *writer) processAlone(batch []*Commit, full bool) {
	var stuck error
	for i, c := range batch {
		switch {
		case stuck != nil:
			c.err = stuck
		case full && c.kind == Accept:
			c.err = ErrFull
		default:
			c.err = w.commit(batch[i : i+1])
			full = full || fateOf(c.err) == fateFull
			if notBegun(c.err) {
				stuck = c.err
			}
		}
		w.applied(batch[i : i+1])
	}
}

func (w *writer) applied(batch []*Commit) {
	for _, c := range batch {
		if c.err == nil {
			c.op.Committed()
		} else if a, ok := c.op.(Aborter); ok {
			a.Aborted(c.err)
		}
	}
}

// commit runs the ops in one transaction. After an error nothing of them is in the file, or the file has failed.
func (w *writer) commit(batch []*Commit) error {
	if err := w.file.failure.Load(); err != nil {
		return err.err
	}
	if _, err := w.tx.Exec("BEGIN IMMEDIATE"); err != nil {
		return w.judge(&beginError{err})
	}
	if err := w.runOps(batch); err != nil {
		return w.rollback(err)
	}
	if w.beforeCommit != nil {
		if err := w.beforeCommit(); err != nil {
			return w.rollback(fmt.Errorf("commit: %w", err))
		}
	}
	if _, err := w.tx.Exec("COMMIT"); err != nil {
		return w.rollback(fmt.Errorf("commit: %w", err))
	}
	w.commits.Add(1)
	return nil
}

func (w *writer) runOps(batch []*Commit) error {
	gatherers := w.all()
	for _, g := range gatherers {
		g.Begin()
	}
	for _, c := range batch {
		if err := c.op.Exec(w.tx); err != nil {
			return err
		}
	}
	for _, g := range gatherers {
		if err := g.Flush(w.tx); err != nil {
			return err
		}
	}
	return nil
}

// rollback undoes the transaction because of err, a failed file's too: that only forgets, and frees the lock for whoever
// opens the file next. SQLite may have done so already, so an error of it says nothing, unless the disk is broken.
func (w *writer) rollback(err error) error {
	err = w.judge(err)
	if _, rb := w.tx.Exec("ROLLBACK"); fateOf(rb) == fateFinal {
		return w.judge(fmt.Errorf("roll back: %w", rb))
	}
	return err
}

// judge gives an error of the disk its name.
func (w *writer) judge(err error) error {
	switch w.file.fate(err) {
	case fateFull:
		w.file.gauge.again()
		return fmt.Errorf("%w: %w", ErrFull, err)
	case fateFinal:
		w.file.fail(err)
		return w.file.Err()
	case fateOp:
	}
	return err
}
