// Package markdown takes the marks of Markdown out of a text, for IMs that show them: agents write **Markdown**, and
// WeChat and QQ show the stars.
//
// Only marks go. All else stays byte for byte as it was written: white space and line ends, list markers with the
// author's own numbers, the ">" of quotes, the bars and dashes of tables, thematic breaks, HTML, entities, references
// and footnotes. What goes is the "#" of headings, the marks of bold, italic, struck and code, the lines of code fences,
// the brackets of links, whose address follows in parentheses, the angle brackets of addresses, and the backslash before
// an escaped mark.
//
// goldmark says where blocks and links are. In three ways the reading differs from CommonMark, for the sake of chats:
// emphasis beside Chinese, Japanese or Korean text needs no white space around it; a mark between two letters or digits
// of a script with spaces is none, so that 2*3*4 stays a product; and addresses, paths and tags are left alone. Where a
// construct is not surely Markdown it stays as it was typed: an unclosed fence, underlined headings, blocks of HTML.
//
// The package calls no IM, knows no IM's markup and escapes nothing.
package markdown

// Kind is what a [Span] is.
type Kind uint8

// The kinds.
const (
	Bold Kind = iota + 1
	Italic
	Strike
	Code    // code within a line
	Pre     // a fenced block of code; Lang may name its language
	Link    // what URL stands for: the text of a link or of an image, or the address itself
	Quote   // a block quote, its marks included
	Heading // a heading's text
)

var kindNames = [...]string{
	Bold: "bold", Italic: "italic", Strike: "strike", Code: "code", Pre: "pre", Link: "link", Quote: "quote",
	Heading: "heading",
}

// String returns the kind in one word.
func (k Kind) String() string {
	if k < Bold || k > Heading {
		return "none"
	}
	return kindNames[k]
}

// Span is a stretch of a plain text that was marked. It is never empty, and begins and ends between characters.
type Span struct {
	Kind Kind
	// Start and End are byte offsets into the plain text.
	Start, End int
	// URL is where a Link leads, as it was typed but for escapes.
	URL string
	// Lang is the language of a Pre, as it was typed; often empty.
	Lang string
}

// Bounds within which a text is read. They keep short what a hostile text can take; what is beyond the last three stays
// as it was typed.
const (
	maxText  = 64 << 10
	maxOpen  = 16   // blocks in one another, a list and its item being two
	maxRuns  = 2048 // runs of stars, underscores or tildes
	maxLinks = 256  // brackets that could begin a link
	maxTag   = 512  // bytes between < and >
)

// Plain is the text without its marks. It is never longer than the text, and empty only if the text is. A text over
// 64 KiB comes back as it is.
func Plain(text string) string {
	plain, _ := Render(text)
	return plain
}

// Render is [Plain], and what was marked in it. The spans are in order of their start, an outer one before those in it;
// of two that share a byte one is within the other.
func Render(text string) (string, []Span) {
	if len(text) > maxText {
		return text, nil
	}
	r := newReading(text)
	if !r.read() {
		return text, nil
	}
	plain, spans := r.apply()
	if blank(plain) {
		return text, nil
	}
	return plain, spans
}
