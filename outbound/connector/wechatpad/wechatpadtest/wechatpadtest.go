// Package wechatpadtest is a WeChatPadPro server for tests, with one account on it: it answers everything with HTTP status
// 200, hides refusals inside of answers that look like success, and spells its keys as it likes. It speaks to no WeChat
// and pushes nothing. Behind a socket it is an ordinary server; in a synctest bubble it is called as an [http.Handler],
// or as an [egress.Doer].
package wechatpadtest

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/imrelay/imrelay/outbound/connector/ipad/ipadtest"
)

// Spelling is how a build writes the keys of its answers.
type Spelling uint8

// Spellings.
const (
	Usual  Spelling = iota // as the public clients know them: Code, isSendSuccess, base_response
	Pascal                 // Code, IsSendSuccess, BaseResponse
	Lower                  // code, which is 0 for success, isSendSuccess, base_response
)

// Options are one server.
type Options struct {
	ipadtest.Options

	// Key is the account's, which has to come with every call.
	Key      string
	Spelling Spelling
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

// item is one message of a call.
type item struct {
	AtWxIDList                            []string
	ImageContent, TextContent, ToUserName string
	MsgType                               int
}

// voice is the call for a voice message.
type voice struct {
	ToUserName, VoiceData    string
	VoiceFormat, VoiceSecond int
}

// ServeHTTP implements [http.Handler]. A hang-up is a panic with [http.ErrAbortHandler].
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route := r.Method + " " + r.URL.Path
	switch {
	case r.URL.Query().Get("key") != f.o.Key:
		f.say(w, noKey)
	case route == "GET /login/GetLoginStatus":
		f.status(w)
	case route == "POST /message/SendTextMessage", route == "POST /message/SendImageNewMessage":
		var c struct{ MsgItem []item }
		err := ipadtest.Read(r, &c)
		if err != nil || len(c.MsgItem) != 1 || c.MsgItem[0].AtWxIDList == nil {
			f.answer(w, r, ipadtest.Sent{}, ipadtest.ErrArgument)
			return
		}
		m, err := c.MsgItem[0].message(r.URL.Path)
		f.answer(w, r, m, err)
	case route == "POST /message/SendVoice":
		var c voice
		err := ipadtest.Read(r, &c)
		m, wrong := ipadtest.Medium("voice", c.ToUserName, c.VoiceData)
		if m.Millis = c.VoiceSecond * 1000; err != nil || c.VoiceFormat != 4 || c.VoiceSecond <= 0 {
			wrong = ipadtest.ErrArgument
		}
		f.answer(w, r, m, wrong)
	default:
		http.NotFound(w, r)
	}
}

// message reads an item.
func (i item) message(path string) (ipadtest.Sent, error) {
	if path == "/message/SendTextMessage" && i.MsgType == 1 {
		return ipadtest.Text(i.ToUserName, i.TextContent, i.AtWxIDList)
	}
	m, err := ipadtest.Medium("image", i.ToUserName, i.ImageContent)
	if path != "/message/SendImageNewMessage" || i.MsgType != 3 || i.TextContent != "" {
		err = ipadtest.ErrArgument
	}
	return m, err
}

// The server's answers. The verbs take values written as JSON.
const (
	noKey     = `{"Code":-2,"Data":null,"Text":"该key不存在"}`
	offline   = `{"Code":300,"Data":null,"Text":"不存在状态"}`
	malformed = `{"Code":-1,"Data":null,"Text":%s}`
	timedOut  = `{"Code":-1,"Data":null,"Text":"发送失败: 请求超时"}`
	login     = `{"Code":200,"Data":{"loginState":%d,"loginErrMsg":%s,"onlineTime":"本次在线: 0天0时7分"},"Text":""}`
	sentText  = `{"Code":200,"Data":[{"isSendSuccess":true,"resp":{"base_response":{"ret":0,"errMsg":{}},"count":1,` +
		`"chat_send_ret_list":[{"ret":%[1]d,"toUserName":{"str":%[2]s},"msgId":721940512,"clientMsgId":%[3]d,` +
		`"createTime":%[3]d,"serverTime":%[3]d,"type":1,"newMsgId":%[4]s}]},"textContent":%[5]s,"toUSerName":%[2]s}],"Text":""}`
	sentImage = `{"Code":200,"Data":[{"imageId":"3f0b9c17","resp":{"baseResponse":{"ret":%[1]d,"errMsg":{}},` +
		`"msgId":721940513,"toUserName":{"str":%[2]s},"createTime":%[3]d,"newMsgId":%[4]s},"toUSerName":%[2]s}],"Text":%[5]s}`
	sentVoice = `{"Code":200,"Data":{"baseResponse":{"ret":%[1]d,"errMsg":{}},"toUserName":%[2]s,"createTime":%[3]d,` +
		`"newMsgId":%[4]s},"Text":%[5]s}`
)

var sent = map[string]string{"text": sentText, "image": sentImage, "voice": sentVoice}

// WeChat's return codes, as 32 bits without a sign.
const (
	retBlocked = 4294967274 // -22
	retTooFast = 4294967262 // -34
)

// answer answers a send.
func (f *Fake) answer(w http.ResponseWriter, r *http.Request, m ipadtest.Sent, wrong error) {
	m, v := f.Send(r, m, wrong)
	shape := sent[m.Type]
	if shape == "" {
		shape = sentText
	}
	to, text := ipadtest.Quote(m.To), ipadtest.Quote(m.Text)
	switch v {
	case ipadtest.Delivered:
		f.say(w, shape, 0, to, m.At.Unix(), m.ID, text)
	case ipadtest.Blocked:
		f.say(w, shape, retBlocked, to, 0, "0", text)
	case ipadtest.TooFast:
		f.say(w, shape, retTooFast, to, 0, "0", text)
	case ipadtest.Offline:
		f.say(w, offline)
	case ipadtest.Slow:
		f.say(w, timedOut)
	case ipadtest.Malformed:
		f.say(w, malformed, ipadtest.Quote(wrong.Error()))
	}
}

// status answers the question for the login.
func (f *Fake) status(w http.ResponseWriter) {
	if f.Online() {
		f.say(w, login, 1, ipadtest.Quote("账号在线状态良好！"))
		return
	}
	f.say(w, login, 3, ipadtest.Quote("账号已离线"))
}

var keys = regexp.MustCompile(`"([A-Za-z_]+)":`)

// say writes an answer in the build's spelling.
func (f *Fake) say(w http.ResponseWriter, shape string, values ...any) {
	switch f.o.Spelling {
	case Pascal:
		shape = keys.ReplaceAllStringFunc(shape, func(key string) string {
			var b strings.Builder
			for part := range strings.SplitSeq(strings.Trim(key, `":`), "_") {
				b.WriteString(strings.ToUpper(part[:1]) + part[1:])
			}
			return `"` + b.String() + `":`
		})
	case Lower:
		shape = strings.Replace(shape, `"Code":200`, `"Code":0`, 1)
		shape = keys.ReplaceAllStringFunc(shape, func(key string) string { return `"` + strings.ToLower(key[1:2]) + key[2:] })
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, fmt.Sprintf(shape, values...))
}
