package wechatpad

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/wechatpad/pad"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

// mediaTimeout bounds the call for a medium where the configuration does not: the server uploads it before it answers.
const mediaTimeout = 60 * time.Second

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
	pad.Manners

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
	manners, err := pad.NewManners(c.Markdown)
	if err = errors.Join(pad.CheckURL(c.URL), checkKey(c.Key.Reveal()), err); err != nil {
		return nil, err
	}
	c.URL = strings.TrimRight(c.URL, "/")
	return &Connector{
		Manners: manners, wire: w, config: c, header: http.Header{"Content-Type": {"application/json"}},
	}, nil
}

// checkKey says whether the key can be one.
func checkKey(key string) error {
	if key == "" || strings.TrimSpace(key) != key {
		return errors.New("key: want the account's authorisation key, without white space around it")
	}
	return nil
}

// Send implements [outbound.Connector]. A medium is fetched before.
func (c *Connector) Send(ctx context.Context, m outbound.Message) (outbound.Receipt, error) {
	if e := c.Check(m); e != nil {
		return outbound.Receipt{}, e
	}
	r, e := c.request(ctx, m)
	if e != nil {
		return outbound.Receipt{}, e
	}
	r.Ready = m.Ready
	a, err := connector.Call(ctx, c.wire.Doer, r)
	if err != nil {
		return outbound.Receipt{}, err
	}
	id, e := judge(a, c.hidden(m.Text)...)
	if e != nil {
		return outbound.Receipt{}, e
	}
	return outbound.Receipt{ID: id}, nil
}

// hidden is what no error shows.
func (c *Connector) hidden(text string) []string {
	key := c.config.Key.Reveal()
	return []string{key, url.QueryEscape(key), c.config.URL, text}
}

// Online implements [outbound.Checker].
func (c *Connector) Online(ctx context.Context) (bool, error) {
	a, err := connector.Call(ctx, c.wire.Doer, c.call(http.MethodGet, "/login/GetLoginStatus", nil))
	if err != nil {
		return false, err
	}
	state, e := loginState(a, c.hidden("")...)
	switch {
	case e != nil && e.Offline:
		return false, nil
	case e != nil:
		return false, e
	}
	return state == online, nil
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
	if len(m.Media) == 0 {
		return c.post("/message/SendTextMessage", itemsBody{
			[]item{{At: pad.Called(m.Mentions), Image: []byte{}, Type: typeText, Text: pad.Content(m), To: m.To}},
		})
	}
	medium, e := pad.Fetch(ctx, c.wire.Doer, m.Media[0])
	if e != nil {
		return egress.Call{}, e
	}
	path, body := "/message/SendImageNewMessage", any(itemsBody{
		[]item{{At: []string{}, Type: typeImage, Image: medium, To: m.To}},
	})
	if m.Media[0].Type == "voice" {
		path = "/message/SendVoice"
		body = voiceBody{To: m.To, Data: medium, Format: silk, Seconds: seconds(m.Media[0].Millis)}
	}
	r, e := c.post(path, body)
	if c.wire.Timeout <= 0 {
		r.Timeout = mediaTimeout
	}
	return r, e
}

// seconds is how long it plays, rounded up: a voice message of 0 seconds is none.
func seconds(millis int) int { return (millis + 999) / 1000 }

// post is a call with a body.
func (c *Connector) post(path string, body any) (egress.Call, *outbound.SendError) {
	b, err := pad.Encode(body)
	if err != nil {
		return egress.Call{}, pad.Refuse("request", err)
	}
	return c.call(http.MethodPost, path, b), nil
}
