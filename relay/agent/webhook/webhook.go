// Package webhook delivers to any HTTP endpoint: the IM's bytes, unchanged, with a signature in a header of your
// choice, a token, or both. A 2xx is a success; what else the answer says is not looked into.
package webhook

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
	// URL is the endpoint.
	URL string `yaml:"url"`
	// Secret signs; Secrets is a list of which the first signs. Neither: the body is not signed.
	Secret  secret.Text   `yaml:"secret"`
	Secrets []secret.Text `yaml:"secrets"`
	// SignatureHeader is where the signature goes. Default X-Hub-Signature-256.
	SignatureHeader string `yaml:"signature_header"`
	// Token is sent as a Bearer, or as it stands in TokenHeader if that is given.
	Token       secret.Text `yaml:"token"`
	TokenHeader string      `yaml:"token_header"`
}

// Agent is one endpoint.
type Agent struct{ poster *agent.Poster }

var _ relay.Agent = (*Agent)(nil)

// New checks the configuration.
func New(c Config, w agent.Wire) (*Agent, error) {
	if c.URL == "" {
		return nil, errors.New("url is missing")
	}
	secrets := agent.Secrets(c.Secret, c.Secrets)
	if w.StandardWebhooks && len(secrets) == 0 {
		return nil, errors.New("standard_webhooks needs a secret")
	}
	var schemes []signer.Scheme
	if len(secrets) > 0 {
		header := c.SignatureHeader
		if header == "" {
			header = signer.HeaderGitHub
		}
		signing, err := agent.Schemes(w, header, secrets)
		if err != nil {
			return nil, fmt.Errorf("sign for webhook: %w", err)
		}
		schemes = signing
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	if token != nil {
		schemes = append(schemes, token)
	}
	return &Agent{poster: agent.NewPoster(w, c.URL, schemes...)}, nil
}

// token is the scheme that sends the token; nil: there is none.
func (c Config) token() (signer.Scheme, error) {
	switch {
	case c.Token.IsZero() && c.TokenHeader != "":
		return nil, errors.New("token_header is given without a token")
	case c.Token.IsZero():
		return nil, nil //nolint:nilnil // no token is no error
	case c.TokenHeader != "":
		return signer.NewToken(c.TokenHeader, c.Token.Reveal())
	default:
		return signer.NewBearer(c.Token.Reveal())
	}
}

// Deliver posts the event.
func (a *Agent) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	return a.poster.Post(ctx, e, attempt)
}
