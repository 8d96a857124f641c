// Package astrbottest has an AstrBot with its HTTP adapter plugin (1.1.1) and its own chat API, as unkind as the real one:
// a first post that blocks, a 202 after which the next post starts another run, an answer of 500 to whatever is wrong, a
// refresh that fails after it has changed the key, an unknown path that is a 200, callbacks that are given up after two
// tries, errors inside a 200, streams that break off. It runs no model; what it says is the test's.
package astrbottest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"
)

// Item is one thing that the agent says.
type Item struct {
	ID      string `json:"item_id"`
	Type    string `json:"type"`
	Content string `json:"content"`
}

// Text is an item of text.
func Text(content string) Item { return Item{Type: "text", Content: content} }

// Chunk is what the agent says at once, after a time from the last. One without items is something that the plugin cannot
// pass on.
type Chunk struct {
	After time.Duration
	Items []Item
}

// Options are how a fake is to be. The zero value answers "re: " and the query at once, to the token "key-0".
type Options struct {
	// Token is the key that it takes at first; it lasts for TTL, seven days if that is 0.
	Token string
	TTL   time.Duration
	// Says is what the agent says to a query; run counts the runs of that message from 1.
	Says func(query string, run int) []Chunk
	// Hold is how long a post waits for first words, Cache how long answers are kept. Defaults 30 s and 300 s.
	Hold, Cache time.Duration
	// Callback is where what the agent says is posted; empty: the polling mode. Between the two tries there is Again,
	// default 1 s.
	Callback string
	Again    time.Duration
	// Refreshes makes the refresh of keys work as it was meant to.
	Refreshes bool
}

// Ask is one request that was made.
type Ask struct {
	// Message is the event's id, Body what was posted, Key with what.
	Message, Body, Key string
	Header             http.Header
	At                 time.Time
}

// Fake is one AstrBot. Its methods are safe for concurrent use.
type Fake struct {
	tb     testing.TB
	opts   Options
	client *http.Client
	host   *agenttest.Host

	// life ends when it stops; what runs in it is waited for.
	cancel context.CancelFunc
	group  *sync.WaitGroup

	mu        sync.Mutex
	life      context.Context //nolint:containedctx // runs go on when those who asked for them are gone
	asks      []Ask
	runs      map[string]int
	said      map[string][]Item
	pending   map[string]*waiter
	cached    map[string]cached
	lines     map[string]chan []Item
	keys      map[string]time.Time
	newest    string
	owners    map[string]string
	items     int
	dropped   int
	refreshed int
	status    int
	hangUps   int
	draining  bool
	unloaded  bool
	breaks    string
	callback  string
}

type waiter struct{ first chan struct{} }

type cached struct {
	items []Item
	until time.Time
}

// New starts a fake that stops with the test.
func New(tb testing.TB, o Options) *Fake {
	tb.Helper()
	if o.Token == "" {
		o.Token = "key-0"
	}
	if o.Says == nil {
		o.Says = func(query string, _ int) []Chunk { return []Chunk{{Items: []Item{Text("re: " + query)}}} }
	}
	set := func(d *time.Duration, usual time.Duration) {
		if *d == 0 {
			*d = usual
		}
	}
	set(&o.TTL, 7*24*time.Hour)
	set(&o.Hold, 30*time.Second)
	set(&o.Cache, 300*time.Second)
	set(&o.Again, time.Second)
	f := &Fake{
		tb: tb, opts: o, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, host: agenttest.NewHost(tb), callback: o.Callback, newest: o.Token,
		runs: map[string]int{}, said: map[string][]Item{}, owners: map[string]string{},
		keys: map[string]time.Time{o.Token: time.Now().Add(o.TTL)},
	}
	f.Start()
	tb.Cleanup(f.Stop)
	return f
}

// Start starts it again after Stop, on the same port. It has forgotten what it was doing.
func (f *Fake) Start() {
	life, cancel := context.WithCancel(context.Background())
	f.mu.Lock()
	f.life, f.cancel, f.group = life, cancel, &sync.WaitGroup{}
	f.pending, f.cached, f.lines = map[string]*waiter{}, map[string]cached{}, map[string]chan []Item{}
	f.draining = false
	f.mu.Unlock()
	f.host.Start(f.routes())
}

// Drain makes it answer 503 until it is started again.
func (f *Fake) Drain() { f.locked(func() { f.draining = true }) }

// Stop ends it and all runs; connections are refused. It may be stopped already.
func (f *Fake) Stop() {
	f.mu.Lock()
	cancel, group := f.cancel, f.group
	f.cancel = nil
	if cancel != nil {
		cancel()
	}
	f.mu.Unlock()
	if cancel == nil {
		return
	}
	f.host.Stop()
	group.Wait()
}

func (f *Fake) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/plug/v1/chat", f.guard(f.post))
	mux.HandleFunc("/api/plug/hep/refresh_token", f.guard(f.refresh))
	mux.HandleFunc("POST /api/v1/chat", f.guard(f.chat))
	mux.HandleFunc("/", f.guard(unknown))
	return mux
}

// URL is the plugin's endpoint, Base that of AstrBot.
func (f *Fake) URL() string { return f.Base() + "/api/plug/v1/chat" }

// Base is AstrBot's address.
func (f *Fake) Base() string { return f.host.URL() }

func (f *Fake) locked(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// Runs is how many runs the message had.
func (f *Fake) Runs(message string) (n int) {
	f.locked(func() { n = f.runs[message] })
	return n
}

// AllRuns is how many runs each message had.
func (f *Fake) AllRuns() (all map[string]int) {
	f.locked(func() { all = maps.Clone(f.runs) })
	return all
}

// Said is what the agent said to the message, in all its runs.
func (f *Fake) Said(message string) (items []Item) {
	f.locked(func() { items = slices.Clone(f.said[message]) })
	return items
}

// Asks are the requests about messages that were let in, in order.
func (f *Fake) Asks() (asks []Ask) {
	f.locked(func() { asks = slices.Clone(f.asks) })
	return asks
}

// Dropped is how many callbacks were given up.
func (f *Fake) Dropped() (n int) {
	f.locked(func() { n = f.dropped })
	return n
}

// Refreshed is how often a new key was asked for.
func (f *Fake) Refreshed() (n int) {
	f.locked(func() { n = f.refreshed })
	return n
}

// NewestKey is the key that its web UI shows.
func (f *Fake) NewestKey() (key string) {
	f.locked(func() { key = f.newest })
	return key
}

// Expire sets what is left of a key; nothing or less: it is refused.
func (f *Fake) Expire(key string, left time.Duration) {
	f.locked(func() { f.keys[key] = time.Now().Add(left) })
}

// Answer makes it answer every request with the status; 0: as usual.
func (f *Fake) Answer(status int) { f.locked(func() { f.status = status }) }

// HangUp makes it break off the next n answers after it has begun to work on the messages.
func (f *Fake) HangUp(n int) { f.locked(func() { f.hangUps = n }) }

// Unload takes the plugin out, or puts it back.
func (f *Fake) Unload(out bool) { f.locked(func() { f.unloaded = out }) }

// CallBack changes where callbacks go.
func (f *Fake) CallBack(url string) { f.locked(func() { f.callback = url }) }

// Break makes streams end before their time: "error" by an event, "cut" by a hang-up, "short" without the last event; "":
// as usual.
func (f *Fake) Break(how string) { f.locked(func() { f.breaks = how }) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func failure(message string) map[string]any {
	return map[string]any{"status": "error", "message": message}
}

// unknown is a path that nobody registered.
func unknown(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, failure("未找到该路由"))
}

// crashed is what comes of an error in a handler.
func crashed(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = fmt.Fprint(w, "<!doctype html><title>500 Internal Server Error</title>")
}

// sleep waits, or says that it stopped.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
