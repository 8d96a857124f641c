package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/signer"
)

// arrival is one delivery that the agent got.
type arrival struct {
	event, attempt string
	body           []byte
	// signed is nil when the signature is right.
	signed             error
	conversation, text string
}

// echo is an agent as small as one can be: it checks the signature, answers what it was told through the send API, and
// then says 200. That is the order that loses nothing.
type echo struct {
	recorder *recorder
	verifier signer.Verifier
	address  string
	// relayURL and token are for the send API.
	relayURL, token string
	http            *http.Client

	mu       sync.Mutex
	server   *http.Server
	arrivals []arrival
}

// start listens, on the same port as before if there was one.
func (e *echo) start(ctx context.Context) error {
	var lc net.ListenConfig
	address := e.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("start agent: %w", err)
	}
	s := &http.Server{Handler: e, ReadHeaderTimeout: time.Second}
	e.mu.Lock()
	e.address, e.server = l.Addr().String(), s
	e.mu.Unlock()
	go func() { _ = s.Serve(l) }() // it ends with ErrServerClosed, at stop
	return nil
}

// stop closes the port and breaks every connection, as a crash would.
func (e *echo) stop() error {
	e.mu.Lock()
	s := e.server
	e.mu.Unlock()
	if err := s.Close(); err != nil {
		return fmt.Errorf("stop agent: %w", err)
	}
	return nil
}

func (e *echo) url() string { return "http://" + e.address + "/wechat_abot/webhook" }

// ServeHTTP is the agent's webhook.
func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		fmt.Fprintln(w, `{"ok":true}`)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, "body is cut", http.StatusBadRequest)
		return
	}
	a := read(body)
	a.event, a.attempt = r.Header.Get("X-Relay-Event-Id"), r.Header.Get("X-Relay-Attempt")
	a.signed = e.verifier.Verify(r.Header, body, time.Now())
	e.mu.Lock()
	e.arrivals = append(e.arrivals, a)
	e.mu.Unlock()
	e.recorder.note(relay, agent, fmt.Sprintf("%s, %d B, attempt %s", a.event, len(body), a.attempt))
	if a.signed != nil {
		http.Error(w, `{"error":"signature"}`, http.StatusUnauthorized)
		return
	}
	if err := e.answer(r.Context(), a); err != nil {
		http.Error(w, `{"error":"no answer"}`, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, `{"ok":true}`)
}

// read finds conversation and text in a WeChat push, wrapped in Data or not. An agent of one's own does the same, or
// reads all of it.
func read(body []byte) arrival {
	m := messageIn(body)
	a := arrival{body: body, conversation: m.Get("FromUserName.string").Str, text: m.Get("Content.string").Str}
	if strings.HasSuffix(a.conversation, "@chatroom") {
		if _, text, ok := strings.Cut(a.text, ":\n"); ok {
			a.text = text
		}
	}
	return a
}

func messageIn(body []byte) gjson.Result {
	root := gjson.ParseBytes(body)
	if data := root.Get("Data"); data.Exists() {
		return data
	}
	return root
}

// answer sends the text back. The event's id is the idempotency key: however often the event comes, one answer goes.
func (e *echo) answer(ctx context.Context, a arrival) error {
	b, err := json.Marshal(map[string]string{
		"to": a.conversation, "text": "echo: " + a.text, "requestId": a.event,
		"replyToMessageId": messageIn(a.body).Get("NewMsgId").Raw,
	})
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.relayURL+"/api/messages/send", bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+e.token)
	req.Header.Set("Content-Type", "application/json")
	e.recorder.note(agent, relay, spoken("echo: "+a.text))
	resp, err := e.http.Do(req)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("send: status %d", resp.StatusCode)
	}
	return nil
}

// got returns the arrivals of one conversation, or of all when it is empty.
func (e *echo) got(conversation string) []arrival {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []arrival
	for _, a := range e.arrivals {
		if conversation == "" || a.conversation == conversation {
			out = append(out, a)
		}
	}
	return out
}

// spoken is a text as it is shown.
func spoken(text string) string { return "“" + text + "”" }
