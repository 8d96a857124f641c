package queue

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"
)

// Errors that callers branch on. Stores wrap them with what they know.
var (
	// ErrNotFound says that no job has the id.
	ErrNotFound = errors.New("no such job")
	// ErrLeaseLost says that the lease is no longer the caller's: it lapsed and the job was taken again, or it was
	// settled before. Nothing was changed.
	ErrLeaseLost = errors.New("lease lost")
	// ErrUnavailable says that the store cannot do it now: full, failed, closed or out of reach. A Put that returns
	// it made no promise, but the job may have been stored all the same.
	ErrUnavailable = errors.New("store unavailable")
	// ErrState says that the job is in a state that does not allow the call. Nothing was changed.
	ErrState = errors.New("not in a state that allows this")
)

// State is where a job stands. The package comment draws the machine.
type State uint8

// The states of a job.
const (
	Queued    State = iota + 1 // in its lane, in order
	Parked                     // aside, still retried, out of order
	Delivered                  // taken by the agent
	Dead                       // given up, kept with its reason
)

var stateNames = [...]string{Queued: "queued", Parked: "parked", Delivered: "delivered", Dead: "dead"}

// String returns the state's name as the API and the CLI show it.
func (s State) String() string {
	if s < Queued || s > Dead {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return stateNames[s]
}

// ParseState is the inverse of [State.String].
func ParseState(name string) (State, error) {
	for s := Queued; s <= Dead; s++ {
		if stateNames[s] == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("unknown state %q", name)
}

// Lane names what is delivered in order.
type Lane struct {
	// Agent is the configured name of the agent that the jobs go to.
	Agent string
	// Account is the configured name of the IM account that they came from.
	Account string
	// Conversation is the chat in that account, as the IM names it.
	Conversation string
}

// Key is what a message is known by: repeats have it in common, and so has the echo of what we sent. It names the chat, so
// that a store that is spread over many places knows where to look.
type Key struct {
	Account, Conversation string
	// Identity tells the chat's messages apart; empty: the message has none.
	Identity string
}

// IsZero says that it is no key.
func (k Key) IsZero() bool { return k.Identity == "" }

// KeySum is what a store keeps of a key: the first half of its SHA-256. It is short enough to keep many, and nobody can
// make two messages that share one.
type KeySum [16]byte

// Sum returns the key's sum.
func (k Key) Sum() KeySum {
	sum := sha256.Sum256([]byte(k.Account + "\x00" + k.Conversation + "\x00" + k.Identity))
	return KeySum(sum[:16])
}

// Job is one accepted event. The first group is given to Put, the second is kept by the store.
type Job struct {
	// ID is made by the caller, is unique, sorts by time of making and never changes.
	ID string
	// Key is what a repeat of the same message has in common with the first; zero: never a repeat. Its chat is the
	// lane's.
	Key Key
	// Aliases are further keys, of this chat or another of the account, under which [Putter.Remember] may know the
	// message. They are only looked up.
	Aliases []Key
	// Lane is where the job waits.
	Lane Lane
	// Meta is what the caller wants back beside the body. It is opaque to the store.
	Meta []byte
	// Body is delivered byte for byte. The store checks it against a checksum before it gives it out.
	Body []byte

	// Seq is the place in the store's commit order.
	Seq uint64
	// State is where the job stands.
	State State
	// Leased says that an attempt is under way.
	Leased bool
	// Attempts counts the counted attempts since acceptance or the last Revive.
	Attempts int
	// Accepted is when Put committed the job.
	Accepted time.Time
	// Since is when its age began: Accepted, or the last Revive.
	Since time.Time
	// Due is when the next attempt may begin.
	Due time.Time
	// NotBefore is until when the last attempt at it held its lane; zero: it did not.
	NotBefore time.Time
	// FirstFailure is when the first counted failure since Since was settled; zero: none.
	FirstFailure time.Time
	// Answered says that a failed attempt since Since was answered by the agent itself (see [Verdict.Answered]).
	Answered bool
	// Status is the agent's status at the last attempt; 0: it gave none.
	Status int
	// LastError says why the last attempt failed, or why the job is dead. It is safe to show.
	LastError string
	// Updated is when the job last changed.
	Updated time.Time
}

// Lease is the right to attempt one job. It ends at Settle, or lapses at Expires if it is not renewed.
type Lease struct {
	// Job is a copy as of the taking. Its Meta and Body must not be changed.
	Job Job
	// Token fences a late writer: each lease of a job has another.
	Token uint64
	// Taken is the store's time when the lease was given.
	Taken time.Time
	// Expires is when the store may give the lane to another taker.
	Expires time.Time
	// Troubled says that the last attempt in this lane was not an Ack.
	Troubled bool
}

// Action is what Settle does with a job.
type Action uint8

// The actions.
const (
	Ack   Action = iota + 1 // delivered
	Retry                   // again, in its place
	Park                    // again, aside
	Bury                    // never again by itself
)

// Verdict is the outcome of one attempt, as the store needs to know it.
type Verdict struct {
	// Action is the transition. A Retry of a parked job leaves it parked.
	Action Action
	// Counted says that the attempt counts: Attempts rises, and FirstFailure is set if it is not yet.
	Counted bool
	// Answered says that the agent itself answered the attempt with a status that tells of this job and not of an
	// outage. It stays set on the job.
	Answered bool
	// Delay is how long from now the next attempt is due (Retry and Park).
	Delay time.Duration
	// Hold is how long from now nothing of the lane is given out, whatever becomes of the job; 0: it is not held.
	Hold time.Duration
	// Status is the agent's status; 0: none.
	Status int
	// Reason says why it failed, in words that are safe to show. Empty for Ack.
	Reason string
}

// Placed is what became of one job given to Put.
type Placed struct {
	// ID is the job's own id when Fresh, else the id of the first job with that key; empty for an Echo.
	ID string
	// Fresh says that the job was queued.
	Fresh bool
	// Echo says that the key, or an alias, is one that Remember was given: the message is our own.
	Echo bool
	// Braked says that the job was queued, and that its conversation is paused now for having had too many turns (see
	// [Braker]).
	Braked bool
	// Wait is how long, as things stand, the job's first attempt has to wait for its lane's head to be due, or for a
	// hold or a pause to end; 0 when nothing is known to hold it.
	Wait time.Duration
}

// Want says what Take should give.
type Want struct {
	// Agent is the agent whose lanes are looked at.
	Agent string
	// Max is the most leases to give.
	Max int
	// Troubled is how many of them may be of troubled lanes.
	Troubled int
	// Early takes a lane although it is not due, if nothing but a hold and pauses speak against it; the lane
	// taken least recently comes first, so that repeated early takes go round the lanes.
	Early bool
}

// Taken is what Take gave.
type Taken struct {
	// Leases has at most one lease a lane.
	Leases []Lease
	// Next is how long until a lane that was passed over only because it is not due will be; 0: there is none.
	Next time.Duration
}

// Putter takes jobs in.
type Putter interface {
	// Put stores the jobs in their order and with their keys, in one commit, and says of each what became of it. A
	// key that was put or remembered within the dedupe window makes the job a repeat, and nothing is stored for it;
	// that holds between the jobs of one call too. It returns when the commit is durable. On an error (wrapping
	// ErrUnavailable) no promise is made for any of them. Safe for concurrent use.
	Put(ctx context.Context, jobs ...Job) ([]Placed, error)
	// Remember makes later jobs with one of these keys an Echo, for the dedupe window. Durable when it returns.
	Remember(ctx context.Context, keys ...Key) error
}

// Source gives jobs out, one a lane at a time. All methods are safe for concurrent use.
type Source interface {
	// Take leases due jobs, the longest due first, and returns at once, with none if none is due. Jobs whose body
	// fails its checksum are never given out: Take buries them with the reason "corrupt". Lapsed leases are taken
	// back first.
	Take(ctx context.Context, w Want) (Taken, error)
	// Wake returns the agent's signal: it is sent to (without blocking, capacity 1) whenever a lane of the agent may
	// have become takeable by a Put, a Settle, a Rouse, a Resume or a Revive, though not by the mere passing of time
	// that Taken.Next told of. Every call for an agent returns the same channel.
	Wake(agent string) <-chan struct{}
	// Settle ends the lease with one transition and returns when that is durable. A lease that lapsed but was not
	// taken by another is still good. ErrLeaseLost: nothing changed. So it is when the lease was settled before; a
	// store that may lose its answer on the way tells a caller who settles once more with the same verdict, because he
	// heard none, that it was done, and does not do it twice.
	Settle(ctx context.Context, l Lease, v Verdict) error
	// Renew prolongs the leases and returns those that are still held, with their new Expires. A lease with a Settle
	// under way is held until that is durable: its attempt is over, but nobody else has the job.
	Renew(ctx context.Context, ls []Lease) ([]Lease, error)
	// Rouse makes every waiting head of the agent's lanes due now, or when its lane's hold ends where that is later.
	Rouse(ctx context.Context, agent string) error
}

// Filter chooses jobs for List. Zero fields choose all.
type Filter struct {
	States       []State
	Leased       bool // only jobs with an attempt under way
	Agent        string
	Account      string
	Conversation string
	Since        time.Time // accepted at or after
	// Before is the Next of the page before: only older jobs. 0: from the newest.
	Before uint64
	// Limit is the most jobs a page; 0: 100.
	Limit int
}

// Page is one page of a listing, newest first. It is stable while jobs arrive.
type Page struct {
	// Jobs carry no Body.
	Jobs []Job
	// Next goes into Filter.Before for the following page; 0: this is the last.
	Next uint64
}

// Counts are the numbers of one agent's jobs.
type Counts struct {
	Queued, Leased, Parked, Delivered, Dead int
	// Lanes counts the lanes with queued or parked jobs.
	Lanes int
	// Oldest is when the oldest queued job was accepted; zero: none.
	Oldest time.Time
}

// Inspector looks without changing anything.
type Inspector interface {
	// Get returns the job with its body (nil where retention removed it), or ErrNotFound.
	Get(ctx context.Context, id string) (Job, error)
	// List returns a page of jobs.
	List(ctx context.Context, f Filter) (Page, error)
	// Stats returns the counts of every agent that has jobs.
	Stats(ctx context.Context) (map[string]Counts, error)
	// Accounts returns the accounts on which the conversation is known, sorted.
	Accounts(ctx context.Context, conversation string) ([]string, error)
}

// Mender moves jobs that nobody has leased.
type Mender interface {
	// Revive makes dead jobs parked ones with no attempts and a new age, the i-th due after i times gap, and returns
	// how many it moved. Jobs that are not dead, or do not exist, are passed over.
	Revive(ctx context.Context, ids []string, gap time.Duration) (int, error)
	// Drop removes dead and parked jobs for good and returns how many. Leased and other jobs are passed over. Their
	// keys stay known.
	Drop(ctx context.Context, ids []string) (int, error)
}

// Expirer gives up what nobody attempts: jobs of paused lanes and agents, and of agents that are configured no more.
type Expirer interface {
	// Expire makes the agent's queued and parked jobs dead whose Since is at least age ago, and returns how many. Their
	// LastError is the reason, or "reason; last: …" with the last error if there was one. A lane with an attempt under
	// way is left alone, and the other jobs of a lane keep their order. Many jobs are several commits; on an error
	// those before it stay done, and are counted.
	Expire(ctx context.Context, agent string, age time.Duration, reason string) (int, error)
}

// Scope is what a pause holds: one agent (only Agent set), or one conversation of an account (the other two set).
type Scope struct {
	Agent, Account, Conversation string
}

// Pause is one pause in force.
type Pause struct {
	Scope Scope
	// Until is when it ends by itself; zero: only by Resume.
	Until time.Time
	// Reason says who paused it and why, in words that are safe to show.
	Reason string
}

// Pauser holds lanes. Pauses are durable. A lease under way is let finish.
type Pauser interface {
	// Pause holds the scope's lanes, for d from now, or until Resume when d is 0. A second pause replaces the first.
	Pause(ctx context.Context, s Scope, d time.Duration, reason string) error
	// Resume ends the scope's pause; it is no error if there is none.
	Resume(ctx context.Context, s Scope) error
	// Pauses lists the pauses in force.
	Pauses(ctx context.Context) ([]Pause, error)
}

// Loop is when a conversation counts as a loop: a turn is an event and then a send.
type Loop struct {
	// Turns is how many turns it may have within Window.
	Turns int
	// Window is what the turns are counted in.
	Window time.Duration
	// Pause is how long it is held then.
	Pause time.Duration
	// Reason is the pause's.
	Reason string
}

// Braker is a queue that counts turns itself, because the event and the send of a turn may come to different relays.
type Braker interface {
	// Turn notes that a send reached the chat, which ends a turn if an event had begun one. The first fresh event after
	// the last turn that the chat may have pauses it, in the same commit as that event.
	Turn(ctx context.Context, c Chat, l Loop) error
}

// Retention says how long what is over is kept.
type Retention struct {
	// Window is how long keys are remembered.
	Window time.Duration
	// Delivered is how long delivered jobs are kept.
	Delivered time.Duration
	// MaxBytes bounds the bodies of delivered jobs; above it the oldest bodies go first.
	MaxBytes int64
	// Dead is how long dead jobs are kept.
	Dead time.Duration
}

// Queue is all that a store offers.
type Queue interface {
	Putter
	Source
	Inspector
	Mender
	Expirer
	Pauser
	// Sweep removes what the retention no longer keeps, in bounded steps. It is called every minute or so.
	Sweep(ctx context.Context) error
	io.Closer
}
