package ipad

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/imrelay/imrelay/outbound"
)

// everybody is how the ids end that call all members of a group; those in all may stand alone.
const everybody = "@all"

var all = []string{"all", "所有人"}

// checkMention refuses what would call more than one member.
func checkMention(id string) error {
	switch name := strings.ToLower(strings.TrimPrefix(id, "@")); {
	case id == "" || strings.ContainsFunc(id, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }):
		return errors.New("want the id of one member")
	case slices.Contains(all, name) || strings.HasSuffix(name, everybody):
		return errors.New("everybody cannot be called")
	}
	return nil
}

// Content is the text, after the names of those whom it calls and does not name, and the ids of those who are called with
// it, each once; never nil. Who does not fit before the text is not called: it is better than to lose the text.
func Content(m outbound.Message) (text string, called []string) {
	var before strings.Builder
	room := longest - units(m.Text)
	called = make([]string, 0, len(m.Mentions))
	for _, who := range m.Mentions {
		if slices.Contains(called, who.ID) {
			continue
		}
		if !named(m.Text, cmp.Or(who.Name, who.ID)) && !named(m.Text, shown(who)) {
			call := "@" + shown(who) + "\u2005"
			if units(call) > room {
				continue
			}
			room -= units(call)
			before.WriteString(call)
		}
		called = append(called, who.ID)
	}
	return before.String() + m.Text, called
}

// shown is how the text names a member, cut off where it would take the text's room.
func shown(m outbound.Mention) string {
	name, n := cmp.Or(m.Name, m.ID), 0
	for i, r := range name {
		if n += max(1, utf16.RuneLen(r)); n > longestName {
			return name[:i]
		}
	}
	return name
}

// named says whether the text calls the name: a longer name that begins with it is another's.
func named(text, name string) bool {
	for {
		_, rest, found := strings.Cut(text, "@"+name)
		if !found {
			return false
		}
		r, _ := utf8.DecodeRuneInString(rest)
		if rest == "" || !unicode.In(r, unicode.L, unicode.N, unicode.M) && r != '_' && r != '-' {
			return true
		}
		text = rest
	}
}
