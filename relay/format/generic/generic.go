// Package generic reads the messages of an IM that has no format of its own: JSON bodies of which the configuration
// says where things are. It knows no IM's habits, so what needs more than looking at a place (a sender written into the
// text, a mention inside markup) it cannot read.
//
// # What it reads
//
// Each key of [Config] is a path in the syntax of gjson. A key that is empty is looked for under the usual names, at the
// top of the message and without regard to case and underscores. Of several that are there the first in this list counts;
// an empty text is not there, nor is 0 where an id is looked for:
//
//   - id: id, messageId, msgId, eventId
//   - conversation: conversation, conversationId, chat, chatId, room, roomId, groupId, channelId, channel
//   - sender: sender, senderId, from, fromUser, user, userId, author; an object is looked into for its id and name
//   - nickname: nickname, senderName, userName, displayName
//   - text: text, content, message, body
//   - image: image, imageUrl, imgUrl, picture, pictureUrl, if it is an http URL
//   - kind: kind, msgType, messageType, contentType
//   - group: group, isGroup, chatType
//   - mentioned: mentioned, isMentioned, atMe, mentions
//   - self: self, isSelf, fromMe
//   - time: time, timestamp, createTime, createdAt, date, ts
//
// The rules: the conversation is what is found there, else the sender. A message is the account's own if self is true or
// the sender is the configured self. It mentions the account if mentioned is true, or is a list that names the
// configured self. Group is true, or one of group, supergroup, room, channel; without any, a message with a usual roomId or
// groupId is a group's, unless the configuration says where the conversation is. Time is unix seconds or milliseconds, or
// RFC 3339. A kind that is not found is text if there is one, else image if there is that.
//
// # What makes a repeat
//
// The id, as text. A number beyond 2^53 that ends in 000, or is written with a fraction or an exponent, has probably
// lost its last digits in JavaScript; then time, sender and a digest of the message's bytes are taken with it. Without
// an id, or with 0, a message is never taken for a repeat.
package generic

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format"
)

// Format reads messages by a configuration. It is safe for concurrent use.
type Format struct {
	paths    [places]string
	messages string
	// usual says that a place without a path is to be looked for, which costs a pass over the message.
	usual bool
}

var _ relay.Format = (*Format)(nil)

// New checks the configuration and returns its format.
func New(c Config) (*Format, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f := &Format{messages: c.Messages}
	for at, path := range c.paths() {
		f.paths[at] = path
		f.usual = f.usual || path == ""
	}
	return f, nil
}

// Read implements [relay.Format].
func (f *Format) Read(body []byte, self string) ([]relay.Envelope, error) {
	root, err := format.Open(body)
	if err != nil {
		return nil, err
	}
	list := root
	if f.messages != "" {
		list = root.Get(f.messages)
	}
	read := func(v gjson.Result, raw []byte) relay.Envelope { return f.envelope(v, self, raw) }
	if list.IsArray() {
		return format.Batch(body, list, read), nil
	}
	return []relay.Envelope{read(root, body)}, nil
}

// envelope reads one message. raw is what will be delivered of it.
func (f *Format) envelope(v gjson.Result, self string, raw []byte) relay.Envelope {
	p := f.pick(v)
	e := relay.Envelope{
		Kind: format.ID(format.Scalar(p[kind])), Text: format.Keep(text(p[words])), Group: grouped(p[group]),
		At: format.Time(p[moment]), Raw: raw,
	}
	who, name := person(p[sender])
	e.Sender = format.ID(who)
	e.Nickname = format.Keep(format.Scalar(p[nickname]))
	if e.Nickname == "" {
		e.Nickname = format.Keep(name)
	}
	where, _ := person(p[conversation])
	e.Conversation = format.ID(where)
	if e.Conversation == "" {
		e.Conversation = e.Sender
	}
	e.Self = truth(p[own]) || self != "" && who == self
	e.Mentioned = truth(p[mention]) || names(p[mention], self)
	if at := address(p[image]); at != "" {
		e.Media = []relay.Media{{Type: format.KindImage, URL: at}}
	}
	e.MessageID, e.Identity = identify(&p, who, v.Raw)
	switch {
	case e.Kind != "":
	case e.Text != "":
		e.Kind = format.KindText
	case len(e.Media) > 0:
		e.Kind = format.KindImage
	default:
		e.Kind = format.KindOther
	}
	return e
}

// identify returns the id to show and what a repeat of the message has in common with it.
func identify(p *picked, sender, element string) (id, identity string) {
	found := format.Scalar(p[ident])
	whole, ok := format.Integer(p[ident])
	switch {
	case whole == "0":
		return "", ""
	case ok && p[ident].Type != gjson.String:
		found = whole
	}
	id = format.ID(found)
	if id != "" && (format.Rounded(id) || !ok && vague(p[ident])) {
		return id, format.Fingerprint(id, format.Scalar(p[moment]), sender, element)
	}
	return id, id
}

// vague says that v is a number too large for a float64 to hold exactly, that has been one all the same: it is no
// whole number as it is written.
func vague(v gjson.Result) bool {
	n, err := strconv.ParseFloat(v.Raw, 64)
	return v.Type == gjson.Number && (err != nil || math.Abs(n) > 1<<53)
}

// text is a string, or what an object has for one.
func text(v gjson.Result) string {
	if v.IsObject() {
		v = inside(v, "text", "content", "body")
	}
	if v.Type != gjson.String {
		return ""
	}
	return v.Str
}

// longestURL is more than any picture's address needs.
const longestURL = 4 << 10

// address is a web address as it stands there, or what an object has for one.
func address(v gjson.Result) string {
	if v.IsObject() {
		v = inside(v, "url", "src")
	}
	if len(v.Str) > longestURL {
		return ""
	}
	u, err := url.Parse(v.Str)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return format.Keep(v.Str)
}

// person is the id of somebody or of a chat, and the name if it lies beside it.
func person(v gjson.Result) (id, name string) {
	if v.IsObject() {
		return format.Scalar(inside(v, "id", "userid", "chatid", "openid")), format.Scalar(inside(v, "name", "nickname", "displayname"))
	}
	return format.Scalar(v), ""
}

// inside returns the last member of the object that has one of the names.
func inside(object gjson.Result, wanted ...string) (found gjson.Result) {
	for m := format.MembersOf(object); m.Next(); {
		if slices.Contains(wanted, string(m.Name())) {
			found = m.Value()
		}
	}
	return found
}

func truth(v gjson.Result) bool {
	switch v.Type {
	case gjson.True:
		return true
	case gjson.Number:
		return v.Raw != "0"
	case gjson.String:
		return strings.EqualFold(v.Str, "true") || strings.EqualFold(v.Str, "yes") || v.Str == "1"
	}
	return false
}

// names says that the list has self in it.
func names(list gjson.Result, self string) (found bool) {
	if !list.IsArray() || self == "" {
		return false
	}
	list.ForEach(func(_, v gjson.Result) bool {
		id, _ := person(v)
		found = id == self
		return !found
	})
	return found
}

func grouped(v gjson.Result) bool {
	switch strings.ToLower(v.Str) {
	case "group", "supergroup", "room", "channel":
		return true
	}
	return truth(v)
}
