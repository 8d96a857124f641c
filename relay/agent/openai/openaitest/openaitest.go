// Package openaitest is an OpenAI-compatible server on loopback, as unkind as real ones: it streams in the dialects that
// are about, puts errors into streams that began with 200, hangs up in the middle, ignores that a stream was asked for,
// and has no idempotency at all, so that every request is a run of its model. The model answers by [Answer].
package openaitest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/agent/agenttest"
)

// Fault is how one request goes wrong, or otherwise than the next one.
type Fault uint8

// The faults. Those that answer less than all are runs of the model all the same, but for TooMany and Starting.
const (
	None        Fault = iota
	HangUp            // in the middle of the stream
	Close             // ends the stream in the middle, as if that were its end
	ErrorInside       // an error in place of the rest of the stream, with the code 503
	TooMany           // 429 with Retry-After: 3
	Starting          // 503 with Retry-After: 1, as gateways say while they start
	NoDone            // the stream ends after finish_reason, without [DONE]
	NoFinish          // [DONE] without a finish_reason
	Plain             // one piece of JSON
	KeepAlive         // comments, empty lines and empty events between the chunks
	CRLF              // lines end in CR LF
	Hang              // nothing is answered until the caller leaves
	Cut               // finish_reason is "length"
	Reason            // the answer comes after reasoning_content and a <think> block
	Silent            // a tool call, and no text
	OldError          // an error in place of the answer, in a field of its own, as older llama.cpp does
)

// Message is one of a request's messages: its text, and the addresses of its images.
type Message struct {
	Role, Text string
	Images     []string
}

// Request is a request that was understood.
type Request struct {
	Header   http.Header
	Model    string
	Stream   bool
	Messages []Message
	// Run says that the model ran.
	Run bool
}

// Options are how the server behaves. The zero value is a kind one.
type Options struct {
	// Token is the Bearer that it asks for. Empty: none.
	Token string
	// Context is how many bytes of text its model takes; 0: any number.
	Context int
	// Blind refuses images.
	Blind bool
	// Slow is how long it thinks before the first byte.
	Slow time.Duration
	// Fault says how the n-th request, from 1, whose last message is that goes; nil: all go well.
	Fault func(last string, n int) Fault
}

// Answer is what the model says to the messages: it tells the last one, and how many came before without the system's.
func Answer(messages []Message) string {
	before := -1
	for _, m := range messages {
		if m.Role != "system" {
			before++
		}
	}
	last := messages[len(messages)-1]
	return fmt.Sprintf("re(%d,%d): %s", before, len(last.Images), last.Text)
}

// Fake is the server. Its methods are safe for concurrent use.
type Fake struct {
	options Options
	host    *agenttest.Host

	mu       sync.Mutex
	requests []Request
	asked    map[string]int
}

// New starts a server that is stopped with the test.
func New(tb testing.TB, o Options) *Fake {
	tb.Helper()
	f := &Fake{options: o, host: agenttest.NewHost(tb), asked: map[string]int{}}
	f.Start()
	tb.Cleanup(f.Stop)
	return f
}

// URL is the base of the API. It stays the same when the server is stopped and started again.
func (f *Fake) URL() string { return f.host.URL() + "/v1" }

// Start starts the server again, on its old port.
func (f *Fake) Start() {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", f.completions)
	f.host.Start(mux)
}

// Stop refuses connections and breaks those that are open.
func (f *Fake) Stop() { f.host.Stop() }

// Requests are the requests that it understood, in order.
func (f *Fake) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// Runs is how often the model ran on a last message whose text holds msg.
func (f *Fake) Runs(msg string) int {
	n := 0
	for _, r := range f.Requests() {
		if r.Run && strings.Contains(r.Messages[len(r.Messages)-1].Text, msg) {
			n++
		}
	}
	return n
}

// Said are the answers of the runs on a last message whose text holds msg, whether or not they arrived.
func (f *Fake) Said(msg string) []string {
	var out []string
	for _, r := range f.Requests() {
		if r.Run && strings.Contains(r.Messages[len(r.Messages)-1].Text, msg) {
			out = append(out, Answer(r.Messages))
		}
	}
	return out
}

// body is a request's body.
type body struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
}

// read understands a request; false: it cannot.
func read(r *http.Request) (Request, bool) {
	var b body
	raw, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(raw, &b) != nil || b.Model == "" || len(b.Messages) == 0 {
		return Request{}, false
	}
	out := Request{Header: r.Header.Clone(), Model: b.Model, Stream: b.Stream}
	for _, m := range b.Messages {
		one := Message{Role: m.Role}
		var parts []struct {
			Type, Text string
			Image      struct{ URL string } `json:"image_url"`
		}
		if json.Unmarshal(m.Content, &one.Text) != nil {
			if json.Unmarshal(m.Content, &parts) != nil {
				return Request{}, false
			}
		}
		for _, p := range parts {
			if p.Type == "image_url" {
				one.Images = append(one.Images, p.Image.URL)
			} else {
				one.Text += p.Text
			}
		}
		out.Messages = append(out.Messages, one)
	}
	return out, true
}

// refusal is an error before the model runs.
type refusal struct {
	status int
	kind   string
	code   string
	text   string
}

// refuse says why a request is refused; nil: it is not. Like strict templates, it wants user and assistant in turn.
func (f *Fake) refuse(q Request) *refusal {
	size, images, next := 0, 0, "user"
	for _, m := range q.Messages {
		size, images = size+len(m.Text), images+len(m.Images)
		if m.Role == "system" {
			continue
		}
		if m.Role != next || m.Text == "" {
			return &refusal{400, "invalid_request_error", "", "Conversation roles must alternate user/assistant"}
		}
		next = map[string]string{"user": "assistant", "assistant": "user"}[m.Role]
	}
	switch {
	case f.options.Context > 0 && size > f.options.Context:
		return &refusal{400, "invalid_request_error", "context_length_exceeded", "This is too long"}
	case f.options.Blind && images > 0:
		return &refusal{400, "BadRequestError", "", "This model sees no images"}
	}
	return nil
}

// write writes the refusal as the API does.
func (r *refusal) write(w http.ResponseWriter) {
	b, _ := json.Marshal(map[string]any{"error": map[string]any{
		"message": r.text, "type": r.kind, "code": r.code, "param": nil,
	}})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.status)
	_, _ = w.Write(b)
}

// note counts the request, and says how it goes.
func (f *Fake) note(q Request, refused bool) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := q.Messages[len(q.Messages)-1].Text
	f.asked[last]++
	fault := None
	if f.options.Fault != nil {
		fault = f.options.Fault(last, f.asked[last])
	}
	q.Run = !refused && fault != TooMany && fault != Starting
	f.requests = append(f.requests, q)
	return fault
}
