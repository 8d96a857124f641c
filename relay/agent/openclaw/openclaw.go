// Package openclaw delivers to an OpenClaw gateway through its wechat_abot channel: the IM's bytes, unchanged, with
// X-Wechat-Abot-Signature over them. The agent answers through the send API, not here: what it says in its answer is
// passed to the IM server that waits, and to nobody else.
package openclaw

import (
	"context"
	"errors"
	"fmt"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

// Config is the kind's own configuration.
type Config struct {
	// URL is the channel's webhook.
	URL string `yaml:"url"`
	// Secret is the channel's webhookSecret; Secrets is a list of which the first signs.
	Secret  secret.Text   `yaml:"secret"`
	Secrets []secret.Text `yaml:"secrets"`
}

// Agent is one gateway.
type Agent struct{ poster *agent.Poster }

var _ relay.Agent = (*Agent)(nil)

// New checks the configuration.
func New(c Config, w agent.Wire) (*Agent, error) {
	if c.URL == "" {
		return nil, errors.New("url is missing")
	}
	schemes, err := agent.Schemes(w, signer.HeaderOpenClaw, agent.Secrets(c.Secret, c.Secrets))
	if err != nil {
		return nil, fmt.Errorf("sign for openclaw: %w", err)
	}
	return &Agent{poster: agent.NewPoster(w, c.URL, schemes...)}, nil
}

// Deliver posts the event. A 2xx is a success.
func (a *Agent) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	return a.poster.Post(ctx, e, attempt)
}
