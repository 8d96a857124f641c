package onebot

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay/format"
)

// fields is one event. Strings are parts of the body, or unescaped copies; ids are empty for 0.
type fields struct {
	post, message, sub      string // post_type, message_type, sub_type
	notice, request         string // notice_type, request_type
	meta                    string // meta_event_type
	self, user, group       string
	operator, actor, target string // operator_id, sender_id, target_id
	id, time                gjson.Result
	content, raw            gjson.Result // message, raw_message
	sender, anonymous, file gjson.Result
	status                  gjson.Result // of a heartbeat
}

// scan reads the event in one pass. It is the list of all names.
func scan(v gjson.Result) (f fields) {
	for m := format.MembersOf(v); m.Next(); {
		switch string(m.Name()) {
		case "posttype":
			f.post = m.Value().Str
		case "messagetype":
			f.message = m.Value().Str
		case "subtype":
			f.sub = m.Value().Str
		case "noticetype":
			f.notice = m.Value().Str
		case "metaeventtype":
			f.meta = m.Value().Str
		case "status":
			f.status = m.Value()
		case "requesttype":
			f.request = m.Value().Str
		case "selfid":
			f.self = number(m.Value())
		case "userid":
			f.user = number(m.Value())
		case "groupid":
			f.group = number(m.Value())
		case "operatorid":
			f.operator = number(m.Value())
		case "senderid":
			f.actor = number(m.Value())
		case "targetid":
			f.target = number(m.Value())
		case "messageid":
			f.id = m.Value()
		case "time":
			f.time = m.Value()
		case "message":
			f.content = m.Value()
		case "rawmessage":
			f.raw = m.Value()
		case "sender":
			f.sender = m.Value()
		case "anonymous":
			f.anonymous = m.Value()
		case "file":
			f.file = m.Value()
		}
	}
	return f
}

// person is what an event says of its sender.
type person struct {
	user, group, card, nickname string
}

func personOf(v gjson.Result) (p person) {
	for m := format.MembersOf(v); m.Next(); {
		switch string(m.Name()) {
		case "userid":
			p.user = number(m.Value())
		case "groupid":
			p.group = number(m.Value())
		case "card":
			p.card = m.Value().Str
		case "nickname", "name": // name: of somebody anonymous
			p.nickname = m.Value().Str
		}
	}
	return p
}

// number is an id as text, empty if there is none.
func number(v gjson.Result) string {
	text, ok := format.Integer(v)
	switch {
	case !ok:
		return strings.TrimSpace(format.Scalar(v))
	case text == "0":
		return ""
	}
	return text
}

// first returns the first that is not empty.
func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
