package sqlitefile

const (
	// checkpointPages is how much of a log gathers before it is moved into the database: 4 MiB.
	checkpointPages = 512
	// overduePages is when the writer does it itself, because the checkpointer cannot keep up.
	overduePages = 16 * checkpointPages
)

// checkpointer moves the log into the database beside the writer, so that no commit waits for it. While commits go on
// it never reaches the log's end, and a log is only begun anew when all of it was moved: so afterwards the writer moves
// the little that is left, between two batches.
type checkpointer struct {
	tx     *Tx
	finish func(stop <-chan struct{})
	final  func(error) bool
	broken func(error)
	kick   chan struct{}
	quit   chan struct{}
	over   chan struct{}
}

func newCheckpointer(tx *Tx) *checkpointer {
	return &checkpointer{tx: tx, kick: make(chan struct{}, 1), quit: make(chan struct{}), over: make(chan struct{})}
}

func (c *checkpointer) start() { go c.run() }

func (c *checkpointer) stop() {
	close(c.quit)
	<-c.over
}

func (c *checkpointer) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *checkpointer) run() {
	defer close(c.over)
	for {
		select {
		case <-c.quit:
			return
		case <-c.kick:
		}
		if err := passive(c.tx); c.final(err) {
			c.broken(err)
			return
		}
		c.finish(c.quit)
		select {
		case <-c.kick: // sent while this one ran
		default:
		}
	}
}

// passive moves what it can without waiting for anybody.
func passive(tx *Tx) error {
	return tx.Each("PRAGMA wal_checkpoint(PASSIVE)", func(Row) error { return nil })
}

// pace wakes the checkpointer when enough was written, and stands in for it when that is not enough.
func (w *writer) pace() {
	n := w.tx.pagesWritten() - w.seen
	switch {
	case n >= overduePages:
		w.checkpoint()
	case n >= checkpointPages:
		w.file.ckpt.wake()
	}
}

// finishCheckpoint lets the writer move the rest of the log between two batches, and waits for that.
func (w *writer) finishCheckpoint(stop <-chan struct{}) {
	done := make(chan struct{})
	select {
	case w.finishes <- done:
		<-done
	case <-stop:
	}
}

// checkpoint moves the rest of the log. A disk that is full is no reason to fail: the log just stays.
func (w *writer) checkpoint() {
	if w.file.failure.Load() != nil {
		return
	}
	if err := passive(w.tx); w.file.fate(err) == fateFinal {
		w.file.fail(err)
		return
	}
	w.seen = w.tx.pagesWritten()
}
