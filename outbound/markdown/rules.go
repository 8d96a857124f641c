package markdown

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// runs reads runs of stars, underscores and tildes. goldmark pairs them.
type runs struct{ seen int }

// Trigger implements parser.InlineParser.
func (*runs) Trigger() []byte { return []byte{'*', '_', '~'} }

// Parse implements parser.InlineParser.
func (p *runs) Parse(_ ast.Node, block text.Reader, pc parser.Context) ast.Node {
	line, segment := block.PeekLine()
	m := run{char: line[0], before: block.PrecendingCharacter(), after: '\n'}
	for m.size < len(line) && line[m.size] == m.char {
		m.size++
	}
	if m.size < len(line) {
		m.after, _ = utf8.DecodeRune(line[m.size:])
	}
	segment = segment.WithStop(segment.Start + m.size)
	block.Advance(m.size)
	opens, shuts := m.flanks()
	if p.seen++; p.seen > maxRuns || !opens && !shuts {
		// Given back whole: else goldmark would ask again for the run's second character.
		return ast.NewTextSegment(segment)
	}
	d := parser.NewDelimiter(opens, shuts, m.size, m.char, pairs{})
	d.Segment = segment
	pc.PushDelimiter(d)
	return d
}

// pairs implements parser.DelimiterProcessor for all three characters.
type pairs struct{}

// IsDelimiter implements parser.DelimiterProcessor.
func (pairs) IsDelimiter(b byte) bool { return b == '*' || b == '_' || b == '~' }

// CanOpenCloser implements parser.DelimiterProcessor.
func (pairs) CanOpenCloser(opener, closer *parser.Delimiter) bool { return opener.Char == closer.Char }

// OnMatch implements parser.DelimiterProcessor. A pair of tildes is told by its place.
func (pairs) OnMatch(size int) ast.Node { return ast.NewEmphasis(size) }

// run is a run of one mark's characters, and what stands beside it.
type run struct {
	char          byte
	size          int
	before, after rune
}

// flanks says whether the run may begin and end an emphasis.
func (m run) flanks() (opens, shuts bool) {
	if isWord(m.before) && isWord(m.after) || m.char == '~' && m.size != 2 {
		return false, false
	}
	spaceBefore, spaceAfter := util.IsSpaceRune(m.before), util.IsSpaceRune(m.after)
	pointBefore, pointAfter := util.IsPunctRune(m.before), util.IsPunctRune(m.after)
	opens = !spaceAfter && (!pointAfter || spaceBefore || pointBefore || isWide(m.before))
	shuts = !spaceBefore && (!pointBefore || spaceAfter || pointAfter || isWide(m.after))
	if m.char == '_' {
		opens, shuts = opens && (!shuts || pointBefore), shuts && (!opens || pointAfter)
	}
	return opens && m.mayOpen(), shuts && m.mayShut()
}

// mayOpen leaves paths, patterns of files and faces such as (*^_^*) alone.
func (m run) mayOpen() bool {
	switch {
	case m.char == '_' && strings.ContainsRune(`/\@#=&.+-%$`, m.before), m.size == 1 && strings.ContainsRune(`/\`, m.before):
		return false
	case !util.IsPunctRune(m.before) || !util.IsPunctRune(m.after):
		return true
	case m.size == 1:
		return strings.ContainsRune("\"'`[(<!*_~", m.after) || unicode.In(m.after, unicode.Ps, unicode.Pi)
	default:
		return m.before >= utf8.RuneSelf || !strings.ContainsRune(`/\.,;:?)]}|=`, m.after)
	}
}

// mayShut is mayOpen for the other end.
func (m run) mayShut() bool {
	switch {
	case m.char == '_' && strings.ContainsRune(`/\@#=&+-%$`, m.after), m.size == 1 && strings.ContainsRune(`/\`, m.after):
		return false
	case !util.IsPunctRune(m.before) || !util.IsPunctRune(m.after):
		return true
	case m.size == 1:
		return strings.ContainsRune("\"'`])>!?.,;:%*_~", m.before) ||
			m.before >= utf8.RuneSelf && unicode.In(m.before, unicode.Pe, unicode.Pf, unicode.Po)
	default:
		return m.after >= utf8.RuneSelf || !strings.ContainsRune(`/\([{|=`, m.before)
	}
}

// wide are the scripts without spaces between words: no space is to be asked for around a mark.
var wide = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo, unicode.Thai, unicode.Lao,
	unicode.Khmer, unicode.Myanmar,
}

// isWide also takes the punctuation and the full-width forms of these scripts.
func isWide(c rune) bool {
	return c >= 0x3000 && c <= 0x303f || c >= 0xff00 && c <= 0xffef || c >= utf8.RuneSelf && unicode.In(c, wide...)
}

func isWord(c rune) bool {
	return (unicode.IsLetter(c) || unicode.IsDigit(c)) && !isWide(c)
}

func isLetter(c rune) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// isAddress says whether goldmark may lose the brackets around it: unlike CommonMark, which would take those of
// <std::string> and of <bob@example.com> too.
func isAddress(s []byte) bool {
	if bytes.ContainsFunc(s, unicode.IsSpace) || bytes.IndexByte(s, '<') >= 0 || !isLetter(rune(s[0])) {
		return false
	}
	return bytes.Contains(s, []byte("://")) || bytes.HasPrefix(s, []byte("mailto:")) || bytes.HasPrefix(s, []byte("tel:"))
}

// isTag says whether it is a tag, a mail address or a mention. Stars and spaces need an attribute beside them.
func isTag(s []byte) bool {
	if !isLetter(rune(s[0])) && !bytes.ContainsRune([]byte("/!?@#:"), rune(s[0])) || bytes.IndexByte(s, '<') >= 0 {
		return false
	}
	return !bytes.ContainsAny(s, " \t\r\n*~") || bytes.IndexByte(s, '=') >= 0
}

// addressLen is the length of what of a URL follows its scheme, "://" and all; 0: it is none. It ends before what
// belongs to the sentence.
func addressLen(s []byte) int {
	if !bytes.HasPrefix(s, []byte("://")) {
		return 0
	}
	n := 3
	for n < len(s) && s[n] > ' ' && s[n] < utf8.RuneSelf && !bytes.ContainsRune([]byte("<>\"`[]|\\"), rune(s[n])) {
		if bytes.HasPrefix(s[n:], []byte("**")) || bytes.HasPrefix(s[n:], []byte("~~")) {
			break
		}
		n++
	}
	n = len(bytes.TrimRight(s[:n], "*_~.,:;!?'\")"))
	if n <= 3 {
		return 0
	}
	return n
}
