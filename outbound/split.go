package outbound

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// maxParts is how many parts a long text may have.
const maxParts = 20

// Piece is one part of a long text.
type Piece struct {
	// Text is what is sent. Where a fenced code block goes on from or into another part, the fence is closed and opened
	// again.
	Text string
	// Start and End are the place in the long text that it is made of; white space around a cut belongs to no piece's
	// Text. The End of one piece is the Start of the next.
	Start, End int
	// Fence is the line that opened the code block in which the piece ends; empty: it ends in none.
	Fence string
}

// Cutter cuts long texts. The zero value cuts nothing.
type Cutter struct {
	// Fits says whether a text is short enough for one message. What fits still fits when its end is cut off.
	Fits func(text string) bool
	// Limit is how many pieces are made at most, the last of them with what fits of the rest; 0: no limit.
	Limit int
}

// Cut cuts at sensible places: after a paragraph, a line, a sentence, a word, in this order, and inside of a URL, an
// escape, an entity or a character that is made of several runes only where a whole message cannot hold it. Fence is
// the line that opened the code block in which the text begins. A text that fits is one piece, unchanged.
func (c Cutter) Cut(text, fence string) []Piece {
	if c.Fits == nil || (fence == "" && c.Fits(text)) {
		return []Piece{{Text: text, End: len(text)}}
	}
	w := window{text: text, blocks: scanBlocks(text, fence, c.Fits)}
	var pieces []Piece
	for w.from < len(text) {
		p := c.next(w)
		w.from = p.End
		if strings.TrimSpace(p.Text) == "" && len(pieces) > 0 {
			pieces[len(pieces)-1].End = p.End
			continue
		}
		pieces = append(pieces, p)
		if len(pieces) == c.Limit {
			break
		}
	}
	return pieces
}

// next cuts the first piece off the window.
func (c Cutter) next(w window) Piece {
	if c.Fits(w.dress(w.from, len(w.text))) {
		return w.piece(len(w.text))
	}
	limit := c.longest(w)
	if start, end := w.blockAround(limit); start > w.from && (start-w.from >= (limit-w.from)/2 || c.Fits(w.dress(start, end))) {
		return w.piece(start)
	}
	return w.piece(w.best(limit))
}

// longest is the greatest cut that fits, at least one rune: a message must get on even where nothing fits.
func (c Cutter) longest(w window) int {
	all := len(w.text) - w.from
	fits := func(n int) bool { return c.Fits(w.dress(w.from, max(w.from, runeStart(w.text, w.from+n)))) }
	high := min(64, all)
	for high < all && fits(high) {
		high = min(2*high, all)
	}
	n := sort.Search(high, func(i int) bool { return !fits(i + 1) })
	cut := runeStart(w.text, w.from+n)
	if cut <= w.from {
		_, size := utf8.DecodeRuneInString(w.text[w.from:])
		return w.from + size
	}
	return cut
}

// runeStart moves i back to where the rune starts that it is inside of.
func runeStart(s string, i int) int {
	for start := i - 1; start >= 0 && start > i-utf8.UTFMax && i < len(s) && !utf8.RuneStart(s[i]); start-- {
		if _, n := utf8.DecodeRuneInString(s[start:]); start+n > i {
			return start
		}
	}
	return i
}
