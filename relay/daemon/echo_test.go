package daemon_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// mirroring has accounts at servers that mirror what is sent through them; %[1]s and the others are as in baseConfig.
// Whose account it is is only known to those that have to be told.
const mirroring = `
listen: 127.0.0.1:0
data: %[3]q
admin: {token: ` + adminToken + `}
loop: {turns: 5, window: 60s, pause: 10m}
ims:
  gewe: {format: wechat, send: {kind: http, url: "%[2]s/send", timeout: 1s}}
  xybot: {format: wechat, send: {kind: http, url: "%[2]s/send", timeout: 1s}}
  qq: {format: onebot, send: {kind: http, url: "%[2]s/send", timeout: 1s}}
  tg: {format: telegram, self: "7104459213@relay_trial_bot", send: {kind: http, url: "%[2]s/send", timeout: 1s}}
  own: {format: generic, send: {kind: http, url: "%[2]s/send", timeout: 1s}}
agents:
  openclaw: {kind: openclaw, url: "%[1]s/x", secret: ` + webhookSecret + `, timeout: 1s}
clients:
  openclaw: {token: ` + botToken + `}
`

// synced is a message as a XYBot server hands out what it has synced, without a word on whose account it is.
func synced(from, to, content, id string) string {
	return fmt.Sprintf(`{"MsgId":9,"FromUserName":{"string":%q},"ToWxid":{"string":%q},"MsgType":1,"Content":{"string":%q},`+
		`"CreateTime":1768121000,"NewMsgId":%s}`, from, to, content, id)
}

// mirrored is a OneBot message with the id, by the account itself.
func mirrored(post, where, id string) string {
	return fmt.Sprintf(`{"time":1768121000,"self_id":3310927461,"post_type":%q,%s,"message_id":%s,"user_id":3310927461,`+
		`"message":[{"type":"text","data":{"text":"hello"}}]}`, post, where, id)
}

const (
	inGroup   = `"message_type":"group","sub_type":"normal","group_id":57190482`
	inPrivate = `"message_type":"private","sub_type":"friend","target_id":4120093377`
	channel   = `{"id":-1001730026481,"title":"Harbour news","username":"harbour_news_trial","type":"channel"}`
)

// posted is a post in the channel; nothing in it says that it is the bot's.
func posted(id string) string {
	return fmt.Sprintf(`{"update_id":51290%s,"channel_post":{"message_id":%s,"chat":%s,"sender_chat":%s,"date":1768121000,`+
		`"text":"hello"}}`, id, id, channel, channel)
}

// The echo of what was sent through the relay reaches no agent, whichever way a server mirrors it: as the account's own,
// or known by nothing but the id that the send was answered with. It is so after a restart, too.
func TestMirrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, im, to string
		echo         func(id string) string
		// byID: another id in it is another's message, and reaches the agent.
		byID bool
	}{
		{"gewechat, private", "gewe", "wxid_mei", func(id string) string {
			return `{"TypeName":"AddMsg","Wxid":"wxid_bot","Data":` + synced("wxid_bot", "wxid_mei", "hello", id) + `}`
		}, false},
		{"gewechat, a room", "gewe", "57@chatroom", func(id string) string {
			return `{"TypeName":"AddMsg","Wxid":"wxid_bot","Data":` + synced("wxid_bot", "57@chatroom", "hello", id) + `}`
		}, false},
		{"GeWe's flat one", "gewe", "wxid_mei", func(id string) string {
			return `{"wxid":"wxid_bot","fromUser":"wxid_bot","toUser":"wxid_mei","newMsgId":"` + id + `","msgType":1,"isSelf":true,"content":"hello"}`
		}, false},
		{"sync, private", "xybot", "wxid_mei", func(id string) string { return synced("wxid_bot", "wxid_mei", "hello", id) }, true},
		{"sync, a room", "xybot", "57@chatroom", func(id string) string { return synced("wxid_bot", "57@chatroom", "hello", id) }, false},
		{"sync, a room by itself", "xybot", "57@chatroom", func(id string) string {
			return synced("57@chatroom", "wxid_bot", "wxid_bot:\nhello", id)
		}, true},
		{"OneBot's own, a group", "qq", "group:57190482", func(id string) string { return mirrored("message_sent", inGroup, id) }, false},
		{"OneBot's own, private", "qq", "private:4120093377", func(id string) string { return mirrored("message_sent", inPrivate, id) }, false},
		{"OneBot's message, a group", "qq", "group:57190482", func(id string) string { return mirrored("message", inGroup, id) }, false},
		{"OneBot's message, private", "qq", "private:4120093377", func(id string) string { return mirrored("message", inPrivate, id) }, false},
		{"OneBot, nobody named", "qq", "group:57190482", func(id string) string {
			return strings.ReplaceAll(mirrored("message", inGroup, id), `"self_id":3310927461,`, "")
		}, true},
		{"Telegram, a channel", "tg", "-1001730026481", posted, true},
		{"Telegram, a channel by its name", "tg", "@harbour_news_trial", posted, true},
		{"Telegram, a group", "tg", "-1002418830957", func(id string) string {
			return `{"update_id":51290` + id + `,"message":{"message_id":` + id + `,"from":{"id":7104459213,"is_bot":true},` +
				`"chat":{"id":-1002418830957,"type":"supergroup"},"date":1768121000,"text":"hello"}}`
		}, false},
		{"generic", "own", "r-1", func(id string) string { return `{"room":"r-1","sender":"x","id":` + id + `,"text":"hello"}` }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, mirroring)
			ids := map[bool][]string{false: {id671, id672}, true: {"4211", "4212"}}[tt.im == "tg"]
			r.im.answers(says(http.StatusOK, `{"messageId":`+ids[0]+`}`))
			if a := r.send(fmt.Sprintf(`{"im":%q,"to":%q,"text":"hello"}`, tt.im, tt.to)); a.status != http.StatusOK {
				t.Fatalf("send: got %d %s", a.status, a.body)
			}
			plain := tt.im == "qq" || tt.im == "tg"
			for _, when := range []string{"at once", "after a restart"} {
				a := r.do(http.MethodPost, "/im/"+tt.im+"/inbound", tt.echo(ids[0]))
				if a.status != http.StatusOK || !plain && a.object(t)["ignored"] != "self" {
					t.Errorf("%s: got %d %s, want it to be left out as our own", when, a.status, a.body)
				}
				if n := len(r.agent.requests()); n != 0 {
					t.Fatalf("%s: the agent got the echo", when)
				}
				metric := fmt.Sprintf(`imrelay_inbound_messages_total{im=%q,result="self"} 1`, tt.im)
				if got := r.do(http.MethodGet, "/metrics", "").body; !strings.Contains(got, metric) {
					t.Errorf("%s: metrics lack %s", when, metric)
				}
				if got := r.told("inbound.ignored", tt.im); got[len(got)-1] != ids[0] {
					t.Errorf("%s: log ignored %q, want %s", when, got, ids[0])
				}
				if got := strings.Contains(r.logs.String(), `"echo":true`); got != tt.byID {
					t.Errorf("%s: log says that it was known by its id: %v, want %v", when, got, tt.byID)
				}
				if when == "at once" {
					r.stop()
					r.run(mirroring)
				}
			}
			r.do(http.MethodPost, "/im/"+tt.im+"/inbound", tt.echo(ids[1]), "Prefer: wait=10")
			if n := len(r.agent.requests()); (n == 1) != tt.byID {
				t.Errorf("the same with another id: the agent got %d, want it to: %v", n, tt.byID)
			}
		})
	}
}

// A server that mirrors everything, tells neither whose it is nor an id, and an agent that answers everything: they talk
// to each other until the brake holds the conversation, which is shown, and other conversations go on.
func TestLoopIsBroken(t *testing.T) {
	t.Parallel()
	r := start(t, mirroring)
	mirror := strings.Replace(synced("wxid_bot", "wxid_mei", "hello", "0"), `"MsgId":9,`, "", 1)
	r.im.answers(says(http.StatusOK, `{"ok":true}`))
	var off atomic.Bool // the mirror
	var loop sync.WaitGroup
	t.Cleanup(func() {
		off.Store(true)
		loop.Wait()
		r.client.CloseIdleConnections() // one that was never used would hold up the stop
	})
	r.agent.answers(func(w http.ResponseWriter, q *http.Request) {
		says(http.StatusOK, `{}`)(w, q)
		if b, err := io.ReadAll(q.Body); err != nil || !bytes.Contains(b, []byte(`"hello"`)) {
			return
		}
		loop.Go(func() {
			a, err := r.try(http.MethodPost, "/api/messages/send", `{"im":"xybot","to":"wxid_bot","text":"hello"}`,
				"Authorization: Bearer "+botToken)
			if err == nil && a.status == http.StatusOK && !off.Load() {
				_, _ = r.try(http.MethodPost, "/im/xybot/inbound", mirror, "Prefer: respond-async")
			}
		})
	})
	r.do(http.MethodPost, "/im/xybot/inbound", mirror)
	eventually(t, "the brake holds it", func() bool {
		return strings.Contains(r.admin(http.MethodGet, "pauses", "").body, `"conversation":"wxid_bot"`)
	})
	eventually(t, "one event waits", func() bool { return len(r.waiting()) == 1 })
	// A send that is quicker than the note of the event that it follows is part of the next turn.
	if n := len(r.agent.requests()); n < 5 || n > 10 {
		t.Errorf("agent got %d events, want the 5 turns, or few more", n)
	}
	if a := r.admin(http.MethodGet, "pauses", ""); !strings.Contains(a.body, "loop: more than 5 turns") {
		t.Errorf("pauses: got %s, want the reason", a.body)
	}
	eventually(t, "it is in the log", func() bool { return strings.Contains(r.logs.String(), `"event":"loop.paused"`) })
	eventually(t, "it is counted", func() bool {
		return strings.Contains(r.do(http.MethodGet, "/metrics", "").body, `imrelay_loop_pauses_total{im="xybot"} 1`)
	})
	if a := r.do(http.MethodPost, "/im/xybot/inbound", synced("wxid_lin", "wxid_bot", "hi", "7")); a.object(t)["status"] == nil {
		t.Errorf("another conversation: got %d %s, want it delivered", a.status, a.body)
	}
	off.Store(true)
	if a := r.admin(http.MethodPost, "resume", `{"im":"xybot","conversation":"wxid_bot"}`); a.status != http.StatusOK {
		t.Fatalf("resume: got %d %s", a.status, a.body)
	}
	eventually(t, "what waited is delivered", func() bool { return len(r.waiting()) == 0 })
}

// waiting are the queued events.
func (r *rig) waiting() []shownEvent {
	r.t.Helper()
	var out []shownEvent
	for _, e := range r.listed("events", "xybot") {
		if e.State == "queued" || e.State == "parked" {
			out = append(out, e)
		}
	}
	return out
}
