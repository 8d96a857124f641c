package outbound

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/sethvargo/go-retry"

	"github.com/imrelay/imrelay/dedupe"
)

// deliver sends what is left of a message's parts, in order, in its turn.
func (s *Sender) deliver(ctx context.Context, j *job) *Error {
	d := s.desk(j.Account)
	j.rec.Long = j.rec.Long || len(j.pieces) > 1
	if !j.background {
		if err := s.line(ctx, d, j); err != nil {
			return j.rec.at(s.unstarted(ctx, j, err))
		}
		defer d.leave(j.ticket)
	}
	j.rec.keep(j, j.shown(s.account(j)))
	for i, p := range j.pieces {
		if len(j.rec.IDs) > 0 {
			ctx = context.WithoutCancel(ctx)
			s.goOn(j)
		}
		id, err := s.part(ctx, d, j, j.message(p))
		if err != nil {
			return j.rec.at(err)
		}
		j.rec.done(p, id)
		if i < len(j.pieces)-1 {
			s.note(ctx, j)
		}
	}
	j.rec.Text = ""
	s.finish(ctx, j, dedupe.Done)
	return nil
}

// fitting tells what fits one message of the account: by its limit in characters and its IM's in the IM's own unit.
func fitting(a Account) func(string) bool {
	chars, units := a.Limits.MaxText, 0
	m, ok := a.Connector.(Measured)
	if ok {
		units = m.MaxText()
	}
	return func(text string) bool {
		return (chars <= 0 || len(text) <= chars || utf8.RuneCountInString(text) <= chars) &&
			(units <= 0 || m.Measure(text) <= units)
	}
}

// goOn gives the next part of a caller's message the patience that the first one had. Its place in the pace it waits
// for without a bound.
func (s *Sender) goOn(j *job) {
	if !j.background {
		j.deadline = time.Now().Add(s.hold)
	}
}

// line waits for the message's turn among those to its recipient.
func (s *Sender) line(ctx context.Context, d *desk, j *job) *Error {
	a := s.account(j)
	j.ticket = &ticket{
		to: j.To, counted: a.counted, turn: make(chan *Error, 1), owed: len(j.pieces), deadline: j.deadline,
	}
	if err := d.enter(ctx, j.ticket, a); err != nil {
		return err
	}
	err := s.turn(ctx, j.ticket)
	if err != nil {
		d.leave(j.ticket)
	}
	return err
}

// turn waits until the ticket is at the head. A caller's was let in because it could go in time; he is not held up for
// having been wrong by more than that again.
func (s *Sender) turn(ctx context.Context, t *ticket) *Error {
	var late <-chan time.Time
	if !t.background {
		timer := time.NewTimer(time.Until(t.deadline) + s.hold)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case err := <-t.turn:
		return err
	case <-late:
		return errRateLimited(s.hold)
	case <-ctx.Done():
		return errLeft(ctx.Err())
	case <-s.closing:
		return errStopping()
	}
}

// account is the account as of now for the message's recipient, or one that cannot send if it is gone.
func (s *Sender) account(j *job) account {
	a := s.table.Load().accounts[j.Account].to(j.To)
	if len(j.rec.IDs) > 0 {
		a.Limits.Quiet = a.Limits.Quiet.later(begunGrace)
	}
	return a
}

// part sends one part: before each call it takes a place in the pace and is started in the ledger, and it is settled there
// after the last one.
func (s *Sender) part(ctx context.Context, d *desk, j *job, m Message) (string, *Error) {
	t := try{backoff: s.backoff(j)}
	for {
		t.attempt++
		c, err := s.attempt(ctx, d, j, m)
		if err != nil {
			return "", s.giveUp(ctx, j, t, err)
		}
		c.attempt = t.attempt
		if c.err == nil {
			d.flow(s.account(j).counted)
			s.loggedIn(d, c.began)
			s.sent(ctx, j, c)
			return c.id, nil
		}
		c.verdict = s.judge(d, j, c, &t)
		s.failed(j, c)
		if c.verdict.final != nil {
			return "", s.settle(ctx, j, c.verdict)
		}
		if !t.uncertain {
			s.note(ctx, j)
		}
		if c.verdict.stick {
			d.stick(j.ticket, time.Now().Add(c.verdict.wait))
		}
		d.again(j.ticket)
		if c.verdict.held {
			continue
		}
		if err := s.wait(ctx, nil, c.verdict.wait); err != nil {
			return "", s.giveUp(ctx, j, t, err)
		}
	}
}

// call is one call to the IM and what came of it.
type call struct {
	m       Message
	attempt int
	began   time.Time
	took    time.Duration
	id      string
	err     *SendError
	verdict verdict
	// probe says that it was to find out whether the account is logged in.
	probe bool
}

// attempt makes one call in its place in the pace, once nothing is in its way. What has come in its way after it took the
// place costs it that, or all who waited would go at once afterwards. Its error means that no call was made.
func (s *Sender) attempt(ctx context.Context, d *desk, j *job, m Message) (call, *Error) {
	for {
		if err := s.place(ctx, d, j); err != nil {
			return call{}, err
		}
		// Half a message helps nobody: only the first part may be called off.
		if err := s.calledOff(ctx); err != nil && len(j.rec.IDs) == 0 {
			return call{}, err
		}
		if c, made, err := s.goes(ctx, d, j, m); made || err != nil {
			return c, err
		}
		d.again(j.ticket)
	}
}

// goes makes one call now; not if something is in its way.
func (s *Sender) goes(ctx context.Context, d *desk, j *job, m Message) (c call, made bool, err *Error) {
	if j.background {
		select {
		case s.pump.calls <- struct{}{}:
		case <-s.closing:
			return call{}, false, errStopping()
		}
		defer func() { <-s.pump.calls }()
	}
	a, now := s.account(j), time.Now()
	if a.Connector == nil {
		none := &SendError{Reason: NotSent, Detail: "the account cannot send"}
		return call{m: m, began: now, err: none}, true, nil
	}
	if h, _ := d.hold(a, now); h.until.After(now) {
		return call{}, false, nil
	}
	if err := s.start(ctx, j); err != nil {
		return call{}, false, err
	}
	ok, probe := d.through(a)
	if !ok {
		s.note(ctx, j)
		return call{}, false, nil
	}
	c = s.call(j, a.Connector, m)
	c.probe = probe
	return c, true, nil
}

// call calls the IM. The caller's leaving does not end it.
func (s *Sender) call(j *job, to Connector, m Message) call {
	ctx, cancel := s.callContext()
	defer cancel()
	if j.kept && s.lease > 0 {
		m.Ready = func() error { return s.current(j) }
	}
	began := time.Now()
	receipt, err := to.Send(ctx, m)
	c := call{m: m, began: began, took: time.Since(began), id: receipt.ID}
	outcome := "sent"
	if err != nil {
		c.err = sendError(err)
		outcome = c.err.Reason.String()
	}
	s.observer.Called(j.Account, outcome, c.took)
	return c
}

// errFrozen says that so much time has gone by since the ledger heard of a send that it may be another relay's.
var errFrozen = errors.New("the claim on the send is too old")

// current says whether the ledger still counts with us for the send.
func (s *Sender) current(j *job) error {
	if s.claims.age(j.entry.ID) >= s.lease/2 {
		return errFrozen
	}
	return nil
}

// sendError is the connector's error. One that breaks its contract may have sent.
func sendError(err error) *SendError {
	if e, ok := errors.AsType[*SendError](err); ok && e.Reason >= NotSent && e.Reason <= Uncertain {
		return e
	}
	return &SendError{Reason: Uncertain, Err: err}
}

// backoff is the curve of an attempt's successors: a caller's send is soon over, a background send has a day.
func (s *Sender) backoff(j *job) retry.Backoff {
	base, longest := 100*time.Millisecond, time.Second
	if j.background {
		base, longest = time.Second, 5*time.Minute
	}
	return retry.WithJitterPercent(20, retry.WithCappedDuration(longest, retry.NewExponential(base)))
}

// calledOff says that the caller has left, or that the Sender is stopping.
func (s *Sender) calledOff(ctx context.Context) *Error {
	if ctx.Err() != nil {
		return errLeft(ctx.Err())
	}
	select {
	case <-s.closing:
		return errStopping()
	default:
		return nil
	}
}

// wait waits for the event or the time, whichever comes first; a nil event never comes.
func (s *Sender) wait(ctx context.Context, event <-chan struct{}, d time.Duration) *Error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-event:
	case <-t.C:
	case <-ctx.Done():
		return errLeft(ctx.Err())
	case <-s.closing:
		return errStopping()
	}
	return nil
}
