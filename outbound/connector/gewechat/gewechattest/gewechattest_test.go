package gewechattest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound/connector/gewechat/gewechattest"
	"github.com/imrelay/imrelay/outbound/connector/ipad/ipadtest"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	theToken = "9d2c5e7f10ab4386"
	theApp   = "wx_T5hVn0bXk2LqEw8R"
	theText  = `{"appId":"` + theApp + `","toWxid":"wxid_alice","content":"hello"}`
)

func newFake(o gewechattest.Options) *gewechattest.Fake {
	o.Token, o.AppID, o.Wxid = theToken, theApp, "wxid_helper"
	return gewechattest.New(o)
}

// ask makes a call without a socket.
func ask(t *testing.T, f *gewechattest.Fake, route, body string) (string, error) {
	t.Helper()
	a, err := f.Do(t.Context(), egress.Call{
		Method: "POST", URL: "http://im.example" + route, Header: http.Header{"X-Gewe-Token": {theToken}}, Body: []byte(body),
	})
	if err == nil && (a.Status != http.StatusOK || !json.Valid(a.Body)) {
		t.Errorf("got %d %s, want 200 and JSON", a.Status, a.Body)
	}
	return string(a.Body), err
}

// TestPicky: what a real server refuses, or shows wrongly, is refused, with status 200.
func TestPicky(t *testing.T) {
	t.Parallel()
	to := func(rest string) string { return `{"appId":"` + theApp + `","toWxid":"wxid_alice",` + rest + `}` }
	tests := []struct {
		name, route, body, want string
	}{
		{"text", "/v2/api/message/postText", theText, "操作成功"},
		{"text at GeWe's own", "/gewe/v2/api/message/postText", theText, "操作成功"},
		{"another path", "/message/postText", theText, "接口不存在"},
		{"another call", "/v2/api/message/postVideo", theText, "接口不存在"},
		{"another device", "/v2/api/message/postText", `{"appId":"wx_other","toWxid":"wxid_alice","content":"a"}`, "设备不存在"},
		{"no JSON", "/v2/api/message/postText", `{`, "格式错误"},
		{"a number for a text", "/v2/api/message/postText", to(`"content":1`), "格式错误"},
		{"no content", "/v2/api/message/postText", to(`"content":""`), "不能为空"},
		{"no recipient", "/v2/api/message/postText", `{"appId":"` + theApp + `","content":"a"}`, "不能为空"},
		{"a mention", "/v2/api/message/postText", to(`"content":"@Alice a","ats":"wxid_alice"`), "操作成功"},
		{"a mention that the text lacks", "/v2/api/message/postText", to(`"content":"a","ats":"wxid_alice"`), "@"},
		{"everybody", "/v2/api/message/postText", to(`"content":"@all","ats":"notify@all"`), "权限"},
		{"a gap in the list", "/v2/api/message/postText", to(`"content":"@a @b","ats":"a,,b"`), "不能为空"},
		{"an image from nowhere", "/v2/api/message/postImage", to(`"imgUrl":"file:///b.png"`), "下载失败"},
		{"a file without a name", "/v2/api/message/postFile", to(`"fileUrl":"https://a.example/b"`), "不能为空"},
		{"voice of no length", "/v2/api/message/postVoice", to(`"voiceUrl":"https://a.example/b"`), "不能为空"},
		{"broken XML", "/v2/api/message/postAppMsg", to(`"appmsg":"<appmsg><title>a & b</title>"`), "格式错误"},
		{"online", "/v2/api/login/checkOnline", `{"appId":"` + theApp + `"}`, `"data":true`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(gewechattest.Options{})
			got, err := ask(t, f, tt.route, tt.body)
			if err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
			if sent := len(f.Sent()); sent == 1 != strings.Contains(got, "newMsgId") {
				t.Errorf("got %d delivered for %s", sent, got)
			}
		})
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{"": "不可为空", "x": "无效", theToken: "操作成功"} {
		f := newFake(gewechattest.Options{})
		a, err := f.Do(t.Context(), egress.Call{
			Method: "POST", URL: "http://im.example/v2/api/message/postText",
			Header: http.Header{"X-Gewe-Token": {token}}, Body: []byte(theText),
		})
		if err != nil || !strings.Contains(string(a.Body), want) {
			t.Errorf("%q: got %s, %v; want %s", token, a.Body, err, want)
		}
	}
}

// TestIDs: no id survives a float64, and msgId is of no use.
func TestIDs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(gewechattest.Options{})
		seen := map[string]bool{}
		for range 200 {
			<-time.After(ipadtest.Gap)
			got, err := ask(t, f, "/v2/api/message/postText", theText)
			if err != nil {
				t.Fatal(err)
			}
			id := gjson.Get(got, "data.newMsgId")
			if seen[id.Raw] || int64(id.Num)%2 != 0 || id.Int()%2 == 0 || id.Int() < 1<<53 || gjson.Get(got, "data.msgId").Raw != "0" {
				t.Fatalf("got %s, want a new odd id beyond 2^53, and msgId 0", got)
			}
			seen[id.Raw] = true
		}
	})
}

// TestPunishes: too soon after any send, a refused one as well; ten times, and the account is gone.
func TestPunishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(gewechattest.Options{})
		send := func(after time.Duration) string {
			<-time.After(after)
			got, err := ask(t, f, "/v2/api/message/postText", theText)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		rows := []struct {
			after    time.Duration
			want     string
			punished int
		}{
			{0, "操作成功", 0},
			{time.Second - 1, "频繁", 1},
			{time.Second - 1, "频繁", 2},
			{time.Second, "操作成功", 2},
		}
		for i, row := range rows {
			if got := send(row.after); !strings.Contains(got, row.want) || f.Punished() != row.punished {
				t.Errorf("%d: got %s, punished %d; want %s, %d", i, got, f.Punished(), row.want, row.punished)
			}
		}
		for f.Punished() < ipadtest.Strikes {
			if got := send(0); !strings.Contains(got, "频繁") || f.Online() != (f.Punished() < ipadtest.Strikes) {
				t.Fatalf("got %s, online %v after %d", got, f.Online(), f.Punished())
			}
		}
		if got := send(time.Hour); !strings.Contains(got, "设备已离线") {
			t.Errorf("got %s, want it offline", got)
		}
		f.LogIn()
		if got := send(time.Second); !strings.Contains(got, "操作成功") || !f.Online() {
			t.Errorf("after the login: got %s", got)
		}
		if got := send(0); !strings.Contains(got, "频繁") || !f.Online() {
			t.Errorf("too soon after the login: got %s, online %v; want it forgiven", got, f.Online())
		}
		f.LogOut()
		if got := send(time.Second); !strings.Contains(got, "设备已离线") || len(f.Sent()) != 3 {
			t.Errorf("after the logout: got %s, %d delivered", got, len(f.Sent()))
		}
	})
}

// TestTogether: of those that come at once, one gets through.
func TestTogether(t *testing.T) {
	t.Parallel()
	f := newFake(gewechattest.Options{})
	url := f.Start(t) + "/message/postText"
	c := egress.New(egress.Options{})
	defer c.Close()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := c.Do(t.Context(), egress.Call{
				Method: "POST", URL: url, Header: http.Header{"X-Gewe-Token": {theToken}}, Body: []byte(theText),
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(f.Sent()) != 1 || f.Punished() != 4 {
		t.Errorf("got %d delivered, %d punished; want 1 and 4", len(f.Sent()), f.Punished())
	}
}

// TestDo: what was not sent says so.
func TestDo(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name    string
		ctx     context.Context //nolint:containedctx // it is a row of the table
		call    egress.Call
		fault   ipadtest.Fault
		written bool
		sent    int
	}{
		{"not ready", t.Context(), egress.Call{Ready: func() error { return lost }}, ipadtest.None, false, 0},
		{"context over", over, egress.Call{}, ipadtest.None, false, 0},
		{"hang-up", t.Context(), egress.Call{}, ipadtest.HangUp, true, 0},
		{"hang-up after", t.Context(), egress.Call{}, ipadtest.HangUpAfter, true, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(gewechattest.Options{Options: ipadtest.Options{Fault: func(int) ipadtest.Fault { return tt.fault }}})
			tt.call.Method, tt.call.URL, tt.call.Body = "POST", "http://im.example/v2/api/message/postText", []byte(theText)
			tt.call.Header = http.Header{"X-Gewe-Token": {theToken}}
			_, err := f.Do(tt.ctx, tt.call)
			e, ok := errors.AsType[*egress.Error](err)
			if !ok || e.Written != tt.written || len(f.Sent()) != tt.sent {
				t.Errorf("got %v, %d delivered; want written %v, %d", err, len(f.Sent()), tt.written, tt.sent)
			}
		})
	}
}

// relay takes pushes.
func relay(t *testing.T, status int) (url string, bodies chan string) {
	t.Helper()
	bodies = make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies <- string(b)
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL, bodies
}

func TestPush(t *testing.T) {
	t.Parallel()
	f := newFake(gewechattest.Options{})
	url, bodies := relay(t, http.StatusAccepted)
	id, status, err := f.Push(t.Context(), url, gewechattest.Push{
		From: "wxid_alice", Name: "Alice", Room: "39107264815@chatroom", Text: "@helper\u2005a < b", Mentions: []string{"wxid_helper"},
	})
	if err != nil || status != http.StatusAccepted {
		t.Fatalf("got %d, %v", status, err)
	}
	body := <-bodies
	for path, want := range map[string]string{
		"TypeName": "AddMsg", "Appid": theApp, "Wxid": "wxid_helper", "Data.NewMsgId": id, "Data.MsgType": "1",
		"Data.FromUserName.string": "39107264815@chatroom", "Data.ToUserName.string": "wxid_helper",
		"Data.Content.string": "wxid_alice:\n@helper\u2005a < b", "Data.ImgBuf.iLen": "0",
	} {
		got := gjson.Get(body, path)
		if s := strings.Trim(got.Raw, `"`); got.String() != want && s != want {
			t.Errorf("%s: got %s, want %s", path, got.Raw, want)
		}
	}
	if !strings.Contains(gjson.Get(body, "Data.MsgSource").String(), "<atuserlist><![CDATA[,wxid_helper]]></atuserlist>") {
		t.Errorf("got %s, want it to mention wxid_helper", body)
	}
	if _, id := f.Body(gewechattest.Push{From: "wxid_alice", Text: "hello", ID: "7265419038812345671"}); id != "7265419038812345671" {
		t.Errorf("got the id %s, want the one given", id)
	}
	if status, err := f.PushOffline(t.Context(), url); err != nil || status != http.StatusAccepted {
		t.Errorf("got %d, %v", status, err)
	}
	if got := <-bodies; got != `{"TypeName":"Offline","Appid":"`+theApp+`","Wxid":"wxid_helper"}` {
		t.Errorf("got %s", got)
	}
}

// TestSetCallback: the URL is registered when the probe is answered with 200.
func TestSetCallback(t *testing.T) {
	t.Parallel()
	for status, registered := range map[int]bool{http.StatusOK: true, http.StatusAccepted: false, http.StatusForbidden: false} {
		f := newFake(gewechattest.Options{})
		url, bodies := relay(t, status)
		got, err := ask(t, f, "/v2/api/tools/setCallback", `{"token":"`+theToken+`","callbackUrl":"`+url+`"}`)
		if probe := <-bodies; err != nil || gjson.Get(probe, "testMsg").Str == "" || gjson.Get(probe, "token").Str != theToken {
			t.Errorf("%d: got the probe %s, %v", status, probe, err)
		}
		if strings.Contains(got, `"ret":200`) != registered || (f.Callback() == url) != registered {
			t.Errorf("%d: got %s and %q, want registered %v", status, got, f.Callback(), registered)
		}
	}
}
