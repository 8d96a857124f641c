// Package nekro delivers to Nekro Agent, in one of two modes.
//
// In mode webhook it posts the IM's bytes, unchanged, to a plugin's webhook: {base}/api/webhook/{endpoint}, or
// {base}/api/plugin/{author}.{module}/webhook{endpoint}, or any other address. X-Hub-Signature-256 (or a header of your
// choice), a static token, or both prove where they come from. A 2xx is a success, unless it says otherwise inside:
// [{…},400], as FastAPI answers what a handler returns as a pair, is a 400, and {"success":false} a 500. What the plugin
// says comes through the send API. Nekro hands no raw bytes to the handlers of /api/webhook, so that a signature can be
// verified only by a plugin that is given the request itself.
//
// In mode sse it is a client of Nekro's SSE adapter, and needs no plugin: [Stream] tells of it.
package nekro

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/secret"
)

// The modes.
const (
	modeWebhook = "webhook"
	modeSSE     = "sse"
)

// Config is the kind's own configuration.
type Config struct {
	// Endpoint is the plugin's webhook. In mode sse its URL is the base of the server, and nothing else is given.
	agent.Endpoint `yaml:",inline"`
	// Mode is webhook or sse. Default webhook.
	Mode string `yaml:"mode"`
	// AccessKey is the ACCESS_KEY of the SSE adapter; empty: it has none.
	AccessKey secret.Text `yaml:"access_key"`
}

// New checks the configuration. In mode sse the agent is a *[Stream].
func New(c Config, w agent.Wire) (relay.Agent, error) {
	switch c.Mode {
	case "", modeWebhook:
		return newWebhook(c, w)
	case modeSSE:
		return newStream(c, w)
	}
	return nil, fmt.Errorf("mode %q is neither %s nor %s", c.Mode, modeWebhook, modeSSE)
}

// webhook is a plugin's webhook.
type webhook struct{ poster *agent.Poster }

func newWebhook(c Config, w agent.Wire) (*webhook, error) {
	if !c.AccessKey.IsZero() {
		return nil, errors.New("access_key is for mode: sse; mode: webhook signs with secret or sends a token")
	}
	poster, err := c.Poster(w)
	if err != nil {
		return nil, err
	}
	return &webhook{poster: poster}, nil
}

// Deliver posts the event.
func (h *webhook) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	out, err := h.poster.Post(ctx, e, attempt)
	if err != nil || !succeeded(out.Status) {
		return out, err
	}
	if json.Valid(out.Body) && gjson.GetBytes(out.Body, "success").Type == gjson.False {
		out.Status, out.Reason = http.StatusInternalServerError, "the answer says that it did not succeed"
	}
	return out, nil
}

func succeeded(status int) bool { return status >= 200 && status <= 299 }
