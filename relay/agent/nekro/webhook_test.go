package nekro_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/nekro"
	"github.com/imrelay/imrelay/relay/agent/nekro/nekrotest"
	"github.com/imrelay/imrelay/relay/secret"
)

// Both forms of a webhook's address get the bytes, with the proof that was configured.
func TestWebhook(t *testing.T) {
	t.Parallel()
	e := agenttest.Event("evt_1")
	m := hmac.New(sha256.New, []byte("s3"))
	m.Write(e.Body)
	mac := "sha256=" + hex.EncodeToString(m.Sum(nil))
	for _, tc := range []struct {
		name   string
		path   string
		config nekro.Config
		want   map[string]string
	}{
		{
			"signed", "/api/webhook/imrelay",
			nekro.Config{Endpoint: agent.Endpoint{Secret: secret.New("s3")}},
			map[string]string{"X-Hub-Signature-256": mac},
		},
		{
			"plugin", "/api/plugin/acme.chat/webhook/imrelay",
			nekro.Config{Mode: "webhook", Endpoint: agent.Endpoint{Secret: secret.New("s3"), SignatureHeader: "X-My-Signature"}},
			map[string]string{"X-My-Signature": mac, "X-Hub-Signature-256": ""},
		},
		{
			"static token", "/api/webhook/imrelay",
			nekro.Config{Endpoint: agent.Endpoint{Token: secret.New("t0"), TokenHeader: "X-Gitlab-Token"}},
			map[string]string{"X-Gitlab-Token": "t0", "X-Hub-Signature-256": ""},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := nekrotest.New(t, nekrotest.Options{})
			tc.config.URL = f.URL() + tc.path
			a := newAgent(t, tc.config, agenttest.NewWorld(t).Wire)
			if _, ok := a.(relay.Resident); ok {
				t.Error("has a connection of its own")
			}
			out, err := a.Deliver(t.Context(), e, 1)
			if err != nil || out.Status != 200 || out.Reason != "" {
				t.Fatalf("got %+v, %v", out, err)
			}
			hooks := f.Hooks()
			if len(hooks) != 1 || hooks[0].Path != tc.path || string(hooks[0].Body) != string(e.Body) {
				t.Fatalf("took %+v", hooks)
			}
			for name, want := range tc.want {
				if got := hooks[0].Header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			f.Refuse(1, 0)
			if out, err := a.Deliver(t.Context(), e, 2); err != nil || out.Status != 400 {
				t.Errorf("a refusal under a 200: got %+v, %v", out, err)
			}
			f.Unready(true)
			if out, err := a.Deliver(t.Context(), e, 3); err != nil || out.Status != 503 {
				t.Errorf("starting: got %+v, %v", out, err)
			}
		})
	}
}

// What cannot work is refused when the relay starts.
func TestNew(t *testing.T) {
	t.Parallel()
	at := agent.Endpoint{URL: "http://127.0.0.1:1"}
	with := func(change func(*agent.Endpoint)) agent.Endpoint {
		e := at
		change(&e)
		return e
	}
	s3 := secret.New("s3")
	for name, tc := range map[string]struct {
		config nekro.Config
		wire   agent.Wire
	}{
		"no url":          {nekro.Config{}, agent.Wire{}},
		"no base":         {nekro.Config{Mode: "sse"}, agent.Wire{}},
		"another mode":    {nekro.Config{Mode: "ws", Endpoint: at}, agent.Wire{}},
		"key for webhook": {nekro.Config{Endpoint: at, AccessKey: s3}, agent.Wire{}},
		"secret for sse":  {nekro.Config{Mode: "sse", Endpoint: with(func(e *agent.Endpoint) { e.Secret = s3 })}, agent.Wire{}},
		"secrets for sse": {nekro.Config{Mode: "sse", Endpoint: with(func(e *agent.Endpoint) { e.Secrets = []secret.Text{s3} })}, agent.Wire{}},
		"header for sse":  {nekro.Config{Mode: "sse", Endpoint: with(func(e *agent.Endpoint) { e.SignatureHeader = "X" })}, agent.Wire{}},
		"token for sse":   {nekro.Config{Mode: "sse", Endpoint: with(func(e *agent.Endpoint) { e.Token = s3 })}, agent.Wire{}},
		"standard for sse": {
			nekro.Config{Mode: "sse", Endpoint: at}, agent.Wire{StandardWebhooks: true},
		},
		"token header alone": {nekro.Config{Endpoint: with(func(e *agent.Endpoint) { e.TokenHeader = "X" })}, agent.Wire{}},
	} {
		if _, err := nekro.New(tc.config, tc.wire); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}
