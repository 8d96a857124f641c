package markdown_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/imrelay/imrelay/outbound/markdown"
)

// TestRender says what each span covers, by "kind text".
func TestRender(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"none", "a_b_c", nil},
		{"each kind in a line", "**a** *b* ~~c~~ `d` [e](f)", []string{"bold a", "italic b", "strike c", "code d", "link e f"}},
		{"one in another", "**a *b* c**", []string{"bold a b c", "italic b"}},
		{"of the same text", "***x***", []string{"italic x", "bold x"}},
		{"beside Chinese", "这是**重要**的*事*", []string{"bold 重要", "italic 事"}},
		{"heading", "# a **b** #\nc", []string{"heading a b", "bold b"}},
		{"link over marks", "[**t** x](u)", []string{"link t x u", "bold t"}},
		{"link within bold", "**a [t](u)**", []string{"bold a t (u)", "link t u"}},
		{"escaped address", `[t](a\_b)`, []string{"link t a_b"}},
		{"link to itself", "see [http://u](http://u) now", []string{"link http://u http://u"}},
		{"link by mail", "[a@b.c](mailto:a@b.c)", []string{"link a@b.c mailto:a@b.c"}},
		{"link without text", "x [](u)", []string{"link u u"}},
		{"link without address", "[**t**]()", []string{"bold t"}},
		{"address in angles", "<http://u>", []string{"link http://u http://u"}},
		{"image in a link", "[![a](b)](c)", []string{"link a (b) c", "link a b"}},
		{"fence", "a\n```go\nx\ny\n```\nb", []string{"pre x\ny go"}},
		{"fence in CRLF", "```go\r\nx\r\n```\r\n", []string{"pre x go"}},
		{"empty fence", "a\n```\n```", nil},
		{"fence that is never shut", "```\nx", nil},
		{"quote", "a\n\n> b\n> **c**\n\nd", []string{"quote > b\n> c", "bold c"}},
		{"quote in a quote", "> a\n>> b\n", []string{"quote > a\n>> b", "quote > b"}},
		{"fence in a quote", "> ```\n> x\n> ```\n", []string{"quote > x", "pre > x"}},
		{"list in a quote", "> - *a*\n> - b", []string{"quote > - a\n> - b", "italic a"}},
		{"quote of nothing", "> \n", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			plain, spans := markdown.Render(row.text)
			var got []string
			for _, s := range spans {
				got = append(got, strings.TrimSuffix(
					fmt.Sprintf("%v %s %s%s", s.Kind, plain[s.Start:s.End], s.URL, s.Lang), " "))
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("Render(%q)\n got %q\nwant %q", row.text, got, row.want)
			}
		})
	}
}

// TestBounds wants that no text takes long, whatever it nests or leaves open.
func TestBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("**a** ", 11_000)
	if got := markdown.Plain(long); got != long {
		t.Errorf("a text over 64 KiB was changed: %.60q", got)
	}
	for name, unit := range bombs {
		half := strings.Repeat(unit, 32<<10/len(unit))
		for _, text := range []string{
			strings.Repeat(unit, 64<<10/len(unit)), half + strings.Repeat("\n", 32<<10), half + strings.Repeat("\na", 16<<10),
		} {
			begin := time.Now()
			markdown.Plain(text)
			if took := time.Since(begin); took > time.Second {
				t.Errorf("%s took %v", name, took)
			}
			check(t, text)
		}
	}
}

// bombs are repeated until they fill a text.
var bombs = map[string]string{
	"quotes":                 ">",
	"quotes with spaces":     "> ",
	"lists":                  "- ",
	"numbered lists":         "1. ",
	"lists of lists":         "- - * ",
	"quotes and lists":       "> - ",
	"stars":                  "*",
	"stars that open":        "*a ",
	"stars that shut":        "a* ",
	"stars that do both":     "你*",
	"marks that do not pair": "*a b_ ",
	"marks of two lengths":   "**a *b_ c__ ",
	"nested bold":            "**a *b ",
	"tildes":                 "~~a ",
	"brackets":               "[",
	"brackets both ways":     "[a](",
	"links":                  "[a](b)",
	"links in links":         "[![",
	"images":                 "![a](b) ",
	"open titles":            `[a](b "`,
	"shut brackets":          "](a)",
	"backticks":              "`",
	"backticks and spaces":   "` `` ",
	"angles":                 "<",
	"open tags":              "<a ",
	"open comments":          "<!--",
	"comments on lines":      "x <!--\n",
	"addresses":              "http://",
	"colons":                 "a://b",
	"addresses of numbers":   "1://",
	"addresses of nothing":   "://",
	"addresses cut short":    "a://.",
	"escapes":                `\*`,
	"backslashes":            `\`,
	"escapes on lines":       "\\*\n",
	"fences":                 "```\n",
	"open fences":            "~~~~\n```\n",
	"hashes":                 "# ",
	"headings":               "# a #\n",
	"lines":                  "a\n",
	"blank lines":            "\n",
	"tabs":                   "\t",
	"tabs in lists":          "-\t",
	"deeper and deeper":      "- a\n  ",
	"tables":                 "|a|\n|-|\n",
	"zero bytes":             "\x00",
	"not UTF-8":              "\xff*",
}

// FuzzRender looks for a text that comes out longer, with something that was not in it, or with spans across others.
func FuzzRender(f *testing.F) {
	for _, unit := range bombs {
		f.Add(strings.Repeat(unit, 3))
	}
	for _, s := range []string{
		"# a **b** #\r\n> ```go\r\n> x\r\n> ```\r\n", "[![a](b)](c 'd') <http://x> <a@b.c>", "\xc4`\xbd`", "1. a\n\n   ```\n   b\n   ```\n",
		"***a** b* _*c**_ ~~d~~ `` ` ``", "这是**重要：**的 C:\\path\\_x \\* [CQ:at,qq=all]", "- ```\n\tx\n\t```\n", "> [a](\n> b)",
		"> ```\n> \r\r\n> ```\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		check(t, text)
		if once, again := markdown.Plain(text), markdown.Plain(text); once != again {
			t.Errorf("Plain(%.200q) is once %.200q, once %.200q", text, once, again)
		}
	})
}

// check is what holds for every text.
func check(t *testing.T, text string) {
	t.Helper()
	plain, spans := markdown.Render(text)
	if len(plain) > len(text) {
		t.Errorf("Render(%.200q) is longer: %.200q", text, plain)
	}
	if utf8.ValidString(text) && !utf8.ValidString(plain) {
		t.Errorf("Render(%.200q) is not UTF-8: %.200q", text, plain)
	}
	if strings.TrimSpace(plain) == "" && strings.TrimSpace(text) != "" {
		t.Errorf("Render(%.200q) is blank: %.200q", text, plain)
	}
	if !within(plain, text) {
		t.Errorf("Render(%.200q) has what the text has not: %.200q", text, plain)
	}
	var open []markdown.Span
	last := 0
	for _, s := range spans {
		if s.Start < last || s.Start >= s.End || s.End > len(plain) || s.Kind.String() == "none" {
			t.Fatalf("Render(%.200q): %.200q has the span %+v", text, plain, s)
		}
		if utf8.ValidString(text) && (!edge(plain, s.Start) || !edge(plain, s.End)) {
			t.Errorf("Render(%.200q): %+v cuts a character of %.200q", text, s, plain)
		}
		for len(open) > 0 && open[len(open)-1].End <= s.Start {
			open = open[:len(open)-1]
		}
		if len(open) > 0 && open[len(open)-1].End < s.End {
			t.Fatalf("Render(%.200q): %+v of %.200q reaches out of %+v", text, s, plain, open[len(open)-1])
		}
		open, last = append(open, s), s.Start
	}
}

// edge says whether i is between two characters.
func edge(s string, i int) bool { return i == len(s) || utf8.RuneStart(s[i]) }

// within says whether plain is text with some bytes left out, and the "](" of a link as " (".
func within(plain, text string) bool {
	i := 0
	for j := 0; j < len(text) && i < len(plain); j++ {
		if plain[i] == text[j] || plain[i] == ' ' && text[j] == ']' {
			i++
		}
	}
	return i == len(plain)
}
