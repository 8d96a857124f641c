package generic

import (
	"slices"

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

// pick collects what the paths lead to, and for places without a path the first of the usual names that is there, wherever
// in the message it stands.
func (f *Format) pick(v gjson.Result) (p picked) {
	if f.usual {
		p = f.search(v)
	}
	for at, path := range f.paths {
		if path != "" {
			p[at] = v.Get(path)
		}
	}
	return p
}

// search collects what has one of the usual names, for places without a path.
func (f *Format) search(v gjson.Result) (p picked) {
	var ranks [places]int
	room := false
	for m := format.MembersOf(v); m.Next(); {
		c, ok := usual[string(m.Name())]
		if !ok || f.paths[c.at] != "" {
			continue
		}
		found := m.Value()
		if void(c.at, found) {
			continue
		}
		room = room || c.room
		if !p[c.at].Exists() || c.rank <= ranks[c.at] {
			p[c.at], ranks[c.at] = found, c.rank
		}
	}
	if room && !p[group].Exists() {
		p[group] = gjson.Result{Type: gjson.True}
	}
	return p
}

// void says that nothing is there: servers write an id that they do not have as 0 or as nothing.
func void(at place, v gjson.Result) bool {
	switch at {
	case ident, conversation, sender:
		id, _ := person(v)
		return id == "0" || v.Type == gjson.String && id == ""
	}
	return v.Type == gjson.String && v.Str == ""
}

// usualNames are those that need no configuration, in lower case and without underscores: of several in a message the first
// counts. The package's documentation lists them.
var usualNames = [places][]string{
	ident:        {"id", "messageid", "msgid", "eventid"},
	conversation: {"conversation", "conversationid", "chat", "chatid", "room", "roomid", "groupid", "channelid", "channel"},
	sender:       {"sender", "senderid", "from", "fromuser", "user", "userid", "author"},
	nickname:     {"nickname", "sendername", "username", "displayname"},
	words:        {"text", "content", "message", "body"},
	image:        {"image", "imageurl", "imgurl", "picture", "pictureurl"},
	kind:         {"kind", "msgtype", "messagetype", "contenttype"},
	group:        {"group", "isgroup", "chattype"},
	mention:      {"mentioned", "ismentioned", "atme", "mentions"},
	own:          {"self", "isself", "fromme"},
	moment:       {"time", "timestamp", "createtime", "createdat", "date", "ts"},
}

// rooms are the names of conversations that only groups have.
var rooms = []string{"roomid", "groupid"}

// choice is a place and how late its name comes among those for it.
type choice struct {
	at   place
	rank int
	room bool
}

// usual finds a name among all of them.
var usual = func() map[string]choice {
	all := map[string]choice{}
	for at, list := range usualNames {
		for rank, name := range list {
			all[name] = choice{at: place(at), rank: rank, room: slices.Contains(rooms, name)}
		}
	}
	return all
}()
