// Package ipadtest is what the play servers of WeChat's iPad protocol share: one account that takes it ill when somebody
// sends too fast, messages with 64-bit ids that no float64 can hold, and faults; and the suite that their connectors run
// against them. The servers themselves are in gewechattest, wechatpadtest and xybottest. It goes by [time.Now], so that it
// may be used in a synctest bubble.
package ipadtest

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// Gap is what has to lie between two sends of the account.
	Gap = time.Second
	// Strikes are the sends within the gap after which the account is logged out.
	Strikes = 10
)

// Fault is what goes wrong with one send.
type Fault uint8

// Faults.
const (
	None        Fault = iota
	HangUp            // the connection ends before anything is done
	HangUpAfter       // it ends when the message was delivered, in place of the answer
	TimedOut          // the answer says that WeChat took too long, and the message was delivered
	Refused           // WeChat answers that the recipient blocked the account
)

// Verdict is what becomes of a send.
type Verdict uint8

// Verdicts.
const (
	Delivered Verdict = iota
	Offline           // nobody is logged in
	TooFast           // it came too soon after the one before
	Blocked           // the fault Refused
	Slow              // the fault TimedOut
	Malformed         // the call is none that can be sent
)

// Options are one account's.
type Options struct {
	// Slow is how long a send takes to be answered, after it was delivered.
	Slow time.Duration
	// Fault says what goes wrong with the n-th send that comes in time, counted from 1; nil: nothing.
	Fault func(n int) Fault
}

// Sent is one delivered message.
type Sent struct {
	At time.Time
	// ID is its newMsgId.
	ID string
	To string
	// Type is text, image, voice, file or app.
	Type string
	// Text is a text, the URL of a medium that the server fetches, or an app's XML. Medium are the bytes of one that it
	// is given, Name is a file's.
	Text   string
	Medium []byte
	Name   string
	// Ats are those whom a text calls.
	Ats []string
	// Millis is how long a voice message plays.
	Millis int
}

// Account is one account on a server.
type Account struct {
	o Options

	mu       sync.Mutex
	sent     []Sent
	last     time.Time // of the sends, those that were refused too
	punished int
	strikes  int // since the login
	offline  bool
	sends    int
	ids      int64
}

// New makes an account that is logged in.
func New(o Options) *Account { return &Account{o: o} }

// Sent returns what was delivered so far, in order.
func (a *Account) Sent() []Sent {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.sent)
}

// Punished is how many sends came too soon after the one before.
func (a *Account) Punished() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.punished
}

// Online says whether the account is logged in.
func (a *Account) Online() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.offline
}

// LogIn logs the account in again, and forgets how fast it was.
func (a *Account) LogIn() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offline, a.strikes = false, 0
}

// LogOut logs the account out.
func (a *Account) LogOut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offline = true
}

// Send is one send call; malformed is what is wrong with it, if anything. A hang-up is a panic with
// [http.ErrAbortHandler].
func (a *Account) Send(r *http.Request, m Sent, malformed error) (Sent, Verdict) {
	v, fault := a.judge(malformed)
	if fault == HangUp {
		panic(http.ErrAbortHandler)
	}
	if v != Delivered && v != Slow {
		return m, v
	}
	m = a.deliver(m)
	if !wait(r, a.o.Slow) || fault == HangUpAfter {
		panic(http.ErrAbortHandler)
	}
	return m, v
}

// judge judges a send at the moment when it comes.
func (a *Account) judge(malformed error) (Verdict, Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	early := !a.last.IsZero() && now.Sub(a.last) < Gap
	a.last = now
	switch {
	case a.offline:
		return Offline, None
	case early:
		a.punished++
		if a.strikes++; a.strikes >= Strikes {
			a.offline = true
		}
		return TooFast, None
	case malformed != nil:
		return Malformed, None
	}
	a.sends++
	if a.o.Fault == nil {
		return Delivered, None
	}
	switch f := a.o.Fault(a.sends); f {
	case Refused:
		return Blocked, f
	case TimedOut:
		return Slow, f
	default:
		return Delivered, f
	}
}

// deliver keeps a message, and gives it its id.
func (a *Account) deliver(m Sent) Sent {
	a.mu.Lock()
	defer a.mu.Unlock()
	m.At, m.ID = time.Now(), a.next()
	a.sent = append(a.sent, m)
	return m
}

// NextID is an id that no message has yet: odd, and beyond what a float64 holds.
func (a *Account) NextID() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.next()
}

// next is NextID with the lock held.
func (a *Account) next() string {
	const first, step = 3768973957878705413, 118059162071742
	a.ids++
	return strconv.FormatInt(first+a.ids*step, 10)
}

// wait waits, and says that the caller is still there.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
