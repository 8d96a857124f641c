package astrbot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
)

const (
	itemText  = "text"
	itemImage = "image"

	// mostItems is how many items of one answer are looked at; more than agent.MaxReplies are told of and left.
	mostItems = 1024
	// longestID is how long an item's id may be to be taken as it stands.
	longestID = 64
)

// item is one thing that the agent said.
type item struct {
	id, kind, content string
	// place is where it stood.
	place int
}

// itemsOf reads so many of a data array.
func itemsOf(data gjson.Result, most int) []item {
	if !data.IsArray() {
		return nil
	}
	var out []item
	data.ForEach(func(_, v gjson.Result) bool {
		it := item{place: len(out)}
		if id := v.Get("item_id"); id.Type == gjson.String || id.Type == gjson.Number {
			it.id = id.String()
		}
		it.kind = v.Get("type").Str
		it.content = v.Get("content").Str
		out = append(out, it)
		return len(out) < most
	})
	return out
}

// key is what the item is known by among all that the agent says. One without an id is known by where it stood and what it
// is, so that the same post made again says nothing again; occasion tells it from the same words in another post.
func (it item) key(message, occasion string) string {
	if it.id != "" && len(it.id) <= longestID {
		return "item/" + it.id
	}
	if it.id != "" {
		occasion = ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d\x00%s\x00%s",
		message, occasion, it.id, it.place, it.kind, it.content))
	return "item/~" + hex.EncodeToString(sum[:16])
}

// said gathers items into replies, each once.
type said struct {
	// message is what they belong to, replyTo the IM's message that they answer.
	message, replyTo string
	// occasion is what else tells items without an id apart.
	occasion string
	// most is how many replies are taken.
	most    int
	known   map[string]bool
	replies []relay.Reply
	// left is how many could not be sent on.
	left int
}

func newSaid(message, replyTo string) *said {
	return &said{message: message, replyTo: replyTo, most: agent.MaxReplies, known: map[string]bool{}}
}

// add takes what is new, and says whether anything was.
func (s *said) add(items []item) bool {
	grew := false
	for _, it := range items {
		key := it.key(s.message, s.occasion)
		if s.known[key] {
			continue
		}
		s.known[key], grew = true, true
		r := relay.Reply{Key: key, ReplyTo: s.replyTo}
		switch {
		case it.kind == itemText:
			r.Text = agent.Plain(it.content)
		case it.kind == itemImage && agent.Link(it.content):
			r.Media = []relay.Media{{Type: itemImage, URL: it.content}}
		}
		switch {
		case r.Text == "" && len(r.Media) == 0 && it.kind == itemText:
		case r.Text == "" && len(r.Media) == 0, len(s.replies) >= s.most:
			s.left++
		default:
			s.replies = append(s.replies, r)
		}
	}
	return grew
}
