package outbound

import (
	"strings"
	"unicode"
)

// window is what is left of a text, from which one piece is cut. Places are bytes of the whole text.
type window struct {
	text   string
	from   int
	blocks []block
}

// dress is the text from one place to another with the fences that it needs.
func (w window) dress(from, to int) string {
	body := strings.TrimRightFunc(w.text[from:to], unicode.IsSpace)
	if opener := w.fence(from); opener != "" {
		body = opener + "\n" + body
	}
	if opener := w.fence(to); opener != "" && to < len(w.text) {
		body += "\n" + fenceOf(opener)
	}
	return body
}

// piece ends at the cut.
func (w window) piece(cut int) Piece {
	p := Piece{Text: w.dress(w.from, cut), Start: w.from, End: cut}
	if cut < len(w.text) {
		p.End, p.Fence = w.skip(cut), w.fence(cut)
	}
	return p
}

// skip is where the text goes on after a cut: behind the white space, but an indent stays with its line.
func (w window) skip(cut int) int {
	begin := w.from + len(strings.TrimRightFunc(w.text[w.from:cut], unicode.IsSpace))
	end := len(w.text) - len(strings.TrimLeftFunc(w.text[cut:], unicode.IsSpace))
	if nl := strings.LastIndexByte(w.text[begin:end], '\n'); nl >= 0 && begin > w.from && end < len(w.text) {
		return begin + nl + 1
	}
	return end
}

// level is how good a place is for a cut.
type level uint8

const (
	never     level = iota // inside of a character
	desperate              // inside of a URL, an escape, a fence
	anywhere               // inside of a word
	word
	sentence
	line
	paragraph
)

// best is the best kind of place in the second half before the limit, else the last place that breaks no word, else the
// last that breaks nothing worse.
func (w window) best(limit int) int {
	var last [paragraph + 1]int
	half := w.from + (limit-w.from)/2
	urls := scanURLs(w.text, span{w.from, limit})
	for i := limit; i > w.from; i-- {
		l := w.level(i, limit, urls)
		if last[l] == 0 {
			last[l] = i
		}
		if i < half && l >= word {
			break
		}
	}
	for _, l := range []level{paragraph, line, sentence} {
		if last[l] > 0 && last[l] >= half {
			return last[l]
		}
	}
	for _, cut := range []int{max(last[word], last[sentence], last[line], last[paragraph]), last[anywhere], last[desperate]} {
		if cut > 0 {
			return cut
		}
	}
	return limit
}

// level judges the place before the byte i, for a cut that is made because of the limit.
func (w window) level(i, limit int, urls []span) level {
	switch {
	case joined(w.text, i):
		return never
	case escaped(w.text, i) || inside(urls, i):
		return desperate
	}
	if b, ok := w.around(i); ok {
		if limit >= b.end || !b.mayCut(w.text, i) {
			return desperate
		}
		return min(line, boundary(w.text, i))
	}
	return boundary(w.text, i)
}

// span is a run of bytes.
type span struct{ start, end int }

func inside(spans []span, i int) bool {
	for _, s := range spans {
		if s.start < i && i < s.end {
			return true
		}
	}
	return false
}

// scanURLs finds the URLs that begin in the span.
func scanURLs(text string, in span) []span {
	var out []span
	for from := in.start; from < in.end; {
		at := strings.Index(text[from:], "://")
		if at < 0 {
			return out
		}
		start := from + at - len(schemeBefore(text[from:from+at]))
		end := from + at + 3
		if stop := strings.IndexFunc(text[end:], endsURL); stop >= 0 {
			end += stop
		} else {
			end = len(text)
		}
		out = append(out, span{start, end})
		from = end
	}
	return out
}

// schemeBefore is the run of letters that s ends in.
func schemeBefore(s string) string {
	return s[len(strings.TrimRightFunc(s, func(r rune) bool { return r < unicode.MaxASCII && unicode.IsLetter(r) })):]
}

func endsURL(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("\"<>，。；：！？、（）「」『』《》“”", r)
}
