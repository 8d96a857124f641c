package wechatpad

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
	// URL is the server's base, such as http://127.0.0.1:8059. Required.
	URL string `yaml:"url"`
	// Key is the account's authorisation key, which is sent in the query. Required.
	Key secret.Text `yaml:"key"`
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
	if err = errors.Join(ipad.CheckURL(c.URL), ipad.Required("key", c.Key.Reveal()), err); err != nil {
		return nil, err
	}
	c.URL = strings.TrimRight(c.URL, "/")
	return &Connector{
		Manners: manners, wire: w, config: c, header: http.Header{"Content-Type": {"application/json"}},
	}, nil
}

// Send implements [outbound.Connector]. A medium is fetched before.
func (c *Connector) Send(ctx context.Context, m outbound.Message) (outbound.Receipt, error) {
	r, e := c.request(ctx, m)
	if e != nil {
		return outbound.Receipt{}, e
	}
	id, err := ipad.Ask(ctx, c.wire.Doer, r, func(a egress.Answer) (string, *outbound.SendError) {
		return judge(a, c.hidden(m)...)
	})
	return outbound.Receipt{ID: id}, err
}

// hidden is what no error shows.
func (c *Connector) hidden(m outbound.Message) []string {
	key := c.config.Key.Reveal()
	return ipad.Hide(m, key, url.QueryEscape(key), c.config.URL)
}

// Online implements [outbound.Checker].
func (c *Connector) Online(ctx context.Context) (bool, error) {
	r := c.call(http.MethodGet, "/login/GetLoginStatus", nil)
	state, err := ipad.Ask(ctx, c.wire.Doer, r, func(a egress.Answer) (string, *outbound.SendError) {
		return loginState(a, c.hidden(outbound.Message{})...)
	})
	return ipad.Online(state == online, err)
}

// call is a call with the account's key.
func (c *Connector) call(method, path string, body []byte) egress.Call {
	return egress.Call{
		Method: method, URL: c.config.URL + path + "?key=" + url.QueryEscape(c.config.Key.Reveal()),
		Header: c.header, Body: body, Timeout: c.wire.Bound(),
	}
}

// item is one message of a call.
type item struct {
	At    []string `json:"AtWxIDList"`
	Image []byte   `json:"ImageContent"`
	Type  int      `json:"MsgType"`
	Text  string   `json:"TextContent"`
	To    string   `json:"ToUserName"`
}

// itemsBody is a call for texts and pictures.
type itemsBody struct {
	Items []item `json:"MsgItem"`
}

// voiceBody is a call for a voice message.
type voiceBody struct {
	To      string `json:"ToUserName"`
	Data    []byte `json:"VoiceData"`
	Format  int    `json:"VoiceFormat"`
	Seconds int    `json:"VoiceSecond"`
}

// The API's numbers.
const (
	typeText  = 1
	typeImage = 3
	silk      = 4
	online    = "1"
)

// request makes the call that the message is. What it fetches for that is no call to the IM.
func (c *Connector) request(ctx context.Context, m outbound.Message) (egress.Call, *outbound.SendError) {
	if e := ipad.Check(m, c.Carry); e != nil {
		return egress.Call{}, e
	}
	text, called := ipad.Content(m)
	path, body, timeout := "/message/SendTextMessage", any(itemsBody{
		[]item{{At: called, Image: []byte{}, Type: typeText, Text: text, To: m.To}},
	}), c.wire.Bound()
	if len(m.Media) > 0 {
		medium, e := ipad.Fetch(ctx, c.wire, m.Media[0])
		if e != nil {
			return egress.Call{}, e
		}
		path, body, timeout = "/message/SendImageNewMessage", itemsBody{
			[]item{{At: []string{}, Type: typeImage, Image: medium, To: m.To}},
		}, ipad.Timeout(c.wire)
		if m.Media[0].Type == "voice" {
			path = "/message/SendVoice"
			body = voiceBody{To: m.To, Data: medium, Format: silk, Seconds: seconds(m.Media[0].Millis)}
		}
	}
	b, e := ipad.Encode(body)
	r := c.call(http.MethodPost, path, b)
	r.Timeout, r.Ready = timeout, m.Ready
	return r, e
}

// seconds is how long it plays, rounded up: a voice message of 0 seconds is none.
func seconds(millis int) int { return (millis + 999) / 1000 }
