package outbound

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/imrelay/imrelay/dedupe"
)

// pollEvery is how often a key that another relay holds is looked at.
const pollEvery = 250 * time.Millisecond

// flight is one send of a key that is under way in this process.
type flight struct {
	done   chan struct{}
	res    Result
	err    *Error
	shared bool
}

type flightKey struct {
	owner, key string
	digest     [32]byte
	resend     bool
}

// flights let the repeats of a request wait for the first one's outcome.
type flights struct {
	mu sync.Mutex
	m  map[flightKey]*flight
}

// join returns the key's flight, and whether the caller is the one to make it.
func (f *flights) join(k flightKey) (fl *flight, leads bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl = f.m[k]; fl != nil {
		return fl, false
	}
	if f.m == nil {
		f.m = map[flightKey]*flight{}
	}
	fl = &flight{done: make(chan struct{})}
	f.m[k] = fl
	return fl, true
}

// land ends a flight. The outcome of one whose caller has left before anything was sent is nobody else's.
func (f *flights) land(k flightKey, fl *flight, left bool) {
	f.mu.Lock()
	delete(f.m, k)
	f.mu.Unlock()
	fl.shared = !left
	close(fl.done)
}

// once sends a message with a key: one call to the IM for all requests with it.
func (s *Sender) once(ctx context.Context, j *job) (Result, *Error) {
	k := flightKey{j.Client.Name, j.Key, j.digest, j.Resend}
	for {
		fl, leads := s.flights.join(k)
		if leads {
			return s.fly(ctx, j, k, fl)
		}
		if err := s.wait(ctx, fl.done, time.Until(j.deadline)); err != nil {
			return Result{}, err
		}
		select {
		case <-fl.done:
		default:
			return Result{}, errInProgress()
		}
		if fl.shared {
			res := fl.res
			res.Replayed = fl.err == nil
			return res, fl.err
		}
	}
}

// fly makes the flight, and lands it whatever happens.
func (s *Sender) fly(ctx context.Context, j *job, k flightKey, fl *flight) (Result, *Error) {
	left := true
	defer func() { s.flights.land(k, fl, left) }()
	fl.res, fl.err = s.lead(ctx, j)
	left = fl.err != nil && errors.Is(fl.err, errCallerLeft)
	return fl.res, fl.err
}

// lead claims the key and sends, or finds out what became of an earlier request with it.
func (s *Sender) lead(ctx context.Context, j *job) (Result, *Error) {
	for {
		e, err := s.claim(ctx, j, nil)
		if err != nil {
			return Result{}, err
		}
		switch e.Status {
		case dedupe.Claimed:
			return s.sendClaimed(ctx, j, e)
		case dedupe.Done:
			rec, err := decodeRecord(e.Record)
			if err != nil {
				return Result{}, errStore(err)
			}
			return Result{MessageIDs: rec.IDs, Replayed: true}, nil
		case dedupe.Unknown:
			return Result{}, unknownOf(e)
		case dedupe.Conflict:
			return Result{}, errReused()
		}
		left := time.Until(j.deadline)
		if left <= 0 {
			return Result{}, errInProgress()
		}
		if err := s.wait(ctx, nil, min(left, pollEvery)); err != nil {
			return Result{}, err
		}
	}
}

func errReused() *Error {
	return refuse(CodeKeyReused, "the idempotency key was used for other content; use a new one")
}

func unknownOf(e dedupe.Entry) *Error {
	rec, err := decodeRecord(e.Record)
	if err != nil {
		return errStore(err)
	}
	return rec.ended(dedupe.Unknown)
}

func (s *Sender) claim(ctx context.Context, j *job, queued []byte) (dedupe.Entry, *Error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeBound)
	defer cancel()
	e, err := s.store.Claim(ctx, dedupe.Claim{
		Owner: j.Client.Name, Key: j.Key, ID: j.id, Lane: laneOf(j.Account, j.To), Digest: j.digest, Payload: queued,
		Resend: j.Resend,
	})
	if err != nil {
		return e, errStore(err)
	}
	return e, nil
}

func (s *Sender) sendClaimed(ctx context.Context, j *job, e dedupe.Entry) (Result, *Error) {
	s.adopt(j, e)
	// An unreadable record, or a connector that panics, must not leave the key held.
	defer func() {
		if !j.over {
			s.abandon(e)
		}
	}()
	var err error
	if j.rec, err = decodeRecord(e.Record); err != nil {
		return Result{}, errStore(err)
	}
	if j.rec.Fail = nil; len(j.rec.IDs) > 0 {
		j.pieces = s.cut(j, 0)
	}
	if err := s.deliver(ctx, j); err != nil {
		return Result{}, err
	}
	return Result{MessageIDs: j.rec.IDs}, nil
}

// adopt makes the row the job's. Its id is the first request's.
func (s *Sender) adopt(j *job, e dedupe.Entry) {
	j.entry, j.kept, j.id = e, true, e.ID
	s.claims.add(e, time.Now())
}

// claims are the rows that are held, to be renewed while the Sender runs.
type claims struct {
	mu sync.Mutex
	m  map[string]*held
}

// held is one of them, and since when the ledger counts with us.
type held struct {
	entry dedupe.Entry
	since time.Time
}

// add notes that the row is ours as of since.
func (c *claims) add(e dedupe.Entry, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]*held{}
	}
	c.m[e.ID] = &held{entry: e, since: since}
}

// prolong notes that the rows are ours as of since.
func (c *claims) prolong(es []dedupe.Entry, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range es {
		if h := c.m[e.ID]; h != nil {
			h.since = since
		}
	}
}

// age is how long ago the ledger last counted with us; for ever, if the row is not ours. A machine that slept may have
// stopped one of its clocks, so the longer of what both say.
func (c *claims) age(id string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.m[id]
	if h == nil {
		return math.MaxInt64
	}
	now := time.Now()
	return max(now.Sub(h.since), now.Round(0).Sub(h.since.Round(0)))
}

func (c *claims) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, id)
}

func (c *claims) all() []dedupe.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]dedupe.Entry, 0, len(c.m))
	for _, h := range c.m {
		out = append(out, h.entry)
	}
	return out
}
