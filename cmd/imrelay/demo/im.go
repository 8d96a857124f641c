package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// latency is the least time that the pretend IM takes for a send, and as much again at random.
const latency = 12 * time.Millisecond

// sent is one message that reached the IM.
type sent struct {
	ID      string `json:"-"`
	To      string `json:"to"`
	Text    string `json:"text"`
	ReplyTo string `json:"replyToMessageId"`
}

// wechat is a pretend IM server: it pushes what its people write, and takes what is sent to them.
type wechat struct {
	recorder *recorder
	relayURL string
	http     *http.Client
	server   *http.Server
	address  string

	mu   sync.Mutex
	sent []sent
	next uint64
}

func (m *wechat) start(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start IM: %w", err)
	}
	m.address = l.Addr().String()
	m.server = &http.Server{Handler: m, ReadHeaderTimeout: time.Second}
	go func() { _ = m.server.Serve(l) }() // it ends with ErrServerClosed, at close
	return nil
}

func (m *wechat) url() string { return "http://" + m.address + "/send" }

// ServeHTTP is the IM's send call.
func (m *wechat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var s sent
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&s); err != nil || s.To == "" {
		http.Error(w, `{"error":"to is missing"}`, http.StatusBadRequest)
		return
	}
	t := time.NewTimer(latency + rand.N(latency)) //nolint:gosec // pretended latency needs no good randomness
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
		return
	}
	m.mu.Lock()
	m.next++
	s.ID = strconv.FormatUint(m.next, 10)
	m.sent = append(m.sent, s)
	m.mu.Unlock()
	m.recorder.note(relay, im, spoken(s.Text)+" → "+s.To)
	fmt.Fprintf(w, `{"messageId":%q}`, s.ID)
}

// got returns what was sent to somebody, or to anybody when it is empty.
func (m *wechat) got(to string) []sent {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []sent
	for _, s := range m.sent {
		if to == "" || s.To == to {
			out = append(out, s)
		}
	}
	return out
}

// answered is the relay's answer to a push.
type answered struct {
	status    int
	OK        bool   `json:"ok"`
	Queued    bool   `json:"queued"`
	Duplicate bool   `json:"duplicate"`
	Ignored   string `json:"ignored"`
	EventID   string `json:"eventId"`
	Attempts  int    `json:"attempts"`
}

// push posts one message to the relay. Async does not wait for the agent.
func (m *wechat) push(ctx context.Context, msg message, async bool) (a answered, err error) {
	body := msg.body()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.relayURL+"/im/inbound", bytes.NewReader(body))
	if err != nil {
		return a, fmt.Errorf("make push: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if async {
		req.Header.Set("Prefer", "respond-async")
	}
	m.recorder.note(im, relay, fmt.Sprintf("%s, %d B", spoken(msg.text), len(body)))
	resp, err := m.http.Do(req)
	if err != nil {
		return a, fmt.Errorf("push: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return a, fmt.Errorf("push: %w", err)
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return a, errors.New("push: the answer is not JSON")
	}
	a.status = resp.StatusCode
	m.recorder.note(relay, im, a.brief())
	return a, nil
}

// brief is the answer without what a reader can do without.
func (a answered) brief() string {
	s := strconv.Itoa(a.status)
	switch {
	case a.Duplicate:
		return s + ` {"duplicate":true}`
	case a.Ignored != "":
		return s + fmt.Sprintf(` {"ignored":%q}`, a.Ignored)
	case a.Queued:
		return s + ` {"queued":true}`
	}
	return s + fmt.Sprintf(` {"ok":%t}`, a.OK)
}
