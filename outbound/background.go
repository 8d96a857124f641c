package outbound

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
)

const (
	// lookEvery is how often the ledger is looked through without a reason to.
	lookEvery = time.Second
	// renewEvery is how often held rows are renewed.
	renewEvery = 3 * time.Second
	// takeAtOnce and heldAtMost bound the rows that are taken in one look, and those that are held at one time: one a
	// recipient.
	takeAtOnce = 256
	heldAtMost = 4096
	// orphanAge is how long a place in a line may wait for its row before the ledger is asked where that is.
	orphanAge = 2 * time.Second
)

// The words of a Report.
const (
	StatusQueued  = "queued"
	StatusSent    = "sent"
	StatusFailed  = "failed"
	StatusUnknown = "unknown"
)

// pump takes queued sends out of the ledger.
type pump struct {
	// wake says that there is a reason to look.
	wake chan struct{}
	// calls bounds the calls under way.
	calls chan struct{}

	mu sync.Mutex
	// look numbers the looks into the ledger; caughtUp says that one has found nothing of an earlier run.
	look     uint64
	caughtUp bool
	held     int
}

func (p *pump) init() {
	p.wake, p.calls, p.look = make(chan struct{}, 1), make(chan struct{}, callsAtOnce), 1
}

func (p *pump) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// fence is what a new line's probe is given; 0: it needs none.
func (p *pump) fence() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.caughtUp {
		return 0
	}
	return p.look
}

// begin numbers a look, and says how many rows it may take.
func (p *pump) begin() (look uint64, limit int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.look++
	return p.look, min(takeAtOnce, heldAtMost-p.held)
}

func (p *pump) now() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.look
}

func (p *pump) hold(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held += n
}

// Enqueue makes a message durable, to be sent by Run in order for its recipient. Every error is an [*Error].
func (s *Sender) Enqueue(ctx context.Context, r Request) (Report, error) {
	j := s.newJob(r)
	if err := s.begin(); err != nil {
		return Report{}, s.refused(j, err)
	}
	defer s.active.Done()
	if err := s.prepare(ctx, j); err != nil {
		return Report{}, s.refused(j, err)
	}
	rep, err := s.enqueue(ctx, j)
	if err != nil {
		return Report{}, s.refused(j, err)
	}
	return rep, nil
}

func (s *Sender) enqueue(ctx context.Context, j *job) (Report, *Error) {
	if j.Key == "" {
		j.Key = j.id
	}
	queued, cause := payloadOf(j.Request, j.arrived)
	if cause != nil {
		return Report{}, errStore(cause)
	}
	// The place in the line comes first: whoever takes the row finds it there, and later sends stand behind it.
	d := s.desk(j.Account)
	t := &ticket{to: j.To, turn: make(chan *Error, 1), owed: len(j.pieces), owner: j.Client.Name, id: j.id}
	d.queue(t)
	e, err := s.claim(ctx, j, queued)
	if err != nil || e.Status != dedupe.Waiting || e.ID != j.id {
		d.abandon(t)
	}
	s.pump.poke()
	switch {
	case err != nil:
		return Report{}, errQueue(err.Err)
	case e.Status == dedupe.Conflict:
		return Report{}, errReused()
	case e.Status == dedupe.Unknown:
		return Report{}, unknownOf(e)
	}
	rep, cause := report(e)
	if cause != nil {
		return Report{}, errStore(cause)
	}
	rep.Replayed = e.ID != j.id
	return rep, nil
}

// Lookup tells what became of a client's message. Every error is an [*Error].
func (s *Sender) Lookup(ctx context.Context, client, id string) (Report, error) {
	e, err := s.store.Find(ctx, client, id)
	if errors.Is(err, dedupe.ErrNotFound) {
		return Report{}, refuse(CodeNotFound, "no message of this client has the id, or it is too long ago")
	}
	if err != nil {
		return Report{}, errLookup(err)
	}
	rep, err := report(e)
	if err != nil {
		return Report{}, errLookup(err)
	}
	return rep, nil
}

func report(e dedupe.Entry) (Report, error) {
	rec, err := decodeRecord(e.Record)
	if err != nil {
		return Report{}, err
	}
	rep := Report{ID: e.ID, Status: StatusQueued, MessageIDs: rec.IDs}
	switch e.Status {
	case dedupe.Done:
		rep.Status = StatusSent
	case dedupe.Failed:
		rep.Status, rep.Err = StatusFailed, rec.ended(dedupe.Failed)
	case dedupe.Unknown:
		rep.Status, rep.Err = StatusUnknown, rec.ended(dedupe.Unknown)
	}
	return rep, nil
}

// Run sends what is queued until ctx ends or the Sender is closed, and then waits for what is under way. It also keeps
// the claims of all sends from lapsing, so it must run wherever Send is called. It is called once.
func (s *Sender) Run(ctx context.Context) error {
	var keeper sync.WaitGroup
	over := make(chan struct{})
	keeper.Go(func() { s.renew(over) })
	s.pumpUntil(ctx)
	s.stop()
	s.active.Wait()
	close(over)
	keeper.Wait()
	return nil
}

// pumpUntil looks through the ledger whenever there is a reason to, until ctx ends or the Sender is closed.
func (s *Sender) pumpUntil(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if s.lookThrough(ctx) {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.closing:
			return
		case <-tick.C:
			s.dropOrphans(ctx)
		case <-s.pump.wake:
		}
	}
}

// lookThrough takes what is queued, and says whether there may be more to take at once.
func (s *Sender) lookThrough(ctx context.Context) (more bool) {
	look, limit := s.pump.begin()
	if limit <= 0 || ctx.Err() != nil {
		return false
	}
	entries, err := s.store.Take(ctx, limit)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Error("take queued sends", zap.Error(err))
		}
		return false
	}
	for _, e := range entries {
		s.take(ctx, e)
	}
	if len(entries) == limit {
		return true
	}
	s.allSeen(look)
	return false
}

// allSeen takes note that a look has found all there was.
func (s *Sender) allSeen(look uint64) {
	s.pump.mu.Lock()
	s.pump.caughtUp = true
	s.pump.mu.Unlock()
	for _, d := range s.allDesks() {
		d.settle(look)
	}
}

func (s *Sender) allDesks() []*desk {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*desk, 0, len(s.desks))
	for _, d := range s.desks {
		out = append(out, d)
	}
	return out
}

// take sends one queued message in a goroutine of its own.
func (s *Sender) take(ctx context.Context, e dedupe.Entry) {
	j := &job{background: true}
	s.adopt(j, e)
	if err := s.begin(); err != nil {
		s.release(ctx, j)
		return
	}
	unreadable := s.restore(j, e)
	d := s.desk(j.Account)
	var known bool
	if j.ticket, known = d.man(j.To, max(1, len(j.pieces))); j.ticket.id == e.ID {
		j.arrived = j.ticket.since
	}
	j.deadline = j.arrived.Add(maxAge)
	s.pump.hold(1)
	go func() {
		defer s.active.Done()
		s.background(context.WithoutCancel(ctx), d, j, unreadable)
		if known {
			d.leave(j.ticket)
		} else {
			d.retire(j.ticket, s.pump.now())
		}
		s.pump.hold(-1)
		s.pump.poke()
	}()
}

// restore reads the queued message and what is known of its parts.
func (s *Sender) restore(j *job, e dedupe.Entry) error {
	r, queued, err := requestOf(e.Payload)
	if err == nil {
		j.rec, err = decodeRecord(e.Record)
	}
	j.Request, j.rec.Fail = r, nil
	j.arrived = s.queuedAt(queued)
	if err != nil {
		j.Client.Name = e.Owner
		j.Account, j.To = recipientOf(e.Lane)
		return err
	}
	j.pieces = s.cut(j, 0)
	return nil
}

// queuedAt is when a message of an earlier run, or of another relay, was queued. How old it was when this Sender was made
// only the wall clock can tell; what has gone by since then does not depend on how that is set.
func (s *Sender) queuedAt(wall time.Time) time.Time {
	now := time.Now()
	if at := s.made.Add(wall.Sub(s.made)); at.Before(now) {
		return at
	}
	return now
}

// until is when the message is given up. A queued one is tried in each process, however old a clock says that it is.
func (j *job) until(now time.Time) time.Time {
	if j.background && !j.tried {
		return now.Add(maxAge)
	}
	return j.deadline
}

// background sends a queued message in its turn.
func (s *Sender) background(ctx context.Context, d *desk, j *job, unreadable error) {
	err := s.turn(ctx, j.ticket)
	switch {
	case err != nil:
		s.release(ctx, j)
		return
	case unreadable != nil:
		err = refuse(CodeInvalid, "the stored message cannot be read")
		err.Err = unreadable
		_ = s.settle(ctx, j, j.end(err))
	default:
		if err = s.awaitAccount(ctx, d, j); err == nil {
			err = s.deliver(ctx, j)
		}
	}
	switch {
	case err == nil:
		s.ended(j, Result{})
	case err.Code != CodeShuttingDown:
		_ = s.refused(j, err)
	}
}

// awaitAccount waits for an account that a reload has taken away to come back, and cuts the text by its limits then.
func (s *Sender) awaitAccount(ctx context.Context, d *desk, j *job) *Error {
	for s.account(j).Connector == nil {
		d.stick(j.ticket, time.Now().Add(unavailableFor))
		if err := s.wait(ctx, nil, unavailableFor); err != nil {
			return s.unstarted(ctx, j, err)
		}
		if s.account(j).Connector == nil && time.Now().After(j.deadline) {
			return s.unstarted(ctx, j, errUnavailable(unavailableFor))
		}
	}
	j.pieces = s.cut(j, 0)
	return nil
}

// renew keeps held rows from lapsing.
func (s *Sender) renew(over <-chan struct{}) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		held := s.claims.all()
		if len(held) == 0 {
			continue
		}
		asked := time.Now()
		err := s.commit(context.Background(), func(ctx context.Context) error {
			kept, err := s.store.Renew(ctx, held)
			s.claims.prolong(kept, asked)
			return err
		})
		if err != nil {
			s.log.Error("renew claims", zap.Error(err))
		}
	}
}

// dropOrphans asks the ledger for the rows that hold up a line and that nobody here has: another relay sent them, or
// has them. It asks for so many in one look, and for none once the ledger cannot tell: nothing is taken meanwhile.
func (s *Sender) dropOrphans(ctx context.Context) {
	asked := 0
	for _, d := range s.allDesks() {
		for _, t := range d.orphans(time.Now().Add(-orphanAge)) {
			if asked++; asked > takeAtOnce {
				return
			}
			e, err := s.store.Find(ctx, t.owner, t.id)
			switch {
			case err == nil && (e.Status == dedupe.Waiting || e.Status == dedupe.Running):
			case err == nil, errors.Is(err, dedupe.ErrNotFound):
				d.abandon(t)
			default:
				return
			}
		}
	}
}
