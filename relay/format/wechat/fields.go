package wechat

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay/format"
)

// fields is one object of a body, whichever family wrote it. Strings are parts of the body, or unescaped copies.
type fields struct {
	from, to     string
	owner        string
	member       string // who wrote it in a group, where a server has already taken the prefix off
	kind         string // MsgType
	nick         string
	typeName     string
	source       string // MsgSource, still in JSON: only groups need it
	push         string
	content      gjson.Result
	newID, oldID gjson.Result
	created      gjson.Result
	list, data   gjson.Result
	wrapped      bool // the sides are objects: this is the protocol's own message, not a server's summary of it
	self, probe  bool
}

// scan reads the object in one pass. It is the list of all names.
func scan(v gjson.Result) (f fields) {
	for m := format.MembersOf(v); m.Next(); {
		switch string(m.Name()) {
		case "fromusername", "fromuser", "fromwxid":
			v := m.Value()
			f.from, f.wrapped = plain(v), v.IsObject()
		case "tousername", "touser", "towxid":
			f.to = plain(m.Value())
		case "senderwxid":
			f.member = plain(m.Value())
		case "msgtype":
			f.kind = number(m.Value())
		case "content", "text":
			f.content = m.Value()
		case "newmsgid":
			f.newID = m.Value()
		case "msgid":
			f.oldID = m.Value()
		case "createtime":
			f.created = m.Value()
		case "msgsource":
			f.source = m.Raw()
		case "pushcontent":
			f.push = plain(m.Value())
		case "fromnick", "fromnickname":
			f.nick = plain(m.Value())
		case "isself":
			f.self = truth(m.Value())
		case "wxid":
			f.owner = plain(m.Value())
		case "typename":
			f.typeName = plain(m.Value())
		case "data":
			f.data = m.Value()
		case "addmsgs", "messages":
			f.list = m.Value()
		case "testmsg":
			f.probe = true
		}
	}
	return f
}

// message says that the object is a message, or at least something that one must not lose.
func (f *fields) message() bool {
	return f.kind != "" || f.from != "" && (f.content.Exists() || f.newID.Exists() || f.oldID.Exists())
}

// plain returns the text of a string, of a number, or of a wrapper around one.
func plain(v gjson.Result) string {
	if v.Type == gjson.JSON {
		return unwrap(v)
	}
	return format.Scalar(v)
}

// number returns a whole number in whatever dress as text, and the plain text of anything else.
func number(v gjson.Result) string {
	if text, ok := format.Integer(v); ok {
		return text
	}
	return plain(v)
}

func unwrap(v gjson.Result) (text string) {
	for m := format.MembersOf(v); m.Next(); {
		if name := m.Name(); string(name) == "string" || string(name) == "str" {
			text = m.Value().Str
		}
	}
	return text
}

// truth reads a flag.
func truth(v gjson.Result) bool {
	return v.Type == gjson.True || number(v) == "1" || strings.EqualFold(v.Str, "true")
}
