// Package webhook delivers to any HTTP endpoint: the IM's bytes, unchanged, with a signature in a header of your
// choice, a token, or both. A 2xx is a success; what else the answer says is not looked into.
package webhook

import (
	"context"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
)

// Config is the kind's own configuration.
type Config = agent.Endpoint

// Agent is one endpoint.
type Agent struct{ poster *agent.Poster }

var _ relay.Agent = (*Agent)(nil)

// New checks the configuration.
func New(c Config, w agent.Wire) (*Agent, error) {
	poster, err := c.Poster(w)
	if err != nil {
		return nil, err
	}
	return &Agent{poster: poster}, nil
}

// Deliver posts the event.
func (a *Agent) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	return a.poster.Post(ctx, e, attempt)
}
