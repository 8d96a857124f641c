package telegram

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay/format"
)

// update is the outer object: its id, and the one thing that it tells of.
type update struct {
	id   gjson.Result
	name string
	what gjson.Result
	list gjson.Result // of updates, in an answer of getUpdates
}

// open reads the outer object. A name that is not known is one of a later version of the API.
func open(v gjson.Result) (u update) {
	v.ForEach(func(name, value gjson.Result) bool {
		switch {
		case value.Type == gjson.Null:
		case name.Str == "update_id":
			u.id = value
		case name.Str == "result":
			u.list = value
		case value.IsObject() && (u.name == "" || known(name.Str)):
			u.name, u.what = name.Str, value
		}
		return true
	})
	if !u.id.Exists() && !known(u.name) {
		u.name = ""
	}
	return u
}

// known says that an object of this name makes the body an update, even without an id.
func known(name string) bool {
	switch name {
	case "message", "edited_message", "channel_post", "edited_channel_post", "callback_query",
		"business_message", "edited_business_message", "deleted_business_messages", "my_chat_member", "chat_member":
		return true
	}
	return false
}

// place is where something happened.
type place struct {
	chat     gjson.Result
	thread   gjson.Result
	topic    bool // the thread is a topic, not only a row of replies
	business string
	object   gjson.Result
}

// fields is what an update tells of: a message, a pressed button or another thing. Strings are parts of the body, or
// unescaped copies.
type fields struct {
	place
	id               gjson.Result
	from, senderChat gjson.Result
	signature        string
	date, edited     gjson.Result
	text, caption    string
	entities         gjson.Result
	captioned        gjson.Result // the entities of the caption
	reply            gjson.Result
	message          gjson.Result // that a button hangs under
	data             string
	kind             string
	document         bool
}

// scan reads the object in one pass. What is rare, or has a name too long for [format.Members], is looked up by whoever
// needs it.
func scan(v gjson.Result) (f fields) {
	f.object = v
	for m := format.MembersOf(v); m.Next(); {
		switch name := string(m.Name()); name {
		case "messageid":
			f.id = m.Value()
		case "from", "user":
			f.from = m.Value()
		case "senderchat", "actorchat", "voterchat":
			f.senderChat = m.Value()
		case "authorsignature":
			f.signature = m.Value().Str
		case "chat":
			f.chat = m.Value()
		case "messagethreadid":
			f.thread = m.Value()
		case "istopicmessage":
			f.topic = m.Value().Bool()
		case "date":
			f.date = m.Value()
		case "editdate":
			f.edited = m.Value()
		case "text":
			f.text, f.kind = m.Value().Str, format.KindText
		case "caption":
			f.caption = m.Value().Str
		case "entities":
			f.entities = m.Value()
		case "captionentities":
			f.captioned = m.Value()
		case "replytomessage":
			f.reply = m.Value()
		case "message":
			f.message = m.Value()
		case "data":
			f.data = m.Value().Str
		case "document":
			f.document = true
		default:
			f.kind = first(contentKind(name), f.kind)
		}
	}
	if strings.Contains(v.Raw, "business_connection_id") {
		f.business = v.Get("business_connection_id").Str
	}
	return f
}

// conversation names the place so that an answer can go there.
func (p *place) conversation(chat *party) string {
	switch {
	case chat.id == "":
		return ""
	case p.business != "":
		return format.ID(chat.id + "/business/" + p.business)
	case chat.direct:
		if topic := number(p.object.Get("direct_messages_topic.topic_id")); topic != "" {
			return format.ID(chat.id + "/direct/" + topic)
		}
	case p.topic:
		if topic, _ := idOf(p.thread); topic != "" {
			return format.ID(chat.id + "/" + topic)
		}
	}
	return format.ID(chat.id)
}
