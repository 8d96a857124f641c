package wechatpad_test

import (
	"encoding/base64"
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
	"github.com/imrelay/imrelay/outbound/connector/ipad"
	"github.com/imrelay/imrelay/outbound/connector/ipad/ipadtest"
	"github.com/imrelay/imrelay/outbound/connector/wechatpad"
	"github.com/imrelay/imrelay/outbound/connector/wechatpad/wechatpadtest"
	"github.com/imrelay/imrelay/relay/secret"
)

const (
	theKey   = "HBpEnb/9=+t3stK3y"
	query    = "?key=HBpEnb%2F9%3D%2Bt3stK3y"
	sentText = `{"Code":200,"Text":"","Data":[{"isSendSuccess":true,"textContent":"x","toUSerName":"wxid_alice","resp":{"base_response":{"ret":0,"errMsg":{}},"count":1,"chat_send_ret_list":[{"ret":0,"msgId":721940512,"clientMsgId":1767002540,"newMsgId":%s}]}}]}`
)

// open makes a connector with the key of the tests.
func open(t *testing.T, base string, w connector.Wire) ipad.Connector {
	t.Helper()
	out, err := wechatpad.New(wechatpad.Config{URL: base, Key: secret.New(theKey)}, w)
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
			c, err := wechatpad.New(wechatpad.Config{URL: s.URL + "/", Key: secret.New(s.Secret)},
				connector.Wire{Doer: ipadtest.Dial(t), Timeout: s.Timeout})
			if err != nil {
				t.Fatalf("new: %v", err)
			}
			return c
		},
		Sent:     func(id string) string { return fmt.Sprintf(sentText, id) },
		IDs:      []string{`7265419038812345671`, `"7265419038812345671"`, `9223372036854775807`, `1968256046`},
		Refusals: refusals(),
	})
}

func refusals() []connectortest.Refusal {
	plain := func(name, body, code string, want outbound.Reason) connectortest.Refusal {
		r := connectortest.Refusal{Name: name, Status: 200, Body: body, Code: code, Want: want}
		if want == outbound.Throttled {
			r.After = 3 * time.Minute
		}
		return r
	}
	outer := func(code, words string, want outbound.Reason) connectortest.Refusal {
		return plain(code+" "+words, fmt.Sprintf(`{"Code":%s,"Data":null,"Text":%q}`, code, words), strings.Trim(code, `"`), want)
	}
	inner := func(name, item, code string, want outbound.Reason) connectortest.Refusal {
		return plain(name, `{"Code":200,"Data":[`+item+`],"Text":""}`, code, want)
	}
	ret := func(ret, code string, want outbound.Reason) connectortest.Refusal {
		return inner("ret "+ret, `{"isSendSuccess":true,"resp":{"base_response":{"ret":0},"chat_send_ret_list":[{"ret":`+ret+`,"newMsgId":0}]}}`, code, want)
	}
	return []connectortest.Refusal{
		outer("300", "", outbound.NotSent),
		outer("300", "不存在状态", outbound.NotSent),
		outer(`"300"`, "未知", outbound.NotSent),
		outer("300", "发送超时", outbound.Uncertain),
		outer("300", "参数错误", outbound.Rejected),
		outer("300", "runtime error: invalid memory address or nil pointer dereference", outbound.Uncertain),
		outer("-2", "proto: illegal wireType 7", outbound.Uncertain),
		outer("-1", "返回数据格式错误", outbound.Uncertain),
		outer("300", "操作频繁", outbound.Throttled),
		outer("-2", "该key不存在", outbound.Rejected),
		outer("-2", "请重新登录", outbound.NotSent),
		outer("-1", "系统异常", outbound.Uncertain),
		outer("500", "Post https://short.weixin.example: EOF", outbound.Uncertain),
		outer("1.5", "", outbound.Uncertain),
		ret("4294967294", "-2", outbound.Rejected),
		ret("-22", "-22", outbound.Rejected),
		ret("-13", "-13", outbound.NotSent),
		ret("4294967262", "-34", outbound.Throttled),
		ret("-1", "-1", outbound.Uncertain),
		inner("not sent", `{"isSendSuccess":false}`, "not_sent", outbound.Uncertain),
		inner("the answer's code", `{"isSendSuccess":true,"resp":{"base_response":{"ret":-24,"errMsg":{"str":"x"}}}}`, "-24", outbound.Throttled),
		inner("a picture's code", `{"imageId":"a","resp":{"baseResponse":{"ret":-104}}}`, "-104", outbound.Rejected),
		inner("in capitals", `{"IsSendSuccess":true,"Resp":{"BaseResponse":{"Ret":-13}}}`, "-13", outbound.NotSent),
		inner("an item that says nothing", `{}`, "no_result", outbound.Uncertain),
		plain("in lower case", `{"code":300,"text":"","data":null}`, "300", outbound.NotSent),
		plain("no item", `{"Code":200,"Data":[],"Text":""}`, "no_result", outbound.Uncertain),
		plain("no data", `{"Code":200}`, "no_result", outbound.Uncertain),
		plain("no code", `{"Data":[{"isSendSuccess":true}]}`, "", outbound.Uncertain),
		plain("no object", `[200]`, "", outbound.Uncertain),
		plain("no JSON", `<html>Bad Gateway</html>`, "no_json", outbound.Uncertain),
		plain("nothing", ``, "no_json", outbound.Uncertain),
		plain("cut off", `{"Code":200,"Data":[{"isSendSuccess":true`, "no_json", outbound.Uncertain),
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestPad runs what all such servers share, in each way that builds spell their keys.
func TestPad(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]wechatpadtest.Spelling{
		"usual": wechatpadtest.Usual, "pascal": wechatpadtest.Pascal, "lower": wechatpadtest.Lower,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			messages, arrive := each()
			ipadtest.Run(t, ipadtest.Harness{
				Server: func(o ipadtest.Options) *ipadtest.Server {
					return wechatpadtest.New(wechatpadtest.Options{Options: o, Key: theKey, Spelling: s}).Server
				},
				New: open, Messages: messages, Arrive: arrive, Fetches: true, Sent: sentText,
				Failed: `{"Code":-1,"Data":null,"Text":%s}`, IDs: ids(), Offline: offline(),
				Logins: logins(), Asks: ipadtest.Call{Method: "GET", URI: "/login/GetLoginStatus" + query, ContentType: "application/json"},
				Posts: posts(),
			})
		})
	}
}

// each is a message of each kind, and what arrives of it.
func each() ([]outbound.Message, []ipadtest.Sent) {
	messages := []outbound.Message{
		{Text: "hello"},
		{Text: "hello", Mentions: []outbound.Mention{{ID: "wxid_alice", Name: "Alice"}}},
		{Media: []outbound.Media{{Type: "image", URL: "data:image/png;base64," + b64(ipadtest.PNG)}}},
		{Media: []outbound.Media{{Type: "voice", URL: "data:audio/silk;base64," + b64(ipadtest.Silk), Millis: 2540}}},
	}
	return messages, []ipadtest.Sent{
		{Type: "text", Text: "hello", Ats: []string{}},
		{Type: "text", Text: "@Alice\u2005hello", Ats: []string{"wxid_alice"}},
		{Type: "image", Medium: []byte(ipadtest.PNG)},
		{Type: "voice", Medium: []byte(ipadtest.Silk), Millis: 3000},
	}
}

// ids are those of answers that tell of a sent message.
func ids() map[string]string {
	return map[string]string{
		fmt.Sprintf(sentText, ipadtest.ID):                            ipadtest.ID,
		fmt.Sprintf(sentText, `"`+ipadtest.ID+`"`):                    ipadtest.ID,
		fmt.Sprintf(sentText, `{"high":1976706754,"low":1032436816}`): "8489890863244754000",
		fmt.Sprintf(sentText, `0`):                                    "",
		fmt.Sprintf(sentText, `null`):                                 "",
		`{"Code":200,"Data":[{"isSendSuccess":true,"resp":{"ChatSendRetList":[{"Ret":0,"NewMsgId":` + ipadtest.ID + `}]}}]}`: ipadtest.ID,
		`{"code":0,"data":{"new_msg_id":` + ipadtest.ID + `}}`:                                                               ipadtest.ID,
		`{"code":"200","data":[{"isSendSuccess":true,"resp":{}}]}`:                                                           "",
		`{"Code":200,"Data":[{"imageId":"a","resp":{"baseResponse":{"ret":0},"newMsgId":` + ipadtest.ID + `}}]}`:             ipadtest.ID,
	}
}

// offline says which failures tell of a logout.
func offline() map[string]bool {
	return map[string]bool{
		`{"Code":300,"Data":null,"Text":"不存在状态"}`: true,
		`{"code":300}`: true,
		`{"Code":200,"Data":[{"resp":{"chat_send_ret_list":[{"ret":4294967283}]}}],"Text":""}`: true,
		`{"Code":-2,"Data":null,"Text":"该key不存在"}`:                                             false,
		`{"Code":300,"Data":null,"Text":"请求超时"}`:                                               false,
	}
}

// logins are answers to the question for the login.
func logins() []ipadtest.Login {
	return []ipadtest.Login{
		{Name: "online", Answer: `{"Code":200,"Data":{"loginState":1,"loginErrMsg":"账号在线状态良好！"},"Text":""}`, In: true, Known: true},
		{Name: "online, oddly written", Answer: `{"code":0,"data":{"LoginState":"1"}}`, In: true, Known: true},
		{Name: "offline", Answer: `{"Code":200,"Data":{"loginState":3,"loginErrMsg":"账号已离线"},"Text":""}`, In: false, Known: true},
		{Name: "never logged in", Answer: `{"Code":300,"Data":null,"Text":"不存在状态"}`, In: false, Known: true},
		{Name: "no state", Answer: `{"Code":200,"Data":{},"Text":""}`, In: false, Known: false},
		{Name: "no such key", Answer: `{"Code":-2,"Data":null,"Text":"该key不存在"}`, In: false, Known: false},
		{Name: "another failure", Answer: `{"Code":-1,"Text":"系统异常"}`, In: false, Known: false},
		{Name: "no JSON", Answer: `true!`, In: false, Known: false},
	}
}

// posts is what is posted, and where.
func posts() []ipadtest.Posted {
	post := func(path, body string) ipadtest.Call {
		return ipadtest.Call{Method: "POST", URI: path + query, Body: body, ContentType: "application/json"}
	}
	text := func(at, text string) ipadtest.Call {
		return post("/message/SendTextMessage", `{"MsgItem":[{"AtWxIDList":[`+at+`],"ImageContent":"","MsgType":1,"TextContent":"`+text+
			`","ToUserName":"`+ipadtest.Room+`"}]}`)
	}
	alice := outbound.Mention{ID: "wxid_alice", Name: "Alice"}
	return []ipadtest.Posted{
		{Name: "a text", Call: text("", `a < b & \"c\"\n`), Message: outbound.Message{Text: "a < b & \"c\"\n"}},
		{Name: "a reply", Call: text("", "hello"), Message: outbound.Message{Text: "hello", ReplyTo: ipadtest.ID}},
		{
			Name: "a mention", Call: text(`"wxid_alice"`, "@Alice\u2005hello"),
			Message: outbound.Message{Text: "hello", Mentions: []outbound.Mention{alice, alice}},
		},
		{
			Name: "a picture",
			Call: post("/message/SendImageNewMessage", `{"MsgItem":[{"AtWxIDList":[],"ImageContent":"`+b64(ipadtest.PNG)+
				`","MsgType":3,"TextContent":"","ToUserName":"`+ipadtest.Room+`"}]}`),
			Message: outbound.Message{Media: []outbound.Media{{Type: "image", URL: "/a.png"}}},
		},
		{
			Name: "a voice message",
			Call: post("/message/SendVoice", `{"ToUserName":"`+ipadtest.Room+`","VoiceData":"`+b64(ipadtest.Silk)+
				`","VoiceFormat":4,"VoiceSecond":3}`),
			Message: outbound.Message{Media: []outbound.Media{{Type: "voice", URL: "/a.silk", Millis: 2540}}},
		},
	}
}

// TestHides: a key is hidden as it is written in a URL, too.
func TestHides(t *testing.T) {
	t.Parallel()
	im := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"Code":"`+theKey+`","Text":"GET /x`+query+` `+theKey+` hello world"}`)
	}))
	defer im.Close()
	_, err := open(t, im.URL, connector.Wire{Doer: ipadtest.Dial(t)}).Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello world"})
	for _, hidden := range []string{theKey, "HBpEnb%2F9", "hello world"} {
		if strings.Contains(ipadtest.WantError(t, err).Error(), hidden) {
			t.Errorf("the error shows %q: %v", hidden, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := wechatpad.Config{URL: "http://127.0.0.1:8059", Key: secret.New(theKey)}
	tests := []struct {
		name   string
		change func(c *wechatpad.Config)
		want   []string
	}{
		{"no url", func(c *wechatpad.Config) { c.URL = "" }, []string{"url:"}},
		{"another scheme", func(c *wechatpad.Config) { c.URL = "ws://127.0.0.1:8059" }, []string{"url:"}},
		{"no host", func(c *wechatpad.Config) { c.URL = "http:///" }, []string{"url:"}},
		{"a query", func(c *wechatpad.Config) { c.URL += "?key=x" }, []string{"url:"}},
		{"no key", func(c *wechatpad.Config) { c.Key = secret.Text{} }, []string{"key:"}},
		{"a key with a line end", func(c *wechatpad.Config) { c.Key = secret.New(theKey + "\n") }, []string{"key:"}},
		{"another markdown", func(c *wechatpad.Config) { c.Markdown = "html" }, []string{"markdown:"}},
		{"all of it", func(c *wechatpad.Config) { *c = wechatpad.Config{Markdown: "x"} }, []string{"url:", "key:", "markdown:"}},
	}
	if _, err := wechatpad.New(good, connector.Wire{}); err != nil {
		t.Fatalf("got %v for a good one", err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := good
			tt.change(&c)
			_, err := wechatpad.New(c, connector.Wire{})
			ipadtest.WantMistakes(t, err, theKey, tt.want...)
		})
	}
}
