package term_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/cmd/imrelay/term"
)

func TestWidth(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text string
		want       int
	}{
		{"empty", "", 0},
		{"latin", "abc", 3},
		{"chinese", "天气", 4},
		{"fullwidth punctuation", "，", 2},
		{"emoji", "🦞", 2},
		{"combining accent", "e\u0301", 1},
		{"zero width joiner", "a\u200db", 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := term.Width(row.text); got != row.want {
				t.Errorf("Width(%q): got %d, want %d", row.text, got, row.want)
			}
		})
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text, want string
		columns          int
	}{
		{"fits", "今天", "今天", 4},
		{"cut between wide characters", "今天天气", "今天…", 5},
		{"half a wide character does not fit", "今天天气", "今天…", 6},
		{"latin", "abcdef", "abc…", 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := term.Cut(row.text, row.columns); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestCleanLeavesNothingThatSteers(t *testing.T) {
	t.Parallel()
	got := term.Clean("a\x1b[2J\nb\u202e\u009bc天")
	if want := "a [2J b  c天"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTableAlignsWideCells(t *testing.T) {
	t.Parallel()
	table := term.NewTable("ID", "NAME", "NOTE")
	table.Row(term.Cell{Text: "1"}, term.Cell{Text: "小助手", Dress: term.Coloured().Red}, term.Cell{Text: "x"})
	table.Row(term.Cell{Text: "22"}, term.Cell{Text: "bob"}, term.Cell{Text: "y\nz"})
	table.Row(term.Cell{Text: "3"})
	var out bytes.Buffer
	if err := table.Print(&out, term.Style{}); err != nil {
		t.Fatal(err)
	}
	want := "ID  NAME    NOTE\n1   \x1b[31m小助手\x1b[0m  x\n22  bob     y z\n3\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestEmptyTableIsSilent(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := term.NewTable("ID").Print(&out, term.Coloured()); err != nil || out.Len() != 0 {
		t.Errorf("got %q, %v, want nothing", out.String(), err)
	}
}

func TestPipesArePlain(t *testing.T) {
	t.Parallel()
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s := term.StyleFor(f); !s.Plain() || s.Red("x") != "x" {
		t.Errorf("a file is coloured: %q", s.Red("x"))
	}
	if got := term.Coloured().Red("x"); !strings.Contains(got, "\x1b[31m") {
		t.Errorf("got %q, want it red", got)
	}
}
