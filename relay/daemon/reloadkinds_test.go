package daemon_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay/agent/openai/openaitest"
)

// A reload takes over every kind of connector: unchanged, made anew, and gone.
func TestReloadOfEveryConnector(t *testing.T) {
	t.Parallel()
	const bot = "1234567:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, send := range map[string]string{
		"onebot by HTTP":        `{kind: onebot, url: "http://127.0.0.1:1", token: im-send-token}`,
		"onebot, we connect":    `{kind: onebot, url: "ws://127.0.0.1:1", token: im-send-token}`,
		"onebot, it connects":   `{kind: onebot, reverse: true}`,
		"telegram":              `{kind: telegram, token: "` + bot + `", url: "http://127.0.0.1:1"}`,
		"telegram, polled":      `{kind: telegram, poll: true, token: "` + bot + `", url: "http://127.0.0.1:1"}`,
		"gewechat":              `{kind: gewechat, url: "http://127.0.0.1:1/v2/api", token: im-send-token, app_id: wx_a}`,
		"wechatpad":             `{kind: wechatpad, url: "http://127.0.0.1:1", key: im-send-token}`,
		"xybot":                 `{kind: xybot, url: "http://127.0.0.1:1"}`,
		"a bridge of one's own": `{kind: http, url: "http://127.0.0.1:1/x", token: im-send-token}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with := func(send string) string {
				account := `{format: generic, token: ` + imToken + `, self: wxid_bot` + send + `}`
				return strings.NewReplacer("ACCOUNT", account, "AGENT", "http://127.0.0.1:1/v1").Replace(roundTrip)
			}
			first := with(", send: " + send)
			r := start(t, first)
			for what, text := range map[string]string{
				"unchanged": first, "gone": with(""), "changed": strings.Replace(first, "{kind: ", "{timeout: 9s, kind: ", 1),
			} {
				if err := r.d.Reload(parse(t, fmt.Sprintf(text, r.agent.URL, r.im.URL, r.data))); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			if got := r.do("GET", "/healthz", "").status; got != 200 {
				t.Errorf("got %d after the reloads, want 200", got)
			}
		})
	}
}

// An account that is taken away by a reload and comes back by another has one connection at a time: Telegram, which
// tells whoever polls beside another, says nothing.
func TestReloadLeavesOneConnection(t *testing.T) {
	t.Parallel()
	im, ok := newTelegram("", ", poll: true", pollUpdate)(t).(telegram)
	if !ok {
		t.Fatal("no Telegram")
	}
	agent := openaitest.New(t, openaitest.Options{})
	with := func(account string) string {
		return strings.NewReplacer("ACCOUNT", account, "AGENT", agent.URL()).Replace(roundTrip)
	}
	r := start(t, with(im.Account()))
	for n := range 3 {
		im.Push(t, r.url, fmt.Sprint("round ", n))
		eventually(t, "the reply arrives", func() bool { return len(im.Got()) == n+1 })
		for _, account := range []string{"{format: telegram}", "{format: telegram, max_age: 1h}", im.Account()} {
			if err := r.d.Reload(parse(t, fmt.Sprintf(with(account), r.agent.URL, r.im.URL, r.data))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if log := r.logs.String(); strings.Contains(log, "conflict") {
		t.Errorf("two polled at one time:\n%s", log)
	}
}

// Who could not connect any more does not stay connected: a token that was changed ends the connection that came by it.
func TestReloadOfATokenEndsItsConnections(t *testing.T) {
	t.Parallel()
	im, ok := newOneBot(`send: {kind: onebot, reverse: true}`, connectAndPush)(t).(oneBot)
	if !ok {
		t.Fatal("no OneBot")
	}
	with := strings.NewReplacer("ACCOUNT", im.Account(), "AGENT", "http://127.0.0.1:1/v1").Replace(roundTrip)
	r := start(t, with)
	connectAndPush(t, im.Fake, r.url, `{"post_type":"meta_event","meta_event_type":"heartbeat","self_id":2810012345,"interval":30000}`)
	for _, text := range []string{with, strings.ReplaceAll(with, imToken, "hush-other-token")} {
		if now, _ := im.Connections(); now != 1 {
			t.Errorf("got %d connections before the token was changed, want one", now)
		}
		if err := r.d.Reload(parse(t, fmt.Sprintf(text, r.agent.URL, r.im.URL, r.data))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the connection ends", func() bool { now, _ := im.Connections(); return now == 0 })
}
