package generic

import (
	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay/format"
)

// place is one of the things that a message is looked at for.
type place int

const (
	ident place = iota
	conversation
	sender
	nickname
	words
	image
	kind
	group
	mention
	own
	moment
	places
)

// picked is what was found, by place.
type picked [places]gjson.Result

// pick collects what the paths lead to, and the usual names for places without a path.
func (f *Format) pick(v gjson.Result) (p picked) {
	if f.usual {
		for m := format.MembersOf(v); m.Next(); {
			if at, ok := usual(m.Name()); ok && f.paths[at] == "" {
				p[at] = m.Value()
			}
		}
	}
	for at, path := range f.paths {
		if path != "" {
			p[at] = v.Get(path)
		}
	}
	return p
}

// usual is the table of names that need no configuration, in lower case and without underscores. The package's
// documentation lists them.
func usual(name []byte) (place, bool) {
	switch string(name) {
	case "id", "messageid", "msgid", "eventid":
		return ident, true
	case "conversation", "conversationid", "chat", "chatid", "channel", "channelid", "room", "roomid", "groupid":
		return conversation, true
	case "sender", "senderid", "from", "fromuser", "user", "userid", "author":
		return sender, true
	case "nickname", "sendername", "username", "displayname":
		return nickname, true
	case "text", "content", "message", "body":
		return words, true
	case "image", "imageurl", "imgurl", "picture", "pictureurl":
		return image, true
	case "kind", "msgtype", "messagetype", "contenttype":
		return kind, true
	case "group", "isgroup", "chattype":
		return group, true
	case "mentioned", "ismentioned", "atme", "mentions":
		return mention, true
	case "self", "isself", "fromme":
		return own, true
	case "time", "timestamp", "createtime", "createdat", "date", "ts":
		return moment, true
	}
	return 0, false
}
