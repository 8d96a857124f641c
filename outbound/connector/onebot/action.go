package onebot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/imrelay/imrelay/outbound"
)

// How recipients are named.
const (
	group   = "group:"
	private = "private:"
)

// carried are the segments of media.
var carried = map[string]string{"image": "image", "voice": "record", "video": "video", "file": "file"}

// action is one call.
type action struct {
	name   string
	params json.RawMessage
	// ready is asked just before it is written; nil: always.
	ready func() error
	// hide is what the other side may not repeat.
	hide []string
}

// status is the action that asks how the account is.
func status() action { return action{name: "get_status", params: json.RawMessage("{}")} }

// params are those of sending.
type params struct {
	Group   json.RawMessage `json:"group_id,omitempty"`
	User    json.RawMessage `json:"user_id,omitempty"`
	Message []segment       `json:"message"`
}

// segment is a piece of a message.
type segment struct {
	Type string            `json:"type"`
	Data map[string]string `json:"data"`
}

// sending is the action that sends the message.
func sending(m outbound.Message) (action, error) {
	name, p, err := recipient(m.To)
	if err != nil {
		return action{}, err
	}
	if p.Message, err = segments(m); err != nil {
		return action{}, err
	}
	raw, err := encode(p)
	if err != nil {
		return action{}, refuse("encode", "the message cannot be written as JSON")
	}
	return action{name: name, params: raw, ready: m.Ready, hide: []string{m.Text}}, nil
}

// recipient reads whom a message is for.
func recipient(to string) (name string, p params, err error) {
	if id, ok := strings.CutPrefix(to, group); ok && isID(id) {
		return "send_group_msg", params{Group: number(id)}, nil
	}
	if id, ok := strings.CutPrefix(to, private); ok {
		user, by, temporary := strings.Cut(id, "@")
		if isID(user) && (!temporary || isID(by)) {
			p.User = number(user)
			if temporary {
				p.Group = number(by)
			}
			return "send_private_msg", p, nil
		}
	}
	return "", p, refuse("recipient", "want group:<id>, private:<id> or private:<id>@<group>, as events name conversations")
}

// isID says that s may be an id.
func isID(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r == '@' || r == ':' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
}

// number writes an id as a JSON number, if it is one that everybody reads as it stands, else as a string.
func number(id string) json.RawMessage {
	const exact = 1 << 53
	if n, err := strconv.ParseUint(id, 10, 64); err == nil && n < exact && strconv.FormatUint(n, 10) == id {
		return json.RawMessage(id)
	}
	s, _ := json.Marshal(id) // a string always can be
	return s
}

// segments are the pieces of the message in their order.
func segments(m outbound.Message) ([]segment, error) {
	var out []segment
	if isNumber(strings.TrimPrefix(m.ReplyTo, "-")) && quotes(m.Media) {
		out = append(out, segment{"reply", map[string]string{"id": m.ReplyTo}})
	}
	text := m.Text
	if strings.HasPrefix(m.To, group) {
		for _, who := range m.Mentions {
			if !isNumber(who.ID) || strings.Trim(who.ID, "0") == "" {
				return nil, refuse("mention", "want the number of a member, and never everybody")
			}
			out = append(out, segment{"at", map[string]string{"qq": who.ID}})
		}
		if len(m.Mentions) > 0 && text != "" {
			text = " " + text // QQ's own clients part a mention and the text so
		}
	}
	if text != "" {
		out = append(out, segment{"text", map[string]string{"text": text}})
	}
	for _, medium := range m.Media {
		s, err := mediumOf(medium)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, refuse("empty", "there is nothing to send")
	}
	return out, nil
}

// quotes says that a message with the media may answer another one: voice, video and files stand alone.
func quotes(media []outbound.Media) bool {
	for _, m := range media {
		if m.Type != "image" {
			return false
		}
	}
	return true
}

func mediumOf(m outbound.Media) (segment, error) {
	if err := (bot{}).Carry(m); err != nil {
		return segment{}, refuse("media", err.Error())
	}
	s := segment{carried[m.Type], map[string]string{"file": m.URL}}
	if m.Name != "" && m.Type == "file" {
		s.Data["name"] = m.Name
	}
	return s, nil
}

func isNumber(s string) bool {
	const longest = 20
	return s != "" && len(s) <= longest && strings.Trim(s, "0123456789") == ""
}

func refuse(code, detail string) error {
	return &outbound.SendError{Reason: outbound.Rejected, Ours: true, Code: code, Detail: detail}
}

// encode writes a value as JSON, with <, > and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
