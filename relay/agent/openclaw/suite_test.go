package openclaw_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/openclaw"
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

func TestSuiteWebhook(t *testing.T) {
	t.Parallel()
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			return newAgent(t, openclaw.Config{
				Mode: "webhook", URL: base + "/wechat_abot/webhook", Secrets: []secret.Text{secret.New("hush-1"), secret.New("hush-2")},
			}, w)
		},
		Taken: says(200, `{"ok":true,"reply":"is for nobody"}`),
		Meanings: []agenttest.Meaning{
			{Name: "pair", Answer: says(200, `[{"error":"no"}, 400]`), Status: 400},
			{Name: "empty", Answer: says(204, ""), Status: 204},
			{Name: "text", Answer: says(200, "ok"), Status: 200},
			{Name: "what hooks would say", Answer: says(200, `{"ok":false}`), Status: 200},
		},
		Secrets: []string{"hush-1", "hush-2"},
	})
}

func TestSuiteHooks(t *testing.T) {
	t.Parallel()
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			return newAgent(t, openclaw.Config{
				Mode: "hooks", URL: base, Token: secret.New("hush-3"), Channel: "wechat_abot",
			}, w)
		},
		Taken: says(200, `{"ok":true,"runId":"r1","completion":{"status":"ok","delivered":true},"reply":"is for nobody"}`),
		Meanings: []agenttest.Meaning{
			{Name: "admitted by an older gateway", Answer: says(200, `{"ok":true,"runId":"r1"}`), Status: 200},
			{Name: "run failed", Answer: says(200, `{"ok":true,"completion":{"status":"error"}}`), Status: 500},
			{Name: "run skipped", Answer: says(200, `{"ok":true,"completion":{"status":"skipped"}}`), Status: 500},
			{Name: "run ended somehow", Answer: says(200, `{"ok":true,"completion":{"status":null}}`), Status: 500},
			{
				Name:   "answer not sent",
				Answer: says(200, `{"ok":true,"completion":{"status":"ok","delivered":false,"deliveryError":"delivery-failed"}}`), Status: 200,
			},
			{Name: "accepted", Answer: says(202, `{"ok":true}`), Status: 202},
			{Name: "not ok", Answer: says(200, `{"ok":false,"error":"hush-3"}`), Status: 500},
			{Name: "ok is no yes", Answer: says(200, `{"ok":"true"}`), Status: 500},
			{Name: "a page", Answer: says(200, "<!doctype html>"), Status: 500},
			{Name: "nothing", Answer: says(204, ""), Status: 500},
			{Name: "half an answer", Answer: says(200, `{"ok":true,"runId":`), Status: 500},
			{Name: "ok elsewhere", Answer: says(200, `{"error":{"ok":true}}`), Status: 500},
			{Name: "a list", Answer: says(200, `[{"ok":true}]`), Status: 500},
		},
		Secrets: []string{"hush-3"},
	})
}

// newAgent makes an agent that must be made.
func newAgent(t *testing.T, c openclaw.Config, w agent.Wire) *openclaw.Agent {
	t.Helper()
	a, err := openclaw.New(c, w)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
