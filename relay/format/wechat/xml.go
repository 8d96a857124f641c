package wechat

import (
	"html"
	"strings"
)

const (
	cdataOpen  = "<![CDATA["
	cdataClose = "]]>"
)

// child returns the text of the first element called name that lies directly in the first one called parent, and an
// empty text where there is none. It reads just enough XML for that, so that tags inside other elements, in CDATA or in
// comments are not taken for it, and makes the best of what is broken; encoding/xml would cost more than all other reading.
func child(doc, parent, name string) string {
	w := walker{rest: doc}
	for w.next() {
		if w.name == parent && !w.closing {
			break
		}
	}
	if w.name != parent || w.alone {
		return ""
	}
	for depth := 0; depth >= 0 && w.next(); {
		switch {
		case w.closing:
			depth--
		case depth == 0 && w.name == name:
			return w.text()
		case !w.alone:
			depth++
		}
	}
	return ""
}

// walker goes from tag to tag.
type walker struct {
	rest    string // behind the tag
	name    string
	closing bool // </name>
	alone   bool // <name/>
}

// next goes to the next tag, if there is one.
func (w *walker) next() bool {
	for {
		at := strings.IndexByte(w.rest, '<')
		if at < 0 {
			*w = walker{}
			return false
		}
		w.rest = w.rest[at:]
		switch {
		case strings.HasPrefix(w.rest, cdataOpen):
			w.skip(cdataClose)
		case strings.HasPrefix(w.rest, "<!--"):
			w.skip("-->")
		case strings.HasPrefix(w.rest, "<!"), strings.HasPrefix(w.rest, "<?"):
			w.skip(">")
		default:
			w.tag()
			return true
		}
	}
}

// skip goes behind the next end, or to the end of all.
func (w *walker) skip(end string) {
	_, w.rest, _ = strings.Cut(w.rest, end)
}

// tag reads the tag that rest begins with.
func (w *walker) tag() {
	inside := w.rest[1:tagEnd(w.rest)]
	w.rest = w.rest[min(len(inside)+2, len(w.rest)):]
	inside, w.closing = strings.CutPrefix(inside, "/")
	inside, w.alone = strings.CutSuffix(inside, "/")
	w.name = inside
	if end := strings.IndexAny(inside, " \t\r\n"); end >= 0 {
		w.name = inside[:end]
	}
}

// tagEnd is where the tag's > is, or the end of s; attributes may hold one.
func tagEnd(s string) int {
	var quote byte
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i
		}
	}
	return len(s)
}

// text is the character data behind the tag, up to the next one.
func (w *walker) text() string {
	if w.alone {
		return ""
	}
	if inside, ok := strings.CutPrefix(strings.TrimLeft(w.rest, " \t\r\n"), cdataOpen); ok {
		inside, _, _ = strings.Cut(inside, cdataClose)
		return inside
	}
	inside, _, _ := strings.Cut(w.rest, "<")
	return html.UnescapeString(inside)
}
