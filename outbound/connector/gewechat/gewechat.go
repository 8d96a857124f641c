package gewechat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/markdown"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

const (
	// maxText is the longest text, in UTF-16 units.
	maxText = 2000
	// mediaTimeout bounds the call for a medium where the configuration does not: the server fetches it first.
	mediaTimeout = 30 * time.Second
)

// What becomes of Markdown's marks.
const (
	plain = "plain"
	keep  = "keep"
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
	// Markdown says what becomes of the marks that agents write, which WeChat shows as they are: plain takes them out,
	// keep leaves them. Empty: plain.
	Markdown string `yaml:"markdown"`
}

// Connector sends through one account. It is safe for concurrent use.
type Connector struct {
	wire   connector.Wire
	config Config
	header http.Header
}

var (
	_ outbound.Measured = (*Connector)(nil)
	_ outbound.Paced    = (*Connector)(nil)
	_ outbound.Carrier  = (*Connector)(nil)
	_ outbound.Renderer = (*Connector)(nil)
	_ outbound.Checker  = (*Connector)(nil)
)

// New checks the configuration and makes a Connector. Its errors name the keys that are wrong.
func New(c Config, w connector.Wire) (*Connector, error) {
	err := errors.Join(checkURL(c.URL), required("token", c.Token.Reveal()), required("app_id", c.AppID), checkMarkdown(c.Markdown))
	if err != nil {
		return nil, err
	}
	c.URL = strings.TrimRight(c.URL, "/")
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set("X-GEWE-TOKEN", c.Token.Reveal())
	return &Connector{wire: w, config: c, header: h}, nil
}

// checkURL says whether paths can be put behind the base.
func checkURL(base string) error {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("url: want the API's base as an http or https URL, such as http://127.0.0.1:2531/v2/api")
	}
	return nil
}

// required says whether the key has a value that can be sent.
func required(key, value string) error {
	if value == "" || strings.TrimSpace(value) != value || strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("%s: want a value, without white space around it", key)
	}
	return nil
}

// checkMarkdown says whether it is known what becomes of the marks.
func checkMarkdown(what string) error {
	if what != "" && what != plain && what != keep {
		return errors.New("markdown: want plain or keep")
	}
	return nil
}

// Send implements [outbound.Connector].
func (c *Connector) Send(ctx context.Context, m outbound.Message) (outbound.Receipt, error) {
	r, err := c.request(m)
	if err != nil {
		return outbound.Receipt{}, err
	}
	a, err := c.call(ctx, r, m.Ready)
	if err != nil {
		return outbound.Receipt{}, err
	}
	if e := judge(a, c.config.Token.Reveal(), c.config.URL, m.Text); e != nil {
		return outbound.Receipt{}, e
	}
	return outbound.Receipt{ID: messageID(a.Body)}, nil
}

// Online implements [outbound.Checker].
func (c *Connector) Online(ctx context.Context) (bool, error) {
	r, err := newRequest("/login/checkOnline", checkBody{AppID: c.config.AppID})
	if err != nil {
		return false, err
	}
	a, err := c.call(ctx, r, nil)
	if err != nil {
		return false, err
	}
	if e := judge(a, c.config.Token.Reveal(), c.config.URL); e != nil {
		if e.Offline {
			return false, nil
		}
		return false, e
	}
	return loggedIn(a.Body)
}

// call posts a request.
func (c *Connector) call(ctx context.Context, r request, ready func() error) (egress.Answer, error) {
	timeout := c.wire.Bound()
	if r.fetches && c.wire.Timeout <= 0 {
		timeout = mediaTimeout
	}
	return connector.Call(ctx, c.wire.Doer, egress.Call{
		Method: http.MethodPost, URL: c.config.URL + r.path, Header: c.header, Body: r.body,
		Timeout: timeout, Ready: ready,
	})
}

// Render implements [outbound.Renderer].
func (c *Connector) Render(text string) string {
	if c.config.Markdown == keep {
		return text
	}
	return markdown.Plain(text)
}

// MaxText implements [outbound.Measured].
func (c *Connector) MaxText() int { return maxText }

// Measure implements [outbound.Measured]: it counts UTF-16 units, so that an emoji counts double.
func (c *Connector) Measure(text string) int {
	n := 0
	for _, r := range text {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// Pace implements [outbound.Paced].
func (c *Connector) Pace(to string) (outbound.Limits, string) {
	return outbound.Limits{
		Account:   outbound.Rate{N: 1, Per: 1200 * time.Millisecond, Burst: 1},
		Recipient: outbound.Rate{N: 1, Per: 2 * time.Second, Burst: 2},
		Jitter:    500 * time.Millisecond,
		Ramp:      10 * time.Minute,
	}, to
}
