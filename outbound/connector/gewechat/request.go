package gewechat

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/imrelay/imrelay/outbound"
)

// separator is what WeChat's own clients put behind the name of who is called.
const separator = "\u2005"

// everybody are the ids that call all members of a group.
var everybody = []string{"notify@all", "all"}

// request is one call of the API.
type request struct {
	path string
	body []byte
	// fetches says that the server fetches a medium before it answers.
	fetches bool
}

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

// Carry implements [outbound.Carrier].
func (c *Connector) Carry(m outbound.Media) error {
	u, err := url.Parse(m.URL)
	switch {
	case m.Type == "video":
		return errors.New("this IM takes no videos; send a file, or the address in the text")
	case m.Type != "image" && m.Type != "file" && m.Type != "voice":
		return errors.New("this IM takes images, files and voice messages only")
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return errors.New("url: want an http or https URL, from which the IM's server can fetch it")
	case m.Type == "voice" && m.Millis <= 0:
		return errors.New("durationMs: this IM takes a voice message only with how long it plays")
	}
	return nil
}

// request makes the call that the message is. Its errors are [*outbound.SendError]s: it calls nobody.
func (c *Connector) request(m outbound.Message) (request, error) {
	for _, who := range m.Mentions {
		if err := checkMention(who); err != nil {
			return request{}, refuse("mention", err)
		}
	}
	to := address{AppID: c.config.AppID, To: m.To}
	switch {
	case len(m.Media) > 1 || len(m.Media) == 1 && m.Text != "":
		return request{}, refuse("media", errors.New("one medium at a time, and no text with it"))
	case len(m.Media) == 1:
		if err := c.Carry(m.Media[0]); err != nil {
			return request{}, refuse("media", err)
		}
		r, err := medium(to, m.Media[0])
		r.fetches = true
		return r, err
	case c.config.Quote && isNumber(m.ReplyTo) && len(m.Mentions) == 0:
		return newRequest("/message/postAppMsg", appBody{address: to, XML: quote(m)})
	}
	return newRequest("/message/postText", textBody{address: to, Content: content(m), Ats: called(m.Mentions)})
}

// medium makes the call for a medium that the IM takes.
func medium(to address, m outbound.Media) (request, error) {
	switch m.Type {
	case "image":
		return newRequest("/message/postImage", imageBody{address: to, URL: m.URL})
	case "voice":
		return newRequest("/message/postVoice", voiceBody{address: to, URL: m.URL, Millis: m.Millis})
	}
	return newRequest("/message/postFile", fileBody{address: to, URL: m.URL, Name: fileName(m)})
}

// newRequest writes the body, with <, > and & as they are.
func newRequest(to string, body any) (request, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return request{}, refuse("request", err)
	}
	return request{path: to, body: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}, nil
}

// refuse is a refusal of our own, before anything is called.
func refuse(code string, err error) *outbound.SendError {
	return &outbound.SendError{Reason: outbound.Rejected, Code: code, Detail: err.Error(), Err: err}
}

// checkMention refuses what would call more than one member.
func checkMention(m outbound.Mention) error {
	id := strings.ToLower(m.ID)
	switch {
	case id == "" || strings.ContainsFunc(id, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }):
		return errors.New("want the id of one member")
	case slices.Contains(everybody, id):
		return errors.New("everybody cannot be called")
	}
	return nil
}

// content is the text, after the names of those whom it calls and does not name.
func content(m outbound.Message) string {
	var before strings.Builder
	for i, who := range m.Mentions {
		name, same := "@"+shown(who), func(o outbound.Mention) bool { return o.ID == who.ID }
		if !strings.Contains(m.Text, name) && !slices.ContainsFunc(m.Mentions[:i], same) {
			before.WriteString(name + separator)
		}
	}
	return before.String() + m.Text
}

// shown is how the text names a member.
func shown(m outbound.Mention) string {
	if m.Name == "" {
		return m.ID
	}
	return m.Name
}

// called is the list of those whom the message calls, each once.
func called(ms []outbound.Mention) string {
	var ids []string
	for _, m := range ms {
		if !slices.Contains(ids, m.ID) {
			ids = append(ids, m.ID)
		}
	}
	return strings.Join(ids, ",")
}

// fileName is how the file is shown, which the API does not do without.
func fileName(m outbound.Media) string {
	if m.Name != "" {
		return m.Name
	}
	if u, err := url.Parse(m.URL); err == nil {
		if base := path.Base(u.Path); base != "." && base != "/" {
			return base
		}
	}
	return "file"
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
