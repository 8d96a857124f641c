package webhook_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/webhook"
	"github.com/imrelay/imrelay/relay/secret"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	say := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			a, err := webhook.New(webhook.Config{
				URL: base + "/hook", Secret: secret.New("hush-1"), Token: secret.New("hush-2"),
			}, w)
			if err != nil {
				t.Fatal(err)
			}
			return a
		},
		Taken: say(`{"ok":true,"reply":"is for nobody"}`),
		Meanings: []agenttest.Meaning{
			{Name: "pair", Answer: say(`[{"error":"no"}, 400]`), Status: 400},
			{Name: "empty", Answer: say(""), Status: 200},
			{Name: "text", Answer: say("ok"), Status: 200},
		},
		Secrets: []string{"hush-1", "hush-2"},
	})
}
