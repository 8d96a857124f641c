// Package openclawtest is an OpenClaw gateway for tests: its wechat_abot channel and its hook, slow at the first turn,
// forgetful when it restarts, and as picky as a real one. It runs no model; what the agent says is the text that it was
// given, through the relay's send API.
package openclawtest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"
)

// Where the gateway is asked.
const (
	WebhookPath = "/wechat_abot/webhook"
	HooksPath   = "/hooks/agent"
)

// Fault is what goes wrong with one request.
type Fault uint8

// Faults.
const (
	None        Fault = iota
	Unavailable       // 503 with Retry-After, before anything is looked at
	HangUp            // the connection ends before anything is done
	HangUpAfter       // it ends when all is done, in place of the answer
	Failed            // the turn fails: 500 from the channel, 200 with the run's end from the hook
	NotAdmitted       // the hook's 200 with {"ok":false}
)

// Options are one gateway.
type Options struct {
	// Secret is the channel's webhookSecret, Token the gateway's hooks.token.
	Secret, Token string
	// Replies is how many messages the agent says in a turn; 0: one.
	Replies int
	// FirstTurn is how long the first turn after a start takes, and the hook's first admission; Turn is every other turn.
	FirstTurn, Turn time.Duration
	// Boot is how long a gateway that was started answers 503, Leave how long one that is stopped does, before it is gone.
	Boot, Leave time.Duration
	// Fault says what goes wrong with the n-th POST to the channel or the hook, counted from 1; nil: nothing.
	Fault func(n int) Fault
}

// Turn is one run of the agent.
type Turn struct {
	// EventID is the event's, or the idempotency key of a hook.
	EventID string
	// Text is what was said to the agent, without where and who; To is the conversation, MessageID the IM's id.
	Text, To, MessageID string
	// Message is all that the agent was shown.
	Message string
}

// Send is one call of the relay's send API.
type Send struct {
	// Key is the idempotency key; empty: it had none.
	Key, To, Text, ReplyTo string
	// Status is the answer's; 0: there was none.
	Status int
}

// Request is one POST that came to the channel or the hook.
type Request struct {
	Path   string
	Header http.Header
	Body   []byte
	// Status is what it was answered; 0: the connection ended.
	Status int
}

// Fake is one gateway.
type Fake struct {
	tb   testing.TB
	o    Options
	host *agenttest.Host

	mu       sync.Mutex
	api      string
	botToken string
	posts    int
	requests []Request
	turns    []Turn
	sends    []Send
	up       *life
	wrong    []time.Time // wrong hook tokens
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
	events  map[string]*turn // by event id
	hooks   map[string]*run  // by idempotency key
}

// New starts a gateway on a port of its own.
func New(tb testing.TB, o Options) *Fake {
	tb.Helper()
	f := &Fake{tb: tb, o: o, host: agenttest.NewHost(tb)}
	f.Start()
	tb.Cleanup(f.Stop)
	return f
}

// URL is the gateway's base, the same across restarts.
func (f *Fake) URL() string { return f.host.URL() }

// SpeakTo tells the agent where to send what it says: the relay's base, up to and with /api, and a Bearer for it. Until
// then it says nothing.
func (f *Fake) SpeakTo(api, botToken string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.api, f.botToken = api, botToken
}

// Start starts the gateway again, on the same port.
func (f *Fake) Start() {
	f.tb.Helper()
	up := &life{began: time.Now(), events: map[string]*turn{}, hooks: map[string]*run{}}
	up.ctx, up.end = context.WithCancel(context.Background())
	f.mu.Lock()
	f.up = up
	f.mu.Unlock()
	f.host.Start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(up, w, r) }))
}

// Stop ends the gateway as a restart does: 503 for a while, then nothing listens. Turns under way are lost, and all that
// was remembered of events and runs. Stopping twice is fine.
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
	up.end() // begin and admit look at it under the lock, so that no work begins after the last was waited for
	f.mu.Unlock()
	f.host.Stop()
	up.work.Wait()
}

// Turns are the agent's runs so far, in the order of their beginnings.
func (f *Fake) Turns() []Turn {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Turn(nil), f.turns...)
}

// Runs counts the agent's runs of a text.
func (f *Fake) Runs(text string) int {
	n := 0
	for _, t := range f.Turns() {
		if t.Text == text {
			n++
		}
	}
	return n
}

// Sends are the calls of the send API so far, each with its answer.
func (f *Fake) Sends() []Send {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Send(nil), f.sends...)
}

// Requests are the POSTs to the channel and the hook so far that were answered or given up.
func (f *Fake) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Request(nil), f.requests...)
}

// serve answers one request.
func (f *Fake) serve(up *life, w http.ResponseWriter, r *http.Request) {
	if f.away(up) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		return
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch {
	case r.Method == http.MethodGet:
		page(w, path)
	case r.Method == http.MethodPost && (path == WebhookPath || path == HooksPath):
		f.post(up, w, r)
	default:
		http.Error(w, "Not Found", http.StatusNotFound)
	}
}

// away says that the gateway is starting or stopping.
func (f *Fake) away(up *life) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return up.leaving || time.Since(up.began) < f.o.Boot
}

// page is the answer to every GET.
func page(w http.ResponseWriter, path string) {
	w.Header().Set("Content-Type", "application/json")
	switch path {
	case "/healthz":
		_, _ = io.WriteString(w, `{"ok":true,"status":"live"}`)
	case "/readyz":
		_, _ = io.WriteString(w, `{"ready":true,"failing":[]}`)
	default:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!doctype html><title>OpenClaw Control</title>")
	}
}

// answer is what a POST comes to.
type answer struct {
	status     int
	json       string
	text       string
	retryAfter string
}

// post records a request, lets go wrong what is to, and answers.
func (f *Fake) post(up *life, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return
	}
	f.mu.Lock()
	f.posts++
	fault := None
	if f.o.Fault != nil {
		fault = f.o.Fault(f.posts)
	}
	f.mu.Unlock()
	a := answer{}
	switch {
	case fault == Unavailable:
		a = answer{status: http.StatusServiceUnavailable, text: "Service Unavailable", retryAfter: "1"}
	case fault == HangUp:
	case strings.HasPrefix(r.URL.Path, HooksPath):
		a = f.hook(up, r, body, fault)
	default:
		a = f.webhook(up, r, body, fault)
	}
	if fault == HangUpAfter {
		a = answer{}
	}
	f.mu.Lock()
	f.requests = append(f.requests, Request{Path: r.URL.Path, Header: r.Header.Clone(), Body: body, Status: a.status})
	f.mu.Unlock()
	a.write(w)
}

// write writes the answer, or ends the connection where there is none.
func (a answer) write(w http.ResponseWriter) {
	if a.status == 0 {
		panic(http.ErrAbortHandler)
	}
	if a.retryAfter != "" {
		w.Header().Set("Retry-After", a.retryAfter)
	}
	if a.json == "" {
		http.Error(w, a.text, a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.json)
}
