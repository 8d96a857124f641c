// Package onebottest is a OneBot v11 implementation to test against. It behaves as NapCat does, and at least as unkindly:
// an HTTP API that says 200 to everything but a wrong token, a WebSocket server that takes every connection and then says
// what it thinks of the token, a client that connects by itself, and pushes by HTTP that are not repeated. It can be slow,
// silent, hang up after taking a message, and lie.
package onebottest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Options are how it is set up.
type Options struct {
	// Token is what callers have to show; empty: nothing.
	Token string
	// Self is the account. Default 2810012345.
	Self int64
	// Heartbeat is how often one is sent on a WebSocket; 0: never.
	Heartbeat time.Duration
	// Own says that own messages are pushed, too, as message_sent.
	Own bool
	// Mute says that no lifecycle event begins a connection.
	Mute bool
	// Everywhere says that events come on connections for calls, too.
	Everywhere bool
	// Deaf is how long it reads nothing on a WebSocket after each call.
	Deaf time.Duration
	// Client makes the connections that the fake opens. Default: one of its own.
	Client *http.Client
}

// Action is a call that it got.
type Action struct {
	Name   string
	Params json.RawMessage
	Echo   json.RawMessage
	Header http.Header
	// Path is where the connection was opened; empty for a call by HTTP.
	Path string
}

// Answer is what it says to a call. The zero value is its own answer.
type Answer struct {
	// JSON is the answer without echo; empty: its own.
	JSON string
	// After is how long it takes for it.
	After time.Duration
	// HangUp says that the connection is cut instead, Silence that nothing is said.
	HangUp, Silence bool
}

// Fake is one implementation. Its methods are safe for concurrent use.
type Fake struct {
	tb      testing.TB
	options Options

	mu      sync.Mutex
	answer  func(Action) Answer
	actions []Action
	peers   map[*peer]struct{}
	last    int64
	opened  int
	work    sync.WaitGroup
}

// New makes one. It ends with the test.
func New(tb testing.TB, o Options) *Fake {
	tb.Helper()
	if o.Self == 0 {
		o.Self = 2810012345
	}
	if o.Client == nil {
		o.Client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	f := &Fake{
		tb: tb, options: o, answer: func(Action) Answer { return Answer{} }, peers: map[*peer]struct{}{}, last: 1000,
	}
	tb.Cleanup(func() {
		f.Drop()
		f.work.Wait()
	})
	return f
}

// Answers sets how calls are answered from now on.
func (f *Fake) Answers(answer func(Action) Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// Actions are the calls so far, those for the status left out.
func (f *Fake) Actions() []Action {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Action
	for _, a := range f.actions {
		if a.Name != "get_status" {
			out = append(out, a)
		}
	}
	return out
}

// Connections is how many WebSockets there are now, and how many there have been.
func (f *Fake) Connections() (now, ever int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.peers), f.opened
}

// Silence makes it say nothing more on the WebSockets that it has, though they stay open; false: speak again. Later ones speak.
func (f *Fake) Silence(silent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.peers {
		p.silent.Store(silent)
	}
}

// Drop cuts all WebSockets.
func (f *Fake) Drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.peers {
		p.cut()
	}
}

// Push sends an event on every WebSocket that takes events.
func (f *Fake) Push(event string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.peers {
		if p.events || f.options.Everywhere {
			p.queue(event)
		}
	}
}

// Post pushes an event by HTTP, once, signed if there is a secret, and returns the status and the body of the answer.
func (f *Fake) Post(url, secret, event string) (status int, answer string) {
	f.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(event))
	if err != nil {
		f.tb.Errorf("post an event: %v", err)
		return 0, ""
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Self-ID", strconv.FormatInt(f.options.Self, 10))
	if secret != "" {
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(event))
		r.Header.Set("X-Signature", "sha1="+hex.EncodeToString(mac.Sum(nil)))
	}
	res, err := f.options.Client.Do(r)
	if err != nil {
		f.tb.Errorf("post an event: %v", err)
		return 0, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.tb.Errorf("post an event: %v", err)
	}
	return res.StatusCode, string(b)
}

// Connect opens a WebSocket to the URL in the role: API, Event or Universal. It returns the status of a refusal, else 101.
func (f *Fake) Connect(url, role string) int {
	f.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	header := http.Header{
		"X-Self-ID": {strconv.FormatInt(f.options.Self, 10)}, "X-Client-Role": {role}, "User-Agent": {"OneBot/11"},
	}
	if f.options.Token != "" {
		header.Set("Authorization", "Bearer "+f.options.Token)
	}
	//nolint:bodyclose // the library closes it
	ws, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: f.options.Client, HTTPHeader: header})
	if err != nil {
		if res == nil {
			f.tb.Errorf("connect: %v", err)
			return 0
		}
		return res.StatusCode
	}
	f.work.Go(func() { f.serve(ws, &peer{path: "reverse", events: role != "API", calls: role != "Event"}) })
	return http.StatusSwitchingProtocols
}

// ServeHTTP is its HTTP API and its WebSocket server.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		f.accept(w, r)
		return
	}
	if f.options.Token != "" && r.Header.Get("Authorization") != "Bearer "+f.options.Token &&
		r.URL.Query().Get("access_token") != f.options.Token {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"message":"token verify failed!"}`)
		return
	}
	params, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	a := Action{Name: strings.Trim(r.URL.Path, "/"), Params: params, Header: r.Header.Clone()}
	say, how := f.do(a)
	t := time.NewTimer(how.After)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
	switch {
	case how.HangUp:
		panic(http.ErrAbortHandler)
	case how.Silence:
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, say)
}

// do does what an action says.
func (f *Fake) do(a Action) (say string, how Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.actions = append(f.actions, a)
	how = f.answer(a)
	switch {
	case how.JSON != "":
		return how.JSON, how
	case a.Name == "get_status":
		return `{"status":"ok","retcode":0,"data":{"online":true,"good":true,"stat":{}},"message":"","wording":""}`, how
	case a.Name != "send_msg" && a.Name != "send_group_msg" && a.Name != "send_private_msg":
		return `{"status":"failed","retcode":1404,"data":null,"message":"不支持的API","wording":"不支持的API"}`, how
	}
	f.last++
	if f.options.Own {
		event := fmt.Sprintf(`{"time":1767002450,"self_id":%d,"post_type":"message_sent","message_type":"private",`+
			`"message_id":%d,"user_id":%d,"message":[]}`, f.options.Self, f.last, f.options.Self)
		for p := range f.peers {
			if p.events || f.options.Everywhere {
				p.queue(event)
			}
		}
	}
	return fmt.Sprintf(`{"status":"ok","retcode":0,"data":{"message_id":%d},"message":"","wording":""}`, f.last), how
}

// withEcho puts the echo into an answer.
func withEcho(answer string, echo json.RawMessage) string {
	if len(echo) == 0 {
		echo = json.RawMessage(`""`)
	}
	var b bytes.Buffer
	b.WriteString(strings.TrimSuffix(answer, "}"))
	fmt.Fprintf(&b, `,"echo":%s}`, echo)
	return b.String()
}
