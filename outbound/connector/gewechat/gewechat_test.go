package gewechat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/connectortest"
	"github.com/imrelay/imrelay/outbound/connector/gewechat"
	"github.com/imrelay/imrelay/outbound/connector/gewechat/gewechattest"
	"github.com/imrelay/imrelay/outbound/connector/ipad"
	"github.com/imrelay/imrelay/outbound/connector/ipad/ipadtest"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

const (
	theApp   = "wx_Qk3fYp8ZtR2mNc7L"
	theToken = "5b0c7d91e3f84a62"
	theRoom  = ipadtest.Room
)

func open(t *testing.T, c gewechat.Config, d egress.Doer) *gewechat.Connector {
	t.Helper()
	c.Token, c.AppID = secret.New(theToken), theApp
	out, err := gewechat.New(c, connector.Wire{Account: "wechat", Doer: d})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	return out
}

func TestConformance(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, connectortest.Harness{
		New: func(t *testing.T, s connectortest.Setup) outbound.Connector {
			t.Helper()
			c, err := gewechat.New(gewechat.Config{URL: s.URL + "/v2/api/", Token: secret.New(s.Secret), AppID: theApp},
				connector.Wire{Doer: ipadtest.Dial(t), Timeout: s.Timeout})
			if err != nil {
				t.Fatalf("new: %v", err)
			}
			return c
		},
		Sent: func(id string) string {
			return fmt.Sprintf(`{"ret":200,"msg":"操作成功","data":{"createTime":1767002533,"msgId":0,"newMsgId":%s,"type":1}}`, id)
		},
		IDs:      []string{`7265419038812345671`, `"7265419038812345671"`, `9223372036854775807`, `1968256046`},
		Refusals: refusals(),
	})
}

func refusals() []connectortest.Refusal {
	said := func(name, code, words string, want outbound.Reason) connectortest.Refusal {
		return connectortest.Refusal{
			Name: name + " " + words, Status: 200, Want: want, Code: code,
			Body: fmt.Sprintf(`{"ret":500,"msg":"发送文本消息失败","data":{"code":%q,"msg":%q}}`, code, words),
		}
	}
	plain := func(name, body string, want outbound.Reason) connectortest.Refusal {
		return connectortest.Refusal{Name: name, Status: 200, Body: body, Want: want}
	}
	out := []connectortest.Refusal{
		said("offline", "-2", "设备已离线", outbound.NotSent),
		said("offline", "-1", "账号未登录", outbound.NotSent),
		said("offline", "-1", "device is Offline", outbound.NotSent),
		said("gone", "-1", "[wx_Qk3fYp8ZtR2mNc7L]设备不存在", outbound.NotSent),
		said("the code alone", "-2", "", outbound.NotSent),
		said("a refusal with the code", "-2", "参数错误", outbound.Rejected),
		said("a stranger", "-1", "对方不是好友", outbound.Rejected),
		said("unknown", "-1", "用户不存在", outbound.Rejected),
		said("too long", "-1", "content exceeds length limit: too long", outbound.Rejected),
		said("time-out", "-1", "请求超时", outbound.Uncertain),
		said("time-out, which need not be for lack of a login", "-2", "请求超时，请重新登录", outbound.Uncertain),
		said("lost", "-1", `Post "http://short.weixin.example/mmtls/655645db": EOF`, outbound.Uncertain),
		said("worn out", "-1", "exceeded maximum retries", outbound.Uncertain),
		said("anything else", "-1", "系统异常", outbound.Uncertain),
		said("a crash", "-2", "runtime error: invalid memory address or nil pointer dereference", outbound.Uncertain),
		said("a lost result", "-1", "消息结果不存在", outbound.Uncertain),
		said("a lost result", "-1", "no such key in cache: not found", outbound.Uncertain),
		said("after the upload", "-1", "download url token expired", outbound.Uncertain),
		plain("a crash beside a lower ret", `{"ret":400,"msg":"响应参数解析失败"}`, outbound.Uncertain),
		plain("data as text", `{"ret":500,"msg":"失败","data":"设备已离线"}`, outbound.NotSent),
		plain("no data", `{"ret":500,"msg":"header:X-GEWE-TOKEN 不可为空"}`, outbound.Rejected),
		plain("no words", `{"ret":500}`, outbound.Uncertain),
		plain("a lower ret", `{"ret":400,"msg":"?"}`, outbound.Rejected),
		plain("ret as text", `{"ret":"401","msg":"?"}`, outbound.Rejected),
		plain("ret 0", `{"ret":0,"data":{"newMsgId":7265419038812345671}}`, outbound.Uncertain),
		plain("no ret", `{"data":{"newMsgId":7265419038812345671}}`, outbound.Uncertain),
		plain("no object", `[200]`, outbound.Uncertain),
		plain("no JSON", `<html>Bad Gateway</html>`, outbound.Uncertain),
		plain("nothing", ``, outbound.Uncertain),
		plain("cut off", `{"ret":200,"data":{`, outbound.Uncertain),
	}
	for _, words := range []string{"操作过于频繁，请稍后再试", "send Too Frequently", "too frequent", "reach the limit"} {
		r := said("too fast", "-1", words, outbound.Throttled)
		r.After = 3 * time.Minute
		out = append(out, r)
	}
	return out
}

// TestPad runs what all such servers share.
func TestPad(t *testing.T) {
	t.Parallel()
	messages, arrive := each()
	all := ids()
	h := ipadtest.Harness{
		Server: func(o ipadtest.Options) *ipadtest.Server {
			return gewechattest.New(gewechattest.Options{Options: o, Token: theToken, AppID: theApp, Wxid: "wxid_helper"}).Server
		},
		Base: gewechattest.Base,
		New: func(t *testing.T, base string, w connector.Wire) ipad.Connector {
			t.Helper()
			c, err := gewechat.New(gewechat.Config{URL: base, Token: secret.New(theToken), AppID: theApp, Quote: true}, w)
			if err != nil {
				t.Fatalf("new: %v", err)
			}
			return c
		},
		Messages: messages, Arrive: arrive, Sent: `{"ret":200,"data":{"msgId":0,"newMsgId":%s}}`,
		Failed: `{"ret":500,"msg":"失败","data":{"code":"-1","msg":%s}}`, IDs: map[string]string{},
		Offline: map[string]bool{
			`{"ret":500,"msg":"发送文本消息失败","data":{"code":"-2","msg":"设备已离线"}}`:   true,
			`{"ret":500,"msg":"发送文本消息失败","data":{"code":-2}}`:                   true,
			`{"ret":500,"msg":"发送文本消息失败","data":{"code":"-1","msg":"账号已退出登录"}}`: true,
			`{"ret":500,"msg":"发送文本消息失败","data":{"code":"-1","msg":"对方不是好友"}}`:  false,
			`{"ret":500,"msg":"发送文本消息失败","data":{"code":"-1","msg":"操作频繁"}}`:    false,
			`{"ret":500,"msg":"发送文本消息失败"}`:                                      false,
		},
		Logins: logins(),
		Asks: ipadtest.Call{
			Method: "POST", URI: gewechattest.Base + "/login/checkOnline", Body: `{"appId":"` + theApp + `"}`, ContentType: "application/json",
		},
	}
	for data, id := range all {
		h.IDs[`{"ret":200,"msg":"操作成功","data":`+data+`}`] = id
	}
	ipadtest.Run(t, h)
}

// each is a message of each kind, and what arrives of it.
func each() ([]outbound.Message, []ipadtest.Sent) {
	image, file := "https://a.example/b.png", "https://a.example/b.pdf"
	voice := "https://a.example/b.silk"
	messages := []outbound.Message{
		{Text: "hello"},
		{Text: "hello", Mentions: []outbound.Mention{{ID: "wxid_alice", Name: "Alice"}}},
		{Text: "a <b> & c", ReplyTo: ipadtest.ID},
		{Media: media("image", image, "", 0)},
		{Media: media("file", file, "", 0)},
		{Media: media("voice", voice, "", 2540)},
	}
	return messages, []ipadtest.Sent{
		{Type: "text", Text: "hello"},
		{Type: "text", Text: "@Alice\u2005hello", Ats: []string{"wxid_alice"}},
		{Type: "app", Text: reply("a &lt;b&gt; &amp; c", ipadtest.ID)},
		{Type: "image", Text: image},
		{Type: "file", Text: file, Name: "b.pdf"},
		{Type: "voice", Text: voice, Millis: 2540},
	}
}

// ids are those of the data of answers that tell of a sent message.
func ids() map[string]string {
	return map[string]string{
		`{"newMsgId":3768973957878705413}`:                         "3768973957878705413",
		`{"newMsgId":"3768973957878705413","msgId":7}`:             "3768973957878705413",
		`{"newMsgId":{"high":1690433817,"low":2864434397}}`:        "7260357962931883229",
		`{"newMsgId":{"high":1690433817,"low":-1430532899}}`:       "7260357962931883229",
		`{"newMsgId":{"high":"1690433817","low":"2864434397"}}`:    "7260357962931883229",
		`{"newMsgId":{"low":2864434397}}`:                          "2864434397",
		`{"newMsgId":{"high":0,"low":0}}`:                          "",
		`{"newMsgId":{"high":1690433817,"low":"x"}}`:               "",
		`{"newMsgId":{"high":-99999999999,"low":1}}`:               "",
		`{"newMsgId":{"high":99999999999,"low":1}}`:                "",
		`{"newMsgId":0,"msgId":1183920477}`:                        "",
		`{"newMsgId":"","msgId":1183920477}`:                       "",
		`{"newMsgId":3.7e18}`:                                      "",
		`{"newMsgId":99999999999999999999}`:                        "",
		`{"newMsgId":null}`:                                        "",
		`{"newMsgId":[1]}`:                                         "",
		`{"msgId":1183920477}`:                                     "",
		`null`:                                                     "",
		`"sent"`:                                                   "",
		`{"newMsgId":"` + strings.Repeat("7", 300) + `","type":1}`: "",
	}
}

// logins are answers to the question for the login.
func logins() []ipadtest.Login {
	return []ipadtest.Login{
		{Name: "online", Answer: `{"ret":200,"msg":"操作成功","data":true}`, In: true, Known: true},
		{Name: "offline", Answer: `{"ret":200,"msg":"操作成功","data":false}`, In: false, Known: true},
		{Name: "the device is gone", Answer: `{"ret":500,"msg":"失败","data":{"code":"-1","msg":"设备不存在"}}`, In: false, Known: true},
		{Name: "no data", Answer: `{"ret":200,"msg":"操作成功"}`, In: false, Known: false},
		{Name: "another failure", Answer: `{"ret":500,"msg":"系统异常"}`, In: false, Known: false},
		{Name: "no JSON", Answer: `true`, In: false, Known: false},
	}
}

// TestDetail: what is shown is the words nearest to the cause.
func TestDetail(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"ret":500,"msg":"发送文本消息失败","data":{"code":"-2","msg":"设备已离线"}}`: "not_sent (-2): 设备已离线",
		`{"ret":500,"msg":"发送文本消息失败","data":{"code":-2}}`:                 "not_sent (-2): 发送文本消息失败",
		`{"ret":500,"msg":"发送文本消息失败"}`:                                    "unknown (500): 发送文本消息失败",
	} {
		im := recorder{answer: answer}
		_, err := open(t, gewechat.Config{URL: base}, &im).Send(t.Context(), outbound.Message{To: theRoom, Text: "hello"})
		if got := ipadtest.WantError(t, err).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := gewechat.Config{URL: "http://127.0.0.1:2531/v2/api", Token: secret.New(theToken), AppID: theApp}
	tests := []struct {
		name   string
		change func(c *gewechat.Config)
		want   []string
	}{
		{"no url", func(c *gewechat.Config) { c.URL = "" }, []string{"url:"}},
		{"another scheme", func(c *gewechat.Config) { c.URL = "ws://127.0.0.1:2531" }, []string{"url:"}},
		{"no host", func(c *gewechat.Config) { c.URL = "http:///v2/api" }, []string{"url:"}},
		{"a query", func(c *gewechat.Config) { c.URL += "?token=x" }, []string{"url:"}},
		{"no token", func(c *gewechat.Config) { c.Token = secret.Text{} }, []string{"token:"}},
		{"a token with a line end", func(c *gewechat.Config) { c.Token = secret.New(theToken + "\n") }, []string{"token:"}},
		{"a token of two lines", func(c *gewechat.Config) { c.Token = secret.New("a\r\nX: b") }, []string{"token:"}},
		{"no app_id", func(c *gewechat.Config) { c.AppID = "" }, []string{"app_id:"}},
		{"another markdown", func(c *gewechat.Config) { c.Markdown = "html" }, []string{"markdown:"}},
		{"nothing", func(c *gewechat.Config) { *c = gewechat.Config{} }, []string{"url:", "token:", "app_id:"}},
	}
	if _, err := gewechat.New(good, connector.Wire{}); err != nil {
		t.Fatalf("got %v for a good one", err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := good
			tt.change(&c)
			_, err := gewechat.New(c, connector.Wire{})
			ipadtest.WantMistakes(t, err, theToken, tt.want...)
		})
	}
}
