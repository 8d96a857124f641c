package outbound

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
)

const (
	// callBound is how long a call to the IM may take at the very most; connectors have shorter ones.
	callBound = time.Minute
	// storeBound is how long the ledger may take for one change.
	storeBound = 10 * time.Second
	// hookBound is how long Options.Sent may take: the recipient's line waits for it.
	hookBound = 2 * time.Second
	// storePause is when to ask again after the ledger refused.
	storePause = time.Second
	// callsAtOnce is how many background sends are at the IMs at one time.
	callsAtOnce = 64
	// maxAge is how long a background send is tried.
	maxAge = 24 * time.Hour
)

// Account is how one IM account sends.
type Account struct {
	// Connector calls the IM; nil: the account cannot send.
	Connector Connector
	// Limits bound it.
	Limits Limits
}

// Table is the accounts by name. It must not be changed after it was given away.
type Table map[string]Account

// SentFunc is told of each message that the IM took, before Send returns and before the next one to the recipient goes.
// id may be empty. It must return when ctx ends, which is soon; of failures in a row the first is logged.
type SentFunc func(ctx context.Context, account, to, id string) error

// KnownFunc tells on which accounts a conversation has been seen.
type KnownFunc func(ctx context.Context, conversation string) ([]string, error)

// Observer counts. Its methods must not block, and are safe for concurrent use.
type Observer interface {
	// Ended is told how a send ended: sent, replayed, or the code of its error.
	Ended(account, outcome string, took time.Duration)
	// Called is told of each call to an IM: sent, or the reason of its error.
	Called(account, outcome string, took time.Duration)
	// Held is told how long a message waited for its place in the pace.
	Held(account string, waited time.Duration)
}

// Alarm is for what an operator has to see and mend at an account. Raising what is raised already says nothing again.
type Alarm interface {
	// Raise says that something is wrong. what is one word with a fixed meaning; text is safe to show.
	Raise(account, what, text string)
	// Clear says that it is over.
	Clear(account, what string)
}

// Options are what a Sender is made of.
type Options struct {
	// Store is the ledger. The Sender does not close or sweep it.
	Store dedupe.Store
	// Limiter keeps the pace; the limits come with each question.
	Limiter Limiter
	// Accounts are those to begin with.
	Accounts Table
	// Hold is how long a caller's send may be held up before it is refused.
	Hold time.Duration
	// Lease is how long the ledger counts with us after it last heard of a send; 0: for good. With under half of it left
	// no call to an IM begins, so that a relay that was frozen sends nothing.
	Lease time.Duration
	// Sent, Known and Observer may be nil.
	Sent     SentFunc
	Known    KnownFunc
	Observer Observer
	// Alarm is told of an account that is logged out: what is "offline". Nil: nobody is.
	Alarm Alarm
	// Random is from 0 to 1 and safe for concurrent use: jitter. Nil: of math/rand.
	Random func() float64
	// Log gets a line for each call to an IM and for each refusal.
	Log *zap.Logger
}

// Sender sends messages: see the package's comment for the way of one. New makes it, Run sends in the background,
// Close ends it.
type Sender struct {
	store    dedupe.Store
	limiter  Limiter
	hold     time.Duration
	lease    time.Duration
	sentHook SentFunc
	hookDown atomic.Bool
	known    KnownFunc
	observer Observer
	alarm    Alarm
	random   func() float64
	log      *zap.Logger
	made     time.Time

	table   atomic.Pointer[table]
	flights flights
	claims  claims
	pump    pump

	mu    sync.Mutex
	desks map[string]*desk
	// stopped is set when no new send is taken; active are those under way.
	stopped bool
	active  sync.WaitGroup
	// closing ends all waits; abort ends the contexts of all calls that callContext made.
	closing     chan struct{}
	abort       context.CancelFunc
	callContext func() (context.Context, context.CancelFunc)
}

// New makes a Sender.
func New(o Options) (*Sender, error) {
	switch {
	case o.Store == nil:
		return nil, errors.New("make sender: no store")
	case o.Limiter == nil:
		return nil, errors.New("make sender: no limiter")
	case o.Log == nil:
		return nil, errors.New("make sender: no logger")
	}
	s := &Sender{
		store: o.Store, limiter: o.Limiter, hold: o.Hold, lease: o.Lease, sentHook: o.Sent, known: o.Known,
		observer: o.Observer, alarm: o.Alarm, random: o.Random, log: o.Log,
		desks: map[string]*desk{}, closing: make(chan struct{}), made: time.Now(),
	}
	aborted, abort := context.WithCancel(context.Background())
	s.abort, s.callContext = abort, func() (context.Context, context.CancelFunc) {
		return context.WithTimeout(aborted, callBound)
	}
	if s.observer == nil {
		s.observer = unobserved{}
	}
	if s.random == nil {
		s.random = rand.Float64
	}
	s.pump.init()
	if err := s.lookBack(); err != nil {
		return nil, fmt.Errorf("make sender: %w", err)
	}
	s.Reload(o.Accounts)
	return s, nil
}

// lookBack asks whether an earlier run left sends in the ledger. If not, no line has to wait for Run to look.
func (s *Sender) lookBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), storeBound)
	defer cancel()
	n, err := s.store.Waiting(ctx)
	if err != nil {
		return fmt.Errorf("count queued sends: %w", err)
	}
	s.pump.caughtUp = n == 0
	return nil
}

// table is the accounts with what their connectors can do beside sending.
type table struct{ accounts map[string]account }

// allowed are the accounts that the client may use, by name.
func (t *table) allowed(c Client) []string {
	names := slices.Sorted(maps.Keys(t.accounts))
	if len(c.Accounts) == 0 {
		return names
	}
	return slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(c.Accounts, n) })
}

type account struct {
	Account
	fits       func(string) bool
	idempotent time.Duration
	// carry and render are a [Carrier]'s and a [Renderer]'s; nil: the connector is none.
	carry  func(Media) error
	render func(string) string
	// pace is a [Paced]'s.
	pace func(to string) (Limits, string)
	// counted is the name under which the IM counts the recipient whom it is for.
	counted string
}

// to is the account for sends to a recipient.
func (a account) to(recipient string) account {
	a.counted = recipient
	if a.pace == nil {
		return a
	}
	own, counted := a.pace(recipient)
	if counted != "" {
		a.counted = counted
	}
	a.Limits = a.Limits.over(own)
	a.fits = fitting(a.Account)
	return a
}

// Reload takes over new accounts and limits at once. Sends under way go on, with the new ones from their next step. An
// account that was logged out is no longer, with its alarm, if its connector is another: the first send finds out anew.
func (s *Sender) Reload(t Table) {
	next := &table{accounts: make(map[string]account, len(t))}
	for name, a := range t {
		in := account{Account: a, fits: fitting(a)}
		if i, ok := a.Connector.(Idempotent); ok {
			in.idempotent = i.Window()
		}
		if c, ok := a.Connector.(Carrier); ok {
			in.carry = c.Carry
		}
		if r, ok := a.Connector.(Renderer); ok {
			in.render = r.Render
		}
		if p, ok := a.Connector.(Paced); ok {
			in.pace = p.Pace
		}
		next.accounts[name] = in
	}
	before := s.table.Swap(next)
	for _, d := range s.allDesks() {
		if !same(before.accounts[d.account].Connector, next.accounts[d.account].Connector) {
			s.renewed(d)
		}
		d.stir()
	}
}

// same says that two connectors are one.
func same(a, b Connector) bool {
	v := reflect.ValueOf(a)
	return v.IsValid() && v.Comparable() && a == b
}

// desk returns the account's lines. They outlive a reload.
func (s *Sender) desk(name string) *desk {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.desks[name]
	if d == nil {
		d = newDesk(name, s.limiter, s.pump.fence())
		d.random = s.random
		s.desks[name] = d
	}
	return d
}

// begin counts a send as under way, unless the Sender is stopping.
func (s *Sender) begin() *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errStopping()
	}
	s.active.Add(1)
	return nil
}

// stop takes no new sends and ends all waits.
func (s *Sender) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.closing)
	}
}

// Close takes no new sends, and waits for those under way. Whoever waits for a turn, a place or a retry is refused
// with shutting_down, and what is queued stays queued. When ctx ends first, calls to the IM are cut off: their outcome
// is unknown. It may be called more than once.
func (s *Sender) Close(ctx context.Context) error {
	s.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.active.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.abort()
		<-done
		return fmt.Errorf("close sender: %w", ctx.Err())
	}
}

// Send sends one message and returns when its outcome is known. A caller who leaves before the message was started
// takes it along; after that it is sent all the same. Every error is an [*Error].
func (s *Sender) Send(ctx context.Context, r Request) (Result, error) {
	j := s.newJob(r)
	if err := s.begin(); err != nil {
		return Result{}, s.refused(j, err)
	}
	defer s.active.Done()
	if err := s.prepare(ctx, j); err != nil {
		return Result{}, s.refused(j, err)
	}
	var (
		res Result
		err *Error
	)
	switch {
	case r.Key != "":
		res, err = s.once(ctx, j)
	case s.lease > 0:
		// A ledger that is shared may be out of reach, and then nothing is sent that it does not know of.
		j.Key = j.id
		res, err = s.lead(ctx, j)
	default:
		err = s.deliver(ctx, j)
		res = Result{MessageIDs: j.rec.IDs}
	}
	if err != nil {
		return Result{}, s.refused(j, err)
	}
	s.ended(j, res)
	return res, nil
}

// job is one message on its way.
type job struct {
	Request
	id      string
	digest  [32]byte
	arrived time.Time
	// deadline is until when it may be held up.
	deadline   time.Time
	background bool
	// entry is its row in the ledger; kept says that it has one.
	entry dedupe.Entry
	kept  bool
	rec   record
	// pieces are what is left to be sent.
	pieces []piece
	// started says that the ledger counts with a call under way, over that it was told the outcome.
	started, over bool
	// ticket is its place in the line.
	ticket *ticket
	// hungry is since when it waits for a place in the pace; zero: it does not.
	hungry time.Time
	// told says that its last failure was logged, tried that the IM was called for it in this process.
	told, tried bool
}

func (s *Sender) newJob(r Request) *job {
	now := time.Now()
	return &job{Request: r, arrived: now, deadline: now.Add(s.hold)}
}

// prepare resolves the account and checks what can be checked before the ledger is asked.
func (s *Sender) prepare(ctx context.Context, j *job) *Error {
	name, err := s.resolve(ctx, j.Request)
	if err != nil {
		return err
	}
	j.Account = name
	if err := s.fit(j); err != nil {
		return err
	}
	id, cause := uuid.NewV7()
	if cause != nil {
		return errStore(fmt.Errorf("make id: %w", cause))
	}
	j.id, j.digest = "msg_"+id.String(), digest(j.Request)
	return nil
}

// unobserved counts nothing.
type unobserved struct{}

func (unobserved) Ended(string, string, time.Duration)  {}
func (unobserved) Called(string, string, time.Duration) {}
func (unobserved) Held(string, time.Duration)           {}
