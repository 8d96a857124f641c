package onebot

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format"
)

// segment is one piece of a message.
type segment struct {
	kind                      string // type
	text, qq, url, file, name string
}

// set keeps what is looked at of a segment's data.
func (s *segment) set(name, value string) {
	switch name {
	case "text":
		s.text = value
	case "qq":
		s.qq = value
	case "url":
		s.url = value
	case "file":
		s.file = value
	case "name":
		s.name = value
	}
}

// each calls take with the pieces of a message, whichever way it is written.
func each(message gjson.Result, take func(s segment)) {
	switch {
	case message.Type == gjson.String:
		codes(message.Str, take)
	case message.IsObject():
		take(segmentOf(message))
	case message.IsArray():
		message.ForEach(func(_, v gjson.Result) bool {
			if v.IsObject() {
				take(segmentOf(v))
			}
			return true
		})
	}
}

func segmentOf(v gjson.Result) (s segment) {
	var data gjson.Result
	for m := format.MembersOf(v); m.Next(); {
		switch string(m.Name()) {
		case "type":
			s.kind = m.Value().Str
		case "data":
			data = m.Value()
		}
	}
	for m := format.MembersOf(data); m.Next(); {
		if string(m.Name()) == "qq" {
			s.qq = number(m.Value())
			continue
		}
		s.set(string(m.Name()), format.Scalar(m.Value()))
	}
	return s
}

const codeOpen = "[CQ:"

// Inside a code a comma is escaped too. A pass is one: what is left by it is not unescaped again.
var (
	plainText  = strings.NewReplacer("&#91;", "[", "&#93;", "]", "&amp;", "&")
	plainValue = strings.NewReplacer("&#91;", "[", "&#93;", "]", "&#44;", ",", "&amp;", "&")
)

// codes reads a text with CQ codes: words [CQ:type,name=value,…] words. Brackets that mean nothing are escaped, so a code
// ends at the next one, and is none if that opens another or it has no type.
func codes(text string, take func(s segment)) {
	words := 0 // where those begin that were not taken yet
	for at := 0; ; {
		n := strings.Index(text[at:], codeOpen)
		if n < 0 {
			break
		}
		begin := at + n
		at = begin + len(codeOpen)
		n = strings.IndexAny(text[at:], "[]")
		if n < 0 {
			break
		}
		inside := text[at : at+n]
		at += n
		if text[at] == '[' || inside == "" || inside[0] == ',' {
			continue
		}
		spoken(text[words:begin], take)
		take(codeOf(inside))
		at++
		words = at
	}
	spoken(text[words:], take)
}

func spoken(words string, take func(s segment)) {
	if words != "" {
		take(segment{kind: typeText, text: plainText.Replace(words)})
	}
}

// codeOf reads what stands between "[CQ:" and "]".
func codeOf(inside string) segment {
	kind, rest, _ := strings.Cut(inside, ",")
	s := segment{kind: kind}
	for pair := range strings.SplitSeq(rest, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			s.set(name, plainValue.Replace(value))
		}
	}
	return s
}

// The segment types that are more than a kind.
const (
	typeText = "text"
	typeAt   = "at"
	everyone = "all" // as the qq of an at
)

// kindOf names a segment's type, empty if it does not make the message what it is. No name is a part of the body.
func kindOf(kind string) string {
	switch kind {
	case "image":
		return format.KindImage
	case "record":
		return kindVoice
	case "video":
		return kindVideo
	case "file":
		return kindFile
	case "face", "mface", "bface", "sface", "dice", "rps":
		return "sticker"
	case "location":
		return "location"
	case "forward":
		return "forward"
	case "share", "music":
		return "link"
	case "contact":
		return "card"
	case "json", "xml":
		return "app"
	}
	return ""
}

// mediaType is the type of what can be fetched of a segment, empty if nothing can.
func mediaType(kind string) string {
	switch kind {
	case "image", "video", "file", "record":
		return kindOf(kind)
	case "mface":
		return format.KindImage
	}
	return ""
}

const (
	// longestURL is more than any address of a picture needs.
	longestURL = 4 << 10
	// longestName is the longest name of a file on any system that we know.
	longestName = 255
)

// media is what can be fetched of a segment, if something can.
func (s *segment) media() (m relay.Media, ok bool) {
	m.Type = mediaType(s.kind)
	address := s.url
	if !web(address) {
		address = s.file
	}
	if m.Type == "" || !web(address) {
		return m, false
	}
	m.URL = format.Keep(address)
	if m.Type == kindFile {
		m.Name = fileName(first(s.name, s.file))
	}
	return m, true
}

func fileName(s string) string {
	if len(s) > longestName || strings.Contains(s, "://") {
		return ""
	}
	return format.Keep(s)
}

// web says that s is an address that others can use, and not a path on the IM server.
func web(s string) bool {
	return len(s) <= longestURL && (strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://"))
}
