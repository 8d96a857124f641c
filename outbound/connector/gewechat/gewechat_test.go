package gewechat_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/connectortest"
	"github.com/imrelay/imrelay/outbound/connector/gewechat"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

const (
	theApp   = "wx_Qk3fYp8ZtR2mNc7L"
	theToken = "5b0c7d91e3f84a62"
	theRoom  = "39107264815@chatroom"
)

func dial(t *testing.T) *egress.Client {
	t.Helper()
	c := egress.New(egress.Options{})
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, c gewechat.Config, d egress.Doer) *gewechat.Connector {
	t.Helper()
	c.Token, c.AppID = secret.New(theToken), theApp
	out, err := gewechat.New(c, connector.Wire{Account: "wechat", Doer: d})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	return out
}

// answering is a server that answers everything with the body.
func answering(t *testing.T, body string) string {
	t.Helper()
	im := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(im.Close)
	return im.URL + "/v2/api"
}

func wantError(t *testing.T, err error) *outbound.SendError {
	t.Helper()
	e, ok := errors.AsType[*outbound.SendError](err)
	if !ok {
		t.Fatalf("got %v, want a SendError", err)
	}
	return e
}

func TestConformance(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, connectortest.Harness{
		New: func(t *testing.T, s connectortest.Setup) outbound.Connector {
			t.Helper()
			c, err := gewechat.New(gewechat.Config{URL: s.URL + "/v2/api/", Token: secret.New(s.Secret), AppID: theApp},
				connector.Wire{Doer: dial(t), Timeout: s.Timeout})
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

// TestOffline: the account is offline when the words say so, and for no other failure.
func TestOffline(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       bool
		detail     string
	}{
		{"offline", `{"ret":500,"msg":"发送文本消息失败","data":{"code":"-2","msg":"设备已离线"}}`, true, "设备已离线"},
		{"the code as a number", `{"ret":500,"msg":"发送文本消息失败","data":{"code":-2}}`, true, "发送文本消息失败"},
		{"a stranger", `{"ret":500,"msg":"发送文本消息失败","data":{"code":"-1","msg":"对方不是好友"}}`, false, "对方不是好友"},
		{"too fast", `{"ret":500,"msg":"发送文本消息失败","data":{"code":"-1","msg":"操作频繁"}}`, false, "操作频繁"},
		{"no words", `{"ret":500,"msg":"发送文本消息失败"}`, false, "发送文本消息失败"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := open(t, gewechat.Config{URL: answering(t, tt.body)}, dial(t))
			_, err := c.Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
			if e := wantError(t, err); e.Offline != tt.want || e.Detail != tt.detail {
				t.Errorf("got offline %v, detail %q; want %v, %q", e.Offline, e.Detail, tt.want, tt.detail)
			}
		})
	}
}

// TestWordsAreNotTheTexts: a server that repeats the text in its answer says nothing by it.
func TestWordsAreNotTheTexts(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{"ret":500,"msg":"失败: 设备已离线","data":{"code":"-1"}}`,
		`{"ret":500,"msg":"失败","data":{"code":"-1","msg":"设备已离线: ?"}}`,
	} {
		c := open(t, gewechat.Config{URL: answering(t, answer)}, dial(t))
		_, err := c.Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "设备已离线"})
		if e := wantError(t, err); e.Reason != outbound.Uncertain || e.Offline || strings.Contains(e.Detail, "设备") {
			t.Errorf("got %+v, want unknown, and not offline", e)
		}
	}
}

// TestRender: the marks go, unless they are to stay.
func TestRender(t *testing.T) {
	t.Parallel()
	const text = "# Weather\n**fine**, 2*3*4"
	for markdown, want := range map[string]string{"": "Weather\nfine, 2*3*4", "plain": "Weather\nfine, 2*3*4", "keep": text} {
		c := open(t, gewechat.Config{URL: "http://im.invalid", Markdown: markdown}, nil)
		if got := c.Render(text); got != want {
			t.Errorf("%q: got %q, want %q", markdown, got, want)
		}
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
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
	for data, want := range tests {
		t.Run(data, func(t *testing.T) {
			t.Parallel()
			c := open(t, gewechat.Config{URL: answering(t, `{"ret":200,"msg":"操作成功","data":`+data+`}`)}, dial(t))
			r, err := c.Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
			if err != nil || r.ID != want {
				t.Errorf("got %q, %v; want %q", r.ID, err, want)
			}
		})
	}
}

func TestOnline(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       bool
		known      bool
	}{
		{"online", `{"ret":200,"msg":"操作成功","data":true}`, true, true},
		{"offline", `{"ret":200,"msg":"操作成功","data":false}`, false, true},
		{"the device is gone", `{"ret":500,"msg":"失败","data":{"code":"-1","msg":"设备不存在"}}`, false, true},
		{"no data", `{"ret":200,"msg":"操作成功"}`, false, false},
		{"another failure", `{"ret":500,"msg":"系统异常"}`, false, false},
		{"no JSON", `true`, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := open(t, gewechat.Config{URL: answering(t, tt.body)}, dial(t)).Online(t.Context())
			if got != tt.want || (err == nil) != tt.known {
				t.Errorf("got %v, %v; want %v, known %v", got, err, tt.want, tt.known)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		c := open(t, gewechat.Config{URL: "http://im.invalid/v2/api"}, dial(t))
		if got, err := c.Online(t.Context()); got || err == nil {
			t.Errorf("got %v, %v; want an error", got, err)
		}
	})
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	c := open(t, gewechat.Config{URL: "http://im.invalid"}, nil)
	for text, want := range map[string]int{"": 0, "abc": 3, "今天": 2, "😀": 2, "a\xff": 2} {
		if got := c.Measure(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	if got := c.MaxText(); got != 2000 {
		t.Errorf("longest: got %d, want 2000", got)
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
			if err == nil || strings.Contains(err.Error(), theToken) {
				t.Fatalf("got %v, want an error that hides the token", err)
			}
			if lines := strings.Split(err.Error(), "\n"); len(lines) != len(tt.want) {
				t.Errorf("got %q, want %d mistakes", lines, len(tt.want))
			}
			for _, key := range tt.want {
				if !strings.Contains(err.Error(), key) {
					t.Errorf("got %v, want it to name %s", err, key)
				}
			}
		})
	}
}
