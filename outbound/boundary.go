package outbound

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// lookBack bounds how far the rules look around a place, so that a hostile text costs no more than a long one.
const lookBack = 64

const (
	zeroWidthJoiner = '\u200d'
	sentenceEnds    = "。！？…｡！？"
	latinEnds       = ".!?"
	closers         = "\"'”’)]}）】」』》〉"
)

// joined says that the place before the byte i is inside of a rune, or of a character that is made of several.
func joined(text string, i int) bool {
	if i >= len(text) {
		return false
	}
	if runeStart(text, i) < i {
		return true
	}
	prev, _ := utf8.DecodeLastRuneInString(text[:i])
	next, _ := utf8.DecodeRuneInString(text[i:])
	switch {
	case prev == zeroWidthJoiner || extends(next):
		return true
	case prev == '\r' && next == '\n':
		return true
	case regional(prev) && regional(next):
		return oddRun(text[:i], regional)
	}
	return false
}

// extends says that the rune belongs to the one before it.
func extends(r rune) bool {
	switch {
	case r == zeroWidthJoiner, r >= 0x1F3FB && r <= 0x1F3FF, r >= 0xE0020 && r <= 0xE007F:
		return true
	case r >= 0x1160 && r <= 0x11FF: // the later letters of a Korean syllable
		return true
	}
	return unicode.Is(unicode.M, r)
}

// regional letters make flags, two by two.
func regional(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

// oddRun says whether s ends in an odd number of such runes.
func oddRun(s string, is func(rune) bool) bool {
	n := 0
	for n < lookBack {
		r, size := utf8.DecodeLastRuneInString(s)
		if size == 0 || !is(r) {
			break
		}
		s = s[:len(s)-size]
		n++
	}
	return n%2 == 1
}

// escaped says that the place is behind the backslash of an escape, or inside of an entity like &amp;.
func escaped(text string, i int) bool {
	if i >= len(text) {
		return false
	}
	if text[i-1] == '\\' && oddRun(text[:i], func(r rune) bool { return r == '\\' }) {
		return true
	}
	const longestEntity = 12
	from := max(0, i-longestEntity)
	amp := strings.LastIndexByte(text[from:i], '&')
	if amp < 0 {
		return false
	}
	name, _, ok := strings.Cut(text[from+amp+1:min(len(text), from+amp+longestEntity)], ";")
	return ok && name != "" && i <= from+amp+1+len(name) && strings.IndexFunc(name, notInEntity) < 0
}

func notInEntity(r rune) bool {
	return r != '#' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
}

// boundary says what ends at the place before the byte i.
func boundary(text string, i int) level {
	before, after := text[:i], text[i:]
	if l := lineEnd(before, after); l != never {
		return l
	}
	prev, _ := utf8.DecodeLastRuneInString(before)
	next, _ := utf8.DecodeRuneInString(after)
	spaced := unicode.IsSpace(prev) || unicode.IsSpace(next)
	switch {
	case endsSentence(before, spaced) && !strings.ContainsRune(sentenceEnds+latinEnds+closers, next):
		return sentence
	case spaced, (wordless(prev) || wordless(next)) && !unicode.IsPunct(next):
		return word
	}
	return anywhere
}

// lineEnd says whether the place is at the end of a line or paragraph, on either side of the white space there.
func lineEnd(before, after string) level {
	const blank = " \t\r"
	left := strings.TrimRight(before[max(0, len(before)-lookBack):], blank)
	right := strings.TrimLeft(after[:min(len(after), lookBack)], blank)
	ended, ends := strings.HasSuffix(left, "\n"), strings.HasPrefix(right, "\n")
	switch {
	case ended && ends,
		ended && strings.HasSuffix(strings.TrimRight(left[:len(left)-1], blank), "\n"),
		ends && strings.HasPrefix(strings.TrimLeft(right[1:], blank), "\n"):
		return paragraph
	case ended && left == before[max(0, len(before)-lookBack):], ends:
		return line
	}
	return never
}

// endsSentence says whether a sentence ends here. A full stop ends one only before a space: 3.14, example.com.
func endsSentence(before string, spaced bool) bool {
	s := strings.TrimRightFunc(before[max(0, len(before)-lookBack):], unicode.IsSpace)
	s = strings.TrimRight(s, closers)
	r, _ := utf8.DecodeLastRuneInString(s)
	return strings.ContainsRune(sentenceEnds, r) || spaced && strings.ContainsRune(latinEnds, r)
}

// wordless says that the rune is of a script that sets no spaces between words.
func wordless(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}
