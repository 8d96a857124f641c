package telegram

import (
	"regexp"
	"strings"

	"github.com/go-telegram/bot/models"
)

// cut is a stretch of a text that goes.
type cut struct{ start, end int }

// unquote takes the ">" out of what is shown as a quote: Telegram draws a bar instead. In a quote within it they stay,
// for Telegram knows none.
func (s *shown) unquote() {
	var cuts []cut
	for _, m := range s.marks {
		if m.Type == models.MessageEntityTypeBlockquote {
			cuts = append(cuts, quoteMarks(s.text, m.start, m.end)...)
		}
	}
	if len(cuts) == 0 {
		return
	}
	kept := s.marks[:0]
	for _, m := range s.marks {
		if m.start, m.end = without(cuts, m.start), without(cuts, m.end); m.start < m.end {
			kept = append(kept, m)
		}
	}
	s.marks = kept
	var b strings.Builder
	at := 0
	for _, c := range cuts {
		b.WriteString(s.text[at:c.start])
		at = c.end
	}
	b.WriteString(s.text[at:])
	s.text = b.String()
}

var quoteMark = regexp.MustCompile(`^[ \t]*> ?`)

// quoteMarks are the marks of the quote in [start, end), one a line; none, if nothing else is there.
func quoteMarks(text string, start, end int) []cut {
	var cuts []cut
	blank := true
	for line := range strings.Lines(text[start:end]) {
		n := len(quoteMark.FindString(line))
		if n > 0 {
			cuts = append(cuts, cut{start, start + n})
		}
		blank = blank && strings.TrimSpace(line[n:]) == ""
		start += len(line)
	}
	if blank {
		return nil
	}
	return cuts
}

// without is where the offset comes to when the cuts are made, which are in order.
func without(cuts []cut, at int) int {
	gone := 0
	for _, c := range cuts {
		if c.start >= at {
			break
		}
		gone += min(c.end, at) - c.start
	}
	return at - gone
}
