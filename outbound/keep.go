package outbound

import (
	"context"
	"errors"
	"time"

	"github.com/sethvargo/go-retry"

	"github.com/imrelay/imrelay/dedupe"
)

// A ledger that refuses an outcome is asked again after keepFirst, later and later up to keepLongest.
const (
	keepFirst   = 100 * time.Millisecond
	keepLongest = 5 * time.Second
)

// start makes durable that a part is about to go.
func (s *Sender) start(ctx context.Context, j *job) *Error {
	if !j.kept || j.started {
		return nil
	}
	asked := time.Now()
	b, err := j.rec.encode()
	if err == nil {
		err = s.commit(ctx, func(ctx context.Context) error { return s.store.Start(ctx, j.entry, b) })
	}
	// A row that is lost may be another relay's now, or may be gone with all the ledger had. Nothing was sent, and a repeat
	// finds out.
	if err != nil {
		return errStore(err)
	}
	j.started = true
	s.claims.prolong([]dedupe.Entry{j.entry}, asked)
	return nil
}

// note makes durable that nothing is under way. It is tried once: until the next step is stored, which says the same and
// more, the ledger takes the part for one that may have been sent.
func (s *Sender) note(ctx context.Context, j *job) {
	if !j.kept {
		return
	}
	j.started = false
	b, err := j.rec.encode()
	if err == nil {
		err = s.commit(ctx, func(ctx context.Context) error { return s.store.Note(ctx, j.entry, b) })
	}
	if err != nil {
		s.unkept(j, err)
	}
}

// finish stores the outcome.
func (s *Sender) finish(ctx context.Context, j *job, state dedupe.Status) {
	s.end(ctx, j, func(ctx context.Context, b []byte) error { return s.store.Finish(ctx, j.entry, state, b) })
}

// release gives the key back, with the parts that were sent.
func (s *Sender) release(ctx context.Context, j *job) { s.end(ctx, j, s.releasing(j)) }

// releaseLater does so behind the caller's back: the ledger has just been asked in vain, and he need not wait for it a
// second time.
func (s *Sender) releaseLater(ctx context.Context, j *job) {
	if change := s.last(j, s.releasing(j)); change != nil {
		s.active.Go(func() { s.insist(ctx, j.entry, change) })
	}
}

func (s *Sender) releasing(j *job) func(context.Context, []byte) error {
	partly := len(j.rec.IDs) > 0
	return func(ctx context.Context, b []byte) error {
		if !partly {
			b = nil
		}
		return s.store.Release(ctx, j.entry, b)
	}
}

// end stores what became of the row, which is the job's last step. What was sent was sent, so a caller whose outcome
// the ledger does not take hears it all the same, and it is stored behind his back; a queued send waits, and its
// recipient's line with it. Their number is bounded: nothing is sent that the ledger did not take a Start for.
func (s *Sender) end(ctx context.Context, j *job, store func(ctx context.Context, b []byte) error) {
	change := s.last(j, store)
	if change == nil {
		return
	}
	err := s.commit(ctx, change)
	if err == nil || errors.Is(err, dedupe.ErrLost) {
		s.claims.drop(j.entry.ID)
	}
	if err == nil {
		return
	}
	s.unkept(j, err)
	switch {
	case errors.Is(err, dedupe.ErrLost):
	case j.background:
		s.insist(ctx, j.entry, change)
	default:
		// The send that calls this is counted as active still.
		s.active.Go(func() { s.insist(ctx, j.entry, change) })
	}
}

// last is the job's last step in the ledger; nil: there is none to take.
func (s *Sender) last(j *job, store func(ctx context.Context, b []byte) error) func(context.Context) error {
	if !j.kept {
		return nil
	}
	j.started, j.over = false, true
	b, err := j.rec.encode()
	if err != nil {
		s.unkept(j, err)
		s.abandon(j.entry)
		return nil
	}
	return func(ctx context.Context) error { return store(ctx, b) }
}

// insist stores an outcome that the ledger has refused once. When the Sender is closing it tries once more, and then
// lets go of the row: what is on disk speaks for it.
func (s *Sender) insist(ctx context.Context, e dedupe.Entry, change func(context.Context) error) {
	waits := retry.WithCappedDuration(keepLongest, retry.NewExponential(keepFirst))
	for closing := false; !closing; {
		wait, _ := waits.Next()
		closing = s.wait(context.WithoutCancel(ctx), nil, wait) != nil
		if err := s.commit(ctx, change); err == nil || errors.Is(err, dedupe.ErrLost) {
			s.claims.drop(e.ID)
			return
		}
	}
	s.abandon(e)
}

// abandon lets go of a row as if this process had been lost.
func (s *Sender) abandon(e dedupe.Entry) {
	s.claims.drop(e.ID)
	s.store.Abandon(e)
}

// commit changes the ledger even if the caller has left.
func (s *Sender) commit(ctx context.Context, change func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeBound)
	defer cancel()
	return change(ctx)
}
