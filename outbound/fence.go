package outbound

import (
	"cmp"
	"slices"
	"strings"
)

// block is a fenced code block.
type block struct {
	// start is where the opening line starts, below 0 where it is in an earlier piece; body is behind that line.
	start, body int
	// tail is where the closing line starts, end is behind it; both are the text's end where there is none.
	tail, end int
	opener    string
}

// longestOpener is how much of an opening line is repeated; of a longer one only the fence is.
const longestOpener = 40

// scanBlocks finds the code blocks of a text that begins in one if the opener is not empty. A block whose fences leave
// hardly any room in a message is cut like plain text.
func scanBlocks(text, opener string, fits func(string) bool) []block {
	var (
		out  []block
		open *block
	)
	if opener != "" {
		open = &block{start: -1, opener: opener}
	}
	for at := 0; at < len(text); {
		next := len(text)
		if nl := strings.IndexByte(text[at:], '\n'); nl >= 0 {
			next = at + nl + 1
		}
		ln := strings.TrimRight(text[at:next], "\r\n")
		switch {
		case open == nil && fenceOf(ln) != "":
			open = &block{start: at, body: next, opener: shorten(ln)}
		case open != nil && closes(ln, open.opener):
			open.tail, open.end = at, next
			out, open = append(out, *open), nil
		}
		at = next
	}
	if open != nil {
		open.tail, open.end = len(text), len(text)
		out = append(out, *open)
	}
	return roomy(out, fits)
}

func roomy(blocks []block, fits func(string) bool) []block {
	known := map[string]bool{}
	return slices.DeleteFunc(blocks, func(b block) bool {
		fit, ok := known[b.opener]
		if !ok {
			fit = fits(b.opener + "\n" + strings.Repeat("x", longestOpener) + "\n" + fenceOf(b.opener))
			known[b.opener] = fit
		}
		return !fit
	})
}

func shorten(opener string) string {
	if len(opener) > longestOpener {
		return fenceOf(opener)
	}
	return opener
}

// fenceOf is the run of backquotes or tildes that a line begins with; empty: it is no fence.
func fenceOf(ln string) string {
	s := strings.TrimLeft(ln, " ")
	if len(ln)-len(s) > 3 {
		return ""
	}
	for _, mark := range []string{"`", "~"} {
		rest := strings.TrimLeft(s, mark)
		if n := len(s) - len(rest); n >= 3 && n <= longestOpener && (mark == "~" || !strings.Contains(rest, mark)) {
			return s[:n]
		}
	}
	return ""
}

// closes says whether the line closes a block: the same fence, at least as long, and nothing behind it.
func closes(ln, opener string) bool {
	f := fenceOf(ln)
	return f != "" && strings.HasPrefix(f, fenceOf(opener)) && strings.TrimSpace(ln) == f
}

// near is the first block that ends behind i.
func (w window) near(i int) (block, bool) {
	k, _ := slices.BinarySearchFunc(w.blocks, i+1, func(b block, end int) int { return cmp.Compare(b.end, end) })
	if k == len(w.blocks) {
		return block{}, false
	}
	return w.blocks[k], true
}

// around is the block that a cut at i would be in or at a fence of.
func (w window) around(i int) (block, bool) {
	b, ok := w.near(i)
	return b, ok && b.start < i
}

// blockAround is where the block that a cut at i would break starts and ends; zeros: there is none.
func (w window) blockAround(i int) (start, end int) {
	b, ok := w.around(i)
	if !ok {
		return 0, 0
	}
	return b.start, b.end
}

// fence is the opening line of the block whose code the place i is in.
func (w window) fence(i int) string {
	if b, ok := w.near(i); ok && b.body <= i && i <= b.tail {
		return b.opener
	}
	return ""
}

// mayCut says whether a cut at i leaves code on both sides.
func (b block) mayCut(text string, i int) bool {
	return b.body < i && i < b.tail && strings.TrimSpace(text[max(b.body, 0):i]) != "" &&
		strings.TrimSpace(text[i:b.tail]) != ""
}
