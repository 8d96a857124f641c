package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/webhook"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

// The endpoint gets the bytes and what was configured to prove where they come from, and nothing else.
func TestDeliver(t *testing.T) {
	t.Parallel()
	const body = "{\"a\": 1 }\n"
	m := hmac.New(sha256.New, []byte("s3"))
	_, _ = io.WriteString(m, body)
	mac := "sha256=" + hex.EncodeToString(m.Sum(nil))
	for _, tc := range []struct {
		name   string
		config webhook.Config
		want   map[string]string
	}{
		{
			"plain",
			webhook.Config{},
			map[string]string{"X-Hub-Signature-256": "", "Authorization": ""},
		},
		{
			"signed",
			webhook.Config{Secret: secret.New("s3")},
			map[string]string{"X-Hub-Signature-256": mac, "Authorization": ""},
		},
		{
			"header of choice",
			webhook.Config{Secret: secret.New("s3"), SignatureHeader: "X-My-Signature"},
			map[string]string{"X-My-Signature": mac, "X-Hub-Signature-256": ""},
		},
		{
			"bearer",
			webhook.Config{Token: secret.New("t0")},
			map[string]string{"Authorization": "Bearer t0", "X-Hub-Signature-256": ""},
		},
		{
			"token header and signature",
			webhook.Config{
				Secret: secret.New("s3"), Token: secret.New("t0"), TokenHeader: "X-Gitlab-Token",
			},
			map[string]string{"X-Gitlab-Token": "t0", "X-Hub-Signature-256": mac, "Authorization": ""},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var header http.Header
			var got string
			s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if err != nil {
					t.Errorf("read body: %v", err)
				}
				header, got = r.Header, string(b)
			}))
			t.Cleanup(s.Close)
			client := egress.New(egress.Options{})
			t.Cleanup(client.Close)
			tc.config.URL = s.URL
			a, err := webhook.New(tc.config, agent.Wire{Doer: client, Timeout: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			out, err := a.Deliver(t.Context(), relay.Event{ID: "evt_1", Body: []byte(body)}, 1)
			if err != nil || out.Status != 200 {
				t.Fatalf("got %+v, %v", out, err)
			}
			if got != body {
				t.Errorf("body: got %q, want %q", got, body)
			}
			for name, want := range tc.want {
				if got := header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

// What cannot work is refused when the relay starts.
func TestNew(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config webhook.Config
		wire   agent.Wire
	}{
		"no url":               {webhook.Config{}, agent.Wire{}},
		"header without token": {webhook.Config{URL: "http://127.0.0.1:1", TokenHeader: "X-T"}, agent.Wire{}},
		"standard without secret": {
			webhook.Config{URL: "http://127.0.0.1:1"}, agent.Wire{StandardWebhooks: true},
		},
	} {
		if _, err := webhook.New(tc.config, tc.wire); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}
