package daemon_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
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
	"github.com/imrelay/imrelay/outbound/connector/ipad/ipadtest"
	"github.com/imrelay/imrelay/outbound/connector/onebot/onebottest"
	"github.com/imrelay/imrelay/outbound/connector/telegram/telegramtest"
	"github.com/imrelay/imrelay/outbound/connector/wechatpad/wechatpadtest"
	"github.com/imrelay/imrelay/outbound/connector/xybot/xybottest"
)

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

// encoded is a value as JSON.
func encoded(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// post posts JSON to the relay, which must take it.
func post(t *testing.T, url string, body any, headers ...string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(encoded(t, body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Do(req)
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
		out = append(out, arrived{to: s.To, text: s.Text, id: s.ID})
	}
	return out
}

// pad is a server of the iPad protocol that keeps its messages in an account.
type pad struct {
	sent    func() []ipadtest.Sent
	account string
	push    func(t *testing.T, relay, text string)
}

func (p pad) Account() string { return p.account }

func (p pad) Push(t *testing.T, relay, text string) {
	t.Helper()
	p.push(t, relay, text)
}

func (p pad) Got() []arrived {
	var out []arrived
	for _, s := range p.sent() {
		out = append(out, arrived{to: s.To, text: s.Text, id: s.ID})
	}
	return out
}

// newWeChatPad signs its pushes with a time.
func newWeChatPad(t *testing.T) imServer {
	f := wechatpadtest.New(wechatpadtest.Options{Key: "im-send-token"})
	account := `{format: wechat, self: wxid_bot, signature: {kind: wechatpad, secret: ` + webhookSecret +
		`}, send: {kind: wechatpad, url: "` + f.Start(t) + `", key: im-send-token}}`
	n := int64(7265419038812345670)
	return pad{f.Sent, account, func(t *testing.T, relay, text string) {
		t.Helper()
		n++
		body := json.RawMessage(fmt.Sprintf(`{"Wxid":"wxid_bot","Data":{"messages":[{"msgId":11,"newMsgId":%d,"msgType":1,`+
			`"fromUser":"wxid_alice","toUser":"wxid_bot","text":%s,"createTime":1767002400}]}}`, n, encoded(t, text)))
		body = encoded(t, body)
		at := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(webhookSecret))
		mac.Write([]byte(at + string(body)))
		post(t, relay+"/im/inbound", body, "X-Webhook-Timestamp: "+at,
			"X-Webhook-Signature: "+hex.EncodeToString(mac.Sum(nil)))
	}}
}

// newXYBot passes the message on as its sync had it.
func newXYBot(t *testing.T) imServer {
	f := xybottest.New(xybottest.Options{Wxid: "wxid_bot"})
	account := `{format: wechat, self: wxid_bot, token: ` + imToken + `, send: {kind: xybot, url: "` + f.Start(t) + `"}}`
	n := int64(5830174629918273640)
	return pad{f.Sent, account, func(t *testing.T, relay, text string) {
		t.Helper()
		n++
		post(t, relay+"/im/inbound", json.RawMessage(fmt.Sprintf(`{"MsgId":12,"FromUserName":{"string":"wxid_alice"},`+
			`"ToWxid":{"string":"wxid_bot"},"MsgType":1,"Content":{"string":%s},"CreateTime":1767002431,"NewMsgId":%d}`,
			encoded(t, text), n)), "Authorization: Bearer "+imToken)
	}}
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
			account = "{format: onebot, self: \"2810012345\", token: " + imToken + ", " + send + "}"
		}
		host := strings.TrimPrefix(server.URL, "http://")
		return oneBot{Fake: f, account: strings.ReplaceAll(account, "HOST", host), push: push, n: new(int)}
	}
}

func (o oneBot) Account() string { return o.account }

func (o oneBot) Push(t *testing.T, relay, text string) {
	t.Helper()
	*o.n++
	o.push(t, o.Fake, relay, fmt.Sprintf(`{"time":1767002400,"self_id":2810012345,"post_type":"message","message_type":"private",`+
		`"sub_type":"friend","message_id":%d,"user_id":1686812345,"message":[{"type":"text","data":{"text":%s}}],`+
		`"sender":{"user_id":1686812345,"nickname":"Alice"}}`, 1203948570+*o.n, encoded(t, text)))
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
