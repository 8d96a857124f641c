package nekro_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/nekro"
	"github.com/imrelay/imrelay/relay/agent/nekro/nekrotest"
	"github.com/imrelay/imrelay/relay/secret"
)

// hostile is a server that says on its streams what no adapter would.
type hostile struct {
	*httptest.Server

	// say is what comes on a stream after its beginning.
	say func(w io.Writer)
	// commands answers commands; false: it did not.
	commands func(w http.ResponseWriter, r *http.Request, cmd string) bool
	// hold keeps the first stream from beginning until it is closed; nil: it begins.
	hold chan struct{}
	over chan struct{}
}

func newHostile(t *testing.T, h *hostile) *hostile {
	t.Helper()
	h.over = make(chan struct{})
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(func() {
		close(h.over)
		h.CloseClientConnections()
		h.Close()
	})
	return h
}

func (h *hostile) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		h.stream(w, r)
		return
	}
	var c struct{ Cmd string }
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return
	}
	if h.commands == nil || !h.commands(w, r, c.Cmd) {
		_, _ = io.WriteString(w, `{"client_id":"c-1","message":"ok"}`)
	}
}

func (h *hostile) stream(w http.ResponseWriter, r *http.Request) {
	if h.hold != nil {
		select {
		case <-h.hold:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "event: connected\ndata: {\"client_id\":\"c-1\"}\n\n")
	if h.say != nil {
		h.say(w)
	}
	for agenttest.Wait(r.Context(), 50*time.Millisecond) {
		_, _ = io.WriteString(w, "event: heartbeat\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush()
	}
}

// to makes a stream to the server, which does not run yet.
func (h *hostile) to(t *testing.T, w agent.Wire) *nekro.Stream {
	t.Helper()
	return newAgent(t, nekro.Config{
		Mode: "sse", Endpoint: agent.Endpoint{URL: h.URL}, AccessKey: secret.New("hush-1"),
	}, w).(*nekro.Stream).Hasten()
}

// JSON that is nested too deeply is refused wherever it comes, and takes neither the process nor the connection.
func TestDeepJSON(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", nekro.MaxEvent-1000)
	asked := make(chan struct{}, 1)
	h := newHostile(t, &hostile{
		say: func(w io.Writer) {
			for _, kind := range []string{"connected", "send_message", "get_user_info", "file_chunk"} {
				_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, deep)
			}
			_, _ = fmt.Fprintf(w, "event: send_message\ndata: {\"request_id\":\"r-1\",\"data\":%s}\n\n", deep[:len(deep)/2])
			_, _ = io.WriteString(w, "event: get_self_info\ndata: {\"request_id\":\"r-2\"}\n\n")
		},
		commands: func(w http.ResponseWriter, _ *http.Request, cmd string) bool {
			switch cmd {
			case "response":
				asked <- struct{}{}
			case "message":
				_, _ = io.WriteString(w, deep)
				return true
			}
			return false
		},
	})
	s := h.to(t, agenttest.NewWorld(t).Wire)
	run(t, s)
	select {
	case <-asked:
	case <-time.After(10 * time.Second):
		t.Fatal("got no answer after the deep events")
	}
	if got := s.Failures(); got != 0 {
		t.Errorf("lost the connection %d times", got)
	}
	if out, err := s.Deliver(t.Context(), event("1", "a"), 1); err != nil || out.Status != 500 {
		t.Errorf("deep answer: got %d, %v, want 500", out.Status, err)
	}
}

// An event that is too long ends the connection, which is made again.
func TestEndlessEvent(t *testing.T) {
	t.Parallel()
	h := newHostile(t, &hostile{say: func(w io.Writer) {
		_, _ = io.WriteString(w, "event: send_message\ndata: "+strings.Repeat("x", 2*nekro.MaxEvent))
	}})
	s := h.to(t, agenttest.NewWorld(t).Wire)
	run(t, s)
	until(t, "the end of the connection", func() bool { return s.Failures() > 0 })
}

// A stream ends when it is told to, however much waits and whatever Nekro does not answer.
func TestStopsWhileAsked(t *testing.T) {
	t.Parallel()
	for name, hung := range map[string]string{
		"responses hang": "response", "unsubscribing hangs": "unsubscribe", "subscribing hangs": "subscribe",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const waiting = 250
			var begun atomic.Int64
			h := newHostile(t, &hostile{say: func(w io.Writer) {
				for i := range waiting {
					_, _ = fmt.Fprintf(w, "event: send_message\ndata: {\"request_id\":\"r-%d\",\"data\":{\"channel_id\":\"private_x\"}}\n\n", i)
				}
			}})
			h.commands = func(_ http.ResponseWriter, r *http.Request, cmd string) bool {
				if cmd != hung {
					return false
				}
				begun.Add(1)
				select {
				case <-h.over:
				case <-r.Context().Done():
				}
				return true
			}
			world := agenttest.NewWorld(t)
			if err := world.Save(t.Context(), "sse", []byte(`{"names":["private_x"]}`), time.Hour); hung == "unsubscribe" && err != nil {
				t.Fatal(err)
			}
			s := h.to(t, world.Wire)
			s.Call(time.Minute)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan struct{})
			go func() {
				defer close(done)
				s.Run(ctx)
			}()
			if hung == "unsubscribe" {
				until(t, "connection", s.Connected)
			} else {
				until(t, "the first that hangs", func() bool { return begun.Load() > 0 })
			}
			cancel()
			began := time.Now()
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("runs 10 s after its end")
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("ended after %v, want about 1 s", took)
			}
		})
	}
}

// What has begun when a stream is told to end is still answered; what has not is dropped.
func TestAnswersWhatHasBegun(t *testing.T) {
	t.Parallel()
	g := &gate{held: "wxid_alice", open: make(chan struct{})}
	var mu sync.Mutex
	answered := 0
	h := newHostile(t, &hostile{
		say: func(w io.Writer) {
			for i := range 20 {
				_, _ = fmt.Fprintf(w, "event: send_message\ndata: {\"request_id\":\"r-%d\",\"data\":{\"channel_id\":%q,"+
					"\"segments\":[{\"type\":\"text\",\"content\":\"hi\"}]}}\n\n", i, alice)
			}
			_, _ = io.WriteString(w, "event: get_self_info\ndata: {\"request_id\":\"last\"}\n\n")
		},
		commands: func(_ http.ResponseWriter, _ *http.Request, cmd string) bool {
			mu.Lock()
			defer mu.Unlock()
			if cmd == "response" {
				answered++
			}
			return false
		},
	})
	world := agenttest.NewWorld(t)
	g.Outbox, world.Wire.Outbox = world.Wire.Outbox, g
	if _, err := agent.NewChats(world).Note(t.Context(), relay.Chat{Account: "wechat", Conversation: "wxid_alice"}); err != nil {
		t.Fatal(err)
	}
	stop := run(t, h.to(t, world.Wire))
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return answered
	}
	until(t, "the answer to the last", func() bool { return count() == 1 })
	stop()
	if got := count(); got != 2 {
		t.Errorf("answered %d requests, want the 2 that had begun", got)
	}
	if got := g.sent(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}

// The access key is in nothing that the IM's server is shown.
func TestKeyIsNotShown(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 401, 500} {
		h := newHostile(t, &hostile{commands: func(w http.ResponseWriter, r *http.Request, cmd string) bool {
			if cmd != "message" {
				return false
			}
			w.Header().Set("Content-Type", "application/json; was="+r.Header.Get("X-Access-Key"))
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"detail":"bad key %s","padding":%q}`, r.Header.Get("X-Access-Key"), "fine")
			return true
		}})
		s := h.to(t, agenttest.NewWorld(t).Wire)
		run(t, s)
		out, err := s.Deliver(t.Context(), event("1", "a"), 1)
		if err != nil || out.Status != status {
			t.Errorf("got %d, %v, want %d", out.Status, err, status)
		}
		if shown := out.ContentType + string(out.Body); strings.Contains(shown, "hush") || !strings.Contains(shown, "fine") {
			t.Errorf("%d: shows %s", status, shown)
		}
	}
}

// A delivery waits for the first connection of a stream, and for no other.
func TestWaitsForFirstConnection(t *testing.T) {
	t.Parallel()
	h := newHostile(t, &hostile{hold: make(chan struct{})})
	w := agenttest.NewWorld(t)
	w.Wire.Timeout = time.Minute
	s := h.to(t, w.Wire)
	s.Arrive(50 * time.Millisecond)
	_, err := s.Deliver(t.Context(), event("1", "a"), 1)
	if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || !ae.Unreachable {
		t.Errorf("before any connection: got %v", err)
	}
	s.Arrive(time.Hour)
	for range 2 { // a stream may run again
		stop := run(t, s)
		done := make(chan error, 1)
		go func() {
			_, err := s.Deliver(t.Context(), event("1", "a"), 1)
			done <- err
		}()
		select {
		case err := <-done:
			t.Fatalf("did not wait: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		h.hold <- struct{}{}
		if err := <-done; err != nil {
			t.Errorf("waited and got %v", err)
		}
		stop()
	}
}

// A server that is not there is not waited for after the first try.
func TestWaitsOnceOnly(t *testing.T) {
	t.Parallel()
	f := nekrotest.New(t, nekrotest.Options{})
	f.Stop()
	w := agenttest.NewWorld(t)
	w.Wire.Timeout = time.Hour
	s := newAgent(t, nekro.Config{Mode: "sse", Endpoint: agent.Endpoint{URL: f.URL()}}, w.Wire).(*nekro.Stream).Hasten()
	s.Arrive(time.Hour)
	run(t, s)
	for range 2 {
		_, err := s.Deliver(t.Context(), event("1", "a"), 1)
		if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || !ae.Unreachable {
			t.Errorf("got %v", err)
		}
	}
}
