// Package agenttest is the suite that every agent kind passes: one attempt a call, within its time, a bounded answer,
// success by meaning and not by status alone, replies taken out once, and no secret in an error. It makes the requests
// through real sockets; the kind brings answers as its own server gives them.
package agenttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
)

// Harness is one kind.
type Harness struct {
	// New makes an agent whose server is at base. What it starts ends with the test.
	New func(t *testing.T, base string, w agent.Wire) relay.Agent
	// Around wraps what stands in for the server's answers to events, for a kind that asks for more than to take events;
	// nil: every request is one about an event.
	Around func(answers http.Handler) http.Handler
	// Taken answers as the server does when it took the event and said Says.
	Taken http.HandlerFunc
	Says  []string
	// Requests is how many requests one attempt may make that is taken; 0: one.
	Requests int
	// Meanings are further answers of the server, and what they mean.
	Meanings []Meaning
	// Secrets are those that New configures. None may be shown.
	Secrets []string
}

// Meaning is an answer and what it means.
type Meaning struct {
	Name   string
	Answer http.HandlerFunc
	// Status is that of the outcome; 0: the attempt gets no answer.
	Status int
	// Says are the replies of the outcome.
	Says []string
}

// secretPath is a part of the URL that no error may show.
const secretPath = "/secret-path"

// server counts what it gets.
type server struct {
	*httptest.Server

	requests atomic.Int64
}

func (h Harness) serve(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		answer(w, r)
	})
	if h.Around != nil {
		handler = h.Around(handler)
	}
	s.Server = httptest.NewServer(http.StripPrefix(secretPath, handler))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// Event is an event such as the suite uses: text in a private chat.
func Event(id string) relay.Event {
	return relay.Event{
		ID: id, Account: "wechat", Conversation: "wxid_alice", Accepted: time.Now(),
		Note: relay.Note{MessageID: "7265419038812345671", Sender: "wxid_alice", Nickname: "Alice", Kind: "text"},
		Body: []byte("{\"b\": 1, \"text\":\t\"<&>\\u4f60\", \"n\":7265419038812345671}\n"),
	}
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"Taken": taken, "Statuses": statuses, "Meanings": meanings, "Redirect": redirect, "Endless": endless,
		"TimeOut": timeOut, "HangUp": hangUp, "Refused": refused, "Metadata": metadata, "Cancelled": cancelled,
		"CalledOff": calledOff, "AtOnce": atOnce, "Echo": echo, "Nested": nested,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

// deliver makes one attempt of a new agent, and looks for secrets in whatever comes of it.
func (h Harness) deliver(ctx context.Context, t *testing.T, base string, e relay.Event) (relay.Outcome, error) {
	t.Helper()
	w := NewWorld(t)
	a := h.New(t, base+secretPath, w.Wire)
	out, err := a.Deliver(ctx, e, 1)
	shown := out.Reason + w.Logged()
	if err != nil {
		if _, ok := err.(*relay.AttemptError); !ok { //nolint:errorlint // the contract is this very type
			t.Errorf("got an error of type %T, want *relay.AttemptError", err)
		}
		shown += err.Error()
	}
	for _, s := range append([]string{secretPath, "127.0.0.1"}, h.Secrets...) {
		if strings.Contains(shown, s) {
			t.Errorf("%q is shown: %s", s, shown)
		}
	}
	for _, s := range h.Secrets {
		if bytes.Contains(out.Body, []byte(s)) || strings.Contains(out.ContentType, s) {
			t.Errorf("%q is in what the IM's server is shown: %s", s, out.Body)
		}
	}
	return out, err
}

// texts are the replies' texts.
func texts(rs []relay.Reply) []string {
	var out []string
	for _, r := range rs {
		out = append(out, r.Text)
	}
	return out
}

// An event that is taken is so in one attempt, and a second attempt says the same under the same keys.
func taken(t *testing.T, h Harness) {
	s := h.serve(t, h.Taken)
	first, err := h.deliver(t.Context(), t, s.URL, Event("evt_1"))
	if err != nil || first.Status < 200 || first.Status > 299 {
		t.Fatalf("got %d, %v", first.Status, err)
	}
	if got, most := s.requests.Load(), int64(max(h.Requests, 1)); got > most {
		t.Errorf("made %d requests, want at most %d", got, most)
	}
	if got := texts(first.Replies); !equal(got, h.Says) {
		t.Errorf("said %q, want %q", got, h.Says)
	}
	second, err := h.deliver(t.Context(), t, s.URL, Event("evt_1"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for i, r := range first.Replies {
		if r.Key == "" || known[r.Key] || i >= len(second.Replies) || second.Replies[i].Key != r.Key {
			t.Errorf("key of reply %d: got %q, then %+v", i, r.Key, second.Replies)
		}
		known[r.Key] = true
	}
	other, err := h.deliver(t.Context(), t, s.URL, Event("evt_2"))
	if err != nil {
		t.Fatal(err)
	}
	if len(other.Replies) != len(h.Says) {
		t.Errorf("another event: said %q", texts(other.Replies))
	}
}

func equal(got, want []string) bool {
	return strings.Join(got, "\x00") == strings.Join(want, "\x00") && len(got) == len(want)
}

// A status that is no success is the outcome's, with the time that the agent wants to be left alone.
func statuses(t *testing.T, h Harness) {
	for _, status := range []int{400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			s := h.serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, "<html>no</html>")
			})
			out, err := h.deliver(t.Context(), t, s.URL, Event("evt_1"))
			if err != nil || out.Status != status || out.RetryAfter != 7*time.Second || len(out.Replies) > 0 {
				t.Errorf("got %+v, %v", out, err)
			}
			if got := s.requests.Load(); got != 1 {
				t.Errorf("made %d requests, want 1", got)
			}
		})
	}
}

// What an answer means is not always what its first line says.
func meanings(t *testing.T, h Harness) {
	for _, m := range h.Meanings {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			out, err := h.deliver(t.Context(), t, h.serve(t, m.Answer).URL, Event("evt_1"))
			if (err == nil) != (m.Status != 0) || out.Status != m.Status {
				t.Errorf("got %d (%s), %v, want %d", out.Status, out.Reason, err, m.Status)
			}
			if got := texts(out.Replies); !equal(got, m.Says) {
				t.Errorf("said %q, want %q", got, m.Says)
			}
		})
	}
}

// A redirect is an answer like others, and is not followed.
func redirect(t *testing.T, h Harness) {
	var followed atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	defer elsewhere.Close()
	s := h.serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	out, err := h.deliver(t.Context(), t, s.URL, Event("evt_1"))
	if err != nil || out.Status != http.StatusTemporaryRedirect || followed.Load() {
		t.Errorf("got %+v, %v, followed %v", out, err, followed.Load())
	}
}

// An answer that does not end neither fills the memory nor outlasts the time.
func endless(t *testing.T, h Harness) {
	s := h.serve(t, func(w http.ResponseWriter, r *http.Request) {
		line := []byte("data: " + strings.Repeat("x", 1<<16) + "\n")
		for r.Context().Err() == nil {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	})
	began := time.Now()
	out, _ := h.deliver(t.Context(), t, s.URL, Event("evt_1"))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if len(out.Body) > agent.MaxAnswer || len(out.Replies) > agent.MaxReplies {
		t.Errorf("kept %d bytes and %d replies", len(out.Body), len(out.Replies))
	}
}

// attemptError is the error of one attempt.
func (h Harness) attemptError(ctx context.Context, t *testing.T, base string) *relay.AttemptError {
	t.Helper()
	out, err := h.deliver(ctx, t, base, Event("evt_1"))
	ae, ok := errors.AsType[*relay.AttemptError](err)
	if !ok {
		t.Fatalf("got %+v, %v, want an AttemptError", out, err)
	}
	if ae.Reason == "" {
		t.Errorf("gives no reason: %+v", ae)
	}
	return ae
}

// An agent that repeats what it was sent hands none of our secrets on to the IM's server, which deliver looks for.
func echo(t *testing.T, h Harness) {
	for _, status := range []int{200, 401, 500} {
		s := h.serve(t, func(w http.ResponseWriter, r *http.Request) {
			sent, err := httputil.DumpRequest(r, true)
			if err != nil {
				t.Errorf("dump: %v", err)
			}
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(status)
			_, _ = w.Write(sent)
		})
		if out, err := h.deliver(t.Context(), t, s.URL, Event("evt_1")); err == nil && status != 200 && out.Status != status {
			t.Errorf("got %d, want %d", out.Status, status)
		}
	}
}

// An answer that is nothing but brackets takes neither the stack nor the relay down, and says nothing.
func nested(t *testing.T, h Harness) {
	deep := strings.Repeat("[", 8<<20)
	for name, line := range map[string]string{"json": deep, "object": strings.Repeat(`{"a":`, 1<<20), "event": "data: " + deep[:900<<10] + "\n\n"} {
		s := h.serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			kind := "application/json"
			if name == "event" {
				kind = "text/event-stream"
			}
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, line)
		})
		if out, _ := h.deliver(t.Context(), t, s.URL, Event("evt_1")); len(out.Replies) > 0 {
			t.Errorf("%s: said %d replies", name, len(out.Replies))
		}
	}
}

// An agent that does not answer is a time-out, and was reached.
func timeOut(t *testing.T, h Harness) {
	s := h.serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	began := time.Now()
	if ae := h.attemptError(t.Context(), t, s.URL); ae.Unreachable || !ae.Timeout {
		t.Errorf("got %+v", ae)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("took %v, want about 2s", took)
	}
}

// An agent that hangs up may have taken the event.
func hangUp(t *testing.T, h Harness) {
	s := h.serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if ae := h.attemptError(t.Context(), t, s.URL); ae.Unreachable || ae.Timeout {
		t.Errorf("got %+v", ae)
	}
}

// An agent that is not there got nothing.
func refused(t *testing.T, h Harness) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if ae := h.attemptError(t.Context(), t, base); !ae.Unreachable {
		t.Errorf("got %+v", ae)
	}
}

// No address is dialled where clouds keep credentials.
func metadata(t *testing.T, h Harness) {
	if ae := h.attemptError(t.Context(), t, "http://169.254.169.254"); !ae.Unreachable {
		t.Errorf("got %+v", ae)
	}
}

// An attempt ends with its context.
func cancelled(t *testing.T, h Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := h.serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	began := time.Now()
	if ae := h.attemptError(ctx, t, s.URL); ae.Unreachable {
		t.Errorf("got %+v", ae)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
}

// A relay that lost the right to the event asks nothing.
func calledOff(t *testing.T, h Harness) {
	s := h.serve(t, h.Taken)
	e := Event("evt_1")
	lost := errors.New("lost")
	e.Ready = func() error { return lost }
	if _, err := h.deliver(t.Context(), t, s.URL, e); !errors.Is(err, lost) {
		t.Errorf("got %v, want the error of Ready", err)
	}
	if got := s.requests.Load(); got != 0 {
		t.Errorf("made %d requests", got)
	}
}

// An agent takes several events at once.
func atOnce(t *testing.T, h Harness) {
	s := h.serve(t, h.Taken)
	a := h.New(t, s.URL+secretPath, NewWorld(t).Wire)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			e := Event("evt_" + strconv.Itoa(i))
			e.Conversation = "wxid_" + strconv.Itoa(i)
			if out, err := a.Deliver(t.Context(), e, 1); err != nil || out.Status > 299 {
				t.Errorf("event %d: got %+v, %v", i, out, err)
			}
		})
	}
	wg.Wait()
}
