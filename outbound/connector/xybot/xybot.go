package xybot

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
)

// Config is the connector's section of the configuration. The account's own id is its self.
type Config struct {
	// URL is the server's base, such as http://127.0.0.1:9000. Required.
	URL string `yaml:"url"`
	// API is how the server's paths look: bare for /SendTextMsg, msg for /api/Msg/SendTxt; empty: bare.
	API string `yaml:"api"`
	// Markdown is plain, which takes the marks of Markdown out of a text, or keep; empty: plain.
	Markdown string `yaml:"markdown"`
}

// paths are those of one kind of server.
type paths struct{ text, image, voice, heartbeat string }

var apis = map[string]paths{
	"bare": {"/SendTextMsg", "/SendImageMsg", "/SendVoiceMsg", "/Heartbeat"},
	"msg":  {"/api/Msg/SendTxt", "/api/Msg/UploadImg", "/api/Msg/SendVoice", "/api/Login/HeartBeat"},
}

// Connector sends through one account. It is safe for concurrent use.
type Connector struct {
	ipad.Manners

	wire   connector.Wire
	base   string
	paths  paths
	header http.Header
}

var _ ipad.Connector = (*Connector)(nil)

// New checks the configuration and makes a Connector. Its errors name the keys that are wrong.
func New(c Config, w connector.Wire) (*Connector, error) {
	if c.API == "" {
		c.API = "bare"
	}
	p, known := apis[c.API]
	manners, err := ipad.NewManners(c.Markdown)
	if err = errors.Join(ipad.CheckURL(c.URL), checkAPI(known), checkSelf(w), err); err != nil {
		return nil, err
	}
	return &Connector{
		Manners: manners, wire: w, base: strings.TrimRight(c.URL, "/"), paths: p,
		header: http.Header{"Content-Type": {"application/json"}},
	}, nil
}

func checkAPI(known bool) error {
	if !known {
		return errors.New("api: want bare or msg")
	}
	return nil
}

// checkSelf says whether it is known who sends.
func checkSelf(w connector.Wire) error {
	if w.Self == "" {
		name := w.Account
		if name == "" {
			name = "<name>"
		}
		return errors.New("self: want the account's own wxid in ims." + name + ".self, for each call has to name it")
	}
	return nil
}

// Send implements [outbound.Connector]. A medium is fetched before.
func (c *Connector) Send(ctx context.Context, m outbound.Message) (outbound.Receipt, error) {
	r, e := c.request(ctx, m)
	if e != nil {
		return outbound.Receipt{}, e
	}
	id, err := c.ask(ctx, r, m)
	return outbound.Receipt{ID: id}, err
}

// ask makes the call for a message, and shows nobody the account's id, nor what is the message's.
func (c *Connector) ask(ctx context.Context, r egress.Call, m outbound.Message) (string, error) {
	return ipad.Ask(ctx, c.wire.Doer, r, func(a egress.Answer) (string, *outbound.SendError) {
		return judge(a, ipad.Hide(m, c.base, c.wire.Self)...)
	})
}

// Online implements [outbound.Checker].
func (c *Connector) Online(ctx context.Context) (bool, error) {
	r, e := c.post(c.paths.heartbeat+"?wxid="+url.QueryEscape(c.wire.Self), account{Self: c.wire.Self})
	if e != nil {
		return false, e
	}
	_, err := c.ask(ctx, r, outbound.Message{})
	return ipad.Online(true, err)
}

// account is who makes a call.
type account struct {
	Self string `json:"Wxid"`
}

// address is who sends to whom.
type address struct {
	account

	To string `json:"ToWxid"`
}

// textBody is a text.
type textBody struct {
	address

	Content string
	Type    int
	At      string
}

// imageBody is a picture.
type imageBody struct {
	address

	Base64 []byte
}

// voiceBody is a voice message.
type voiceBody struct {
	address

	Base64    []byte
	VoiceTime int // milliseconds
	Type      int
}

// The API's numbers.
const (
	typeText = 1
	silk     = 4
)

// request makes the call that the message is. What it fetches for that is no call to the IM.
func (c *Connector) request(ctx context.Context, m outbound.Message) (egress.Call, *outbound.SendError) {
	if e := ipad.Check(m, c.Carry); e != nil {
		return egress.Call{}, e
	}
	to := address{account{c.wire.Self}, m.To}
	text, called := ipad.Content(m)
	path, body, timeout := c.paths.text, any(textBody{
		address: to, Content: text, Type: typeText, At: strings.Join(called, ","),
	}), c.wire.Bound()
	if len(m.Media) > 0 {
		medium, e := ipad.Fetch(ctx, c.wire, m.Media[0])
		if e != nil {
			return egress.Call{}, e
		}
		path, body, timeout = c.paths.image, imageBody{to, medium}, ipad.Timeout(c.wire)
		if m.Media[0].Type == "voice" {
			path, body = c.paths.voice, voiceBody{address: to, Base64: medium, VoiceTime: m.Media[0].Millis, Type: silk}
		}
	}
	r, e := c.post(path, body)
	r.Timeout, r.Ready = timeout, m.Ready
	return r, e
}

// post is a call with a body.
func (c *Connector) post(path string, body any) (egress.Call, *outbound.SendError) {
	b, e := ipad.Encode(body)
	return egress.Call{
		Method: http.MethodPost, URL: c.base + path, Header: c.header, Body: b, Timeout: c.wire.Bound(),
	}, e
}
