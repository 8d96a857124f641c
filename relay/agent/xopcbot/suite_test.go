package xopcbot_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/xopcbot"
	"github.com/imrelay/imrelay/relay/secret"
)

// says answers with a body, as JSON.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// tells answers with a stream; every frame is the name of an event, a space and its data.
func tells(frames ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for _, frame := range frames {
			name, data, _ := strings.Cut(frame, " ")
			_, _ = io.WriteString(w, "event: "+name+"\ndata: "+data+"\nid: 1\n\n")
		}
	}
}

const (
	begun  = `status {"type":"status","status":"accepted","runId":"r1"}`
	hel    = `token {"type":"token","content":"Hel"}`
	lo     = `token {"type":"token","content":"lo."}`
	failed = `error {"type":"error","content":"hush-1"}`
	well   = `result {"ok":true,"payload":{"status":"ok","summary":"Message processed successfully"}}`
)

func newAgent(t *testing.T, c xopcbot.Config, w agent.Wire) relay.Agent {
	t.Helper()
	a, err := xopcbot.New(c, w)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSuiteReal(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			return newAgent(t, xopcbot.Config{URL: base + "/", Token: secret.New("hush-1")}, w)
		},
		Taken: tells(begun, `thinking {"content":"Hm."}`, hel, lo, well),
		Says:  []string{"Hello."},
		Meanings: []agenttest.Meaning{
			{Name: "no reply", Answer: tells(begun, well), Status: 200},
			{
				Name: "content of the result", Status: 200, Says: []string{"All."},
				Answer: tells(begun, hel, `result {"ok":true,"payload":{"status":"ok","content":"All."}}`),
			},
			{
				Name: "two messages", Status: 200, Says: []string{"Hel\n\nlo."},
				Answer: tells(begun, "message_end {}", hel, "message_end {}", "message_end {}", lo, "message_end {}", well),
			},
			{
				Name: "nothing after the result", Status: 200, Says: []string{"lo."},
				Answer: tells(begun, lo, well, lo, failed),
			},
			{
				Name: "pieces that are none", Status: 200, Says: []string{"lo."},
				Answer: tells("token {", `token {"content":{"a":1}}`, "token "+deep, lo, well),
			},
			{
				Name: "failed", Status: 500,
				Answer: tells(begun, hel, `result {"ok":true,"payload":{"status":"error","summary":"hush-1"}}`),
			},
			{Name: "skipped", Answer: tells(begun, `result {"ok":true,"payload":{"status":"skipped"}}`), Status: 500},
			{Name: "error, and ok", Answer: tells(begun, hel, failed, well), Status: 500},
			{Name: "error, and a hang-up", Answer: tells(begun, failed), Status: 500},
			{
				Name: "error with a code", Status: 503,
				Answer: tells(begun, `error {"ok":false,"error":{"code":"TOO_MANY_CONNECTIONS"}}`),
			},
			{
				Name: "result with a code", Status: 400,
				Answer: tells(begun, `result {"ok":false,"error":{"code":"BAD_REQUEST"}}`),
			},
			{Name: "result that is none", Answer: tells(begun, hel, "result "+deep), Status: 500},
			{Name: "no result", Answer: tells(begun, hel, lo)},
			{Name: "nothing", Answer: tells()},
			{Name: "a frame too long", Answer: tells(begun, "tool_end "+strings.Repeat("x", 5<<20), well)},
			{
				Name: "JSON", Status: 200, Says: []string{"Hello."},
				Answer: says(200, `{"ok":true,"payload":{"status":"ok","content":" Hello. "}}`),
			},
			{
				Name: "long JSON", Status: 200, Says: []string{long},
				Answer: says(200, `{"ok":true,"payload":{"status":"ok","content":"`+long+`"}}`),
			},
			{Name: "JSON failed", Answer: says(200, `{"ok":true,"payload":{"status":"error","content":"no"}}`), Status: 500},
			{Name: "JSON with a code", Answer: says(200, `{"ok":false,"error":{"code":"NOT_FOUND"}}`), Status: 404},
			{Name: "JSON with an unknown code", Answer: says(200, `{"ok":false,"error":{"code":"hush-1"}}`), Status: 500},
			{Name: "code under a status", Answer: says(502, `{"ok":false,"error":{"code":"BAD_REQUEST"}}`), Status: 502},
			{Name: "the page's answer", Answer: says(200, `{"status":"ok","reply":"no"}`), Status: 500},
			{Name: "a page", Answer: says(200, "<!doctype html>"), Status: 500},
			{Name: "deep JSON", Answer: says(200, deep), Status: 500},
			{Name: "half an answer", Answer: says(200, `{"ok":true,"payload":{"status":"ok"`), Status: 500},
			{Name: "empty", Answer: says(204, ""), Status: 500},
		},
		Secrets: []string{"hush-1"},
	})
}

func TestSuitePage(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			return newAgent(t, xopcbot.Config{URL: base, Token: secret.New("hush-2"), API: "page"}, w)
		},
		Taken: says(200, `{"status":"ok","reply":"Hello.","session":"default"}`),
		Says:  []string{"Hello."},
		Meanings: []agenttest.Meaning{
			{Name: "no reply", Answer: says(200, `{"status":"ok"}`), Status: 200},
			{Name: "reply of another type", Answer: says(200, `{"status":"ok","reply":{"text":"no"}}`), Status: 200},
			{Name: "long", Answer: says(200, `{"status":"ok","reply":"`+long+`"}`), Status: 200, Says: []string{long}},
			{Name: "failed", Answer: says(200, `{"status":"error","reply":"hush-2"}`), Status: 500},
			{Name: "code", Answer: says(200, `{"error":{"code":"SESSION_NOT_FOUND","message":"hush-2"}}`), Status: 404},
			{
				Name: "code and ok", Status: 500,
				Answer: says(200, `{"status":"ok","reply":"no","error":{"code":"AGENT_ERROR"}}`),
			},
			{
				Name: "the real answer", Status: 500,
				Answer: says(200, `{"ok":true,"payload":{"status":"ok","content":"no"}}`),
			},
			{
				Name: "too long", Status: 500,
				Answer: says(200, `{"status":"ok","reply":"`+strings.Repeat("x", agent.MaxAnswer)+`"}`),
			},
			{Name: "a page", Answer: says(200, "<!doctype html>"), Status: 500},
		},
		Secrets: []string{"hush-2"},
	})
}
