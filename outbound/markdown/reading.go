package markdown

import (
	"cmp"
	"slices"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// place is where a node stands in the source: its content is [open, shut), and around it are its marks.
type place struct{ start, open, shut, end int }

// edit takes [start, end) of the source out and puts insert there.
type edit struct {
	start, end int
	insert     string
}

// reading is one text on its way to its plain form.
type reading struct {
	text   string
	src    []byte
	places map[ast.Node]place // of the nodes of which goldmark does not tell it
	edits  []edit
	spans  []Span // with offsets into the source until apply
	broken bool   // goldmark's nodes and the source do not agree
}

func newReading(s string) *reading {
	return &reading{text: s, src: []byte(s), places: map[ast.Node]place{}}
}

// read notes the edits and the spans; false: the text is better left as it is.
func (r *reading) read() bool {
	root := r.parser().Parse(text.NewReader(r.src))
	r.block(root)
	return !r.broken
}

// cut takes [start, end) out.
func (r *reading) cut(start, end int) { r.replace(start, end, "") }

func (r *reading) replace(start, end int, by string) {
	if start < 0 || end > len(r.src) || start > end {
		r.broken = true
		return
	}
	if start < end {
		r.edits = append(r.edits, edit{start: start, end: end, insert: by})
	}
}

// cutMarks takes out [start, end), which must be nothing but the marks.
func (r *reading) cutMarks(start, end int, marks string) {
	if start < 0 || end > len(r.src) || start > end || strings.Trim(r.text[start:end], marks) != "" {
		r.broken = true
		return
	}
	r.cut(start, end)
}

// span notes what was marked, by its place in the source.
func (r *reading) span(s Span) {
	if s.Start < s.End {
		r.spans = append(r.spans, s)
	}
}

// apply does the edits, and moves the spans along.
func (r *reading) apply() (string, []Span) {
	slices.SortFunc(r.edits, func(a, b edit) int { return a.start - b.start })
	var plain strings.Builder
	ends := make([]int, len(r.edits)) // where each edit's end has come to
	at := 0
	for i, e := range r.edits {
		if e.start < at {
			return r.text, nil
		}
		plain.WriteString(r.text[at:e.start])
		plain.WriteString(e.insert)
		ends[i], at = plain.Len(), e.end
	}
	plain.WriteString(r.text[at:])
	return plain.String(), r.moved(ends)
}

// moved are the spans with offsets into the plain text, in order.
func (r *reading) moved(ends []int) []Span {
	to := func(from int) int {
		i, _ := slices.BinarySearchFunc(r.edits, from, func(e edit, from int) int { return e.start - from })
		if i == 0 {
			return from
		}
		return ends[i-1] + max(0, from-r.edits[i-1].end)
	}
	var spans []Span
	for _, s := range r.spans {
		s.Start, s.End = to(s.Start), to(s.End)
		if s.Start < s.End {
			spans = append(spans, s)
		}
	}
	slices.Reverse(spans) // of two that cover the same, the inner one was noted first
	slices.SortStableFunc(spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End))
	})
	return spans
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }
