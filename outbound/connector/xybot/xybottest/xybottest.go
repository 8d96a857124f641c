// Package xybottest is a server of the kind that XYBot speaks to, for tests, with one account on it: it answers every
// call with HTTP status 200, spells the id in another way each time, and calls an account too frequent. It speaks to no
// WeChat and pushes nothing. Behind a socket it is an ordinary server; in a synctest bubble it is called as an
// [http.Handler], or as an [egress.Doer].
package xybottest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/outbound/connector/wechatpad/pad/padtest"
	"github.com/imrelay/imrelay/relay/egress"
)

// Options are one server.
type Options struct {
	padtest.Options

	// Wxid is the account's own id, which has to come with every call.
	Wxid string
	// Msg makes it one of the later servers, with other paths.
	Msg bool
}

// Fake is one server.
type Fake struct {
	*padtest.Account

	o Options
}

var _ egress.Doer = (*Fake)(nil)

// New makes a server that listens nowhere.
func New(o Options) *Fake { return &Fake{Account: padtest.New(o.Options), o: o} }

// Start lets it listen on a port of its own until the test ends, and returns its base.
func (f *Fake) Start(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(f)
	tb.Cleanup(s.Close)
	return s.URL
}

// Do implements [egress.Doer] without any socket.
func (f *Fake) Do(ctx context.Context, c egress.Call) (egress.Answer, error) {
	return padtest.Do(ctx, f, c)
}

// The calls, by the paths of either kind of server.
var (
	bare = map[string]string{
		"/SendTextMsg": "text", "/SendImageMsg": "image", "/SendVoiceMsg": "voice", "/Heartbeat": "heartbeat",
	}
	msg = map[string]string{
		"/api/Msg/SendTxt": "text", "/api/Msg/UploadImg": "image", "/api/Msg/SendVoice": "voice",
		"/api/Login/HeartBeat": "heartbeat",
	}
)

// body is what the calls have, all of them together.
type body struct {
	Wxid, ToWxid, Content, At, Base64 string
	Type, VoiceTime                   int
}

// ServeHTTP implements [http.Handler]. A hang-up is a panic with [http.ErrAbortHandler].
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	routes := bare
	if f.o.Msg {
		routes = msg
	}
	call := routes[r.URL.Path]
	if call == "" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	var b body
	err := padtest.Read(r, &b)
	switch {
	case err != nil:
		say(w, failed, -1, padtest.Quote(padtest.ErrArgument.Error()))
	case b.Wxid != f.o.Wxid:
		say(w, failed, -8, padtest.Quote("链接过期: 缓存中没有该账号"))
	case call == "heartbeat":
		f.heartbeat(w)
	default:
		m, err := b.message(call)
		f.answer(w, r, m, err)
	}
}

// message reads a send call.
func (b body) message(call string) (padtest.Sent, error) {
	if call == "text" {
		var ats []string
		if b.At != "" {
			ats = strings.Split(b.At, ",")
		}
		m, err := padtest.Text(b.ToWxid, b.Content, ats)
		if b.Type != 1 {
			err = padtest.ErrArgument
		}
		return m, err
	}
	m, err := padtest.Medium(call, b.ToWxid, b.Base64)
	if m.Millis = b.VoiceTime; call == "voice" && (b.Type != 4 || b.VoiceTime <= 0) {
		err = padtest.ErrArgument
	}
	return m, err
}

// The server's answers. The verbs take values written as JSON.
const (
	failed   = `{"Code":%d,"Success":false,"Message":%s,"Data":null,"Data62":"","Debug":""}`
	alive    = `{"Code":0,"Success":true,"Message":"成功","Data":{"BaseResponse":{"ret":0,"errMsg":{}}},"Data62":"","Debug":""}`
	sentText = `{"Code":0,"Success":true,"Message":"成功","Data":{"BaseResponse":{"ret":0,"errMsg":{}},"Count":1,"List":[` +
		`{"Ret":%[1]d,"ToUserName":{"string":%[2]s},"MsgId":721940512,"ClientMsgid":%[3]d,"Createtime":%[3]d,` +
		`"servertime":%[3]d,"Type":1,"NewMsgId":%[4]s}]},"Data62":"","Debug":""}`
	sentImage = `{"Code":0,"Success":true,"Message":"成功","Data":{"BaseResponse":{"ret":%[1]d,"errMsg":{}},"Msgid":721940513,` +
		`"ClientImgId":{"string":"c1"},"ToUserName":{"string":%[2]s},"CreateTime":%[3]d,"Newmsgid":%[4]s},"Data62":""}`
	sentVoice = `{"Code":0,"Success":true,"Message":"成功","Data":{"BaseResponse":{"ret":%[1]d,"errMsg":{}},"MsgId":721940514,` +
		`"ClientMsgId":"1767002540","ToUserName":%[2]s,"CreateTime":%[3]d,"NewMsgId":"%[4]s"},"Data62":""}`
)

var sent = map[string]string{"text": sentText, "image": sentImage, "voice": sentVoice}

// retBlocked is WeChat's return code of a recipient who blocked the account.
const retBlocked = -22

// answer answers a send.
func (f *Fake) answer(w http.ResponseWriter, r *http.Request, m padtest.Sent, wrong error) {
	m, v := f.Send(r, m, wrong)
	switch v {
	case padtest.Delivered:
		say(w, sent[m.Type], 0, padtest.Quote(m.To), m.At.Unix(), m.ID)
	case padtest.Blocked:
		say(w, sent[m.Type], retBlocked, padtest.Quote(m.To), 0, "0")
	case padtest.TooFast:
		say(w, failed, -12, padtest.Quote("操作过于频繁"))
	case padtest.Offline:
		say(w, failed, -7, padtest.Quote("已退出登录"))
	case padtest.Slow:
		say(w, failed, -2, padtest.Quote("请求超时"))
	case padtest.Malformed:
		say(w, failed, -1, padtest.Quote(wrong.Error()))
	}
}

// heartbeat answers the question for the login.
func (f *Fake) heartbeat(w http.ResponseWriter) {
	if f.Online() {
		say(w, alive)
		return
	}
	say(w, failed, -7, padtest.Quote("已退出登录"))
}

func say(w http.ResponseWriter, shape string, values ...any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, fmt.Sprintf(shape, values...))
}
