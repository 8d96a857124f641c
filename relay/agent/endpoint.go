package agent

import (
	"errors"
	"fmt"
	"slices"

	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

// Endpoint is where events are posted as they stand, and what proves where they come from: the configuration of the
// kinds that are given the IM's bytes.
type Endpoint struct {
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

// Poster makes a poster to the endpoint, or says what is wrong with the configuration.
func (e Endpoint) Poster(w Wire) (*Poster, error) {
	if _, err := Address(e.URL); err != nil {
		return nil, err
	}
	secrets := Secrets(e.Secret, e.Secrets)
	if len(secrets) == 0 && w.StandardWebhooks {
		return nil, errors.New("standard_webhooks needs a secret")
	}
	if len(secrets) == 0 && e.SignatureHeader != "" {
		return nil, errors.New("signature_header is given without a secret")
	}
	var schemes []signer.Scheme
	if len(secrets) > 0 {
		header := e.SignatureHeader
		if header == "" {
			header = signer.HeaderGitHub
		}
		signing, err := Schemes(w, header, secrets)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		schemes = signing
	}
	token, err := e.token()
	if err != nil {
		return nil, err
	}
	if token != nil {
		schemes = append(schemes, token)
	}
	return &Poster{
		wire: w, url: e.URL, schemes: schemes, secrets: slices.Concat([]secret.Text{e.Token, e.Secret}, e.Secrets),
	}, nil
}

// token is the scheme that sends the token; nil: there is none.
func (e Endpoint) token() (signer.Scheme, error) {
	switch {
	case e.Token.IsZero() && e.TokenHeader != "":
		return nil, errors.New("token_header is given without a token")
	case e.Token.IsZero():
		return nil, nil //nolint:nilnil // no token is no error
	case e.TokenHeader != "":
		return signer.NewToken(e.TokenHeader, e.Token.Reveal())
	default:
		return signer.NewBearer(e.Token.Reveal())
	}
}
