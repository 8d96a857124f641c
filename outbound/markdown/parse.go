package markdown

import (
	"bytes"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// parser leaves out of CommonMark what is not Markdown in a chat: underlined headings, for which the line above a
// thematic break would be taken; blocks of HTML, in which marks would stay; and definitions of references. It is made
// anew for each text because its parts note places.
func (r *reading) parser() parser.Parser {
	return parser.NewParser(
		parser.WithBlockParsers(
			util.Prioritized(parser.NewThematicBreakParser(), 200),
			util.Prioritized(&nested{BlockParser: parser.NewListParser(), r: r}, 300),
			util.Prioritized(parser.NewListItemParser(), 400),
			util.Prioritized(parser.NewCodeBlockParser(), 500),
			util.Prioritized(parser.NewATXHeadingParser(), 600),
			util.Prioritized(&fences{BlockParser: parser.NewFencedCodeBlockParser(), r: r}, 700),
			util.Prioritized(&nested{BlockParser: parser.NewBlockquoteParser(), r: r}, 800),
			util.Prioritized(parser.NewParagraphParser(), 1000),
		),
		parser.WithInlineParsers(
			util.Prioritized(&codes{InlineParser: parser.NewCodeSpanParser(), r: r}, 100),
			util.Prioritized(&links{inner: parser.NewLinkParser(), r: r}, 200),
			util.Prioritized(&angles{r: r}, 300),
			util.Prioritized(&addresses{r: r}, 400),
			util.Prioritized(&runs{}, 500),
		),
	)
}

// nested opens blocks that hold others, up to a depth: goldmark asks each open one at each line.
type nested struct {
	parser.BlockParser
	r *reading
}

// Open implements parser.BlockParser.
func (p *nested) Open(parent ast.Node, reader text.Reader, pc parser.Context) (ast.Node, parser.State) {
	if len(pc.OpenedBlocks()) >= maxOpen {
		return nil, parser.NoChildren
	}
	at := opening(reader, pc)
	node, state := p.BlockParser.Open(parent, reader, pc)
	if node != nil {
		p.r.places[node] = place{start: at}
	}
	return node, state
}

// opening is where the mark of the block begins that could be opened now.
func opening(reader text.Reader, pc parser.Context) int {
	_, segment := reader.PeekLine()
	return segment.Start + max(pc.BlockOffset(), 0) - segment.Padding
}

// fences notes where the lines of a code fence are.
type fences struct {
	parser.BlockParser
	r *reading
}

// Open implements parser.BlockParser.
func (p *fences) Open(parent ast.Node, reader text.Reader, pc parser.Context) (ast.Node, parser.State) {
	node, state := p.BlockParser.Open(parent, reader, pc)
	if node != nil {
		at := opening(reader, pc)
		p.r.places[node] = place{start: at, open: p.r.nextLine(at)}
	}
	return node, state
}

// Continue implements parser.BlockParser.
func (p *fences) Continue(node ast.Node, reader text.Reader, pc parser.Context) parser.State {
	_, segment := reader.PeekLine()
	state := p.BlockParser.Continue(node, reader, pc)
	if state == parser.Close {
		at := p.r.places[node]
		at.shut, at.end = p.r.lineStart(segment.Start), p.r.nextLine(segment.Start)
		p.r.places[node] = at
	}
	return state
}

// codes notes where code in a line is.
type codes struct {
	parser.InlineParser
	r *reading
}

// Parse implements parser.InlineParser.
func (p *codes) Parse(parent ast.Node, block text.Reader, pc parser.Context) ast.Node {
	_, from := block.Position()
	node := p.InlineParser.Parse(parent, block, pc)
	if node == nil || node.Kind() != ast.KindCodeSpan {
		return node
	}
	_, to := block.Position()
	src := p.r.text[from.Start:to.Start]
	n := 0
	for n < len(src) && src[n] == '`' {
		n++
	}
	if within := src[n:max(n, len(src)-n)]; !blank(within) && within[0] == ' ' && within[len(within)-1] == ' ' {
		n++
	}
	p.r.places[node] = place{start: from.Start, open: from.Start + n, shut: to.Start - n, end: to.Start}
	return node
}

// links notes where links and images are, and bounds how many goldmark may look for.
type links struct {
	inner parser.InlineParser
	r     *reading
	seen  int
}

// Trigger implements parser.InlineParser.
func (p *links) Trigger() []byte { return p.inner.Trigger() }

// CloseBlock implements parser.CloseBlocker.
func (p *links) CloseBlock(parent ast.Node, block text.Reader, pc parser.Context) {
	if c, ok := p.inner.(parser.CloseBlocker); ok {
		c.CloseBlock(parent, block, pc)
	}
}

// Parse implements parser.InlineParser.
func (p *links) Parse(parent ast.Node, block text.Reader, pc parser.Context) ast.Node {
	if block.Peek() != ']' {
		if p.seen++; p.seen > maxLinks {
			return nil
		}
		return p.inner.Parse(parent, block, pc)
	}
	_, from := block.Position()
	node := p.inner.Parse(parent, block, pc)
	if node == nil {
		return nil
	}
	_, to := block.Position()
	open := node.Pos() + 1
	if node.Kind() == ast.KindImage {
		open++
	}
	p.r.places[node] = place{start: node.Pos(), open: open, shut: from.Start, end: to.Start}
	return node
}

// angles reads what stands between < and >: an address, of which the brackets are marks, or a tag, in which nothing is.
type angles struct{ r *reading }

// Trigger implements parser.InlineParser.
func (*angles) Trigger() []byte { return []byte{'<'} }

// Parse implements parser.InlineParser.
func (p *angles) Parse(_ ast.Node, block text.Reader, _ parser.Context) ast.Node {
	line, segment := block.PeekLine()
	stop := bytes.IndexByte(line[:min(len(line), maxTag)], '>')
	if stop < 2 {
		return nil
	}
	at := place{start: segment.Start, open: segment.Start + 1, shut: segment.Start + stop, end: segment.Start + stop + 1}
	within := line[1:stop]
	var node ast.Node
	switch {
	case isAddress(within):
		node = ast.NewAutoLink(ast.AutoLinkURL, ast.NewTextSegment(text.NewSegment(at.open, at.shut)))
	case isTag(within):
		node = ast.NewRawHTML()
	default:
		return nil
	}
	block.Advance(stop + 1)
	p.r.places[node] = at
	return node
}

// addresses keeps its hands off URLs in the text, from the colon on: no letter may be given as a trigger.
type addresses struct{ r *reading }

// Trigger implements parser.InlineParser.
func (*addresses) Trigger() []byte { return []byte{':'} }

// Parse implements parser.InlineParser.
func (p *addresses) Parse(_ ast.Node, block text.Reader, _ parser.Context) ast.Node {
	// Asked first: what no letter stands before is not read to its end, which may be far and is read again at each colon.
	if !isLetter(block.PrecendingCharacter()) {
		return nil
	}
	line, segment := block.PeekLine()
	n := addressLen(line)
	if n == 0 {
		return nil
	}
	block.Advance(n)
	node := ast.NewRawHTML()
	p.r.places[node] = place{start: segment.Start, end: segment.Start + n}
	return node
}
