package ipad

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

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

// Called are the ids of those whom the message calls, each once; never nil.
func Called(ms []outbound.Mention) []string {
	ids := make([]string, 0, len(ms))
	for _, m := range ms {
		if !slices.Contains(ids, m.ID) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// Content is the text, after the names of those whom it calls and does not name: WeChat shows a call only where the text
// has "@" and the name.
func Content(m outbound.Message) string {
	var before strings.Builder
	seen := make([]string, 0, len(m.Mentions))
	for _, who := range m.Mentions {
		name := "@" + who.ID
		if who.Name != "" {
			name = "@" + who.Name
		}
		if !slices.Contains(seen, who.ID) && !strings.Contains(m.Text, name) {
			fmt.Fprintf(&before, "%s\u2005", name)
		}
		seen = append(seen, who.ID)
	}
	return before.String() + m.Text
}
