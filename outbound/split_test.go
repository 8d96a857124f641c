package outbound_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/imrelay/imrelay/outbound"
)

func runes(limit int) func(string) bool {
	return func(s string) bool { return utf8.RuneCountInString(s) <= limit }
}

func texts(pieces []outbound.Piece) []string {
	var out []string
	for _, p := range pieces {
		out = append(out, p.Text)
	}
	return out
}

func TestCutPlaces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		text  string
		limit int
		want  []string
	}{
		{"what fits is left alone", " hello \n", 8, []string{" hello \n"}},
		{"a paragraph goes before a line", "one one\ntwo\n\nthree\nfour", 20, []string{"one one\ntwo", "three\nfour"}},
		{"a line goes before a sentence", "A one. B two\nC. D three four", 20, []string{"A one. B two", "C. D three four"}},
		{"a sentence goes before a word", "It is one. It is two and three", 16, []string{"It is one.", "It is two and", "three"}},
		{"a full stop inside of a number ends nothing", "about 3.14159 and so on", 14, []string{"about 3.14159", "and so on"}},
		{"Chinese sentences", "今天天气很好。我们去公园吧！你来吗？", 10, []string{"今天天气很好。", "我们去公园吧！", "你来吗？"}},
		{"a closing quote stays with its sentence", "他说：“今天很好。”然后他走了", 11, []string{"他说：“今天很好。”", "然后他走了"}},
		{"Chinese without sentences, and no comma first", "一二三四五，六七八九十", 5, []string{"一二三四", "五，六七八", "九十"}},
		{"words", "alpha beta gamma", 11, []string{"alpha beta", "gamma"}},
		{"a word that is too long", "aaaaaaaaaa", 4, []string{"aaaa", "aaaa", "aa"}},
		{"emoji of several runes", "ab👨‍👩‍👧cd", 6, []string{"ab", "👨‍👩‍👧c", "d"}},
		{"skin tone", "abc👍🏽", 4, []string{"abc", "👍🏽"}},
		{"flags", "a🇩🇪🇫🇷", 4, []string{"a🇩🇪", "🇫🇷"}},
		{"combining marks", "abcde\u0301f", 5, []string{"abcd", "e\u0301f"}},
		{"backslash pairs", `abc\ndef`, 4, []string{"abc", `\nde`, "f"}},
		{"a doubled backslash is a pair", `ab\\cd`, 4, []string{`ab\\`, "cd"}},
		{"entities", "abcd&amp;ef", 7, []string{"abcd", "&amp;ef"}},
		{"an ampersand is no entity", "ab&cdefg", 4, []string{"ab&c", "defg"}},
		{"URLs stay whole", "see https://example.com/a/b?c=d. Now", 32, []string{"see https://example.com/a/b?c=d.", "Now"}},
		{"URLs move on as a whole", "look at this page https://example.com/abc", 30, []string{"look at this page", "https://example.com/abc"}},
		{"URLs behind Chinese", "请看这个页面https://example.com/abc", 25, []string{"请看这个页面", "https://example.com/abc"}},
		{"a URL that is too long is cut", "https://example.com/aaaaaaaaaaaaaaa", 20, []string{"https://example.com/", "aaaaaaaaaaaaaaa"}},
		{"an indent stays with its line", "first line\n\n  - second line", 18, []string{"first line", "  - second line"}},
		{"CRLF", "one two\r\nthree four", 12, []string{"one two", "three four"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := texts(outbound.Cutter{Fits: runes(tt.limit)}.Cut(tt.text, ""))
			if strings.Join(got, "|") != strings.Join(tt.want, "|") {
				t.Errorf("Cut(%q, %d)\n got %q\nwant %q", tt.text, tt.limit, got, tt.want)
			}
		})
	}
}

func TestCutCodeBlocks(t *testing.T) {
	t.Parallel()
	code := "```go\n" + strings.Repeat("line of code\n", 6) + "```"
	t.Run("a block that fits a part is moved whole", func(t *testing.T) {
		t.Parallel()
		got := texts(outbound.Cutter{Fits: runes(95)}.Cut("Here it is:\n"+code+"\nDone.", ""))
		want := []string{"Here it is:", code + "\nDone."}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("got %q\nwant %q", got, want)
		}
	})
	t.Run("a longer one is closed and opened again with its language", func(t *testing.T) {
		t.Parallel()
		got := texts(outbound.Cutter{Fits: runes(62)}.Cut(code, ""))
		want := []string{
			"```go\n" + strings.Repeat("line of code\n", 4) + "```",
			"```go\n" + strings.Repeat("line of code\n", 2) + "```",
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("got %q\nwant %q", got, want)
		}
	})
	t.Run("cutting goes on in the middle of a block", func(t *testing.T) {
		t.Parallel()
		first := outbound.Cutter{Fits: runes(62)}.Cut(code, "")[0]
		got := texts(outbound.Cutter{Fits: runes(1000)}.Cut(code[first.End:], first.Fence))
		want := "```go\n" + strings.Repeat("line of code\n", 2) + "```"
		if len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("no fence is opened where hardly anything would fit", func(t *testing.T) {
		t.Parallel()
		for _, p := range texts(outbound.Cutter{Fits: runes(10)}.Cut(code, "")) {
			if utf8.RuneCountInString(p) > 10 {
				t.Errorf("part of %d characters, want at most 10: %q", utf8.RuneCountInString(p), p)
			}
		}
	})
}

func TestCutStopsAtItsLimit(t *testing.T) {
	t.Parallel()
	got := outbound.Cutter{Fits: runes(1), Limit: 21}.Cut(strings.Repeat("x", 1<<17), "")
	if len(got) != 21 {
		t.Errorf("got %d pieces, want 21", len(got))
	}
}

func units(limit int) func(string) bool {
	return func(s string) bool { return len(utf16.Encode([]rune(s))) <= limit }
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{
		"", " ", "hello world", "今天天气很好。我们去公园吧！", "```go\nx := 1\n```\nafter", "a\n\nb\n\n\nc", `\n\\n\`, "&amp;&#10;",
		"https://example.com/a?b=c d", "👨‍👩‍👧👍🏽🇩🇪🇫🇷e\u0301", "~~~\nnever closed", "```\n```\n```\n```", "\xff\xfe", "\r\n\r\n", "   ```",
	} {
		f.Add(s, uint8(7))
		f.Add(strings.Repeat(s+" ", 9), uint8(70))
	}
	f.Fuzz(func(t *testing.T, text string, limit uint8) {
		if limit == 0 {
			return
		}
		for name, fits := range map[string]func(string) bool{"runes": runes(int(limit)), "units": units(int(limit))} {
			checkPieces(t, name, text, fits)
		}
	})
}

// checkPieces wants the pieces to lie side by side, to hold all that is no space, and to fit.
func checkPieces(t *testing.T, name, text string, fits func(string) bool) {
	t.Helper()
	pieces := outbound.Cutter{Fits: fits}.Cut(text, "")
	at := 0
	for i, p := range pieces {
		if p.Start != at && p.Start < p.End {
			t.Fatalf("%s: piece %d starts at %d, want %d", name, i, p.Start, at)
		}
		at = p.End
		if !strings.Contains(spaceless(p.Text), spaceless(text[p.Start:p.End])) {
			t.Fatalf("%s: piece %d lost text: got %q, want all of %q", name, i, p.Text, text[p.Start:p.End])
		}
		if utf8.ValidString(text) && !utf8.ValidString(p.Text) {
			t.Fatalf("%s: piece %d cuts a rune: %q", name, i, p.Text)
		}
		if !fits(p.Text) && utf8.RuneCountInString(p.Text) > 1 {
			t.Fatalf("%s: piece %d does not fit: %q", name, i, p.Text)
		}
	}
	if len(pieces) > 0 && at != len(text) {
		t.Fatalf("%s: pieces end at %d, want %d", name, at, len(text))
	}
	if len(pieces) == 0 && text != "" {
		t.Fatalf("%s: no piece for %q", name, text)
	}
}

func spaceless(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}
