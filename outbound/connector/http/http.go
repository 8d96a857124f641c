// Package http is the plain connector: it posts a message as JSON to one URL. It is for a bridge of one's own, and for
// any IM server whose send call is one request: a template shapes the body.
//
// A 2xx is "sent", unless its JSON says otherwise. What is found first counts:
//
//   - "ok", "success" or "Success" is false or 0, or one of these or "status" is "false", "fail", "failed", "failure" or
//     "error": a refusal.
//   - One of the three is true or 1, and there is an id: sent, whatever else it says.
//   - "errcode" or "retcode" is not 0: a refusal.
//   - "error" holds something (but for false, 0, "", "none", "null", "nil", "ok" and "success", alone or in an object), and
//     none of the three says that all is well: a refusal, but open where there is an id that is more than a bare "id".
//   - "code", "Code", "errno", "ret" or a "status" in digits, where there is no id or only a bare "id": 0 and 2xx are well, and
//     1 but for "ret"; 3xx and 4xx are a refusal; 500 and above leave open whether it was sent. Of any other number the
//     words decide: a refusal if they say that the message went nowhere ("not logged in", "no such", "denied", …), else it
//     is open.
//
// A refusal that says when to come again is for now; one that speaks of a time-out or of a crash leaves open whether the
// message was sent. The id is the first of messageId, messageID and message_id, then of these in "data", then "id",
// "data.id", "newMsgId" and "data.newMsgId"; 0 is none, and a message without one was sent all the same.
package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"text/template"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

// Config is the connector's section of the configuration.
type Config struct {
	// URL is where messages are posted. Required.
	URL string `yaml:"url"`
	// Token is sent as "Authorization: Bearer <token>"; empty: no such header.
	Token secret.Text `yaml:"token"`
	// Template is a Go text/template of the JSON body; empty: to, text, replyToMessageId, mentions, media and requestId. It
	// sees .Account, .To, .Text, .ReplyTo, .Mentions (.ID, .Name), .Media (.Type, .URL, .Name, .Millis) and .RequestID, and
	// writes values with the function json: {"chat": {{json .To}}, "content": {{json .Text}}}.
	Template string `yaml:"template"`
}

// Connector posts messages. It is safe for concurrent use.
type Connector struct {
	wire     connector.Wire
	config   Config
	template *template.Template
	header   http.Header
}

// mediaTypes are the kinds of media that a message may carry.
var mediaTypes = []string{"image", "file", "voice", "video"}

// picky is a Connector whose template has no place for some media.
type picky struct {
	*Connector
	shown []string
}

var (
	_ outbound.Connector = (*Connector)(nil)
	_ outbound.Carrier   = (*picky)(nil)
)

// Carry implements [outbound.Carrier].
func (p *picky) Carry(m outbound.Media) error {
	if slices.Contains(p.shown, m.Type) {
		return nil
	}
	return errors.New("the template of this IM account has no place for such media")
}

// New checks the configuration and makes a [Connector], or one that is an [outbound.Carrier] too where the template leaves
// media out. Its errors name the key that is wrong.
func New(c Config, w connector.Wire) (outbound.Connector, error) {
	if u, err := url.Parse(c.URL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("url: want an http or https URL")
	}
	out := &Connector{wire: w, config: c, header: http.Header{"Content-Type": {"application/json"}}}
	if !c.Token.IsZero() {
		out.header.Set("Authorization", "Bearer "+c.Token.Reveal())
	}
	if c.Template == "" {
		return out, nil
	}
	t, err := template.New("body").Funcs(template.FuncMap{"json": encode}).Option("missingkey=error").Parse(c.Template)
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	out.template = t
	if err := out.try(); err != nil {
		return nil, err
	}
	shown := slices.DeleteFunc(slices.Clone(mediaTypes), func(kind string) bool { return !out.shows(kind) })
	if len(shown) < len(mediaTypes) {
		return &picky{Connector: out, shown: shown}, nil
	}
	return out, nil
}

// shows says that the template writes where media of a kind are.
func (c *Connector) shows(kind string) bool {
	const address = "https://media.example/shown"
	b, err := c.body(outbound.Message{To: "a", Text: "b", Media: []outbound.Media{{Type: kind, URL: address}}})
	return err == nil && bytes.Contains(b, []byte(address))
}

// try fills the template with messages that break it if any value is written without json: who can choose one of them
// could write the rest of the body otherwise. Each kind of media has its turn, as a template may ask for the kind.
func (c *Connector) try() error {
	const odd = "a \"quoted\"\nline \\"
	m := outbound.Message{Account: odd, To: odd, Text: odd, RequestID: odd}
	tries := []outbound.Message{m}
	m.ReplyTo, m.Mentions = odd, []outbound.Mention{{ID: odd, Name: odd}}
	for _, kind := range append([]string{odd}, mediaTypes...) {
		m.Media = []outbound.Media{{Type: kind, URL: odd, Name: odd, Millis: 1500}}
		tries = append(tries, m)
	}
	for _, m := range tries {
		if _, err := c.body(m); err != nil {
			return fmt.Errorf("template: %w", err)
		}
	}
	return nil
}

// Send implements [outbound.Connector].
func (c *Connector) Send(ctx context.Context, m outbound.Message) (outbound.Receipt, error) {
	body, err := c.body(m)
	if err != nil {
		return outbound.Receipt{}, &outbound.SendError{
			Reason: outbound.Rejected, Ours: true, Code: "template", Detail: "the template makes no JSON of this message", Err: err,
		}
	}
	a, err := connector.Call(ctx, c.wire.Doer, egress.Call{
		Method: http.MethodPost, URL: c.config.URL, Header: c.header, Body: body, Timeout: c.wire.Bound(), Ready: m.Ready,
	})
	if err != nil {
		return outbound.Receipt{}, err
	}
	hide := []string{c.config.Token.Reveal(), c.config.URL, m.Text}
	if e := connector.Status(a, hide...); e != nil {
		return outbound.Receipt{}, e
	}
	if !a.Truncated && !json.Valid(a.Body) {
		return outbound.Receipt{}, nil
	}
	if v := judge(a.Body); v != sent {
		return outbound.Receipt{}, denial(a, v, hide)
	}
	return outbound.Receipt{ID: idOf(a.Body)}, nil
}

// payload is the body that is posted where no template shapes it.
type payload struct {
	To        string             `json:"to"`
	Text      string             `json:"text,omitempty"`
	ReplyTo   string             `json:"replyToMessageId,omitempty"`
	Mentions  []outbound.Mention `json:"mentions,omitempty"`
	Media     []outbound.Media   `json:"media,omitempty"`
	RequestID string             `json:"requestId,omitempty"`
}

func (c *Connector) body(m outbound.Message) ([]byte, error) {
	if c.template == nil {
		s, err := encode(payload{
			To: m.To, Text: m.Text, ReplyTo: m.ReplyTo, Mentions: m.Mentions, Media: m.Media, RequestID: m.RequestID,
		})
		return []byte(s), err
	}
	var b bytes.Buffer
	if err := c.template.Execute(&b, m); err != nil {
		return nil, fmt.Errorf("fill in: %w", err)
	}
	if !json.Valid(b.Bytes()) {
		return nil, errors.New("it makes no valid JSON; write values as {{json .Text}}")
	}
	return b.Bytes(), nil
}

// encode writes a value as JSON, with <, > and & as they are.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
