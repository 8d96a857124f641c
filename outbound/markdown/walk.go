package markdown

import (
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/util"
)

// block notes what a block's marks are, and returns where its text ends.
func (r *reading) block(n ast.Node) int {
	end := 0
	switch n := n.(type) {
	case *ast.Heading:
		end = r.heading(n)
	case *ast.FencedCodeBlock:
		end = r.fence(n)
	case *ast.Paragraph, *ast.TextBlock:
		r.inlines(n, 0)
		end = r.linesEnd(n)
	case *ast.CodeBlock, *ast.ThematicBreak:
		end = r.linesEnd(n)
	default:
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			end = max(end, r.block(c))
		}
		if n.Kind() == ast.KindBlockquote {
			r.span(Span{Kind: Quote, Start: r.places[n].start, End: end})
		}
	}
	return end
}

// linesEnd is where the block's last line ends.
func (r *reading) linesEnd(n ast.Node) int {
	if n.Lines().Len() == 0 {
		return 0
	}
	return r.chomp(n.Lines().At(n.Lines().Len() - 1).Stop)
}

func (r *reading) heading(n *ast.Heading) int {
	if n.Lines().Len() == 0 {
		return 0
	}
	line := n.Lines().At(0)
	r.cutMarks(n.Pos(), line.Start, "# \t")
	rest := r.text[line.Stop:r.lineEnd(line.Stop)]
	if strings.Contains(rest, "#") {
		r.cutMarks(line.Stop, line.Stop+len(strings.TrimRight(rest, " \t\r")), "# \t")
	}
	r.inlines(n, line.Start)
	r.span(Span{Kind: Heading, Start: line.Start, End: line.Stop})
	return line.Stop
}

// fence takes the lines of a fence out, with all that stands before it on its line unless that is a list's marker. One
// that is never shut stays, for nobody knows where it was to end.
func (r *reading) fence(n *ast.FencedCodeBlock) int {
	at := r.places[n]
	if at.end == 0 {
		return r.linesEnd(n)
	}
	if from := r.lineStart(at.start); strings.Trim(r.text[from:at.start], " \t>") == "" {
		r.cut(from, at.open)
	} else {
		r.cut(at.start, r.lineEnd(at.start))
	}
	shut := at.shut
	if at.shut > at.open {
		shut = r.chomp(shut)
	}
	if at.end == len(r.text) && !strings.HasSuffix(r.text, "\n") {
		r.cut(shut, at.end)
	} else {
		r.cut(at.shut, at.end)
	}
	r.span(Span{Kind: Pre, Start: at.open, End: shut, Lang: string(n.Language(r.src))})
	return shut
}

// inlines notes the marks in n's children, which begin at from or later, and returns where the first begins and the
// last ends.
func (r *reading) inlines(n ast.Node, from int) (start, end int) {
	start, end = -1, from
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		var at int
		at, end = r.inline(c, end)
		if start < 0 {
			start = at
		}
	}
	return max(start, from), end
}

func (r *reading) inline(n ast.Node, from int) (start, end int) {
	switch n := n.(type) {
	case *ast.Text:
		// What is left of a run that ended an emphasis stands after it, though goldmark says within.
		start = max(n.Segment.Start, from)
		end = start + n.Segment.Len()
		r.escapes(start, min(end, len(r.text)))
		return start, end
	case *ast.Emphasis:
		return r.emphasis(n, from)
	}
	at, ok := r.places[n]
	if !ok {
		r.broken = true
		return from, from
	}
	switch n := n.(type) {
	case *ast.Link:
		r.link(n, at, string(n.Destination))
	case *ast.Image:
		r.link(n, at, string(n.Destination))
	case *ast.CodeSpan:
		r.cutMarks(at.start, at.open, "` ")
		r.cutMarks(at.shut, at.end, "` ")
		r.span(Span{Kind: Code, Start: at.open, End: at.shut})
	case *ast.AutoLink:
		r.cutMarks(at.start, at.open, "<")
		r.cutMarks(at.shut, at.end, ">")
		r.span(Span{Kind: Link, Start: at.open, End: at.shut, URL: r.text[at.open:at.shut]})
	}
	return at.start, at.end
}

// emphasis finds its marks around what is in it: goldmark does not tell.
func (r *reading) emphasis(n *ast.Emphasis, from int) (start, end int) {
	open, shut := r.inlines(n, from)
	start, end = open-n.Level, shut+n.Level
	if start < from || end > len(r.text) {
		r.broken = true
		return from, max(from, shut)
	}
	kind := Italic
	switch within := r.text[open:shut]; {
	case isFace(within), n.Level == 2 && r.text[start] == '_' && isIdentifier(within):
		return start, end // __init__ is a name, *_* a face
	case r.text[start] == '~':
		kind = Strike
	case n.Level == 2:
		kind = Bold
	}
	r.cutMarks(start, open, r.text[start:start+1])
	r.cutMarks(shut, end, r.text[start:start+1])
	r.span(Span{Kind: kind, Start: open, End: shut})
	return start, end
}

func isIdentifier(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func isFace(s string) bool { return strings.Trim(s, "*_~^-<>") == "" }

// link makes [text](address) into text (address). Where they are the same, or there is no text, the address alone stays.
func (r *reading) link(n ast.Node, at place, address string) {
	to, ok := r.address(at, address)
	label := r.text[at.open:at.shut]
	switch {
	case !ok || r.isIndex(at, address):
		r.inlines(n, at.open)
	case address == "":
		r.cut(at.start, at.open)
		r.inlines(n, at.open)
		r.cut(at.shut, at.end)
	case blank(label) || address == label || address == "mailto:"+label || address == "tel:"+label:
		to.start = to.end - len(address) + max(0, strings.Index(address, label))
		r.cut(at.start, to.start)
		r.cut(to.end, at.end)
		r.unescape(Span{Kind: Link, Start: to.start, End: to.end, URL: address}, to)
	default:
		r.cut(at.start, at.open)
		r.inlines(n, at.open)
		r.replace(at.shut, to.start, " (")
		r.replace(to.end, at.end, ")")
		r.unescape(Span{Kind: Link, Start: at.open, End: at.shut, URL: address}, to)
	}
}

// unescape takes the backslashes out of the address at to, and notes the link.
func (r *reading) unescape(s Span, to place) {
	for i := to.start; i+1 < to.end; i++ {
		if r.text[i] == '\\' && util.IsPunct(r.text[i+1]) {
			r.cut(i, i+1)
			i++
		}
	}
	s.URL = string(util.UnescapePunctuations([]byte(s.URL)))
	r.span(s)
}

// address is where a link's address stands; false: it is not where it should be, for a quote's mark is in between.
func (r *reading) address(at place, address string) (place, bool) {
	if at.shut+2 > at.end || at.end > len(r.text) {
		r.broken = true
		return place{}, false
	}
	from := at.shut + 2
	from += len(r.text[from:at.end]) - len(strings.TrimLeft(r.text[from:at.end], " \t\r\n"))
	if address != "" && r.text[from] == '<' {
		from++
	}
	return place{start: from, end: from + len(address)}, strings.HasPrefix(r.text[from:at.end], address)
}

// isIndex says that the brackets are a program's, as in list[0](x).
func (r *reading) isIndex(at place, address string) bool {
	if at.start == 0 || strings.Contains(address, "://") {
		return false
	}
	before := r.text[at.start-1]
	return isLetter(rune(before)) || '0' <= before && before <= '9' || strings.IndexByte("_])", before) >= 0
}

// escapes takes the backslashes out that keep a mark from being one.
func (r *reading) escapes(start, end int) {
	for i := start; i+1 < end; i++ {
		if r.text[i] != '\\' {
			continue
		}
		if strings.IndexByte("*_~`#", r.text[i+1]) >= 0 && !r.inPath(i) {
			r.cut(i, i+1)
		}
		i++
	}
}

// inPath says whether the backslash at i belongs to a path or to a formula: another one near it stands before a letter.
func (r *reading) inPath(i int) bool {
	const near = 128
	from, to := max(0, i-near), min(len(r.text), i+near)
	if cut := strings.LastIndexAny(r.text[from:i], " \t\r\n"); cut >= 0 {
		from += cut
	}
	if cut := strings.IndexAny(r.text[i:to], " \t\r\n"); cut >= 0 {
		to = i + cut
	}
	word := r.text[from:to]
	for j := range len(word) - 1 {
		if word[j] == '\\' && (isWord(rune(word[j+1])) || j > 0 && word[j-1] == ':') {
			return true
		}
	}
	return false
}

func (r *reading) lineStart(i int) int { return strings.LastIndexByte(r.text[:i], '\n') + 1 }

// lineEnd is where the line's own characters end.
func (r *reading) lineEnd(i int) int { return r.chomp(r.nextLine(i)) }

// chomp is where the text before i ends without its line end.
func (r *reading) chomp(i int) int {
	return len(strings.TrimSuffix(strings.TrimSuffix(r.text[:i], "\n"), "\r"))
}

func (r *reading) nextLine(i int) int {
	if n := strings.IndexByte(r.text[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(r.text)
}
