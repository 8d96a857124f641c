package onebot

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format"
)

// The kinds beside those that all formats share.
const (
	kindVoice   = "voice"
	kindVideo   = "video"
	kindFile    = "file"
	kindSystem  = "system"
	kindRecall  = "recall"
	kindRequest = "friend_request"
)

// Format reads the pushes of OneBot v11 servers. Its zero value is ready, and safe for concurrent use.
type Format struct{}

var _ relay.Format = Format{}

// Read implements [relay.Format].
func (Format) Read(body []byte, self string) ([]relay.Envelope, error) {
	root, err := format.Open(body)
	if err != nil {
		return nil, err
	}
	r := reader{fields: scan(root), body: root.Raw}
	r.self = first(r.self, self)
	r.who = personOf(r.sender)
	r.user = first(r.user, r.who.user)
	e := relay.Envelope{Raw: body, At: format.Time(r.time)}
	switch r.post {
	case "message", "message_sent":
		r.said(&e)
	case "notice":
		r.noticed(&e)
	case "request":
		r.requested(&e)
	case "meta_event":
		return format.News(body, r.pulse()), nil
	default:
		return format.Other(body), nil
	}
	return []relay.Envelope{e}, nil
}

// reader reads one event.
type reader struct {
	fields
	who  person
	body string
}

// said reads a message.
func (r *reader) said(e *relay.Envelope) {
	author := r.user
	sent := r.post == "message_sent" || r.sub == "group_self"
	if sent {
		author = first(r.self, r.user) // some put the peer into user_id
	}
	e.Sender = format.ID(author)
	e.Self = sent || author != "" && author == r.self
	switch r.message {
	case "group":
		e.Group = true
		e.Conversation = chat("group:", r.group)
	case "private":
		r.private(e)
	}
	e.Nickname = format.Keep(first(personOf(r.anonymous).nickname, r.who.card, r.who.nickname))
	r.read(e)
	e.MessageID, e.Identity = r.identify("", author, e.Conversation)
}

// unknownGroup is what NapCat and LLOneBot write for the group of a temporary session if they do not know it.
const unknownGroup = "284840486"

// private finds the conversation of a private message.
func (r *reader) private(e *relay.Envelope) {
	peer := r.peer(e.Self)
	e.Conversation = chat("private:", peer)
	group := first(r.group, r.who.group)
	temporary := r.sub == "group" || r.sub == "group_self"
	if peer == "" || !temporary || group == "" || group == unknownGroup {
		return
	}
	e.Peers = []string{e.Conversation}
	e.Conversation = chat("private:", peer+"@"+group)
}

// peer is the other side of a private chat, empty if it is not told.
func (r *reader) peer(own bool) string {
	switch {
	case !own:
		return r.user
	case r.target == "" && r.user != r.self:
		return r.user
	}
	return r.target
}

// chat is a conversation, none if it has no number.
func chat(kind, id string) string {
	if id == "" {
		return ""
	}
	return format.ID(kind + id)
}

// read reads the pieces of a message.
func (r *reader) read(e *relay.Envelope) {
	content := r.content
	if !content.Exists() {
		content = r.raw
	}
	var words strings.Builder
	called := false // by an at
	each(content, func(s segment) {
		switch s.kind {
		case typeText:
			words.WriteString(s.text)
			return
		case typeAt:
			if s.qq == "" {
				return
			}
			own := s.qq == r.self
			called = called || own
			e.Mentioned = e.Mentioned || own || s.qq == everyone
			if !own {
				words.WriteString("@" + s.qq)
			}
			return
		}
		if e.Kind == "" {
			e.Kind = kindOf(s.kind)
		}
		if m, ok := s.media(); ok {
			e.Media = append(e.Media, m)
		}
	})
	text := strings.TrimSpace(words.String())
	if text == "" && called && e.Kind == "" {
		text = "@" + r.self
	}
	e.Text = format.Keep(text)
	switch {
	case text != "":
		e.Kind = format.KindText
	case e.Kind == "":
		e.Kind = format.KindOther
	}
}

// noticed reads a notice.
func (r *reader) noticed(e *relay.Envelope) {
	author := first(r.operator, r.actor, r.user)
	e.Kind, e.Sender = kindSystem, format.ID(author)
	byUs := author != "" && author == r.self
	if news := r.presence(); news != "" {
		e.Kind, e.Sender, e.Meta = news, "", true
		return
	}
	switch r.notice {
	case "group_recall", "friend_recall":
		e.Kind, e.Self = kindRecall, byUs
	case "offline_file":
		e.Kind, e.Self = kindFile, byUs
		file := segmentOfFile(r.file)
		if m, ok := file.media(); ok {
			e.Media = []relay.Media{m}
		}
	case "group_upload":
		e.Self = byUs
	case "notify":
		e.Self = byUs && r.sub == "poke"
		e.Meta = r.sub == "input_status"
	case "client_status":
		e.Meta = true
	}
	if e.Meta {
		e.Kind, e.Sender = format.KindMeta, ""
		return
	}
	r.place(e)
	if e.Kind == kindRecall {
		e.MessageID, e.Identity = r.identify("recall:", author, e.Conversation)
	}
}

// presence is what a notice says of the account's own state, empty if it is about something else. NapCat has a
// notice_type for it, Lagrange a sub_type.
func (r *reader) presence() string {
	what := r.notice
	if what == "notify" {
		what = r.sub
	}
	switch what {
	case "bot_offline":
		return format.KindOffline
	case "bot_online":
		return format.KindOnline
	}
	return ""
}

// pulse is what a meta event says of the account's own state. A heartbeat's online is null where the server does not
// know. That the plugin was enabled or disabled says nothing of the account.
func (r *reader) pulse() string {
	if r.meta == "lifecycle" && r.sub == "connect" {
		return format.KindOnline
	}
	for m := format.MembersOf(r.status); m.Next(); {
		if string(m.Name()) != "online" {
			continue
		}
		switch m.Value().Type {
		case gjson.True:
			return format.KindOnline
		case gjson.False:
			return format.KindOffline
		}
	}
	return format.KindMeta
}

func segmentOfFile(v gjson.Result) segment {
	s := segment{kind: kindFile}
	for m := format.MembersOf(v); m.Next(); {
		s.set(string(m.Name()), format.Scalar(m.Value()))
	}
	return s
}

// requested reads a request, of which nothing is answered here. Its comment is for the one who decides.
func (r *reader) requested(e *relay.Envelope) {
	e.Kind, e.Sender = kindSystem, format.ID(r.user)
	if r.request == "friend" {
		e.Kind = kindRequest
	}
	r.place(e)
}

// place finds the conversation of what is no message, and so does not say whether it is private.
func (r *reader) place(e *relay.Envelope) {
	if r.group != "" {
		e.Group = true
		e.Conversation = chat("group:", r.group)
		return
	}
	e.Conversation = chat("private:", r.peer(e.Self))
}

// identify returns the id to show and what a repeat of the event has in common with it.
func (r *reader) identify(prefix, author, conversation string) (id, identity string) {
	bare := number(r.id)
	if bare == "" {
		return "", ""
	}
	id = format.ID(prefix + bare)
	at := number(r.time)
	parts := []string{r.self, r.message, conversation, id, at}
	_, whole := format.Integer(r.id)
	if at == "" || format.Rounded(bare) || !whole && r.id.Type != gjson.String {
		parts = append(parts, author, r.body)
	}
	return id, format.Fingerprint(parts...)
}
