package telegram

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format"
)

// Format reads Telegram updates. Its zero value is ready, and safe for concurrent use.
type Format struct{}

var _ relay.Format = Format{}

// Read implements [relay.Format].
func (Format) Read(body []byte, self string) ([]relay.Envelope, error) {
	root, err := format.Open(body)
	if err != nil {
		return nil, err
	}
	r := reader{bot: botOf(self)}
	if root.IsArray() {
		return format.Batch(body, root, r.element), nil
	}
	u := open(root)
	switch {
	case u.name == "" && u.list.IsArray():
		return format.Batch(body, u.list, r.element), nil
	case u.name == "" && !u.id.Exists():
		return format.Other(body), nil
	}
	return []relay.Envelope{r.envelope(u, root, body)}, nil
}

// reader reads the updates of one body.
type reader struct{ bot bot }

// element reads an object of a list.
func (r reader) element(v gjson.Result, raw []byte) relay.Envelope {
	u := open(v)
	if u.name == "" && !u.id.Exists() {
		return relay.Envelope{Kind: format.KindOther, Raw: raw}
	}
	return r.envelope(u, v, raw)
}

// envelope reads one update. raw is what will be delivered of it.
func (r reader) envelope(u update, v gjson.Result, raw []byte) relay.Envelope {
	var e relay.Envelope
	f := scan(u.what)
	switch u.name {
	case "message", "channel_post", "business_message":
		e = r.message(&f, f.kindOf())
	case "edited_message", "edited_channel_post", "edited_business_message":
		e = r.message(&f, kindEdited)
		if f.edited.Exists() {
			e.At = format.Time(f.edited)
		}
	case "callback_query":
		e = r.callback(&f)
	case "deleted_business_messages":
		e = r.event(&f, kindRecall)
	default:
		e = r.event(&f, kindSystem)
	}
	e.Raw = raw
	e.MessageID, e.Identity = identify(u.id, &e, &f, v.Raw)
	return e
}

// message reads a message of any sort.
func (r reader) message(f *fields, kind string) relay.Envelope {
	e := r.event(f, kind)
	e.MessageID, _ = idOf(f.id)
	e.Text = format.Keep(first(f.text, f.caption))
	if f.business != "" {
		e.Self = e.Self || r.ours(f)
	}
	if e.Self && kind == kindSystem && migrated(f.object) {
		e.Self = false // the agent must learn of the chat's new id
	}
	e.Mentioned = e.Group && (r.bot.mentioned(f.text, f.entities) || r.bot.mentioned(f.caption, f.captioned) ||
		r.replied(f.reply))
	return e
}

// callback reads a pressed button. The message that it hangs under is the bot's, and says only where that was.
func (r reader) callback(f *fields) relay.Envelope {
	above := scan(f.message)
	f.place = above.place
	e := r.event(f, kindCallback)
	e.Text = format.Keep(f.data)
	e.Mentioned = e.Group
	return e
}

// event reads what all updates have alike.
func (r reader) event(f *fields, kind string) relay.Envelope {
	who := f.sender()
	chat := peer(f.chat)
	e := relay.Envelope{
		Conversation: f.conversation(&chat), Sender: format.ID(who.id), Nickname: format.Keep(who.nickname(f.signature)),
		Kind: kind, Group: chat.group(), Self: r.bot.is(&who), At: format.Time(f.date),
	}
	if e.Group && chat.username != "" && e.Conversation == chat.id {
		e.Peers = []string{format.ID("@" + chat.username)}
	}
	return e
}

// ours says that the message of a business chat comes from the business account, which the bot speaks for: a bot of the
// account sent it, or its sender is not the person whom the chat is with.
func (r reader) ours(f *fields) bool {
	if f.object.Get("sender_business_bot").Exists() {
		return true
	}
	chat, who := peer(f.chat), peer(f.from)
	return chat.kind == "private" && who.id != "" && chat.id != who.id
}

// replied says that the message replied to is the bot's. A message in a topic seems to reply to the topic's first
// one, which says only that somebody opened it.
func (r reader) replied(message gjson.Result) bool {
	if !r.bot.known() || !message.IsObject() {
		return false
	}
	var from gjson.Result
	for m := format.MembersOf(message); m.Next(); {
		if string(m.Name()) == "from" {
			from = m.Value()
		}
	}
	who := peer(from)
	return r.bot.is(&who) && !message.Get("forum_topic_created").Exists()
}

// migrated says that a group became a supergroup; both chats are told.
func migrated(message gjson.Result) bool {
	return message.Get("migrate_to_chat_id").Exists() || message.Get("migrate_from_chat_id").Exists()
}

// identify returns the id to show and what a repeat of the update has in common with it.
func identify(update gjson.Result, e *relay.Envelope, f *fields, element string) (id, identity string) {
	updateID, whole := idOf(update)
	switch {
	case e.MessageID == "" && updateID == "":
		return "", ""
	case e.MessageID == "":
		id = format.ID(prefix + updateID)
	default:
		id = format.ID(e.MessageID)
	}
	if whole && !format.Rounded(updateID) {
		return id, prefix + updateID
	}
	return id, format.Fingerprint(updateID, e.MessageID, number(f.date), e.Sender, element)
}

// prefix keeps update ids apart from message ids, which are as small where a server has just begun to count.
const prefix = "update:"

// idOf returns an id as text, empty if there is none, and whether it is a whole number.
func idOf(v gjson.Result) (id string, whole bool) {
	if text, ok := format.Integer(v); ok {
		if text == "0" {
			return "", false
		}
		return text, true
	}
	return strings.TrimSpace(format.Scalar(v)), false
}

// number returns a whole number in whatever dress as text, and the plain text of anything else.
func number(v gjson.Result) string {
	if text, ok := format.Integer(v); ok {
		return text
	}
	return format.Scalar(v)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
