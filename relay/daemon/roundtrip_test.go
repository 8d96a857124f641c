package daemon_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

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
	{"WeChatPadPro", newWeChatPad},
	{"XYBot", newXYBot},
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
