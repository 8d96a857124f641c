// Package term is how commands look: it tells a terminal from a pipe, colours where that helps, and aligns tables whose
// cells may be Chinese. What is printed is the commands' business; the package writes nothing by itself but tables.
package term

import (
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/mattn/go-isatty"
	"golang.org/x/text/width"
)

// IsTerminal says that the stream, an [io.Reader] or [io.Writer], is a person's terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && (isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()))
}

// Width is how many columns the text takes: two for an East Asian wide character, none for a combining one.
func Width(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

func wide(r rune) bool {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return true
	default:
		return false
	}
}

// Pad fills the text with spaces on the right up to the given number of columns.
func Pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(columns-Width(s), 0))
}

// Cut shortens the text to at most the given number of columns, and marks the cut with an ellipsis.
func Cut(s string, columns int) string {
	if Width(s) <= columns {
		return s
	}
	taken, n := 0, 0
	for i, r := range s {
		w := Width(string(r))
		if n+w > columns-1 {
			break
		}
		n += w
		taken = i + len(string(r))
	}
	return s[:taken] + "…"
}

// Clean returns the text on one line and without control characters: what came from a chat must not steer a terminal.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
}

// Style colours, or leaves alone. The zero Style is plain.
type Style struct{ on bool }

// StyleFor is the style for a stream: plain unless that is a terminal, and plain with NO_COLOR or TERM=dumb.
func StyleFor(w io.Writer) Style {
	return Style{on: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && IsTerminal(w)}
}

// Coloured is a style that always colours.
func Coloured() Style { return Style{on: true} }

// Plain says that the style leaves all text alone.
func (s Style) Plain() bool { return !s.on }

// Bold is for titles.
func (s Style) Bold(text string) string { return s.dress("1", text) }

// Dim is for what a reader may skip.
func (s Style) Dim(text string) string { return s.dress("2", text) }

// Green is for what is well.
func (s Style) Green(text string) string { return s.dress("32", text) }

// Yellow is for what to look at.
func (s Style) Yellow(text string) string { return s.dress("33", text) }

// Red is for what is wrong.
func (s Style) Red(text string) string { return s.dress("31", text) }

// Cyan is for names.
func (s Style) Cyan(text string) string { return s.dress("36", text) }

func (s Style) dress(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
