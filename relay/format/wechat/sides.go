package wechat

import (
	"strings"

	"github.com/imrelay/imrelay/relay/format"
)

// sides says who speaks where.
type sides struct {
	conversation, sender string
	peers                []string
	group, self          bool
	fromRoom             bool // the room is the sending side, so the content tells the member
}

// sides finds the conversation. The owner may be unknown.
func (f *fields) sides(owner string) sides {
	switch {
	case room(f.from):
		return sides{conversation: f.from, sender: f.member, group: true, fromRoom: true}
	case room(f.to):
		return sides{conversation: f.to, sender: f.from, group: true, self: f.toRoomIsOwn(owner)}
	case f.from == "":
		return sides{conversation: f.to}
	case f.from == owner, f.self:
		return sides{conversation: f.to, sender: f.from, self: true}
	case f.to == owner || f.to == "":
		return sides{conversation: f.from, sender: f.from}
	}
	return sides{conversation: f.from, sender: f.from, peers: []string{format.ID(f.to)}}
}

// toRoomIsOwn says that a message from a person to a room is the owner's own. In the protocol's own messages it always
// is, as those of others come from the room; the exception is an announcement, which is a system event. A server's
// summary may have put the member there, so without an owner to compare with nothing follows from it.
func (f *fields) toRoomIsOwn(owner string) bool {
	if owner != "" {
		return f.from == owner
	}
	return f.wrapped && f.kind != typeSystem && f.kind != typeSysmsg
}

func room(id string) bool {
	return strings.HasSuffix(id, "@chatroom") || strings.HasSuffix(id, "@im.chatroom")
}

// words returns the content without the prefix that names the member of the room, and notes him as the sender. Content
// that decides nothing is left unread.
func (f *fields) words(s *sides) string {
	if !s.fromRoom && !readable(f.kind) {
		return ""
	}
	content := plain(f.content)
	if !s.fromRoom || f.kind == typeSystem {
		return content // what a room says about itself has no prefix, but may quote what looks like one
	}
	left, right, found := strings.Cut(content, ":\n")
	switch {
	case !found || !identifier(left) || !f.prefixed(s, left, right):
		return content
	case left != s.conversation:
		s.sender = left
	}
	return right
}

// prefixed says that left is WeChat's prefix, and not what a member wrote: servers that push plain values may have taken
// the prefix off, and whoever wrote "admin:" in a line of its own would be admin. Without proof the text stays whole and
// nobody is known as its sender.
func (f *fields) prefixed(s *sides, left, right string) bool {
	switch {
	case s.sender != "":
		return left == s.sender
	case f.wrapped, f.kind != typeText, left == s.conversation: // nobody writes the other kinds by hand
		return true
	case strings.HasPrefix(left, "wxid_"), strings.HasSuffix(left, "@openim"):
		return true
	}
	right = strings.TrimSpace(right)
	return right != "" && strings.HasSuffix(f.push, " : "+right) // a phone shows the name instead of the prefix
}

// identifier says that s can be somebody's id.
func identifier(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '_', c == '-', c == '@', c == '.', c == '+':
		default:
			return false
		}
	}
	return true
}

// everyone are the entries of an atuserlist that mean all members.
var everyone = [...]string{"notify@all", "announcement@all", "所有人"}

// mentioned says that the list of the mentioned in MsgSource names the owner or everybody.
func mentioned(source, owner string) bool {
	if !strings.Contains(source, "<atuserlist") {
		return false
	}
	for id := range strings.SplitSeq(child(source, "msgsource", "atuserlist"), ",") {
		id = strings.TrimSpace(id)
		if id != "" && id == owner {
			return true
		}
		for _, all := range everyone {
			if id == all {
				return true
			}
		}
	}
	return false
}

// listed says that MsgSource can tell whether the owner was mentioned: it has a list, and we know whom to look for.
func listed(source, owner string) bool {
	return owner != "" && strings.Contains(source, "<atuserlist")
}

// What a phone would have shown for a mention.
const (
	noticeYou = "在群聊中@了你"
	noticeAll = "在群聊中@所有人"
)

// notice says that the push text is the notice of a mention, and not the preview of a text that ends like one.
func notice(push, content string) bool {
	if !strings.HasSuffix(push, noticeYou) && !strings.HasSuffix(push, noticeAll) {
		return false
	}
	text := strings.TrimSpace(content)
	return text == "" || !strings.HasSuffix(push, text)
}

// told is what the server calls the sender. If the message came from the room, that may be the room's name.
func (f *fields) told(s *sides) string {
	if s.fromRoom {
		return ""
	}
	return f.nick
}

// nickname is what the push text calls the sender, if it surely is that.
func (s *sides) nickname(push, content, text string) string {
	if push == "" || s.sender == "" {
		return ""
	}
	if s.group && notice(push, content) {
		return strings.TrimSuffix(strings.TrimSuffix(push, noticeYou), noticeAll)
	}
	if text != "" {
		name, told := strings.CutSuffix(push, strings.TrimSpace(text))
		name, named := strings.CutSuffix(name, " : ")
		if told && named {
			return name
		}
		return ""
	}
	name, label, ok := strings.Cut(push, " : ")
	if !ok || !strings.HasPrefix(label, "[") || strings.Contains(label, " : ") {
		return ""
	}
	return name
}

// identify returns the id to show and what a repeat of the message has in common with it.
func (f *fields) identify(sender, element string) (id, identity string) {
	newID, whole := idOf(f.newID)
	oldID, _ := idOf(f.oldID)
	id = format.ID(first(newID, oldID))
	switch {
	case id == "":
		return "", ""
	case newID != "" && whole && !format.Rounded(newID):
		return id, id
	}
	return id, format.Fingerprint(newID, oldID, number(f.created), sender, element)
}
