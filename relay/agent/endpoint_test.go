package agent_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

// doer answers calls as told, and keeps them.
type doer struct {
	answer egress.Answer
	err    error
	calls  []egress.Call
}

func (d *doer) Do(_ context.Context, c egress.Call) (egress.Answer, error) {
	d.calls = append(d.calls, c)
	return d.answer, d.err
}

// What was configured proves where an event comes from, and nothing else is sent.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	const body = "{\"a\": 1 }\n"
	one, list := secret.New("key-1"), []secret.Text{secret.New("key-2"), secret.New("key-3")}
	for _, tc := range []struct {
		name     string
		endpoint agent.Endpoint
		standard bool
		digest   string   // the header of the digest
		accepts  []string // secrets that verify it
		refuses  []string
		want     map[string]string
	}{
		{name: "bare"},
		{name: "secret", endpoint: agent.Endpoint{Secret: one}, digest: "X-Hub-Signature-256", accepts: []string{"key-1"}, refuses: []string{"key-2"}},
		{
			name: "the first of a list signs", endpoint: agent.Endpoint{Secrets: list},
			digest: "X-Hub-Signature-256", accepts: []string{"key-2"}, refuses: []string{"key-3"},
		},
		{
			name: "the one before the list", endpoint: agent.Endpoint{Secret: one, Secrets: list},
			digest: "X-Hub-Signature-256", accepts: []string{"key-1"}, refuses: []string{"key-2", "key-3"},
		},
		{
			name: "header", endpoint: agent.Endpoint{Secret: one, SignatureHeader: "x-my-sig"}, digest: "X-My-Sig", accepts: []string{"key-1"},
			want: map[string]string{"X-Hub-Signature-256": ""},
		},
		{name: "bearer", endpoint: agent.Endpoint{Token: one}, want: map[string]string{"Authorization": "Bearer key-1"}},
		{
			name: "token", endpoint: agent.Endpoint{Token: one, TokenHeader: "x-gitlab-token"},
			want: map[string]string{"X-Gitlab-Token": "key-1", "Authorization": ""},
		},
		{
			name: "all", endpoint: agent.Endpoint{Secret: one, Token: list[0]}, standard: true,
			digest: "X-Hub-Signature-256", accepts: []string{"key-1"}, want: map[string]string{"Authorization": "Bearer key-2", "Webhook-Id": "evt_1"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := &doer{answer: egress.Answer{Status: 200}}
			tc.endpoint.URL = "http://127.0.0.1:1/x?y=z"
			p, err := tc.endpoint.Poster(agent.Wire{Doer: d, Timeout: time.Minute, StandardWebhooks: tc.standard})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Post(t.Context(), relay.Event{ID: "evt_1", Body: []byte(body)}, 2); err != nil {
				t.Fatal(err)
			}
			call := d.calls[0]
			if string(call.Body) != body || call.URL != tc.endpoint.URL || call.Method != http.MethodPost || call.Timeout != time.Minute {
				t.Errorf("call: got %+v", call)
			}
			want := map[string]string{"Content-Type": "application/json", "X-Relay-Event-Id": "evt_1", "X-Relay-Attempt": "2", "Traceparent": ""}
			maps.Copy(want, tc.want)
			for name, value := range want {
				if got := call.Header.Get(name); got != value {
					t.Errorf("%s: got %q, want %q", name, got, value)
				}
			}
			if got := call.Header.Get("Webhook-Signature") != ""; got != tc.standard {
				t.Errorf("Standard Webhooks: got %v, want %v", got, tc.standard)
			}
			if tc.digest == "" && call.Header.Get("X-Hub-Signature-256") != "" {
				t.Error("signed without a secret")
			}
			for verifies, secrets := range map[bool][]string{true: tc.accepts, false: tc.refuses} {
				for _, s := range secrets {
					v, err := signer.NewDigest(tc.digest, s)
					if err != nil {
						t.Fatal(err)
					}
					if got := v.Verify(call.Header, call.Body, time.Now()) == nil; got != verifies {
						t.Errorf("verified with %s: got %v, want %v", s, got, verifies)
					}
				}
			}
		})
	}
}

// What cannot work is refused at the start, and the error shows no secret.
func TestEndpointMistakes(t *testing.T) {
	t.Parallel()
	const url = "http://127.0.0.1:1/secret-path"
	hush := secret.New("hush")
	for _, tc := range []struct {
		name     string
		endpoint agent.Endpoint
		wire     agent.Wire
		want     string
	}{
		{"no url", agent.Endpoint{Secret: hush}, agent.Wire{}, "url is missing"},
		{"standard without a secret", agent.Endpoint{URL: url, Token: hush}, agent.Wire{StandardWebhooks: true}, "standard_webhooks needs a secret"},
		{"header without a secret", agent.Endpoint{URL: url, SignatureHeader: "X-S"}, agent.Wire{}, "signature_header is given without"},
		{"header without a token", agent.Endpoint{URL: url, Secret: hush, TokenHeader: "X-T"}, agent.Wire{}, "token_header is given without"},
		{"empty secret in a list", agent.Endpoint{URL: url, Secrets: []secret.Text{hush, {}}}, agent.Wire{}, "secret"},
		{"not a standard secret", agent.Endpoint{URL: url, Secret: secret.New("whsec_hush!")}, agent.Wire{StandardWebhooks: true}, "sign"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := tc.endpoint.Poster(tc.wire)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
			if s := err.Error(); strings.Contains(s, "hush") || strings.Contains(s, "secret-path") {
				t.Errorf("error shows too much: %s", s)
			}
		})
	}
}

// What came with the event goes with it.
func TestPostCarriesOn(t *testing.T) {
	t.Parallel()
	d := &doer{answer: egress.Answer{
		Status: 202, Header: http.Header{"Content-Type": {"text/plain"}, "Retry-After": {"9"}}, Body: []byte("busy"),
	}}
	ready := func() error { return nil }
	p := poster(t, d)
	out, err := p.Post(t.Context(), relay.Event{
		ID: "evt_1", Ready: ready, Note: relay.Note{ContentType: "text/xml", Traceparent: "00-aa-bb-01"},
	}, 1)
	if err != nil || out.Status != 202 || out.ContentType != "text/plain" || string(out.Body) != "busy" || out.RetryAfter != 9*time.Second {
		t.Errorf("got %+v, %v", out, err)
	}
	h := d.calls[0].Header
	if h.Get("Content-Type") != "text/xml" || h.Get("Traceparent") != "00-aa-bb-01" || d.calls[0].Ready == nil {
		t.Errorf("got %v", h)
	}
}
