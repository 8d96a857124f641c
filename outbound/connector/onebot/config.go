package onebot

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/secret"
)

// Config is the connector's section of the configuration.
type Config struct {
	// URL is where the implementation listens: http:// or https:// for its HTTP API, ws:// or wss:// for its WebSocket,
	// without /api or /event at the end. Required, but for reverse.
	URL string `yaml:"url"`
	// Token is the implementation's access token, sent as "Authorization: Bearer <token>"; empty: no such header. With
	// reverse the account's own token is what is checked, and this one has to be empty.
	Token secret.Text `yaml:"token"`
	// Reverse lets the implementation connect to the account's inbound path by WebSocket. There is no url then, and the
	// account's self has to be set: no other account may connect there, for replies would leave from it. Default false.
	Reverse bool `yaml:"reverse"`
	// Markdown is what becomes of the marks in a text: plain takes them out, since QQ would show them; keep leaves them.
	// Default plain.
	Markdown string `yaml:"markdown"`
}

// New checks the configuration and makes a connector: by HTTP, or an [outbound.Resident] which keeps a WebSocket, or one
// that is [connector.Hosted] too. Its errors name the key that is wrong.
func New(c Config, w connector.Wire) (outbound.Connector, error) {
	var wrong []error
	if c.Markdown != "" && c.Markdown != "plain" && c.Markdown != "keep" {
		wrong = append(wrong, errors.New("markdown: want plain or keep"))
	}
	if c.Reverse && c.URL != "" {
		wrong = append(wrong, errors.New("url: want none with reverse, the implementation connects to the relay"))
	}
	if c.Reverse && !c.Token.IsZero() {
		wrong = append(wrong, errors.New("token: want none with reverse, the token of the IM account is checked"))
	}
	if c.Reverse && w.Self == "" {
		wrong = append(wrong, fmt.Errorf("self: ims.%s.self must be set with reverse: it is who may connect",
			cmp.Or(w.Account, "<name>")))
	}
	u, err := url.Parse(c.URL)
	if !c.Reverse {
		wrong = append(wrong, checkURL(u, err))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	b := bot{wire: w, keep: c.Markdown == "keep", hide: append(secrets(u), c.Token.Reveal(), c.URL)}
	switch {
	case c.Reverse:
		return newHost(b), nil
	case isSocket(u):
		return newDialled(b, u, bearer(c.Token.Reveal())), nil
	}
	b.api = newPoster(u, bearer(c.Token.Reveal()), w)
	return &b, nil
}

// checkURL says what is wrong with the address; nil: nothing.
func checkURL(u *url.URL, err error) error {
	if err != nil || u.Host == "" || !isSocket(u) && u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("url: want an http, https, ws or wss URL, or reverse: true")
	}
	if last := path.Base(u.Path); isSocket(u) && (last == "api" || last == "event") {
		return errors.New("url: want the address without /api or /event: one connection is for both")
	}
	return nil
}

// secrets are the parts of the address that nobody should see: what shows the implementation who calls.
func secrets(u *url.URL) (out []string) {
	for _, values := range u.Query() {
		for _, v := range values {
			out = append(out, v, url.QueryEscape(v))
		}
	}
	if password, ok := u.User.Password(); ok {
		out = append(out, password)
	}
	return out
}

func isSocket(u *url.URL) bool { return u.Scheme == "ws" || u.Scheme == "wss" }

// bearer is the header that shows the token; empty: there is none.
func bearer(token string) http.Header {
	if token == "" {
		return http.Header{}
	}
	return http.Header{"Authorization": {"Bearer " + token}}
}
