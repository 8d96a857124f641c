package onebot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/connectortest"
	"github.com/imrelay/imrelay/outbound/connector/onebot"
	"github.com/imrelay/imrelay/outbound/connector/onebot/onebottest"
	"github.com/imrelay/imrelay/relay/secret"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, connectortest.Harness{
		New: func(t *testing.T, s connectortest.Setup) outbound.Connector {
			t.Helper()
			w, _ := wire(t)
			w.Timeout = s.Timeout
			return open(t, onebot.Config{URL: s.URL, Token: secret.New(s.Secret)}, w)
		},
		To: "private:1686812345",
		Sent: func(id string) string {
			return fmt.Sprintf(`{"status":"ok","retcode":0,"data":{"message_id":%s},"message":"","wording":"","echo":null}`, id)
		},
		Refusals: refusals(),
	})
}

func refusals() []connectortest.Refusal {
	failed := func(code int, words string, want outbound.Reason) connectortest.Refusal {
		return connectortest.Refusal{
			Name: fmt.Sprintf("%d %s", code, words), Status: 200, Want: want, Code: fmt.Sprint(code),
			Body: fmt.Sprintf(`{"status":"failed","retcode":%d,"data":null,"message":%q,"wording":%q,"echo":null}`, code, words, words),
		}
	}
	other := func(status int, name, body string, want outbound.Reason) connectortest.Refusal {
		return connectortest.Refusal{Name: name, Status: status, Body: body, Want: want}
	}
	return []connectortest.Refusal{
		failed(100, "SEND_MSG_API_ERROR", outbound.Uncertain),
		failed(200, "Timeout: NTEvent serviceAndMethod:NodeIKernelMsgService/sendMsg", outbound.Uncertain),
		failed(1200, "发送消息超时", outbound.Uncertain),
		failed(1200, "消息体无法解析", outbound.Rejected),
		failed(1400, "bad request", outbound.Rejected),
		failed(1401, "unauthorized", outbound.Rejected),
		failed(1403, "token验证失败", outbound.Rejected),
		failed(1404, "不支持的API", outbound.Rejected),
		failed(-1, "unknown", outbound.Rejected),
		other(200, "failed, and retcode 0", `{"status":"failed","retcode":0}`, outbound.Rejected),
		other(200, "failed, and retcode 1", `{"status":"failed","retcode":1}`, outbound.Rejected),
		other(200, "ok, and a retcode", `{"status":"ok","retcode":1200}`, outbound.Rejected),
		other(200, "no answer of OneBot", `{"message":"hello"}`, outbound.Uncertain),
		other(200, "a page", `<html>welcome</html>`, outbound.Uncertain),
		other(200, "nothing", ``, outbound.Uncertain),
		other(401, "no token", ``, outbound.Rejected),
		other(403, "another token", `{"message":"token verify failed!"}`, outbound.Rejected),
		other(426, "a WebSocket server", `Upgrade Required`, outbound.Rejected),
	}
}

// TestSentWithoutID: asynchronous answers, and ids that are none.
func TestSentWithoutID(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"status":"async","retcode":1,"data":null}`, `{"retcode":1}`, `{"status":"ok","retcode":0,"data":null}`,
		`{"status":"ok"}`, `{"retcode":0}`, `{"status":"ok","retcode":0,"data":{"message_id":0}}`,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			fake, c, _ := posting(t, "")
			fake.Answers(func(onebottest.Action) onebottest.Answer { return onebottest.Answer{JSON: body} })
			got, err := c.Send(t.Context(), outbound.Message{To: "group:1", Text: "hello"})
			if err != nil || got.ID != "" {
				t.Errorf("got %q, %v; want sent without an id", got.ID, err)
			}
		})
	}
}

// posting is a connector that calls the fake by HTTP.
func posting(t *testing.T, token string) (*onebottest.Fake, outbound.Connector, *world) {
	t.Helper()
	fake := onebottest.New(t, onebottest.Options{Token: "right-token"})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	if token == "" {
		token = "right-token"
	}
	w, world := wire(t)
	return fake, open(t, onebot.Config{URL: server.URL + "/", Token: secret.New(token)}, w), world
}

// TestSegments: what is called, byte for byte.
func TestSegments(t *testing.T) {
	t.Parallel()
	image := outbound.Media{Type: "image", URL: "https://x.example/a.png?a=1&b=2"}
	tests := []struct {
		name string
		m    outbound.Message
		want string
	}{
		{"group", outbound.Message{To: "group:810712345", Text: "hello"}, `send_group_msg {"group_id":810712345,"message":[{"type":"text","data":{"text":"hello"}}]}`},
		{"private", outbound.Message{To: "private:1686812345", Text: "hello"}, `send_private_msg {"user_id":1686812345,"message":[{"type":"text","data":{"text":"hello"}}]}`},
		{"temporary", outbound.Message{To: "private:16868@8107", Text: "a"}, `send_private_msg {"group_id":8107,"user_id":16868,"message":[{"type":"text","data":{"text":"a"}}]}`},
		{"ids that are no numbers", outbound.Message{To: "group:abc", Text: "a"}, `send_group_msg {"group_id":"abc","message":[{"type":"text","data":{"text":"a"}}]}`},
		{"an id with a zero first", outbound.Message{To: "group:007", Text: "a"}, `send_group_msg {"group_id":"007","message":[{"type":"text","data":{"text":"a"}}]}`},
		{"the last exact number", outbound.Message{To: "group:9007199254740991", Text: "a"}, `send_group_msg {"group_id":9007199254740991,"message":[{"type":"text","data":{"text":"a"}}]}`},
		{"an id that JavaScript rounds", outbound.Message{To: "group:9007199254740993", Text: "a"}, `send_group_msg {"group_id":"9007199254740993","message":[{"type":"text","data":{"text":"a"}}]}`},
		{
			"codes are text",
			outbound.Message{To: "group:1", Text: "[CQ:at,qq=all] &#91;CQ:face,id=1&#93; @everyone <b>"},
			`send_group_msg {"group_id":1,"message":[{"type":"text","data":{"text":"[CQ:at,qq=all] &#91;CQ:face,id=1&#93; @everyone <b>"}}]}`,
		},
		{
			"reply and mentions",
			outbound.Message{
				To: "group:1", Text: "hello", ReplyTo: "-764512093", Mentions: []outbound.Mention{{ID: "16868"}, {ID: "16869", Name: "Bob"}},
			},
			`send_group_msg {"group_id":1,"message":[{"type":"reply","data":{"id":"-764512093"}},{"type":"at","data":{"qq":"16868"}},` +
				`{"type":"at","data":{"qq":"16869"}},{"type":"text","data":{"text":" hello"}}]}`,
		},
		{"a reply to no number", outbound.Message{To: "group:1", Text: "a", ReplyTo: "om_1],[CQ:at,qq=all"}, `send_group_msg {"group_id":1,"message":[{"type":"text","data":{"text":"a"}}]}`},
		{"a mention in private", outbound.Message{To: "private:1", Text: "a", Mentions: []outbound.Mention{{ID: "1"}}}, `send_private_msg {"user_id":1,"message":[{"type":"text","data":{"text":"a"}}]}`},
		{"image", outbound.Message{To: "group:1", ReplyTo: "5", Media: []outbound.Media{image}}, `send_group_msg {"group_id":1,"message":[{"type":"reply","data":{"id":"5"}},{"type":"image","data":{"file":"https://x.example/a.png?a=1&b=2"}}]}`},
		{"voice", outbound.Message{To: "group:1", ReplyTo: "5", Media: []outbound.Media{{Type: "voice", URL: "http://x.example/a"}}}, `send_group_msg {"group_id":1,"message":[{"type":"record","data":{"file":"http://x.example/a"}}]}`},
		{"video", outbound.Message{To: "group:1", Media: []outbound.Media{{Type: "video", URL: "http://x.example/a", Name: "a"}}}, `send_group_msg {"group_id":1,"message":[{"type":"video","data":{"file":"http://x.example/a"}}]}`},
		{"file", outbound.Message{To: "group:1", Media: []outbound.Media{{Type: "file", URL: "http://x.example/a", Name: "a.pdf"}}}, `send_group_msg {"group_id":1,"message":[{"type":"file","data":{"file":"http://x.example/a","name":"a.pdf"}}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake, c, _ := posting(t, "")
			if _, err := c.Send(t.Context(), tt.m); err != nil {
				t.Fatalf("send: %v", err)
			}
			a := fake.Actions()[0]
			if got := a.Name + " " + string(a.Params); got != tt.want || !json.Valid(a.Params) {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestRefusedBeforehand: nobody is called.
func TestRefusedBeforehand(t *testing.T) {
	t.Parallel()
	at := func(id string) outbound.Message {
		return outbound.Message{To: "group:1", Text: "a", Mentions: []outbound.Mention{{ID: id}}}
	}
	to := func(to string) outbound.Message { return outbound.Message{To: to, Text: "a"} }
	media := func(kind, url string) outbound.Message {
		return outbound.Message{To: "group:1", Media: []outbound.Media{{Type: kind, URL: url}}}
	}
	tests := []struct {
		code string
		m    outbound.Message
	}{
		{"recipient", to("810712345")},
		{"recipient", to("group:")},
		{"recipient", to("private:@1")},
		{"recipient", to("private:1@")},
		{"recipient", to("private:1@2@3")},
		{"recipient", to("group:1 2")},
		{"recipient", to("guild:1")},
		{"mention", at("all")},
		{"mention", at("0")},
		{"mention", at("00")},
		{"mention", at(" all")},
		{"mention", at("everyone")},
		{"mention", at("")},
		{"mention", at("１")},
		{"media", media("image", "file:///etc/passwd")},
		{"media", media("image", "base64://AAAA")},
		{"media", media("image", "/etc/passwd")},
		{"media", media("image", "http:///x")},
		{"media", media("image", "http://169.254.169.254/latest/meta-data")},
		{"media", media("image", "http://2852039166/latest/meta-data")},
		{"media", media("sticker", "http://x.example/a")},
		{"empty", outbound.Message{To: "group:1"}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %+v", tt.code, tt.m), func(t *testing.T) {
			t.Parallel()
			fake, c, _ := posting(t, "")
			_, err := c.Send(t.Context(), tt.m)
			wantReason(t, err, outbound.Rejected, tt.code)
			if len(fake.Actions()) != 0 {
				t.Error("got a call, want none")
			}
			if len(tt.m.Media) > 0 && c.(outbound.Carrier).Carry(tt.m.Media[0]) == nil {
				t.Error("carry: got nil, want why not")
			}
		})
	}
}

func TestTheTokensAlarm(t *testing.T) {
	t.Parallel()
	fake, wrong, world := posting(t, "wrong-token")
	_, err := wrong.Send(t.Context(), outbound.Message{To: "group:1", Text: "a"})
	wantReason(t, err, outbound.Rejected, "403")
	if !world.alarm("token") || len(fake.Actions()) != 0 {
		t.Errorf("alarm %v, %d calls; want one and none", world.alarm("token"), len(fake.Actions()))
	}
	_, right, world := posting(t, "")
	world.Raise("token", "from before")
	if _, err := right.Send(t.Context(), outbound.Message{To: "group:1", Text: "a"}); err != nil || world.alarm("token") {
		t.Errorf("got %v, alarm %v; want sent and none", err, world.alarm("token"))
	}
}

// TestSecretsInTheAddress: an implementation that repeats what it was shown shows it to nobody else.
func TestSecretsInTheAddress(t *testing.T) {
	t.Parallel()
	fake := onebottest.New(t, onebottest.Options{Token: "query+token"})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	w, _ := wire(t)
	url := strings.Replace(server.URL, "http://", "http://me:pass-word@", 1) + "?access_token=query%2Btoken"
	c := open(t, onebot.Config{URL: url}, w)
	fake.Answers(func(onebottest.Action) onebottest.Answer {
		return onebottest.Answer{JSON: `{"status":"failed","retcode":1200,"message":"query+token query%2Btoken pass-word"}`}
	})
	_, err := c.Send(t.Context(), outbound.Message{To: "group:1", Text: "hello"})
	words := wantReason(t, err, outbound.Rejected, "1200")
	for _, secret := range []string{"query", "pass-word"} {
		if strings.Contains(words, secret) {
			t.Errorf("got %q, want no %q", words, secret)
		}
	}
}

func TestOnline(t *testing.T) {
	t.Parallel()
	tests := []struct {
		body   string
		online bool
		known  bool
	}{
		{`{"status":"ok","retcode":0,"data":{"online":true,"good":true}}`, true, true},
		{`{"status":"ok","retcode":0,"data":{"online":false,"good":true}}`, false, true},
		{`{"status":"ok","retcode":0,"data":{"good":true}}`, false, false},
		{`{"status":"failed","retcode":1404,"data":null}`, false, false},
		{`no JSON`, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.body, func(t *testing.T) {
			t.Parallel()
			fake, c, _ := posting(t, "")
			fake.Answers(func(onebottest.Action) onebottest.Answer { return onebottest.Answer{JSON: tt.body} })
			got, err := c.(outbound.Checker).Online(t.Context())
			if got != tt.online || (err == nil) != tt.known {
				t.Errorf("got %v, %v; want %v, known %v", got, err, tt.online, tt.known)
			}
		})
	}
}

func TestAbilities(t *testing.T) {
	t.Parallel()
	const bold = "**很好** 2*3"
	for _, c := range []onebot.Config{
		{URL: "http://x.example:3000"}, {URL: "wss://x.example/?access_token=x"}, {Reverse: true, Markdown: "keep"},
	} {
		made := open(t, c, connector.Wire{Self: theSelf})
		if m := made.(outbound.Measured); m.MaxText() != 3000 || m.Measure("长a") != 2 {
			t.Errorf("measured: got %d of %d", m.Measure("长a"), m.MaxText())
		}
		l, counted := made.(outbound.Paced).Pace("private:1@2")
		if counted != "private:1" || l.Account != (outbound.Rate{N: 1, Per: 500 * time.Millisecond, Burst: 1}) || l.Ramp != 0 {
			t.Errorf("pace: got %+v for %q", l, counted)
		}
		want := "很好 2*3"
		if c.Markdown == "keep" {
			want = bold
		}
		if got := made.(outbound.Renderer).Render(bold); got != want {
			t.Errorf("render: got %q, want %q", got, want)
		}
		_, resident := made.(outbound.Resident)
		_, host := made.(connector.Hosted)
		if resident != !strings.HasPrefix(c.URL, "http") || host != c.Reverse {
			t.Errorf("%+v: resident %v, hosted %v", c, resident, host)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		c    onebot.Config
		want string
	}{
		{"nothing", onebot.Config{}, "url: want an http"},
		{"another scheme", onebot.Config{URL: "ftp://x.example"}, "url: want an http"},
		{"no host", onebot.Config{URL: "ws:///"}, "url: want an http"},
		{"no URL", onebot.Config{URL: "http://[::1"}, "url: want an http"},
		{"events only", onebot.Config{URL: "ws://x.example/event"}, "url: want the address without"},
		{"calls only", onebot.Config{URL: "ws://x.example/api/"}, "url: want the address without"},
		{"markdown", onebot.Config{URL: "ws://x.example/", Markdown: "html"}, "markdown: want"},
		{"reverse for whoever comes", onebot.Config{Reverse: true}, "self: ims.<name>.self must be set"},
		{
			"reverse with all else",
			onebot.Config{URL: "ws://x.example/", Token: secret.New("tok-1"), Reverse: true, Markdown: "x"},
			"markdown: want plain or keep\nurl: want none with reverse, the implementation connects to the relay\n" +
				"token: want none with reverse, the token of the IM account is checked\n" +
				"self: ims.<name>.self must be set with reverse: it is who may connect",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := onebot.New(tt.c, connector.Wire{})
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || got != nil {
				t.Errorf("got %v, %v; want nil and %s", got, err, tt.want)
			}
		})
	}
}

// TestRealSockets: both ways over the loopback, through the relay's own guard.
func TestRealSockets(t *testing.T) {
	t.Parallel()
	w, world := wire(t)
	made := open(t, onebot.Config{Reverse: true}, w)
	relay := httptest.NewServer(made.(http.Handler))
	defer relay.Close()
	fake := onebottest.New(t, onebottest.Options{Heartbeat: time.Second})
	im := httptest.NewServer(fake)
	defer im.Close()
	other, otherWorld := wire(t)
	dialling := open(t, onebot.Config{URL: strings.Replace(im.URL, "http", "ws", 1)}, other)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, c := range []outbound.Connector{made, dialling} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.(outbound.Resident).Run(ctx)
		}()
		defer func() { cancel(); <-done }()
	}
	if got := fake.Connect(strings.Replace(relay.URL, "http", "ws", 1), "Universal"); got != http.StatusSwitchingProtocols {
		t.Fatalf("connect: got %d", got)
	}
	eventually(t, "two connections", func() bool {
		now, _ := fake.Connections()
		return now == 2
	})
	eventually(t, "a send by the one that was opened to us", func() bool {
		_, err := made.Send(ctx, outbound.Message{To: "group:1", Text: "hello"})
		return err == nil
	})
	if _, err := dialling.Send(ctx, outbound.Message{To: "group:1", Text: "hello"}); err != nil {
		t.Errorf("send: %v", err)
	}
	fake.Push(event(0))
	eventually(t, "the event by both", func() bool { return len(world.taken()) == 1 && len(otherWorld.taken()) == 1 })
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("no %s within 10s", what)
		}
	}
}
