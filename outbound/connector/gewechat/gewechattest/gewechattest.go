// Package gewechattest is a gewechat server for tests, with one account on it: it answers everything with HTTP status
// 200, gives 64-bit ids that no float64 can hold, and takes it ill when somebody sends too fast. It speaks to no WeChat
// and fetches no media. It goes by [time.Now], so that in a synctest bubble it is called as an [http.Handler], or as an
// [egress.Doer]; behind a socket it is an ordinary server.
package gewechattest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	// Base is the API's path. GeWe's own server has it under /gewe.
	Base = "/v2/api"
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
	Refused           // the answer says that the recipient is a stranger
)

// Options are one server.
type Options struct {
	// Token is what X-GEWE-TOKEN has to be, AppID the device, Wxid the account's own id.
	Token, AppID, Wxid string
	// Slow is how long a send takes to be answered, after it was delivered.
	Slow time.Duration
	// Fault says what goes wrong with the n-th send that comes in time, counted from 1; nil: nothing.
	Fault func(n int) Fault
	// Pusher posts the pushes; nil: a client with the server's patience.
	Pusher *http.Client
}

// Sent is one delivered message.
type Sent struct {
	At time.Time
	// ID is its newMsgId.
	ID string
	To string
	// Type is text, image, file, voice or app.
	Type string
	// Content is the text, the URL of a medium, or the XML; Name a file's name.
	Content, Name string
	// Ats are those whom a text calls.
	Ats []string
	// Millis is how long a voice message plays.
	Millis int
}

// Fake is one server.
type Fake struct {
	o Options

	mu       sync.Mutex
	sent     []Sent
	last     time.Time // of the sends, those that were refused too
	punished int
	strikes  int // since the login
	offline  bool
	sends    int
	ids      int64
	callback string
}

// New makes a server that listens nowhere.
func New(o Options) *Fake {
	if o.Pusher == nil {
		o.Pusher = &http.Client{Timeout: patience}
	}
	return &Fake{o: o}
}

// Start lets it listen on a port of its own until the test ends, and returns the API's base.
func (f *Fake) Start(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(f)
	tb.Cleanup(s.Close)
	return s.URL + Base
}

// Sent returns what was delivered so far, in order.
func (f *Fake) Sent() []Sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}

// Punished is how many sends came too soon after the one before.
func (f *Fake) Punished() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.punished
}

// Online says whether the account is logged in.
func (f *Fake) Online() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.offline
}

// LogIn logs the account in again, and forgets how fast it was.
func (f *Fake) LogIn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offline, f.strikes = false, 0
}

// LogOut logs the account out.
func (f *Fake) LogOut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offline = true
}

// verdict is what becomes of a send.
type verdict struct {
	fault Fault
	// refusal is the answer that it gets in place of being delivered; empty: it is delivered.
	refusal string
}

// take judges a send at the moment when it comes.
func (f *Fake) take() verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	early := !f.last.IsZero() && now.Sub(f.last) < Gap
	f.last = now
	switch {
	case f.offline:
		return verdict{refusal: offline}
	case early:
		f.punished++
		if f.strikes++; f.strikes >= Strikes {
			f.offline = true
		}
		return verdict{refusal: tooFast}
	}
	f.sends++
	if f.o.Fault == nil {
		return verdict{}
	}
	return verdict{fault: f.o.Fault(f.sends)}
}

// deliver keeps a message, and gives it its id.
func (f *Fake) deliver(m Sent) Sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	m.At, m.ID = time.Now(), f.nextID()
	f.sent = append(f.sent, m)
	return m
}

// nextID is the next of the ids, all of them odd and beyond what a float64 holds. The lock is held.
func (f *Fake) nextID() string {
	const first, step = 3768973957878705413, 118059162071742
	f.ids++
	return strconv.FormatInt(first+f.ids*step, 10)
}
