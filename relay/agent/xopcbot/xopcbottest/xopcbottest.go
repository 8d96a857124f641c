// Package xopcbottest is an xopcbot gateway for tests, as unkind as a real one (0.2.2): runs go on when nobody listens
// and are forgotten by a restart, errors come under a 200 and under a result that says ok, wrong tokens block, ids of
// chats are made alike. It runs no model: what the agent says is the message that it was given.
package xopcbottest

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"
)

// Where the gateway is asked.
const (
	AgentPath  = "/api/agent"
	ResumePath = "/api/agent/resume"
)

// Fault is what goes wrong with one request.
type Fault uint8

// Faults.
const (
	None        Fault = iota
	Unavailable       // 503 before anything is looked at
	HangUp            // the connection ends before anything is done
	HangUpBlind       // it ends when the run has begun, and before its id is told; of a JSON answer, in its place
	HangUpAfter       // it ends after the first token, or the first piece of a run that is resumed; the run goes on
	Failed            // the run fails at once, and its result says so
	FailedOK          // the run fails at its end, after an error, and its result says ok
)

// Options are one gateway.
type Options struct {
	// Token is gateway.auth.token; empty: auth.mode none.
	Token string
	// Page serves the documentation's interface in place of the real one.
	Page bool
	// JSON answers with JSON whatever is asked for.
	JSON bool
	// FirstTurn is how long the first run after a start takes, Turn every other one.
	FirstTurn, Turn time.Duration
	// Boot is how long a gateway that was started answers 503, Leave how long one that is stopped does, before it is gone.
	Boot, Leave time.Duration
	// Keep is how long a run is known after its end; 0: five minutes.
	Keep time.Duration
	// Block is how long five wrong tokens block; 0: five minutes.
	Block time.Duration
	// Fault says what goes wrong with the n-th POST with a right token, counted from 1; nil: nothing.
	Fault func(n int) Fault
}

// Run is one run of the agent.
type Run struct {
	// ID is the runId; empty: it has none that anybody could know.
	ID string
	// Message is what was said to the agent, ChatID where, and Session what the gateway makes of that.
	Message, ChatID, Session string
	// OK says that the run came to a good end.
	OK bool
}

// Request is one POST that came.
type Request struct {
	Path   string
	Header http.Header
	Body   []byte
	// Status is what it was answered; 0: nothing yet, or nothing.
	Status int
}

// Fake is one gateway.
type Fake struct {
	tb   testing.TB
	o    Options
	host *agenttest.Host

	mu       sync.Mutex
	posts    int
	requests []*Request
	runs     []*run
	up       *life
}

// life is the gateway between a start and a stop. What it remembers is gone with it.
type life struct {
	ctx   context.Context //nolint:containedctx // it is the life of a server, and ends everything in it
	end   context.CancelFunc
	began time.Time
	work  sync.WaitGroup

	// The Fake's lock guards these.
	leaving bool
	warm    bool
	known   map[string]*run // by runId
	wrong   int
	blocked time.Time
}

// New starts a gateway on a port of its own.
func New(tb testing.TB, o Options) *Fake {
	tb.Helper()
	if o.Keep == 0 {
		o.Keep = 5 * time.Minute
	}
	if o.Block == 0 {
		o.Block = 5 * time.Minute
	}
	f := &Fake{tb: tb, o: o, host: agenttest.NewHost(tb)}
	f.Start()
	tb.Cleanup(f.Stop)
	return f
}

// URL is the gateway's base, the same across restarts.
func (f *Fake) URL() string { return f.host.URL() }

// Start starts the gateway again, on the same port. It knows no run of before.
func (f *Fake) Start() {
	f.tb.Helper()
	up := &life{began: time.Now(), known: map[string]*run{}}
	up.ctx, up.end = context.WithCancel(context.Background())
	f.mu.Lock()
	f.up = up
	f.mu.Unlock()
	f.host.Start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(up, w, r) }))
}

// Stop ends the gateway as a restart does: 503 for a while, then nothing listens, and runs under way are lost. Stopping
// twice is fine.
func (f *Fake) Stop() {
	f.mu.Lock()
	up := f.up
	f.up = nil
	if up != nil {
		up.leaving = true
	}
	f.mu.Unlock()
	if up == nil {
		return
	}
	agenttest.Wait(up.ctx, f.o.Leave)
	f.mu.Lock()
	up.end() // begin looks at it under the lock, so that no run begins after the last was waited for
	f.mu.Unlock()
	f.host.Stop()
	up.work.Wait()
}

// Made are the agent's runs so far, in the order of their beginnings.
func (f *Fake) Made() []Run {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Run
	for _, r := range f.runs {
		out = append(out, r.Run)
	}
	return out
}

// Runs counts the agent's runs of a message.
func (f *Fake) Runs(message string) int {
	n := 0
	for _, r := range f.Made() {
		if r.Message == message {
			n++
		}
	}
	return n
}

// Requests are the POSTs so far, in the order of their coming.
func (f *Fake) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Request
	for _, r := range f.requests {
		out = append(out, *r)
	}
	return out
}

// Reply is what the agent says to a message.
func Reply(message string) string { return "You said: " + message }

// encode makes JSON of what always can be.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(b)
}
