package gewechat

import (
	"cmp"
	"encoding/xml"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector/ipad"
	"github.com/imrelay/imrelay/relay/egress"
)

// checkBody asks for the login.
type checkBody struct {
	AppID string `json:"appId"`
}

// address is where a message goes.
type address struct {
	AppID string `json:"appId"`
	To    string `json:"toWxid"`
}

// textBody is a text.
type textBody struct {
	address

	Content string `json:"content"`
	Ats     string `json:"ats,omitempty"`
}

// imageBody is a picture.
type imageBody struct {
	address

	URL string `json:"imgUrl"`
}

// fileBody is a file.
type fileBody struct {
	address

	URL  string `json:"fileUrl"`
	Name string `json:"fileName"`
}

// voiceBody is a voice message.
type voiceBody struct {
	address

	URL    string `json:"voiceUrl"`
	Millis int    `json:"voiceDuration"`
}

// appBody is a message in WeChat's XML.
type appBody struct {
	address

	XML string `json:"appmsg"`
}

// request makes the call that the message is.
func (c *Connector) request(m outbound.Message) (egress.Call, *outbound.SendError) {
	if e := ipad.Check(m, c.Carry); e != nil {
		return egress.Call{}, e
	}
	to, timeout := address{AppID: c.config.AppID, To: m.To}, c.wire.Bound()
	text, called := ipad.Content(m)
	path, body := "/message/postText", any(textBody{address: to, Content: text, Ats: strings.Join(called, ",")})
	switch {
	case len(m.Media) > 0:
		path, body = medium(to, m.Media[0])
		timeout = ipad.Timeout(c.wire)
	case c.config.Quote && isNumber(m.ReplyTo) && len(m.Mentions) == 0:
		path, body = "/message/postAppMsg", appBody{address: to, XML: quote(m)}
	}
	r, e := c.post(path, body)
	r.Timeout, r.Ready = timeout, m.Ready
	return r, e
}

// medium is the call for a medium that the IM takes.
func medium(to address, m outbound.Media) (path string, body any) {
	switch m.Type {
	case "image":
		return "/message/postImage", imageBody{address: to, URL: m.URL}
	case "voice":
		return "/message/postVoice", voiceBody{address: to, URL: m.URL, Millis: m.Millis}
	}
	return "/message/postFile", fileBody{address: to, URL: m.URL, Name: fileName(m)}
}

// post is a call with a body.
func (c *Connector) post(path string, body any) (egress.Call, *outbound.SendError) {
	b, e := ipad.Encode(body)
	return egress.Call{
		Method: http.MethodPost, URL: c.config.URL + path, Header: c.header, Body: b, Timeout: c.wire.Bound(),
	}, e
}

// longestFileName is in characters; no system that the server runs on takes much more.
const longestFileName = 80

// fileName is how the file is shown, which the API does not do without. The server may make a file of that name.
func fileName(m outbound.Media) string {
	u, err := url.Parse(m.URL)
	if err != nil {
		u = &url.URL{}
	}
	return cmp.Or(lastName(m.Name), lastName(u.Path), "file")
}

// lastName is what of a path can only be a file's name: empty if nothing.
func lastName(from string) string {
	name := path.Base(strings.ReplaceAll(from, `\`, "/"))
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "")))
	if strings.Trim(name, "./") == "" {
		return ""
	}
	runes, end := []rune(name), []rune(path.Ext(name))
	if len(runes) <= longestFileName {
		return name
	}
	if len(end) > longestFileName/2 {
		end = nil
	}
	return string(runes[:longestFileName-len(end)]) + string(end)
}

// isNumber says whether it can be the id of a message that is to be quoted.
func isNumber(id string) bool {
	n, err := strconv.ParseUint(id, 10, 64)
	return err == nil && n > 0
}

// quote is the text as a reply that shows what it answers, in WeChat's XML.
func quote(m outbound.Message) string {
	return `<appmsg appid="" sdkver="0"><title>` + escape(m.Text) + `</title><des></des><action>view</action>` +
		`<type>57</type><showtype>0</showtype><content></content><url></url><refermsg><type>1</type>` +
		`<svrid>` + escape(m.ReplyTo) + `</svrid><fromusr>` + escape(m.To) + `</fromusr></refermsg></appmsg>`
}

// escape makes a text of what XML would read as more.
func escape(s string) string {
	var b strings.Builder
	// A Builder takes everything.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
