package gewechattest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/imrelay/imrelay/outbound/connector/ipad/ipadtest"
)

// What the server says when it sends nothing.
const (
	offline  = `{"ret":500,"msg":"发送消息失败","data":{"code":"-2","msg":"设备已离线"}}`
	tooFast  = `{"ret":500,"msg":"发送消息失败","data":{"code":"-1","msg":"操作过于频繁，请稍后再试"}}`
	stranger = `{"ret":500,"msg":"发送消息失败","data":{"code":"-1","msg":"对方不是好友"}}`
	timedOut = `{"ret":500,"msg":"发送消息失败","data":{"code":"-1","msg":"请求超时"}}`
	noDevice = `{"ret":500,"msg":"操作失败","data":{"code":"-1","msg":"设备不存在"}}`
	noToken  = `{"ret":500,"msg":"header:X-GEWE-TOKEN 不可为空"}`
	badToken = `{"ret":500,"msg":"X-GEWE-TOKEN 无效"}`
	noRoute  = `{"ret":500,"msg":"接口不存在"}`
)

// maxBody is how much of a request is read.
const maxBody = 1 << 20

// body is what the calls have, all of them together.
type body struct {
	AppID    string `json:"appId"`
	To       string `json:"toWxid"`
	Content  string `json:"content"`
	Ats      string `json:"ats"`
	ImgURL   string `json:"imgUrl"`
	FileURL  string `json:"fileUrl"`
	FileName string `json:"fileName"`
	VoiceURL string `json:"voiceUrl"`
	Millis   int    `json:"voiceDuration"`
	XML      string `json:"appmsg"`
	Token    string `json:"token"`
	Callback string `json:"callbackUrl"`
}

// ServeHTTP implements [http.Handler]. A hang-up is a panic with [http.ErrAbortHandler].
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var b body
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	token := r.Header.Get("X-GEWE-TOKEN")
	route, ok := strings.CutPrefix(strings.TrimPrefix(r.URL.Path, "/gewe"), Base)
	switch {
	case !ok || r.Method != http.MethodPost:
		say(w, noRoute)
	case token == "":
		say(w, noToken)
	case token != f.o.Token:
		say(w, badToken)
	case err != nil:
		say(w, refusal("请求参数格式错误"))
	case route == "/tools/setCallback":
		say(w, f.setCallback(r.Context(), b))
	case b.AppID != f.o.AppID:
		say(w, noDevice)
	case route == "/login/checkOnline":
		say(w, fmt.Sprintf(`{"ret":200,"msg":"操作成功","data":%t}`, f.Online()))
	default:
		f.message(w, r, route, b)
	}
}

// message is one send.
func (f *Fake) message(w http.ResponseWriter, r *http.Request, route string, b body) {
	m, err := read(route, b)
	if errors.Is(err, errNoRoute) {
		say(w, noRoute)
		return
	}
	m, v := f.Send(r, m, err)
	switch v {
	case ipadtest.Delivered:
		say(w, fmt.Sprintf(`{"ret":200,"msg":"操作成功","data":{"toWxid":%s,"createTime":%d,"msgId":0,"newMsgId":%s,"type":%d}}`,
			encode(m.To), m.At.Unix(), m.ID, types[m.Type]))
	case ipadtest.Offline:
		say(w, offline)
	case ipadtest.TooFast:
		say(w, tooFast)
	case ipadtest.Blocked:
		say(w, stranger)
	case ipadtest.Slow:
		say(w, timedOut)
	case ipadtest.Malformed:
		say(w, refusal(err.Error()))
	}
}

// types are WeChat's numbers.
var types = map[string]int{"text": 1, "image": 3, "voice": 34, "file": 6, "app": 57}

var (
	errNoRoute  = errors.New("no such call")
	errArgument = errors.New("参数不能为空")
	errMention  = errors.New("参数错误: content 中需包含@的内容")
	errAll      = errors.New("没有权限: notify@all")
	errXML      = errors.New("appmsg 格式错误")
	errURL      = errors.New("下载失败")
)

// read makes a message of a call, as picky as it can be.
func read(route string, b body) (ipadtest.Sent, error) {
	m := ipadtest.Sent{To: b.To}
	var err error
	switch route {
	case "/message/postText":
		m.Type, m.Text = "text", b.Content
		m.Ats, err = ats(b)
	case "/message/postImage":
		m.Type, m.Text, err = "image", b.ImgURL, web(b.ImgURL)
	case "/message/postFile":
		m.Type, m.Text, m.Name, err = "file", b.FileURL, b.FileName, web(b.FileURL)
		if b.FileName == "" {
			err = errArgument
		}
	case "/message/postVoice":
		m.Type, m.Text, m.Millis, err = "voice", b.VoiceURL, b.Millis, web(b.VoiceURL)
		if b.Millis <= 0 {
			err = errArgument
		}
	case "/message/postAppMsg":
		m.Type, m.Text, err = "app", b.XML, appMsg(b.XML)
	default:
		return m, errNoRoute
	}
	if m.To == "" || m.Text == "" {
		return m, errArgument
	}
	return m, err
}

// ats are those whom a text calls. Each has to have an "@" in the text.
func ats(b body) ([]string, error) {
	if b.Ats == "" {
		return nil, nil
	}
	ids := strings.Split(b.Ats, ",")
	for _, id := range ids {
		switch {
		case id == "" || strings.TrimSpace(id) != id:
			return nil, errArgument
		case strings.HasPrefix(id, "notify@"):
			return nil, errAll
		}
	}
	if strings.Count(b.Content, "@") < len(ids) {
		return nil, errMention
	}
	return ids, nil
}

// web refuses what nobody could fetch.
func web(url string) error {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return errURL
	}
	return nil
}

// appMsg refuses what is not one appmsg element.
func appMsg(text string) error {
	var m struct {
		XMLName xml.Name `xml:"appmsg"`
		Title   string   `xml:"title"`
		Type    int      `xml:"type"`
	}
	if err := xml.Unmarshal([]byte(text), &m); err != nil || m.Title == "" || m.Type == 0 {
		return errXML
	}
	return nil
}

// refusal is an answer that names what is wrong.
func refusal(words string) string {
	return fmt.Sprintf(`{"ret":500,"msg":"发送消息失败","data":{"code":"-1","msg":%s}}`, encode(words))
}

func say(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	_, _ = io.WriteString(w, text)
}
