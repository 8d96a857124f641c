package format

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Members goes once through the members of a JSON object:
//
//	for m := format.MembersOf(v); m.Next(); {
//		switch string(m.Name()) {
//		case "text":
//			text = m.Value()
//		}
//	}
//
// It is gjson's ForEach without the work for members that nobody asks for: most of a message need neither be unescaped nor
// made a float64. Whoever assigns as above lets the last of two members of the same name
// count, as most parsers do.
type Members struct {
	s       string // the object
	index   int    // where s stands in the body
	at, end int    // the current value
	name    [maxName]byte
	length  int // of name
}

// MembersOf returns the members of v, none if it is no object. It must be from a body that [Open] took.
func MembersOf(v gjson.Result) Members {
	if !v.IsObject() {
		return Members{}
	}
	return Members{s: v.Raw, index: v.Index, end: 1}
}

// Next goes to the next member, if there is one. It passes over null, which is as good as no value.
func (m *Members) Next() bool {
	for m.end < len(m.s) {
		n := strings.IndexByte(m.s[m.end:], '"')
		if n < 0 {
			break
		}
		begin := m.end + n
		m.at = stringEnd(m.s, begin)
		m.fold(m.s[begin:m.at])
		for m.at < len(m.s) && (m.s[m.at] <= ' ' || m.s[m.at] == ':') {
			m.at++
		}
		m.end = valueEnd(m.s, m.at)
		if !strings.HasPrefix(m.s[m.at:m.end], "null") {
			return true
		}
	}
	return false
}

// Name is the member's name in lower case and without underscores, so that all ways of writing it are one. It is empty if
// it is longer than any that a format looks for. It is valid until Next.
func (m *Members) Name() []byte { return m.name[:m.length] }

// Raw is the member's value as it stands, for a value that may turn out not to be needed.
func (m *Members) Raw() string { return m.s[m.at:m.end] }

// Value is the member's value. Its Num is not set: no id may pass through one.
func (m *Members) Value() gjson.Result {
	return value(m.s[m.at:m.end], m.index+m.at)
}

// maxName is the longest name that is looked for.
const maxName = 16

func (m *Members) fold(quoted string) {
	m.length = 0
	name := unquote(quoted)
	n := 0
	for i := range len(name) {
		c := name[i]
		if c == '_' {
			continue
		}
		if n == maxName {
			return
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		m.name[n] = c
		n++
	}
	m.length = n
}

// stringEnd returns where the string that begins at i ends. Most are short, so that a search for the quote pays only
// after a few bytes.
func stringEnd(s string, i int) int {
	for i++; i < len(s); i++ {
		for near := min(i+16, len(s)); i < near && s[i] != '"'; i++ {
			if s[i] == '\\' {
				i++
			}
		}
		if i >= len(s) {
			break
		}
		n := strings.IndexByte(s[i:], '"')
		if n < 0 {
			break
		}
		i += n
		slashes := 0
		for s[i-1-slashes] == '\\' {
			slashes++ // stops at the quote that began the string
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
	return len(s)
}

// valueEnd returns where the value that begins at i ends.
func valueEnd(s string, i int) int {
	if i < len(s) && s[i] == '"' {
		return stringEnd(s, i)
	}
	depth := 0
	for i < len(s) {
		switch s[i] {
		case '"':
			i = stringEnd(s, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return i // the end of the object, behind a number
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// value is what gjson would make of raw, without Num.
func value(raw string, at int) gjson.Result {
	v := gjson.Result{Raw: raw, Index: at}
	switch {
	case raw == "":
	case raw[0] == '"':
		v.Type, v.Str = gjson.String, unquote(raw)
	case raw[0] == '{', raw[0] == '[':
		v.Type = gjson.JSON
	case raw[0] == 't':
		v.Type = gjson.True
	case raw[0] == 'f':
		v.Type = gjson.False
	default:
		v.Type = gjson.Number
	}
	return v
}

func unquote(raw string) string {
	if strings.IndexByte(raw, '\\') >= 0 {
		return gjson.Parse(raw).Str
	}
	return strings.Trim(raw, `"`)
}
