package xybot_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/connectortest"
	"github.com/imrelay/imrelay/outbound/connector/ipad"
	"github.com/imrelay/imrelay/outbound/connector/ipad/ipadtest"
	"github.com/imrelay/imrelay/outbound/connector/xybot"
	"github.com/imrelay/imrelay/outbound/connector/xybot/xybottest"
)

const (
	theSelf  = "wxid_helper"
	sentText = `{"Success":true,"Code":0,"Message":"成功","Data":{"BaseResponse":{"ret":0,"errMsg":{}},"Count":1,"List":[{"Ret":0,"MsgId":7219,"ClientMsgid":1767002540,"Createtime":1767002540,"NewMsgId":%s}]}}`
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, api := range []string{"bare", "msg"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			connectortest.Run(t, connectortest.Harness{
				New: func(t *testing.T, s connectortest.Setup) outbound.Connector {
					t.Helper()
					c, err := xybot.New(xybot.Config{URL: s.URL + "/", API: api},
						connector.Wire{Self: s.Secret, Doer: ipadtest.Dial(t), Timeout: s.Timeout})
					if err != nil {
						t.Fatalf("new: %v", err)
					}
					return c
				},
				Sent:     func(id string) string { return fmt.Sprintf(sentText, id) },
				IDs:      []string{`7265419038812345671`, `"7265419038812345671"`, `9223372036854775807`, `1968256046`},
				Refusals: refusals(),
			})
		})
	}
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
		return plain(code+" "+words, fmt.Sprintf(`{"Success":false,"Code":%s,"Message":%q,"Data":null}`, code, words), strings.Trim(code, `"`), want)
	}
	return []connectortest.Refusal{
		outer("-7", "已退出登录", outbound.NotSent),
		outer("-8", "链接过期", outbound.NotSent),
		outer("-11", "登录异常", outbound.NotSent),
		outer("-12", "操作过于频繁", outbound.Throttled),
		outer(`"-12"`, "", outbound.Throttled),
		outer("-1", "参数错误", outbound.Rejected),
		outer("-13", "上传失败", outbound.Rejected),
		outer("-13", "上传失败: timeout", outbound.Uncertain),
		outer("-1", "runtime error: invalid memory address or nil pointer dereference", outbound.Uncertain),
		outer("-2", "invalid character '<' looking for beginning of value", outbound.Uncertain),
		outer("-2", "系统异常", outbound.Uncertain),
		outer("-2", "请求超时", outbound.Uncertain),
		outer("-2", "账号已离线", outbound.NotSent),
		outer("-6", "", outbound.Uncertain),
		outer("-10", "数据库错误", outbound.Uncertain),
		outer("0", "", outbound.Uncertain),
		plain("no code", `{"Success":false,"Message":"?"}`, "", outbound.Uncertain),
		plain("Success as a text", `{"Success":"false","Code":0,"Data":{"Newmsgid":81}}`, "0", outbound.Uncertain),
		plain("a code beside Success", `{"Success":true,"Code":-12,"Message":""}`, "-12", outbound.Throttled),
		plain("in lower case", `{"success":false,"code":-7,"message":""}`, "-7", outbound.NotSent),
		plain("WeChat's no", `{"Success":true,"Code":0,"Data":{"BaseResponse":{"ret":0},"List":[{"Ret":-22,"NewMsgId":0}]}}`, "-22", outbound.Rejected),
		plain("WeChat's no to a picture", `{"Success":true,"Code":0,"Data":{"BaseResponse":{"ret":-104},"Newmsgid":0}}`, "-104", outbound.Rejected),
		plain("WeChat's logout", `{"Success":true,"Code":0,"Data":{"BaseResponse":{"ret":4294967283}}}`, "-13", outbound.NotSent),
		plain("nothing said", `{"Code":0,"Data":{}}`, "no_result", outbound.Uncertain),
		plain("no object", `[true]`, "no_result", outbound.Uncertain),
		plain("no JSON", `<html>Bad Gateway</html>`, "no_json", outbound.Uncertain),
		plain("nothing", ``, "no_json", outbound.Uncertain),
		plain("cut off", `{"Success":true,"Code":0`, "no_json", outbound.Uncertain),
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// paths are those of one kind of server.
type paths struct{ text, image, voice, heartbeat string }

// TestPad runs what all such servers share, with either kind of paths.
func TestPad(t *testing.T) {
	t.Parallel()
	for api, p := range map[string]paths{
		"bare": {"/SendTextMsg", "/SendImageMsg", "/SendVoiceMsg", "/Heartbeat"},
		"msg":  {"/api/Msg/SendTxt", "/api/Msg/UploadImg", "/api/Msg/SendVoice", "/api/Login/HeartBeat"},
	} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			messages, arrive := each()
			ipadtest.Run(t, ipadtest.Harness{
				Server: func(o ipadtest.Options) *ipadtest.Server {
					return xybottest.New(xybottest.Options{Options: o, Wxid: theSelf, Msg: api == "msg"}).Server
				},
				New: func(t *testing.T, base string, w connector.Wire) ipad.Connector {
					t.Helper()
					w.Self = theSelf
					c, err := xybot.New(xybot.Config{URL: base, API: api}, w)
					if err != nil {
						t.Fatalf("new: %v", err)
					}
					return c
				},
				Messages: messages, Arrive: arrive, Fetches: true, Sent: sentText,
				Failed: `{"Success":false,"Code":-2,"Message":%s,"Data":null}`, IDs: ids(), Offline: offline(), Logins: logins(),
				Asks:  post(p.heartbeat+"?wxid="+theSelf, `{"Wxid":"`+theSelf+`"}`),
				Posts: p.posts(),
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
		{Type: "text", Text: "hello"},
		{Type: "text", Text: "@Alice\u2005hello", Ats: []string{"wxid_alice"}},
		{Type: "image", Medium: []byte(ipadtest.PNG)},
		{Type: "voice", Medium: []byte(ipadtest.Silk), Millis: 2540},
	}
}

// ids are those of answers that tell of a sent message.
func ids() map[string]string {
	return map[string]string{
		fmt.Sprintf(sentText, ipadtest.ID):                            ipadtest.ID,
		fmt.Sprintf(sentText, `{"high":1976706754,"low":1032436816}`): "8489890863244754000",
		fmt.Sprintf(sentText, `0`):                                    "",
		`{"Success":true,"Code":0,"Data":{"ClientImgId":{"string":"x"},"Msgid":7,"Newmsgid":` + ipadtest.ID + `}}`: ipadtest.ID,
		`{"Success":true,"Data":{"newMsgId":"` + ipadtest.ID + `"}}`:                                               ipadtest.ID,
		`{"success":true,"code":"0","data":null}`:                                                                  "",
		`{"Code":0,"Data":{"List":[{"NewMsgId":` + ipadtest.ID + `}]}}`:                                            ipadtest.ID,
	}
}

// offline says which failures tell of a logout.
func offline() map[string]bool {
	return map[string]bool{
		`{"Success":false,"Code":-7,"Message":""}`:                       true,
		`{"Success":false,"Code":-8,"Message":"请求超时"}`:                   true,
		`{"Success":false,"Code":-11,"Message":""}`:                      true,
		`{"Success":true,"Code":0,"Data":{"BaseResponse":{"ret":-100}}}`: true,
		`{"Success":false,"Code":-12,"Message":"账号已离线"}`:                 false,
		`{"Success":false,"Code":-1,"Message":"账号已离线"}`:                  false,
	}
}

// logins are answers to the question for the login.
func logins() []ipadtest.Login {
	return []ipadtest.Login{
		{Name: "online", Answer: `{"Success":true,"Code":0,"Data":{"BaseResponse":{"ret":0}}}`, In: true, Known: true},
		{Name: "online, and nothing more", Answer: `{"Success":true,"Code":0,"Data":null}`, In: true, Known: true},
		{Name: "logged out", Answer: `{"Success":false,"Code":-7,"Message":"已退出登录"}`, In: false, Known: true},
		{Name: "logged out, in words", Answer: `{"Success":false,"Code":-2,"Message":"用户已退出登录"}`, In: false, Known: true},
		{Name: "WeChat's word", Answer: `{"Success":true,"Code":0,"Data":{"BaseResponse":{"ret":-13}}}`, In: false, Known: true},
		{Name: "another failure", Answer: `{"Success":false,"Code":-2,"Message":"系统异常"}`, In: false, Known: false},
		{Name: "no JSON", Answer: `alive`, In: false, Known: false},
	}
}

// post is a call as the server sees it.
func post(uri, body string) ipadtest.Call {
	return ipadtest.Call{Method: "POST", URI: uri, Body: body, ContentType: "application/json"}
}

// posts is what is posted, and where.
func (p paths) posts() []ipadtest.Posted {
	to := func(path, rest string) ipadtest.Call {
		return post(path, `{"Wxid":"`+theSelf+`","ToWxid":"`+ipadtest.Room+`",`+rest+`}`)
	}
	return []ipadtest.Posted{
		{
			Name: "a text", Call: to(p.text, `"Content":"a < b & \"c\"\n","Type":1,"At":""`),
			Message: outbound.Message{Text: "a < b & \"c\"\n"},
		},
		{
			Name: "a reply", Call: to(p.text, `"Content":"hello","Type":1,"At":""`),
			Message: outbound.Message{Text: "hello", ReplyTo: ipadtest.ID},
		},
		{
			Name: "mentions",
			Call: to(p.text, `"Content":"@wxid_bob`+"\u2005"+`@Alice hello","Type":1,"At":"wxid_alice,wxid_bob"`),
			Message: outbound.Message{
				Text: "@Alice hello", Mentions: []outbound.Mention{{ID: "wxid_alice", Name: "Alice"}, {ID: "wxid_bob"}},
			},
		},
		{
			Name: "a picture", Call: to(p.image, `"Base64":"`+b64(ipadtest.PNG)+`"`),
			Message: outbound.Message{Media: []outbound.Media{{Type: "image", URL: "/a.png"}}},
		},
		{
			Name: "a voice message", Call: to(p.voice, `"Base64":"`+b64(ipadtest.Silk)+`","VoiceTime":2540,"Type":4`),
			Message: outbound.Message{Media: []outbound.Media{{Type: "voice", URL: "/a.silk", Millis: 2540}}},
		},
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		c    xybot.Config
		w    connector.Wire
		want []string
	}{
		{"no url", xybot.Config{}, connector.Wire{Self: theSelf}, []string{"url:"}},
		{"a query", xybot.Config{URL: "http://127.0.0.1:9000?a=b"}, connector.Wire{Self: theSelf}, []string{"url:"}},
		{"another api", xybot.Config{URL: "http://127.0.0.1:9000", API: "v2"}, connector.Wire{Self: theSelf}, []string{"api:"}},
		{"another markdown", xybot.Config{URL: "http://127.0.0.1:9000", Markdown: "no"}, connector.Wire{Self: theSelf}, []string{"markdown:"}},
		{"no self", xybot.Config{URL: "http://127.0.0.1:9000"}, connector.Wire{Account: "wechat"}, []string{"self: want the account's own wxid in ims.wechat.self"}},
		{"no self and no name", xybot.Config{URL: "http://127.0.0.1:9000"}, connector.Wire{}, []string{"self: want the account's own wxid in ims.<name>.self"}},
		{"all of it", xybot.Config{API: "x", Markdown: "x"}, connector.Wire{}, []string{"url:", "api:", "self:", "markdown:"}},
	}
	if _, err := xybot.New(xybot.Config{URL: "http://127.0.0.1:9000"}, connector.Wire{Self: theSelf}); err != nil {
		t.Fatalf("got %v for a good one", err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := xybot.New(tt.c, tt.w)
			ipadtest.WantMistakes(t, err, theSelf, tt.want...)
		})
	}
}
