package telegram_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector/telegram"
	"github.com/imrelay/imrelay/outbound/connector/telegram/telegramtest"
)

// shown is a message's entities in words: what each marks, and how.
func shown(s telegramtest.Sent) string {
	var out []string
	for _, e := range s.Entities {
		word := fmt.Sprintf("%s=%s", e.Type, e.Of(s.Text))
		switch {
		case e.User != nil:
			word += fmt.Sprintf("(%d)", e.User.ID)
		case e.URL != "" || e.Language != "":
			word += "(" + e.URL + e.Language + ")"
		}
		out = append(out, word)
	}
	return strings.Join(out, " | ")
}

var quick = telegramtest.Options{Private: telegramtest.Rate{N: -1}, Group: telegramtest.Rate{N: -1}, All: telegramtest.Rate{N: -1}}

// TestMarkdown: marks become entities in UTF-16 units, or go, or stay.
func TestMarkdown(t *testing.T) {
	t.Parallel()
	const text = "# 天气 😀\n\n**今天** is *fine*, ~~not~~ `x<y`. 😀 [map](https://maps.example/a?b=c)\n\n> calm\n\n```go\nfmt.Print()\n```\n"
	for _, row := range []struct{ markdown, text, want, entities string }{
		{
			"", text, "",
			"bold=天气 😀 | bold=今天 | italic=fine | strikethrough=not | code=x<y | text_link=map(https://maps.example/a?b=c) | " +
				"blockquote=calm | pre=fmt.Print()(go)",
		},
		{"plain", "**a** 2*3*4", "a 2*3*4", ""},
		{"keep", "**a**", "**a**", ""},
		{"convert", "[x](javascript:alert)", "", ""},
		{"convert", "> > inner\n> outer", "> inner\nouter", "blockquote=> inner\nouter"},
		{
			"convert", "before\n\n> **one** 😀\n>two [x](https://x.example)\nlazy\n\n- > listed\n  > `>`\n\n> ```\n> > code\n> ```\n\n*after*",
			"before\n\none 😀\ntwo x (https://x.example)\nlazy\n\n- listed\n>\n\n> code\n\nafter",
			"blockquote=one 😀\ntwo x (https://x.example)\nlazy | bold=one | text_link=x(https://x.example) | blockquote=listed\n> | " +
				"code=> | blockquote=> code | pre=> code | italic=after",
		},
		{"convert", ">", ">", ""},
		{"convert", "> \u00a0", "> \u00a0", "blockquote=> \u00a0"},
		{"convert", "> \n> \n\n**x**", "> \n> \n\nx", "bold=x"},
		{"convert", "[x](tg://user?id=5) [y](TG://resolve?domain=z)", "x (tg://user?id=5) y (TG://resolve?domain=z)", ""},
		{"convert", "<a href=\"https://x.example\">x</a> @everyone [CQ:at,qq=all] 2 * 3 * 4", "<a href=\"https://x.example\">x</a> @everyone [CQ:at,qq=all] 2 * 3 * 4", ""},
	} {
		r := newRig(t, telegram.Config{Markdown: row.markdown}, quick)
		s := r.send(t, outbound.Message{To: user, Text: r.Connector.(outbound.Renderer).Render(row.text)})
		if row.want != "" && s.Text != row.want {
			t.Errorf("%s: text: got %q, want %q", row.markdown, s.Text, row.want)
		}
		if got := shown(s); got != row.entities {
			t.Errorf("%s %q:\n got %s\nwant %s", row.markdown, row.text, got, row.entities)
		}
	}
}

func TestMentions(t *testing.T) {
	t.Parallel()
	r := newRig(t, telegram.Config{}, quick)
	alice, ming := outbound.Mention{ID: "5812345678", Name: "Alice"}, outbound.Mention{ID: "5812345679", Name: "小明"}
	for _, row := range []struct {
		name, text, want, entities string
		mentions                   []outbound.Mention
	}{
		{"named with @", "hi @Alice!", "hi @Alice!", "text_mention=@Alice(5812345678)", []outbound.Mention{alice}},
		{"named", "Alice, look", "Alice, look", "text_mention=Alice(5812345678)", []outbound.Mention{alice}},
		{"not named", "look", "@Alice look", "text_mention=@Alice(5812345678)", []outbound.Mention{alice}},
		{"part of another name", "Alices", "@Alice Alices", "text_mention=@Alice(5812345678)", []outbound.Mention{alice}},
		{"the end of another name", "MyAlice", "@Alice MyAlice", "text_mention=@Alice(5812345678)", []outbound.Mention{alice}},
		{"within a mark", "**hi Alice** ok", "hi Alice ok", "bold=hi Alice | text_mention=Alice(5812345678)", []outbound.Mention{alice}},
		{"around a mark", "**Al** B ok", "Al B ok", "text_mention=Al B(5) | bold=Al", []outbound.Mention{{ID: "5", Name: "Al B"}}},
		{"half in a mark", "**hi Al** B", "@Al B hi Al B", "text_mention=@Al B(5) | bold=hi Al", []outbound.Mention{{ID: "5", Name: "Al B"}}},
		{"no spaces in Chinese", "😀@小明你好", "😀@小明你好", "text_mention=@小明(5812345679)", []outbound.Mention{ming}},
		{
			"two, one missing", "@Alice 😀 ok", "@小明 @Alice 😀 ok", "text_mention=@小明(5812345679) | text_mention=@Alice(5812345678)",
			[]outbound.Mention{alice, ming},
		},
		{
			"beside marks", "**bold** ok", "@Alice bold ok", "text_mention=@Alice(5812345678) | bold=bold", []outbound.Mention{alice},
		},
		{"not in code", "`Alice`", "@Alice Alice", "text_mention=@Alice(5812345678) | code=Alice", []outbound.Mention{alice}},
		{"twice the same name", "Alice", "@Alice Alice", "text_mention=@Alice(5812345670) | text_mention=Alice(5812345678)", []outbound.Mention{alice, {ID: "5812345670", Name: "Alice"}}},
		{"no name", "look", "@5812345678 look", "text_mention=@5812345678(5812345678)", []outbound.Mention{{ID: "5812345678"}}},
		{"a username", "look", "@alice_demo look", "", []outbound.Mention{{ID: "alice_demo"}}},
		{"a username that is there", "look @Alice_Demo", "look @Alice_Demo", "", []outbound.Mention{{ID: "@alice_demo"}}},
		{"a letter", "A cat", "@A A cat", "text_mention=@A(5)", []outbound.Mention{{ID: "5", Name: "A"}}},
		{"nobody", "look", "look", "", []outbound.Mention{{ID: "all"}, {ID: "-5"}, {ID: "0"}}},
	} {
		s := r.send(t, outbound.Message{To: group, Text: row.text, Mentions: row.mentions})
		if s.Text != row.want || shown(s) != row.entities {
			t.Errorf("%s:\n got %q, %s\nwant %q, %s", row.name, s.Text, shown(s), row.want, row.entities)
		}
	}
}

// TestLongest: what fits by our measure fits by Telegram's, with mentions and marks, and no more does.
func TestLongest(t *testing.T) {
	t.Parallel()
	r := newRig(t, telegram.Config{}, quick)
	m := r.Connector.(outbound.Measured)
	text := "first second " + strings.Repeat("😀", (m.MaxText()-13)/2)
	if n := m.Measure(text + "x"); n != m.MaxText() {
		t.Fatalf("measure: got %d, want %d", n, m.MaxText())
	}
	s := r.send(t, outbound.Message{To: group, Text: text + "x", Mentions: []outbound.Mention{{ID: "5", Name: "Alice"}, {ID: "6", Name: "Bob"}}})
	if s.Text != text+"x" || shown(s) != "text_mention=first(5) | text_mention=second(6)" {
		t.Errorf("got %d units, %s; want the text with the mentions on its words", m.Measure(s.Text), shown(s))
	}
}

// TestManyEntities: Telegram looks at a hundred, and a mention is one of them.
func TestManyEntities(t *testing.T) {
	t.Parallel()
	r := newRig(t, telegram.Config{}, quick)
	s := r.send(t, outbound.Message{
		To: group, Text: strings.Repeat("**b** ", 150) + "Alice", Mentions: []outbound.Mention{{ID: "5", Name: "Alice"}},
	})
	if n := len(s.Entities); n != 100 || !strings.HasSuffix(shown(s), "text_mention=Alice(5)") {
		t.Errorf("got %d entities, the last %s; want 100 and the mention", n, shown(s)[max(0, len(shown(s))-40):])
	}
}
