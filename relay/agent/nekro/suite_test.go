package nekro_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/nekro"
	"github.com/imrelay/imrelay/relay/secret"
)

func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func TestWebhookSuite(t *testing.T) {
	t.Parallel()
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			return newAgent(t, nekro.Config{Endpoint: agent.Endpoint{
				URL: base + "/api/webhook/imrelay", Secret: secret.New("hush-1"), Token: secret.New("hush-2"),
			}}, w)
		},
		Taken: answering(`{"success":true,"message":"Webhook 处理完成","data":{"results":[],"errors":[]}}`),
		Meanings: []agenttest.Meaning{
			{Name: "pair", Answer: answering(`[{"status":"error","message":"no chat"},400]`), Status: 400},
			{Name: "accepted pair", Answer: answering(`[{"status":"accepted"},202]`), Status: 200},
			{Name: "no success", Answer: answering(`{"success":false,"message":"no"}`), Status: 500},
			{Name: "page", Answer: answering(`{"status":"success","message":"received"}`), Status: 200},
			{Name: "text", Answer: answering("ok"), Status: 200},
		},
		Secrets: []string{"hush-1", "hush-2"},
	})
}

func TestStreamSuite(t *testing.T) {
	t.Parallel()
	agenttest.Run(t, agenttest.Harness{
		New: func(t *testing.T, base string, w agent.Wire) relay.Agent {
			t.Helper()
			s := newAgent(t, nekro.Config{
				Endpoint: agent.Endpoint{URL: base}, Mode: "sse", AccessKey: secret.New("hush-1"),
			}, w).(*nekro.Stream).Hasten()
			run(t, s)
			until(t, "connected, or not", func() bool { return s.Connected() || s.Failures() > 0 })
			return s
		},
		Around: adapter,
		Taken:  answering(`{"message":"消息接收成功"}`),
		Meanings: []agenttest.Meaning{
			{Name: "another server", Answer: answering("<html>welcome</html>"), Status: 500},
			{Name: "no object", Answer: answering("[]"), Status: 500},
		},
		Secrets: []string{"hush-1"},
	})
}

// adapter takes all but messages.
func adapter(messages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: connected\r\ndata: {\"client_id\":\"client-1\"}\r\n\r\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if gjson.GetBytes(body, "cmd").Str == "message" {
			messages.ServeHTTP(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"client_id":"client-1","message":"ok"}`)
	})
}
