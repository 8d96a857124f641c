package gewechat

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/ipad"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

// Config is the connector's section of the configuration.
type Config struct {
	// URL is the API's base, such as http://127.0.0.1:2531/v2/api. Required.
	URL string `yaml:"url"`
	// Token is sent as the header X-GEWE-TOKEN. Required.
	Token secret.Text `yaml:"token"`
	// AppID is the id of the device that the account is logged in on, wx_…. Required.
	AppID string `yaml:"app_id"`
	// Quote makes a reply show the message that it answers. Off by default: it is not known how WeChat shows it.
	Quote bool `yaml:"quote"`
	// Markdown is plain, which takes the marks of Markdown out of a text, or keep; empty: plain.
	Markdown string `yaml:"markdown"`
}

// Connector sends through one account. It is safe for concurrent use.
type Connector struct {
	ipad.Manners

	wire   connector.Wire
	config Config
	header http.Header
}

var _ ipad.Connector = (*Connector)(nil)

// New checks the configuration and makes a Connector. Its errors name the keys that are wrong.
func New(c Config, w connector.Wire) (*Connector, error) {
	manners, err := ipad.NewManners(c.Markdown)
	err = errors.Join(ipad.CheckURL(c.URL), ipad.Required("token", c.Token.Reveal()), ipad.Required("app_id", c.AppID), err)
	if err != nil {
		return nil, err
	}
	c.URL = strings.TrimRight(c.URL, "/")
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set("X-GEWE-TOKEN", c.Token.Reveal())
	return &Connector{Manners: manners, wire: w, config: c, header: h}, nil
}

// Send implements [outbound.Connector].
func (c *Connector) Send(ctx context.Context, m outbound.Message) (outbound.Receipt, error) {
	r, e := c.request(m)
	if e != nil {
		return outbound.Receipt{}, e
	}
	id, err := ipad.Ask(ctx, c.wire.Doer, r, func(a egress.Answer) (string, *outbound.SendError) {
		if e := judge(a, c.hidden(m)...); e != nil {
			return "", e
		}
		return messageID(a.Body), nil
	})
	return outbound.Receipt{ID: id}, err
}

// hidden is what no error shows.
func (c *Connector) hidden(m outbound.Message) []string {
	also := []string{c.config.Token.Reveal(), c.config.URL, c.config.AppID}
	for _, medium := range m.Media {
		also = append(also, fileName(medium))
	}
	return ipad.Hide(m, also...)
}

// Online implements [outbound.Checker].
func (c *Connector) Online(ctx context.Context) (bool, error) {
	r, e := c.post("/login/checkOnline", checkBody{AppID: c.config.AppID})
	if e != nil {
		return false, e
	}
	in, err := ipad.Ask(ctx, c.wire.Doer, r, func(a egress.Answer) (string, *outbound.SendError) {
		if e := judge(a, c.hidden(outbound.Message{})...); e != nil {
			return "", e
		}
		return loggedIn(a.Body)
	})
	return ipad.Online(in == yes, err)
}

// Carry implements [outbound.Carrier]: the server fetches a medium by itself.
func (c *Connector) Carry(m outbound.Media) error {
	if u, err := url.Parse(m.URL); err != nil || u.Scheme == "data" {
		return errors.New("url: want an http or https URL, from which the IM's server can fetch it")
	}
	return ipad.Carry(m, "image", "file", "voice")
}
