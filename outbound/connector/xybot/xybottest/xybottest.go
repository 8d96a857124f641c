// Package xybottest is a server of the kind that XYBot speaks to, for tests, with one account on it: it answers every
// call with HTTP status 200, spells the id in another way each time, and calls an account too frequent. It speaks to no
// WeChat and pushes nothing. Behind a socket it is an ordinary server; in a synctest bubble it is called as an
// [http.Handler], or as an [egress.Doer].
package xybottest

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/imrelay/imrelay/outbound/connector/ipad/ipadtest"
)

// Options are one server.
type Options struct {
	ipadtest.Options

	// Wxid is the account's own id, which has to come with every call.
	Wxid string
	// Msg makes it one of the later servers, with other paths.
	Msg bool
}

// Fake is one server.
type Fake struct {
	*ipadtest.Server

	o Options
}

// New makes a server that listens nowhere.
func New(o Options) *Fake {
	f := &Fake{o: o}
	f.Server = ipadtest.Serve(o.Options, f)
	return f
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
	err := ipadtest.Read(r, &b)
	switch {
	case err != nil:
		say(w, failed, -1, ipadtest.Quote(ipadtest.ErrArgument.Error()))
	case b.Wxid != f.o.Wxid:
		say(w, failed, -8, ipadtest.Quote("链接过期: 缓存中没有该账号"))
	case call == "heartbeat":
		f.heartbeat(w)
	default:
		m, err := b.message(call)
		f.answer(w, r, m, err)
	}
}

// message reads a send call.
func (b body) message(call string) (ipadtest.Sent, error) {
	if call == "text" {
		var ats []string
		if b.At != "" {
			ats = strings.Split(b.At, ",")
		}
		m, err := ipadtest.Text(b.ToWxid, b.Content, ats)
		if b.Type != 1 {
			err = ipadtest.ErrArgument
		}
		return m, err
	}
	m, err := ipadtest.Medium(call, b.ToWxid, b.Base64)
	if m.Millis = b.VoiceTime; call == "voice" && (b.Type != 4 || b.VoiceTime <= 0) {
		err = ipadtest.ErrArgument
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
func (f *Fake) answer(w http.ResponseWriter, r *http.Request, m ipadtest.Sent, wrong error) {
	m, v := f.Send(r, m, wrong)
	switch v {
	case ipadtest.Delivered:
		say(w, sent[m.Type], 0, ipadtest.Quote(m.To), m.At.Unix(), m.ID)
	case ipadtest.Blocked:
		say(w, sent[m.Type], retBlocked, ipadtest.Quote(m.To), 0, "0")
	case ipadtest.TooFast:
		say(w, failed, -12, ipadtest.Quote("操作过于频繁"))
	case ipadtest.Offline:
		say(w, failed, -7, ipadtest.Quote("已退出登录"))
	case ipadtest.Slow:
		say(w, failed, -2, ipadtest.Quote("请求超时"))
	case ipadtest.Malformed:
		say(w, failed, -1, ipadtest.Quote(wrong.Error()))
	}
}

// heartbeat answers the question for the login.
func (f *Fake) heartbeat(w http.ResponseWriter) {
	if f.Online() {
		say(w, alive)
		return
	}
	say(w, failed, -7, ipadtest.Quote("已退出登录"))
}

func say(w http.ResponseWriter, shape string, values ...any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, fmt.Sprintf(shape, values...))
}
