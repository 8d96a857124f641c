package wechat

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay/format"
)

// fields is one object of a body, whichever family wrote it. Strings are parts of the body, or unescaped copies.
type fields struct {
	from, to     string
	member       string // who wrote it in a group, where a server has already taken the prefix off
	kind         string // MsgType
	source, push string
	nick         string
	owner        string
	typeName     string
	content      gjson.Result
	newID, oldID gjson.Result
	created      gjson.Result
	list, data   gjson.Result
	wrapped      bool // the sides are objects: this is the protocol's own message, not a server's summary of it
	self, probe  bool
}

// scan reads the object in one pass. A name that comes twice counts with its last value, as for most parsers.
func scan(v gjson.Result) (f fields) {
	var name [format.MaxName]byte
	v.ForEach(func(k, v gjson.Result) bool {
		f.take(format.Fold(&name, k.Str), v)
		return true
	})
	return f
}

// take is the list of all names, in lower case and without underscores.
func (f *fields) take(name []byte, v gjson.Result) {
	switch string(name) {
	case "fromusername", "fromuser", "fromwxid":
		f.from, f.wrapped = plain(v), v.IsObject()
	case "tousername", "touser", "towxid":
		f.to = plain(v)
	case "senderwxid":
		f.member = plain(v)
	case "msgtype":
		f.kind = number(v)
	case "content", "text":
		if v.Type != gjson.Null {
			f.content = v
		}
	case "newmsgid":
		f.newID = v
	case "msgid":
		f.oldID = v
	case "createtime":
		f.created = v
	case "msgsource":
		f.source = plain(v)
	case "pushcontent":
		f.push = plain(v)
	case "fromnick", "fromnickname":
		f.nick = plain(v)
	case "isself":
		f.self = v.Bool()
	case "wxid":
		f.owner = plain(v)
	case "typename":
		f.typeName = plain(v)
	case "data":
		f.data = v
	case "addmsgs", "messages":
		f.list = v
	case "testmsg":
		f.probe = true
	}
}

// message says that the object is a message, or at least something that one must not lose.
func (f *fields) message() bool {
	return f.kind != "" || f.from != "" && (f.content.Exists() || f.newID.Exists() || f.oldID.Exists())
}

// plain returns the text of a string, of a number, or of a wrapper around one.
func plain(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Number:
		return v.Raw
	case gjson.JSON:
		return unwrap(v)
	}
	return ""
}

// number returns a whole number in whatever dress as text, and the plain text of anything else.
func number(v gjson.Result) string {
	if text, ok := format.Integer(v); ok {
		return text
	}
	return plain(v)
}

func unwrap(v gjson.Result) (text string) {
	if !v.IsObject() {
		return ""
	}
	v.ForEach(func(k, inner gjson.Result) bool {
		if strings.EqualFold(k.Str, "string") || strings.EqualFold(k.Str, "str") {
			text = inner.Str
		}
		return true
	})
	return text
}
