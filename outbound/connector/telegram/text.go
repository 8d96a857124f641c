package telegram

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-telegram/bot/models"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/markdown"
)

// maxEntities is how many entities of a message Telegram looks at.
const maxEntities = 100

// units is a text's length in UTF-16 units.
func units(text string) int {
	n := 0
	for _, r := range text {
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}

// mark is an entity whose place is in bytes.
type mark struct {
	start, end int
	models.MessageEntity
}

// shown is a text and what is marked in it.
type shown struct {
	text  string
	marks []mark
}

// compose makes of a message what Telegram shows.
func (c *Connector) compose(m outbound.Message) (string, []models.MessageEntity) {
	s := shown{text: m.Text}
	if c.markdown == convert {
		s = converted(m.Text)
	}
	s.call(m.Mentions)
	return s.text, s.entities()
}

// kinds are what Telegram calls the spans of Markdown. What is not here is not shown.
var kinds = map[markdown.Kind]models.MessageEntityType{
	markdown.Bold:    models.MessageEntityTypeBold,
	markdown.Heading: models.MessageEntityTypeBold,
	markdown.Italic:  models.MessageEntityTypeItalic,
	markdown.Strike:  models.MessageEntityTypeStrikethrough,
	markdown.Code:    models.MessageEntityTypeCode,
	markdown.Pre:     models.MessageEntityTypePre,
	markdown.Link:    models.MessageEntityTypeTextLink,
	markdown.Quote:   models.MessageEntityTypeBlockquote,
}

// converted takes the marks of Markdown out of a text, and makes entities of them.
func converted(text string) shown {
	rendered, spans := markdown.Render(text)
	s := shown{text: rendered}
	quoted := 0 // where the quote ends that a span may be in: quotes do not nest
	for _, span := range spans {
		e := models.MessageEntity{Type: kinds[span.Kind], URL: span.URL, Language: span.Lang}
		switch {
		case e.Type == "", span.Kind == markdown.Link && !linkable(span.URL),
			span.Kind == markdown.Quote && span.Start < quoted:
			continue
		case span.Kind == markdown.Quote:
			quoted = span.End
		}
		s.marks = append(s.marks, mark{start: span.Start, end: span.End, MessageEntity: e})
	}
	s.unquote()
	return s
}

// linkable says that the address is one of the web. Telegram takes tg:// too, and tg://user would call somebody.
func linkable(url string) bool {
	for _, scheme := range []string{"http://", "https://"} {
		if len(url) > len(scheme) && strings.EqualFold(url[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// entities are the marks in UTF-16 units. Mentions go first where there are too many.
func (s *shown) entities() []models.MessageEntity {
	slices.SortStableFunc(s.marks, func(a, b mark) int { return cmp.Compare(rank(a), rank(b)) })
	var out []models.MessageEntity
	for _, m := range s.marks[:min(len(s.marks), maxEntities)] {
		m.Offset, m.Length = units(s.text[:m.start]), units(s.text[m.start:m.end])
		out = append(out, m.MessageEntity)
	}
	slices.SortStableFunc(out, func(a, b models.MessageEntity) int { return cmp.Compare(a.Offset, b.Offset) })
	return out
}

func rank(m mark) int {
	if m.Type == models.MessageEntityTypeTextMention {
		return 0
	}
	return 1
}

var usernames = regexp.MustCompile(`^@?[A-Za-z][A-Za-z0-9_]{3,31}$`)

// call makes the text call these members. A member is known by number, or by username: then the text alone does it.
func (s *shown) call(members []outbound.Mention) {
	var missing []mark
	front := ""
	for _, member := range members {
		id, err := strconv.ParseInt(member.ID, 10, 64)
		var m mark
		switch {
		case err == nil && id > 0:
			m.MessageEntity = models.MessageEntity{
				Type: models.MessageEntityTypeTextMention, User: &models.User{ID: id, FirstName: member.Name},
			}
			name := strings.TrimPrefix(strings.TrimSpace(member.Name), "@")
			if m.start, m.end = s.find(name); m.end > 0 {
				s.marks = append(s.marks, m)
				continue
			}
			m.start = len(front)
			front += "@" + cmp.Or(name, member.ID)
			m.end = len(front)
			missing = append(missing, m)
		case usernames.MatchString(member.ID):
			name := strings.TrimPrefix(member.ID, "@")
			if hasName(s.text, "@"+name) {
				continue
			}
			front += "@" + name
		default:
			continue
		}
		front += " "
	}
	s.prefix(front, missing)
}

// prefix puts the names in front of the text, or the marks on its first words where there is no room.
func (s *shown) prefix(front string, marks []mark) {
	if units(front)+units(s.text) <= maxText {
		s.text = front + s.text
		for i := range s.marks {
			s.marks[i].start += len(front)
			s.marks[i].end += len(front)
		}
		s.marks = append(s.marks, marks...)
		return
	}
	from := 0
	for _, m := range marks {
		start := strings.IndexFunc(s.text[from:], func(r rune) bool { return !unicode.IsSpace(r) })
		if start < 0 {
			return
		}
		m.start = from + start
		m.end = len(s.text)
		if n := strings.IndexFunc(s.text[m.start:], unicode.IsSpace); n > 0 {
			m.end = m.start + n
		}
		s.marks = append(s.marks, m)
		from = m.end
	}
}

// find is where the text names somebody, outside of what is marked as code or as a link; 0, 0: nowhere. A name of one
// character needs its @.
func (s *shown) find(name string) (start, end int) {
	if name == "" {
		return 0, 0
	}
	words := []string{"@" + name}
	if utf8.RuneCountInString(name) > 1 {
		words = append(words, name)
	}
	for _, word := range words {
		for from := 0; ; {
			i := index(s.text[from:], word)
			if i < 0 {
				break
			}
			start, end = from+i, from+i+len(word)
			if !s.taken(start, end) {
				return start, end
			}
			from = end
		}
	}
	return 0, 0
}

// taken says that another entity there leaves no place for a mention: one of a kind that shares no text with it, or one
// that it would be half in.
func (s *shown) taken(start, end int) bool {
	return slices.ContainsFunc(s.marks, func(m mark) bool {
		if start >= m.end || m.start >= end {
			return false
		}
		switch m.Type {
		case models.MessageEntityTypeCode, models.MessageEntityTypePre, models.MessageEntityTypeTextLink,
			models.MessageEntityTypeTextMention:
			return true
		}
		within, around := start >= m.start && end <= m.end, start <= m.start && end >= m.end
		return !within && !around
	})
}

// hasName says that the text has the name, in any case.
func hasName(text, name string) bool { return index(strings.ToLower(text), strings.ToLower(name)) >= 0 }

// index is where the word stands, and is no part of a longer one; -1: nowhere.
func index(text, word string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return -1
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(word):])
		first, _ := utf8.DecodeRuneInString(word)
		last, _ := utf8.DecodeLastRuneInString(word)
		inside := spelled(before) && spelled(first) || spelled(last) && spelled(after)
		if !inside {
			return i
		}
		from = i + len(word)
	}
}

// spelled says that the rune is of a script whose words have spaces around them.
func spelled(r rune) bool {
	return (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_') &&
		!unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}
