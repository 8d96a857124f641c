// Package openclaw delivers to an OpenClaw gateway, in one of two modes. Neither looks for replies in the gateway's
// answer: what the agent says comes through the send API.
//
// In mode webhook the wechat_abot channel is given the IM's bytes, unchanged, with X-Wechat-Abot-Signature over them. A
// 2xx is a success. The event id goes with every attempt, and whether an event that comes again is run again is up to
// the channel's plugin.
//
// In mode hooks, for a gateway without that plugin, the built-in POST /hooks/agent is given what was said as text, and
// the channel and the conversation that the agent's answer is for. It is asked to answer when the run is over: a 2xx is a
// success if it says {"ok":true} and names no completion but "ok". A gateway too old for that answers when it has admitted
// the run, and loses it in a restart. The event id is the Idempotency-Key, so that a repeat starts no second run but waits
// for the one that there is; so a run may take longer than an attempt. After a run that is known to have failed a number is
// added, so that the next attempt is a new run: the gateway would answer the same key with the same failure. It keeps keys
// in memory, until five minutes after a run: one that was restarted runs an event again whose answer did not come. That a
// run's answer could not be sent is no failure of the run: it is not run again. Every message is a run of its own that
// knows nothing of those before it. Recalls and notices are not told.
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

// The modes.
const (
	modeWebhook = "webhook"
	modeHooks   = "hooks"
)

// Config is the kind's own configuration.
type Config struct {
	// Mode is webhook or hooks. Default webhook.
	Mode string `yaml:"mode"`
	// URL is the channel's webhook. In mode hooks it is the gateway, or the whole address of its hook if that is not
	// /hooks/agent.
	URL string `yaml:"url"`
	// Secret is the channel's webhookSecret; Secrets is a list of which the first signs. Mode webhook needs one.
	Secret  secret.Text   `yaml:"secret"`
	Secrets []secret.Text `yaml:"secrets"`
	// Token is the gateway's hooks.token. Mode hooks needs it.
	Token secret.Text `yaml:"token"`
	// Channel is the gateway's channel through which the agent's answers leave. Mode hooks needs it.
	Channel string `yaml:"channel"`
}

// Agent is one gateway.
type Agent struct{ mode relay.Agent }

var _ relay.Agent = (*Agent)(nil)

// New checks the configuration.
func New(c Config, w agent.Wire) (*Agent, error) {
	if c.URL == "" {
		return nil, errors.New("url is missing")
	}
	switch c.Mode {
	case "", modeWebhook:
		return newWebhook(c, w)
	case modeHooks:
		return newHooks(c, w)
	}
	return nil, fmt.Errorf("mode %q is neither %s nor %s", c.Mode, modeWebhook, modeHooks)
}

// Deliver makes one attempt.
func (a *Agent) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	return a.mode.Deliver(ctx, e, attempt)
}

// webhook is a gateway's wechat_abot channel.
type webhook struct{ poster *agent.Poster }

func newWebhook(c Config, w agent.Wire) (*Agent, error) {
	if !c.Token.IsZero() || c.Channel != "" {
		return nil, errors.New("token and channel are for mode: hooks; mode: webhook signs with secret")
	}
	if len(agent.Secrets(c.Secret, c.Secrets)) == 0 {
		return nil, errors.New("secret is missing: mode: webhook takes the channel's webhookSecret")
	}
	poster, err := agent.Endpoint{
		URL: c.URL, Secret: c.Secret, Secrets: c.Secrets, SignatureHeader: signer.HeaderOpenClaw,
	}.Poster(w)
	if err != nil {
		return nil, fmt.Errorf("sign for openclaw: %w", err)
	}
	return &Agent{mode: webhook{poster}}, nil
}

// Deliver implements relay.Agent.
func (h webhook) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	return h.poster.Post(ctx, e, attempt)
}
