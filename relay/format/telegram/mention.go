package telegram

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay/format"
)

// entity is a marked part of a text, in UTF-16 units.
type entity struct {
	kind           string
	offset, length int
	user           gjson.Result
}

// mentioned says that one of the entities of the text names the bot.
func (b bot) mentioned(text string, entities gjson.Result) (found bool) {
	if !b.known() || !entities.IsArray() {
		return false
	}
	at, length := places(text, b.username), len(b.username)+1
	entities.ForEach(func(_, v gjson.Result) bool {
		e := entityOf(v)
		switch e.kind {
		case "text_mention":
			who := peer(e.user)
			found = b.is(&who)
		case "mention":
			found = e.length == length && has(at, e.offset)
		case "bot_command":
			found = e.length > length && has(at, e.offset+e.length-length)
		}
		return !found
	})
	return found
}

func has(sorted []int, n int) bool {
	_, found := slices.BinarySearch(sorted, n)
	return found
}

func entityOf(v gjson.Result) (e entity) {
	for m := format.MembersOf(v); m.Next(); {
		switch string(m.Name()) {
		case "type":
			e.kind = m.Value().Str
		case "offset":
			e.offset = count(m.Value())
		case "length":
			e.length = count(m.Value())
		case "user":
			e.user = m.Value()
		}
	}
	return e
}

// longest is more UTF-16 units than any body has.
const longest = 1 << 30

// count reads a number of units; what is none is beyond every text.
func count(v gjson.Result) int {
	text, _ := format.Integer(v)
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > longest {
		return longest
	}
	return n
}

// places returns where @username stands in the text, in UTF-16 units. One pass finds all, so that a text full of
// entities is not counted through for each of them.
func places(text, username string) (found []int) {
	if username == "" {
		return nil
	}
	units := 0
	for i, c := range text {
		if c == '@' {
			if rest := text[i+1:]; len(rest) >= len(username) && strings.EqualFold(rest[:len(username)], username) {
				found = append(found, units)
			}
		}
		units++
		if c > 0xFFFF {
			units++
		}
	}
	return found
}
