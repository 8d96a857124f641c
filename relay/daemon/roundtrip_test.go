package daemon_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound/connector/gewechat/gewechattest"
	"github.com/imrelay/imrelay/relay/agent/openai/openaitest"
)

// hostile is a text that every IM has some other meaning for, and that must arrive as the text that it is.
const hostile = `[CQ:at,qq=all] &#91;CQ:at,qq=all&#93; <a href="https://x.example">a</a> @everyone`

// trip is one IM: how its account is configured, and its server.
type trip struct {
	name string
	// server starts the IM's server.
	server func(t *testing.T) imServer
}

// imServer is an IM's server on the way there and back.
type imServer interface {
	// Account is the account's section of the configuration, in one line.
	Account() string
	// Push lets alice write the text to the account, and gives the push to the relay at the URL; what the account asks for
	// to believe it goes along.
	Push(t *testing.T, relay, text string)
	// Got are the messages that arrived at alice, in order.
	Got() []arrived
}

// arrived is what somebody got.
type arrived struct{ to, text, id string }

var trips = []trip{
	{"a bridge of one's own", newBridge},
	{"gewechat", newGewechat},
}

// roundTrip is the rest of the configuration: an agent that says again what it was told.
const roundTrip = `
listen: 127.0.0.1:0
data: %[3]q
admin: {token: ` + adminToken + `}
outbound: {hold: 10s}
ims:
  chat: ACCOUNT
agents:
  echo: {kind: openai, url: "AGENT", model: m}
clients:
  bot: {token: ` + botToken + `}
`

// TestRoundTrip follows a message through the real server for each IM: push, agent, reply, and the IM's own API. What
// comes back is text, whatever it looks like.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, tt := range trips {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			im, agent := tt.server(t), openaitest.New(t, openaitest.Options{})
			r := start(t, strings.NewReplacer("ACCOUNT", im.Account(), "AGENT", agent.URL()).Replace(roundTrip))
			im.Push(t, r.url, hostile)
			eventually(t, "the reply arrives", func() bool { return len(im.Got()) == 1 })
			got := im.Got()[0]
			if want := "re(0,0): " + hostile; got.text != want {
				t.Errorf("got text %q, want %q", got.text, want)
			}
			r.chained(got)
			im.Push(t, r.url, "once more")
			eventually(t, "the second reply arrives", func() bool { return len(im.Got()) == 2 })
			if again := im.Got()[1]; again.to != got.to || again.id == got.id {
				t.Errorf("got the second one at %q as %q, want it where the first was, as another", again.to, again.id)
			}
			noSecrets(t, "the log", r.logs.String())
		})
	}
}

// chained checks that the log follows the message from its event to the IM's id of the reply.
func (r *rig) chained(got arrived) {
	r.t.Helper()
	events := r.admin(http.MethodGet, "events", "")
	id := gjson.Get(events.body, "events.0.id").Str
	lines := r.lines(id)
	for _, name := range []string{"inbound.accepted", "delivery.attempted", "reply.queued", "outbound.sent"} {
		if lines[name] == nil {
			r.t.Errorf("event %q: no line %s", id, name)
		}
	}
	if sent := lines["outbound.sent"]; sent != nil && sent["messageId"] != got.id {
		r.t.Errorf("messageId: got %v, want %q", sent["messageId"], got.id)
	}
}

// bridge is a program of one's own: it posts generic messages and takes sends as JSON.
type bridge struct{ *fake }

func newBridge(t *testing.T) imServer { return bridge{newFake(t, sent())} }

func (b bridge) Account() string {
	return `{format: generic, send: {kind: http, url: "` + b.URL + `/send", token: im-send-token}}`
}

func (b bridge) Push(t *testing.T, relay, text string) {
	t.Helper()
	post(t, relay+"/im/inbound", map[string]any{"id": "m-" + text[:4], "chat": "c-1", "from": "alice", "text": text})
}

func (b bridge) Got() []arrived {
	var out []arrived
	for i, q := range b.requests() {
		out = append(out, arrived{
			to: gjson.GetBytes(q.body, "to").Str, text: gjson.GetBytes(q.body, "text").Str,
			id: "376897395787870541" + string(rune('4'+i)),
		})
	}
	return out
}

// post posts JSON to the relay, which must take it.
func post(t *testing.T, url string, body any, headers ...string) {
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("push: got %d", resp.StatusCode)
	}
}

// gewechat is the server of that name.
type gewechat struct {
	*gewechattest.Fake

	url string
}

func newGewechat(t *testing.T) imServer {
	f := gewechattest.New(gewechattest.Options{Token: "im-send-token", AppID: "wx_a", Wxid: "wxid_bot"})
	return gewechat{f, f.Start(t)}
}

func (g gewechat) Account() string {
	return `{format: wechat, self: wxid_bot, token: ` + imToken +
		`, send: {kind: gewechat, url: "` + g.url + `", token: im-send-token, app_id: wx_a}}`
}

func (g gewechat) Push(t *testing.T, relay, text string) {
	t.Helper()
	to := relay + "/im/inbound?token=" + imToken
	_, status, err := g.Fake.Push(t.Context(), to, gewechattest.Push{From: "wxid_alice", Name: "Alice", Text: text})
	if err != nil || status/100 != 2 {
		t.Fatalf("push: got %d and %v", status, err)
	}
}

func (g gewechat) Got() []arrived {
	var out []arrived
	for _, s := range g.Sent() {
		out = append(out, arrived{to: s.To, text: s.Content, id: s.ID})
	}
	return out
}
