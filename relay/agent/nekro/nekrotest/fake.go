// Package nekrotest is a Nekro Agent to test against: its SSE adapter, as its 2.4 is, and its plugin webhooks. It is at
// least as unkind: a client lives as long as its first stream and is asked for a while afterwards, what is queued beyond
// 100 events is lost without a word, only commands keep a client alive, and a restart forgets all of them. It makes an
// agent run of every message command, of a repeated one too.
package nekrotest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"
)

// Options are how the server is set up.
type Options struct {
	// AccessKey is the adapter's; empty: it has none.
	AccessKey string
	// Heartbeat is how often a stream shows that it lives. Default 5 s.
	Heartbeat time.Duration
	// Forget is after how long without a command a client is removed. Default 60 s.
	Forget time.Duration
	// Patience is how long a client's answer is waited for. Default 30 s.
	Patience time.Duration
	// SlowFirst is how much later than others the first message is answered.
	SlowFirst time.Duration
	// Says is what the agent says to a message; nil: nothing.
	Says func(Message) []string
}

// Message is a message command.
type Message struct {
	ID, Channel, From, FromName, Text, Platform string
	ToMe, Self                                  bool
	Segments                                    []map[string]any
	Header                                      http.Header
}

// Said is what the agent said, and what came of it.
type Said struct {
	Channel, Text string
	// OK says that a client acknowledged it, with the ID.
	OK bool
	ID string
}

// Hook is what a plugin's webhook got.
type Hook struct {
	Path   string
	Header http.Header
	Body   []byte
}

// Fake is one server. Its methods are safe for concurrent use.
type Fake struct {
	t       testing.TB
	options Options
	host    *agenttest.Host

	mu       sync.Mutex
	stop     context.CancelFunc
	ctx      context.Context //nolint:containedctx // the life of what the running server does by itself
	work     sync.WaitGroup
	clients  []*client
	last     int
	runs     map[string]int
	messages []Message
	said     []Said
	hooks    []Hook
	names    []string

	unready, split, ignore bool
	hangUps, refusals      int
	refusal, losses        int
	slowed                 bool
}

// New starts one. It ends with the test.
func New(tb testing.TB, o Options) *Fake {
	tb.Helper()
	o.Heartbeat = or(o.Heartbeat, 5*time.Second)
	o.Forget = or(o.Forget, time.Minute)
	o.Patience = or(o.Patience, 30*time.Second)
	f := &Fake{t: tb, options: o, host: agenttest.NewHost(tb), runs: map[string]int{}}
	f.Start()
	tb.Cleanup(f.Stop)
	return f
}

func or(d, usual time.Duration) time.Duration {
	if d == 0 {
		return usual
	}
	return d
}

// URL is the server's base, the same after every start.
func (f *Fake) URL() string { return f.host.URL() }

// Start starts the server again.
func (f *Fake) Start() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop != nil {
		return
	}
	f.ctx, f.stop = context.WithCancel(context.Background())
	f.host.Start(f.handler())
	ctx := f.ctx
	f.work.Go(func() { f.sweep(ctx) })
}

// Stop ends the server as a crash does: connections are cut, clients forgotten, the port is refused.
func (f *Fake) Stop() {
	f.mu.Lock()
	stop := f.stop
	f.stop = nil
	f.mu.Unlock()
	if stop == nil {
		return
	}
	stop()
	f.host.Stop()
	f.work.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients = nil
}

// sweep forgets clients that gave no command.
func (f *Fake) sweep(ctx context.Context) {
	for agenttest.Wait(ctx, f.options.Forget/4) {
		f.mu.Lock()
		f.clients = slices.DeleteFunc(f.clients, func(c *client) bool {
			late := time.Since(c.seen) > f.options.Forget
			if late {
				c.end()
			}
			return late
		})
		f.mu.Unlock()
	}
}

// Unready makes the server answer 503 to everything, as one that is starting; false: no more.
func (f *Fake) Unready(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unready = yes
}

// Split makes every stream that of a client of its own, whatever id it asks for.
func (f *Fake) Split(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.split = yes
}

// IgnoreResponses makes the server believe that whatever it queued for a client was sent.
func (f *Fake) IgnoreResponses(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ignore = yes
}

// HangUp makes the next n messages start a run and get no answer.
func (f *Fake) HangUp(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hangUps = n
}

// Refuse answers the next n messages and webhooks with the status. 0 is a refusal under a 200.
func (f *Fake) Refuse(n, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusals, f.refusal = n, status
}

// LoseResponses answers the next n responses with a 503 and does not look at them.
func (f *Fake) LoseResponses(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.losses = n
}

// Cut ends all streams, but the server goes on.
func (f *Fake) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.clients {
		c.end()
	}
}

// Stall makes all streams give no event any more, without an end: only pings, which are not the adapter's.
func (f *Fake) Stall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.clients {
		c.stalled = true
	}
}

// Forget removes all clients, but their streams go on, as behind a proxy.
func (f *Fake) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients = nil
}

// Runs is how many runs the agent made of the message.
func (f *Fake) Runs(msg string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.runs[msg]
}

// Messages are the message commands that were taken.
func (f *Fake) Messages() []Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.messages)
}

// Hooks are what plugins' webhooks took.
func (f *Fake) Hooks() []Hook {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.hooks)
}

// Said is what the agent said, in the order of its ends.
func (f *Fake) Said() []Said {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.said)
}

// Names are the names under which clients registered.
func (f *Fake) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.names)
}

// Subscribed is how many clients would be asked to send to the channel, and how many of them live.
func (f *Fake) Subscribed(channel string) (asked, live int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.clients {
		if c.channels[channel] {
			asked++
			if !c.ended {
				live++
			}
		}
	}
	return asked, live
}

// taken makes an agent run of a message.
func (f *Fake) taken(m Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs[m.ID]++
	f.messages = append(f.messages, m)
	if f.options.Says == nil || f.stop == nil {
		return
	}
	ctx := f.ctx
	f.work.Go(func() {
		for _, text := range f.options.Says(m) {
			f.say(ctx, m.Channel, []map[string]any{{"type": "text", "content": text}})
		}
	})
}

// nextID numbers clients and requests.
func (f *Fake) nextID(kind string) string {
	f.last++
	return kind + "-" + strconv.Itoa(f.last) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// fail answers as FastAPI does.
func fail(w http.ResponseWriter, status int, detail string) {
	reply(w, status, map[string]any{"error": "HTTPException", "message": detail, "detail": nil, "data": nil})
}
