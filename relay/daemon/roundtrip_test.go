package daemon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound/connector/gewechat/gewechattest"
	"github.com/imrelay/imrelay/outbound/connector/onebot/onebottest"
	"github.com/imrelay/imrelay/outbound/connector/telegram/telegramtest"
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
	{"OneBot by HTTP", newOneBot(`send: {kind: onebot, url: "http://HOST", token: im-send-token}`, postEvent)},
	{"OneBot, we connect", newOneBot(`send: {kind: onebot, url: "ws://HOST", token: im-send-token}`, pushEvent)},
	{"OneBot, it connects", newOneBot(`send: {kind: onebot, reverse: true}`, connectAndPush)},
	{"Telegram by webhook", newTelegram("signature: {kind: telegram, secret: "+webhookSecret+"}, ", "", hookUpdate)},
	{"Telegram, polled", newTelegram("", ", poll: true", pollUpdate)},
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
	var lines map[string]map[string]any
	eventually(r.t, "the line of the send", func() bool { lines = r.lines(id); return lines["outbound.sent"] != nil })
	for _, name := range []string{"inbound.accepted", "delivery.attempted", "reply.queued"} {
		if lines[name] == nil {
			r.t.Errorf("event %q: no line %s", id, name)
		}
	}
	if id := lines["outbound.sent"]["messageId"]; id != got.id {
		r.t.Errorf("messageId: got %v, want %q", id, got.id)
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

// oneBot is a OneBot implementation, such as NapCat.
type oneBot struct {
	*onebottest.Fake

	account string
	push    func(t *testing.T, f *onebottest.Fake, relay, event string)
	n       *int
}

// newOneBot makes one whose account sends so, and whose events come so.
func newOneBot(send string, push func(t *testing.T, f *onebottest.Fake, relay, event string)) func(*testing.T) imServer {
	return func(t *testing.T) imServer {
		o := onebottest.Options{Token: imToken, Own: true, Heartbeat: time.Second}
		if strings.Contains(send, "im-send-token") {
			o.Token = "im-send-token"
		}
		f := onebottest.New(t, o)
		server := httptest.NewServer(f)
		t.Cleanup(server.Close)
		account := "{format: onebot, signature: {kind: onebot, secret: " + webhookSecret + "}, " + send + "}"
		if strings.Contains(send, "reverse") {
			account = "{format: onebot, token: " + imToken + ", " + send + "}"
		}
		host := strings.TrimPrefix(server.URL, "http://")
		return oneBot{Fake: f, account: strings.ReplaceAll(account, "HOST", host), push: push, n: new(int)}
	}
}

func (o oneBot) Account() string { return o.account }

func (o oneBot) Push(t *testing.T, relay, text string) {
	t.Helper()
	*o.n++
	words, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	o.push(t, o.Fake, relay, fmt.Sprintf(`{"time":1767002400,"self_id":2810012345,"post_type":"message","message_type":"private",`+
		`"sub_type":"friend","message_id":%d,"user_id":1686812345,"message":[{"type":"text","data":{"text":%s}}],`+
		`"sender":{"user_id":1686812345,"nickname":"Alice"}}`, 1203948570+*o.n, words))
}

func postEvent(t *testing.T, f *onebottest.Fake, relay, event string) {
	t.Helper()
	status, answer := f.Post(relay+"/im/inbound", webhookSecret, event)
	if status != http.StatusOK || strings.TrimSpace(answer) != "{}" {
		t.Fatalf("push: got %d %q, want 200 {}: OneBot takes an answer for a command", status, answer)
	}
}

func pushEvent(t *testing.T, f *onebottest.Fake, _, event string) {
	t.Helper()
	eventually(t, "the relay connects", func() bool { now, _ := f.Connections(); return now > 0 })
	f.Push(event)
}

func connectAndPush(t *testing.T, f *onebottest.Fake, relay, event string) {
	t.Helper()
	if now, _ := f.Connections(); now == 0 {
		if status := f.Connect(strings.Replace(relay, "http", "ws", 1)+"/im/inbound", "Universal"); status != http.StatusSwitchingProtocols {
			t.Fatalf("connect: got %d", status)
		}
	}
	pushEvent(t, f, relay, event)
}

func (o oneBot) Got() []arrived {
	var out []arrived
	for _, a := range o.Actions() {
		if !strings.HasPrefix(a.Name, "send_") {
			continue
		}
		p := gjson.ParseBytes(a.Params)
		text := ""
		for _, segment := range p.Get("message").Array() {
			if segment.Get("type").Str == "text" {
				text += segment.Get("data.text").Str
			}
		}
		out = append(out, arrived{to: p.Get("user_id").Raw, text: text, id: strconv.Itoa(1001 + len(out))})
	}
	return out
}

// telegram is Telegram's Bot API.
type telegram struct {
	*telegramtest.Fake

	account string
	begin   func(f *telegramtest.Fake, relay string)
}

func newTelegram(inbound, send string, begin func(f *telegramtest.Fake, relay string)) func(*testing.T) imServer {
	return func(t *testing.T) imServer {
		f := telegramtest.New(telegramtest.Options{})
		server := httptest.NewServer(f)
		t.Cleanup(func() { f.Close(); server.Close() })
		return telegram{f, "{format: telegram, self: \"7104459213\", " + inbound + `send: {kind: telegram, token: "` +
			telegramtest.Token + `", url: "` + server.URL + `"` + send + "}}", begin}
	}
}

// hookUpdate has Telegram post updates, and pollUpdate has it wait for who asks for them.
func hookUpdate(f *telegramtest.Fake, relay string) { f.SetWebhook(relay+"/im/inbound", webhookSecret) }
func pollUpdate(*telegramtest.Fake, string)         {}

func (g telegram) Account() string { return g.account }

func (g telegram) Push(t *testing.T, relay, text string) {
	t.Helper()
	g.begin(g.Fake, relay)
	g.Say(5812345678, 5812345678, text)
}

func (g telegram) Got() []arrived {
	var out []arrived
	for _, s := range g.Sent() {
		out = append(out, arrived{to: s.Chat, text: s.Text, id: strconv.FormatInt(s.ID, 10)})
	}
	return out
}
