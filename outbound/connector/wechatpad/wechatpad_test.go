package wechatpad_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/connectortest"
	"github.com/imrelay/imrelay/outbound/connector/wechatpad"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

const (
	theKey   = "HBpEnb/9=+t3stK3y"
	theRoom  = "39107264815@chatroom"
	thePNG   = "\x89PNG\r\n\x1a\nand what follows"
	theSilk  = "\x02#!SILK_V3\x0c\x00\xa7"
	theID    = "8120394857610293847"
	sentText = `{"Code":200,"Text":"","Data":[{"isSendSuccess":true,"textContent":"x","toUSerName":"wxid_alice","resp":{"base_response":{"ret":0,"errMsg":{}},"count":1,"chat_send_ret_list":[{"ret":0,"msgId":721940512,"clientMsgId":1767002540,"newMsgId":%s}]}}]}`
)

func dial(t *testing.T) *egress.Client {
	t.Helper()
	c := egress.New(egress.Options{})
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, base string, d egress.Doer) *wechatpad.Connector {
	t.Helper()
	out, err := wechatpad.New(wechatpad.Config{URL: base, Key: secret.New(theKey)}, connector.Wire{Account: "wechat", Doer: d})
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

// call is what the server saw of one.
type call struct{ method, uri, body, contentType string }

// answering is a server that answers everything with the body, and what it was asked.
func answering(t *testing.T, body string) (base string, calls chan call) {
	t.Helper()
	calls = make(chan call, 10)
	im := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		calls <- call{r.Method, r.RequestURI, string(b), r.Header.Get("Content-Type")}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(im.Close)
	return im.URL, calls
}

func TestConformance(t *testing.T) {
	t.Parallel()
	connectortest.Run(t, connectortest.Harness{
		New: func(t *testing.T, s connectortest.Setup) outbound.Connector {
			t.Helper()
			c, err := wechatpad.New(wechatpad.Config{URL: s.URL + "/", Key: secret.New(s.Secret)},
				connector.Wire{Doer: dial(t), Timeout: s.Timeout})
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

func TestOffline(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`{"Code":300,"Data":null,"Text":"不存在状态"}`: true,
		`{"code":300}`: true,
		`{"Code":200,"Data":[{"resp":{"chat_send_ret_list":[{"ret":4294967283}]}}],"Text":""}`: true,
		`{"Code":-2,"Data":null,"Text":"该key不存在"}`:                                             false,
		`{"Code":300,"Data":null,"Text":"请求超时"}`:                                               false,
	} {
		base, _ := answering(t, body)
		_, err := open(t, base, dial(t)).Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
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
		fmt.Sprintf(sentText, `"`+theID+`"`):                          theID,
		fmt.Sprintf(sentText, `{"high":1976706754,"low":1032436816}`): "8489890863244754000",
		fmt.Sprintf(sentText, `0`):                                    "",
		fmt.Sprintf(sentText, `null`):                                 "",
		`{"Code":200,"Data":[{"isSendSuccess":true,"resp":{"ChatSendRetList":[{"Ret":0,"NewMsgId":` + theID + `}]}}]}`: theID,
		`{"code":0,"data":{"new_msg_id":` + theID + `}}`:                                                               theID,
		`{"code":"200","data":[{"isSendSuccess":true,"resp":{}}]}`:                                                     "",
		`{"Code":200,"Data":[{"imageId":"a","resp":{"baseResponse":{"ret":0},"newMsgId":` + theID + `}}]}`:             theID,
	} {
		base, _ := answering(t, body)
		r, err := open(t, base, dial(t)).Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello"})
		if err != nil || r.ID != want {
			t.Errorf("%s: got %q, %v; want %q", body, r.ID, err, want)
		}
	}
}

// store is where the media are.
func store(t *testing.T, calls *atomic.Int32) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		switch r.URL.Path {
		case "/a.png":
			_, _ = io.WriteString(w, thePNG)
		case "/a.silk":
			_, _ = io.WriteString(w, theSilk)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestCalls: what is posted, and where.
func TestCalls(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	files := store(t, &fetched)
	alice := outbound.Mention{ID: "wxid_alice", Name: "Alice"}
	media := func(kind, at string, millis int) []outbound.Media {
		return []outbound.Media{{Type: kind, URL: at, Millis: millis}}
	}
	text := func(at, text string) string {
		return `{"MsgItem":[{"AtWxIDList":[` + at + `],"ImageContent":"","MsgType":1,"TextContent":"` + text + `","ToUserName":"` + theRoom + `"}]}`
	}
	picture := `{"MsgItem":[{"AtWxIDList":[],"ImageContent":"` + b64(thePNG) + `","MsgType":3,"TextContent":"","ToUserName":"` + theRoom + `"}]}`
	tests := []struct {
		name, path, want string
		m                outbound.Message
	}{
		{"a text", "/message/SendTextMessage", text("", `a < b & \"c\"\n`), outbound.Message{Text: "a < b & \"c\"\n"}},
		{"a reply", "/message/SendTextMessage", text("", "hello"), outbound.Message{Text: "hello", ReplyTo: theID}},
		{
			"a mention", "/message/SendTextMessage", text(`"wxid_alice"`, "@Alice\u2005hello"),
			outbound.Message{Text: "hello", Mentions: []outbound.Mention{alice, alice}},
		},
		{"a picture", "/message/SendImageNewMessage", picture, outbound.Message{Media: media("image", files+"/a.png", 0)}},
		{
			"a picture in its URL", "/message/SendImageNewMessage", picture,
			outbound.Message{Media: media("image", "data:image/png;base64,"+b64(thePNG), 0)},
		},
		{
			"a voice message", "/message/SendVoice",
			`{"ToUserName":"` + theRoom + `","VoiceData":"` + b64(theSilk) + `","VoiceFormat":4,"VoiceSecond":3}`,
			outbound.Message{Media: media("voice", files+"/a.silk", 2540)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base, calls := answering(t, fmt.Sprintf(sentText, theID))
			tt.m.To = theRoom
			r, err := open(t, base, dial(t)).Send(t.Context(), tt.m)
			if err != nil || r.ID != theID {
				t.Fatalf("got %+v, %v", r, err)
			}
			want := call{"POST", tt.path + "?key=HBpEnb%2F9%3D%2Bt3stK3y", tt.want, "application/json"}
			if got := <-calls; got != want {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
			if n := len(calls); n != 0 {
				t.Errorf("%d calls more than one", n)
			}
		})
	}
}

// TestCallsNobody: what is refused, or cannot be fetched, calls nobody.
func TestCallsNobody(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	files := store(t, &fetched)
	media := func(kind, at string) outbound.Message {
		return outbound.Message{Media: []outbound.Media{{Type: kind, URL: at, Millis: 1}}}
	}
	tests := []struct {
		name, code string
		want       outbound.Reason
		m          outbound.Message
	}{
		{"everybody", "mention", outbound.Rejected, outbound.Message{Text: "x", Mentions: []outbound.Mention{{ID: "notify@all"}}}},
		{"a file", "media", outbound.Rejected, media("file", files+"/a.png")},
		{"a picture that is none", "media", outbound.Rejected, media("image", files+"/a.silk")},
		{"a voice message that is none", "media", outbound.Rejected, media("voice", files+"/a.png")},
		{"nothing there", "media", outbound.Rejected, media("image", files+"/b.png")},
		{"nobody there", "media", outbound.NotSent, media("image", "http://127.0.0.1:1/a.png")},
		{"not ready", "called off before it began", outbound.NotSent, outbound.Message{Text: "x", Ready: func() error { return errors.New("no") }}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base, calls := answering(t, fmt.Sprintf(sentText, theID))
			_, err := open(t, base, dial(t)).Send(t.Context(), tt.m)
			if e := wantError(t, err); e.Reason != tt.want || e.Code != tt.code || len(calls) != 0 {
				t.Errorf("got %v after %d calls, want %v (%s) after none", e, len(calls), tt.want, tt.code)
			}
		})
	}
}

// TestHides: a key is hidden as it is written in a URL, too.
func TestHides(t *testing.T) {
	t.Parallel()
	base, _ := answering(t, `{"Code":"`+theKey+`","Text":"GET /x?key=HBpEnb%2F9%3D%2Bt3stK3y `+theKey+` hello world"}`)
	_, err := open(t, base, dial(t)).Send(t.Context(), outbound.Message{To: "wxid_alice", Text: "hello world"})
	for _, hidden := range []string{theKey, "HBpEnb%2F9", "hello world"} {
		if strings.Contains(wantError(t, err).Error(), hidden) {
			t.Errorf("the error shows %q: %v", hidden, err)
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
		{"online", `{"Code":200,"Data":{"loginState":1,"loginErrMsg":"账号在线状态良好！"},"Text":""}`, true, true},
		{"online, oddly written", `{"code":0,"data":{"LoginState":"1"}}`, true, true},
		{"offline", `{"Code":200,"Data":{"loginState":3,"loginErrMsg":"账号已离线"},"Text":""}`, false, true},
		{"never logged in", `{"Code":300,"Data":null,"Text":"不存在状态"}`, false, true},
		{"no state", `{"Code":200,"Data":{},"Text":""}`, false, false},
		{"no such key", `{"Code":-2,"Data":null,"Text":"该key不存在"}`, false, false},
		{"another failure", `{"Code":-1,"Text":"系统异常"}`, false, false},
		{"no JSON", `true!`, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base, calls := answering(t, tt.body)
			got, err := open(t, base, dial(t)).Online(t.Context())
			if got != tt.want || (err == nil) != tt.known {
				t.Errorf("got %v, %v; want %v, known %v", got, err, tt.want, tt.known)
			}
			if c := <-calls; c.method != "GET" || c.uri != "/login/GetLoginStatus?key=HBpEnb%2F9%3D%2Bt3stK3y" || c.body != "" {
				t.Errorf("got %+v", c)
			}
		})
	}
	if got, err := open(t, "http://im.invalid", dial(t)).Online(t.Context()); got || err == nil {
		t.Errorf("nobody there: got %v, %v; want an error", got, err)
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
			if err == nil || strings.Contains(err.Error(), theKey) {
				t.Fatalf("got %v, want an error that hides the key", err)
			}
			lines := strings.Split(err.Error(), "\n")
			for i, key := range tt.want {
				if len(lines) != len(tt.want) || !strings.HasPrefix(lines[i], key) {
					t.Errorf("got %q, want one of each of %q", lines, tt.want)
				}
			}
		})
	}
}
