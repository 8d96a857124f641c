package telegram

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay/format"
)

// party is a user or a chat.
type party struct {
	id          string
	kind        string // of a chat: private, group, supergroup, channel
	title       string
	given, name string
	username    string
	bot         bool
	direct      bool // the chat is the direct messages of a channel
}

func peer(v gjson.Result) (p party) {
	for m := format.MembersOf(v); m.Next(); {
		switch string(m.Name()) {
		case "id":
			p.id, _ = idOf(m.Value())
		case "type":
			p.kind = m.Value().Str
		case "title":
			p.title = m.Value().Str
		case "firstname":
			p.given = m.Value().Str
		case "lastname":
			p.name = m.Value().Str
		case "username":
			p.username = m.Value().Str
		case "isbot":
			p.bot = m.Value().Bool()
		case "isdirectmessages":
			p.direct = m.Value().Bool()
		}
	}
	return p
}

// sender is who wrote it: the chat that somebody speaks as counts before the stand-in that Telegram names for him.
func (f *fields) sender() party {
	if p := peer(f.senderChat); p.id != "" {
		return p
	}
	return peer(f.from)
}

// group says that more than two can be in the chat.
func (p *party) group() bool {
	return !p.direct && (p.kind == "group" || p.kind == "supergroup" || p.kind == "channel")
}

// nickname is what people read there. A post in a channel may be signed.
func (p *party) nickname(signature string) string {
	if p.title != "" {
		return first(signature, p.title)
	}
	return first(strings.TrimSpace(p.given+" "+p.name), p.username)
}

// bot is the account itself, as far as it is configured.
type bot struct{ id, username string }

// botOf reads "7012345678", "@some_bot", "some_bot" or "7012345678@some_bot".
func botOf(self string) bot {
	left, right, both := strings.Cut(strings.TrimSpace(self), "@")
	if strings.Trim(left, "0123456789") == "" {
		return bot{id: left, username: right}
	}
	if both {
		return bot{username: right}
	}
	return bot{username: left}
}

func (b bot) known() bool { return b.id != "" || b.username != "" }

// is says that the party is the bot. People may have the username that a bot once had, so it counts only of a bot, and
// only where the id is not known.
func (b bot) is(p *party) bool {
	if b.id != "" {
		return p.id == b.id
	}
	return b.username != "" && p.bot && strings.EqualFold(p.username, b.username)
}
