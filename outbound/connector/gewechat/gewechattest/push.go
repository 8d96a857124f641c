package gewechattest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// patience is how long a push may take to be answered. What is not by then is never pushed again.
const patience = 3 * time.Second

// Push is a text that somebody wrote to the account.
type Push struct {
	// From is who wrote it, Name how they are shown.
	From, Name string
	// Room is the group in which it was written; empty: none.
	Room string
	Text string
	// Mentions are those whom it calls; the account's own id makes it a message to the bot.
	Mentions []string
	// ID is its newMsgId; empty: the next one.
	ID string
}

// wrapped is a text as the server wraps it.
type wrapped struct {
	Text string `json:"string"`
}

// event is what is pushed.
type event struct {
	TypeName string
	Appid    string
	Wxid     string
	Data     *data `json:",omitempty"`
}

// data is the message in it.
type data struct {
	MsgID        int64 `json:"MsgId"`
	FromUserName wrapped
	ToUserName   wrapped
	MsgType      int
	Content      wrapped
	Status       int
	ImgStatus    int
	ImgBuf       struct {
		Len int `json:"iLen"`
	}
	CreateTime  int64
	MsgSource   string
	PushContent string
	NewMsgID    json.Number `json:"NewMsgId"`
	MsgSeq      int64
}

// Body is the push as it is posted, and its newMsgId.
func (f *Fake) Body(p Push) (body []byte, id string) {
	if p.ID == "" {
		p.ID = f.NextID()
	}
	f.mu.Lock()
	f.pushed++
	n := f.pushed
	f.mu.Unlock()
	d := &data{
		MsgID: 1183920000 + n, FromUserName: wrapped{p.From}, ToUserName: wrapped{f.o.Wxid}, MsgType: 1,
		Content: wrapped{p.Text}, Status: 3, ImgStatus: 1, CreateTime: time.Now().Unix(),
		MsgSource: "<msgsource>\n\t<signature>v1_k3Jw9aQe</signature>\n</msgsource>\n",
		NewMsgID:  json.Number(p.ID), MsgSeq: 781920000 + n,
	}
	if p.Name != "" {
		d.PushContent = p.Name + " : " + p.Text
	}
	if p.Room != "" {
		d.FromUserName, d.Content = wrapped{p.Room}, wrapped{p.From + ":\n" + p.Text}
	}
	if len(p.Mentions) > 0 {
		d.MsgSource = "<msgsource>\n\t<atuserlist><![CDATA[," + strings.Join(p.Mentions, ",") + "]]></atuserlist>\n</msgsource>\n"
	}
	return encode(event{TypeName: "AddMsg", Appid: f.o.AppID, Wxid: f.o.Wxid, Data: d}), p.ID
}

// Push posts a message to a URL, and returns its newMsgId and the answer's status. It is posted once.
func (f *Fake) Push(ctx context.Context, url string, p Push) (id string, status int, err error) {
	body, id := f.Body(p)
	status, err = f.post(ctx, url, body)
	return id, status, err
}

// PushOffline posts the notice that the account was logged out.
func (f *Fake) PushOffline(ctx context.Context, url string) (status int, err error) {
	return f.post(ctx, url, encode(event{TypeName: "Offline", Appid: f.o.AppID, Wxid: f.o.Wxid}))
}

// Callback is the URL that was registered last; empty: none was.
func (f *Fake) Callback() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.callback
}

// setCallback registers a URL, if the probe that is posted there at once is taken.
func (f *Fake) setCallback(ctx context.Context, b body) string {
	probe := encode(struct {
		Test  string `json:"testMsg"`
		Token string `json:"token"`
	}{"回调地址链接成功！", f.o.Token})
	if b.Token != f.o.Token {
		return badToken
	}
	if status, err := f.post(ctx, b.Callback, probe); err != nil || status != http.StatusOK {
		return `{"ret":500,"msg":"设置失败","data":{"code":"-1","msg":"回调地址不可用"}}`
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.callback = b.Callback
	return `{"ret":200,"msg":"操作成功"}`
}

// post posts once.
func (f *Fake) post(ctx context.Context, url string, body []byte) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("make push: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := f.o.Pusher.Do(r)
	if err != nil {
		return 0, fmt.Errorf("post push: %w", err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(a.Body, maxBody))
	return a.StatusCode, errors.Join(err, a.Body.Close())
}

// encode writes JSON with <, > and & as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // an id that is no number, given by a test
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
