package xybot_test

import (
	"encoding/base64"
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
	"github.com/imrelay/imrelay/outbound/connector/xybot"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	theSelf  = "wxid_helper"
	theRoom  = "39107264815@chatroom"
	thePNG   = "\x89PNG\r\n\x1a\nand what follows"
	theSilk  = "\x02#!SILK_V3\x0c\x00\xa7"
	theID    = "4419283746550192837"
	sentText = `{"Success":true,"Code":0,"Message":"成功","Data":{"BaseResponse":{"ret":0,"errMsg":{}},"Count":1,"List":[{"Ret":0,"MsgId":7219,"ClientMsgid":1767002540,"Createtime":1767002540,"NewMsgId":%s}]}}`
)

func dial(t *testing.T) *egress.Client {
	t.Helper()
	c := egress.New(egress.Options{})
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, c xybot.Config, d egress.Doer) *xybot.Connector {
	t.Helper()
	out, err := xybot.New(c, connector.Wire{Account: "wechat", Self: theSelf, Doer: d})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	return out
}

func wantError(t *testing.T, err error) *outbound.SendError {
	t.Helper()
	e, ok := errors.AsType[*outbound.SendError](err)
	if !ok {
		t.Fatalf("got %v, want a SendError", err)
	}
	return e
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// call is what the server saw of one.
type call struct{ method, uri, body, contentType string }

// answering is a server that answers everything with the body, and what it was asked. It has media, too.
func answering(t *testing.T, body string) (base string, calls chan call) {
	t.Helper()
	calls = make(chan call, 10)
	im := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a.png":
			_, _ = io.WriteString(w, thePNG)
		case "/a.silk":
			_, _ = io.WriteString(w, theSilk)
		default:
			b, _ := io.ReadAll(r.Body)
			calls <- call{r.Method, r.RequestURI, string(b), r.Header.Get("Content-Type")}
			_, _ = io.WriteString(w, body)
		}
	}))
	t.Cleanup(im.Close)
	return im.URL, calls
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, api := range []string{"bare", "msg"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			connectortest.Run(t, connectortest.Harness{
				New: func(t *testing.T, s connectortest.Setup) outbound.Connector {
					t.Helper()
					c, err := xybot.New(xybot.Config{URL: s.URL + "/", API: api},
						connector.Wire{Self: s.Secret, Doer: dial(t), Timeout: s.Timeout})
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
		outer("-13", "上传失败: timeout", outbound.Rejected),
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

func TestOffline(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`{"Success":false,"Code":-7,"Message":""}`:                       true,
		`{"Success":false,"Code":-8,"Message":"请求超时"}`:                   true,
		`{"Success":false,"Code":-11,"Message":""}`:                      true,
		`{"Success":true,"Code":0,"Data":{"BaseResponse":{"ret":-100}}}`: true,
		`{"Success":false,"Code":-12,"Message":"账号已离线"}`:                 false,
		`{"Success":false,"Code":-1,"Message":"账号已离线"}`:                  false,
	} {
		base, _ := answering(t, body)
		_, err := open(t, xybot.Config{URL: base}, dial(t)).Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
		if e := wantError(t, err); e.Offline != want || want && e.Reason != outbound.NotSent {
			t.Errorf("%s: got %+v, want offline %v", body, e, want)
		}
	}
}

// TestIDs: which spellings of success give which id.
func TestIDs(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		fmt.Sprintf(sentText, theID):                                  theID,
		fmt.Sprintf(sentText, `{"high":1976706754,"low":1032436816}`): "8489890863244754000",
		fmt.Sprintf(sentText, `0`):                                    "",
		`{"Success":true,"Code":0,"Data":{"ClientImgId":{"string":"x"},"Msgid":7,"Newmsgid":` + theID + `}}`: theID,
		`{"Success":true,"Data":{"newMsgId":"` + theID + `"}}`:                                               theID,
		`{"success":true,"code":"0","data":null}`:                                                            "",
		`{"Code":0,"Data":{"List":[{"NewMsgId":` + theID + `}]}}`:                                            theID,
	} {
		base, _ := answering(t, body)
		r, err := open(t, xybot.Config{URL: base}, dial(t)).Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
		if err != nil || r.ID != want {
			t.Errorf("%s: got %q, %v; want %q", body, r.ID, err, want)
		}
	}
}

// TestCalls: what is posted, and where.
func TestCalls(t *testing.T) {
	t.Parallel()
	body := func(rest string) string { return `{"Wxid":"` + theSelf + `","ToWxid":"` + theRoom + `",` + rest + `}` }
	media := func(kind string, millis int) outbound.Message {
		return outbound.Message{Media: []outbound.Media{{Type: kind, Millis: millis}}}
	}
	tests := []struct {
		name, bare, msg, file, want string
		m                           outbound.Message
	}{
		{"a text", "/SendTextMsg", "/api/Msg/SendTxt", "", body(`"Content":"a < b & \"c\"\n","Type":1,"At":""`), outbound.Message{Text: "a < b & \"c\"\n"}},
		{"a reply", "/SendTextMsg", "/api/Msg/SendTxt", "", body(`"Content":"hello","Type":1,"At":""`), outbound.Message{Text: "hello", ReplyTo: theID}},
		{
			"mentions", "/SendTextMsg", "/api/Msg/SendTxt", "",
			body(`"Content":"@wxid_bob` + "\u2005" + `@Alice hello","Type":1,"At":"wxid_alice,wxid_bob"`),
			outbound.Message{Text: "@Alice hello", Mentions: []outbound.Mention{{ID: "wxid_alice", Name: "Alice"}, {ID: "wxid_bob"}}},
		},
		{"a picture", "/SendImageMsg", "/api/Msg/UploadImg", "/a.png", body(`"Base64":"` + b64(thePNG) + `"`), media("image", 0)},
		{
			"a voice message", "/SendVoiceMsg", "/api/Msg/SendVoice", "/a.silk",
			body(`"Base64":"` + b64(theSilk) + `","VoiceTime":2540,"Type":4`), media("voice", 2540),
		},
	}
	for _, tt := range tests {
		for api, path := range map[string]string{"": tt.bare, "bare": tt.bare, "msg": tt.msg} {
			t.Run(tt.name+" "+api, func(t *testing.T) {
				t.Parallel()
				base, calls := answering(t, fmt.Sprintf(sentText, theID))
				m := tt.m
				m.To = theRoom
				if len(m.Media) > 0 {
					m.Media = []outbound.Media{{Type: m.Media[0].Type, Millis: m.Media[0].Millis, URL: base + tt.file}}
				}
				r, err := open(t, xybot.Config{URL: base, API: api}, dial(t)).Send(t.Context(), m)
				if err != nil || r.ID != theID {
					t.Fatalf("got %+v, %v", r, err)
				}
				if got, want := <-calls, (call{"POST", path, tt.want, "application/json"}); got != want || len(calls) != 0 {
					t.Errorf("\n got %+v and %d more\nwant %+v", got, len(calls), want)
				}
			})
		}
	}
}

// TestCallsNobody: what is refused, or cannot be fetched, calls nobody.
func TestCallsNobody(t *testing.T) {
	t.Parallel()
	base, calls := answering(t, fmt.Sprintf(sentText, theID))
	media := func(kind, at string) outbound.Message {
		return outbound.Message{Media: []outbound.Media{{Type: kind, URL: at, Millis: 1}}}
	}
	tests := []struct {
		name, code string
		want       outbound.Reason
		m          outbound.Message
	}{
		{"everybody", "mention", outbound.Rejected, outbound.Message{Text: "x", Mentions: []outbound.Mention{{ID: "a,notify@all"}}}},
		{"a file", "media", outbound.Rejected, media("file", base+"/a.png")},
		{"a picture that is none", "media", outbound.Rejected, media("image", base+"/a.silk")},
		{"a voice message that is none", "media", outbound.Rejected, media("voice", base+"/a.png")},
		{"nobody there", "media", outbound.NotSent, media("image", "http://127.0.0.1:1/a.png")},
		{"not ready", "called off before it began", outbound.NotSent, outbound.Message{Text: "x", Ready: func() error { return errors.New("no") }}},
	}
	for _, tt := range tests {
		_, err := open(t, xybot.Config{URL: base}, dial(t)).Send(t.Context(), tt.m)
		if e := wantError(t, err); e.Reason != tt.want || e.Code != tt.code || len(calls) != 0 {
			t.Errorf("%s: got %v after %d calls, want %v (%s) after none", tt.name, e, len(calls), tt.want, tt.code)
		}
	}
}

func TestOnline(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       bool
		known      bool
	}{
		{"online", `{"Success":true,"Code":0,"Data":{"BaseResponse":{"ret":0}}}`, true, true},
		{"online, and nothing more", `{"Success":true,"Code":0,"Data":null}`, true, true},
		{"logged out", `{"Success":false,"Code":-7,"Message":"已退出登录"}`, false, true},
		{"logged out, in words", `{"Success":false,"Code":-2,"Message":"用户已退出登录"}`, false, true},
		{"WeChat's word", `{"Success":true,"Code":0,"Data":{"BaseResponse":{"ret":-13}}}`, false, true},
		{"another failure", `{"Success":false,"Code":-2,"Message":"系统异常"}`, false, false},
		{"no JSON", `alive`, false, false},
	}
	for _, tt := range tests {
		for api, path := range map[string]string{"bare": "/Heartbeat", "msg": "/api/Login/HeartBeat"} {
			t.Run(tt.name+" "+api, func(t *testing.T) {
				t.Parallel()
				base, calls := answering(t, tt.body)
				got, err := open(t, xybot.Config{URL: base, API: api}, dial(t)).Online(t.Context())
				if got != tt.want || (err == nil) != tt.known {
					t.Errorf("got %v, %v; want %v, known %v", got, err, tt.want, tt.known)
				}
				want := call{"POST", path + "?wxid=" + theSelf, `{"Wxid":"` + theSelf + `"}`, "application/json"}
				if c := <-calls; c != want {
					t.Errorf("got %+v, want %+v", c, want)
				}
			})
		}
	}
	if got, err := open(t, xybot.Config{URL: "http://im.invalid"}, dial(t)).Online(t.Context()); got || err == nil {
		t.Errorf("nobody there: got %v, %v; want an error", got, err)
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
			if err == nil {
				t.Fatal("got no error")
			}
			lines := strings.Split(err.Error(), "\n")
			for i, want := range tt.want {
				if len(lines) != len(tt.want) || !strings.HasPrefix(lines[i], want) {
					t.Errorf("got %q, want one of each of %q", lines, tt.want)
				}
			}
		})
	}
}
