package openclaw_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/openclaw"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

// wire is a real one.
func wire(t *testing.T) agent.Wire {
	t.Helper()
	c := egress.New(egress.Options{})
	t.Cleanup(c.Close)
	return agent.Wire{Doer: c, Timeout: 2 * time.Second}
}

// event is one with bytes that any re-encoding would change.
func event() relay.Event {
	return relay.Event{ID: "evt_1", Body: []byte("{\"b\": 1, \"a\":\t\"<&>\\u4f60\", \"n\":7265419038812345671}\n")}
}

// gateway records the requests it gets and answers as told.
type gateway struct {
	*httptest.Server

	got  []*http.Request
	body []string
}

func newGateway(t *testing.T, answer http.HandlerFunc) *gateway {
	t.Helper()
	g := &gateway{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read body: %v", err)
		}
		g.got, g.body = append(g.got, r), append(g.body, string(b))
		answer(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

func mac(secret, body string) string {
	m := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(m, body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

// The gateway gets the bytes as they are, their signature, and what it needs to tell a repeat.
func TestDeliver(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"ok":true}`)
	})
	a, err := openclaw.New(openclaw.Config{URL: g.URL + "/wechat_abot/webhook?x=1", Secret: secret.New("s3")}, wire(t))
	if err != nil {
		t.Fatal(err)
	}
	e := event()
	e.Note = relay.Note{ContentType: "application/json; charset=utf-8", Traceparent: "00-aa-bb-01"}
	out, err := a.Deliver(t.Context(), e, 3)
	if err != nil {
		t.Fatal(err)
	}
	if out.Status != 201 || string(out.Body) != `{"ok":true}` || out.ContentType != "application/json" {
		t.Errorf("outcome: got %+v", out)
	}
	r := g.got[0]
	if r.Method != http.MethodPost || r.URL.RequestURI() != "/wechat_abot/webhook?x=1" {
		t.Errorf("got %s %s", r.Method, r.URL)
	}
	if g.body[0] != string(e.Body) {
		t.Errorf("body: got %q, want %q", g.body[0], e.Body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "X-Wechat-Abot-Signature": mac("s3", string(e.Body)),
		"X-Relay-Event-Id": "evt_1", "X-Relay-Attempt": "3", "Traceparent": "00-aa-bb-01", "Webhook-Signature": "",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// A body that came without a type is JSON; the first of several secrets signs; Standard Webhooks is fresh each time.
func TestDeliverOptions(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(http.ResponseWriter, *http.Request) {})
	w := wire(t)
	w.StandardWebhooks = true
	a, err := openclaw.New(openclaw.Config{URL: g.URL, Secrets: []secret.Text{secret.New("new"), secret.New("old")}}, w)
	if err != nil {
		t.Fatal(err)
	}
	e := event()
	if _, err := a.Deliver(t.Context(), e, 1); err != nil {
		t.Fatal(err)
	}
	h := g.got[0].Header
	if got, want := h.Get("X-Wechat-Abot-Signature"), mac("new", string(e.Body)); got != want {
		t.Errorf("signature: got %q, want %q", got, want)
	}
	if got := h.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type: got %q", got)
	}
	if h.Get("webhook-id") != "evt_1" || h.Get("webhook-timestamp") == "" ||
		!strings.HasPrefix(h.Get("webhook-signature"), "v1,") {
		t.Errorf("Standard Webhooks: got %v", h)
	}
}

// Every answer is an outcome, redirects too, and Retry-After is read.
func TestAnswers(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusFound)
	})
	a, err := openclaw.New(openclaw.Config{URL: g.URL, Secret: secret.New("s")}, wire(t))
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.Deliver(t.Context(), event(), 1)
	if err != nil || out.Status != 302 || out.RetryAfter != 7*time.Second || len(g.got) != 1 {
		t.Errorf("got %+v, %v after %d requests", out, err, len(g.got))
	}
}

// A 2xx with a pair of a body and a status means that status; what only looks like one does not.
func TestAnswerInside(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{
		`[{"error":"no"}, 400]`: 400, `["busy",503]`: 503, `[{},200]`: 200, `[1,400,2]`: 200, `[400]`: 200,
		`[{}, 4e2]`: 200, `[{},"400"]`: 200, `{"a":[{},400]}`: 200, ``: 200, `[`: 200,
	} {
		g := newGateway(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		a, err := openclaw.New(openclaw.Config{URL: g.URL, Secret: secret.New("s")}, wire(t))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := a.Deliver(t.Context(), event(), 1); err != nil || out.Status != want {
			t.Errorf("answer %q: got %d, %v, want %d", body, out.Status, err, want)
		}
	}
}

// No answer is an error that says whether the gateway was reached, and shows neither URL nor secret.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to cancel
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	block := make(chan struct{})
	slow := newGateway(t, func(http.ResponseWriter, *http.Request) { <-block })
	t.Cleanup(func() { close(block) })
	hangUp := newGateway(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, tc := range []struct {
		name, url            string
		unreachable, timeout bool
	}{
		{"refused", refused, true, false},
		{"slow", slow.URL, false, true},
		{"hang-up", hangUp.URL, false, false},
		{"metadata", "http://169.254.169.254/latest", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := wire(t)
			w.Timeout = 200 * time.Millisecond
			a, err := openclaw.New(openclaw.Config{URL: tc.url + "/secret-path", Secret: secret.New("hush")}, w)
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.Deliver(t.Context(), event(), 1)
			ae, ok := err.(*relay.AttemptError) //nolint:errorlint // the contract is this very type
			if !ok {
				t.Fatalf("got %v, want an AttemptError", err)
			}
			if ae.Unreachable != tc.unreachable || ae.Timeout != tc.timeout || ae.Reason == "" {
				t.Errorf("got %+v", ae)
			}
			if s := ae.Error(); strings.Contains(s, "secret-path") || strings.Contains(s, "hush") ||
				strings.Contains(s, "127.0.0.1") {
				t.Errorf("error shows too much: %s", s)
			}
		})
	}
}

// What cannot work is refused when the relay starts.
func TestNew(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]openclaw.Config{
		"no url":    {Secret: secret.New("s")},
		"no secret": {URL: "http://127.0.0.1:1"},
	} {
		if _, err := openclaw.New(c, agent.Wire{}); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}
