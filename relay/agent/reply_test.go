package agent_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
)

// Replies are keyed by the event and their place, so that a second attempt says the same under the same keys.
func TestAnswers(t *testing.T) {
	t.Parallel()
	e := relay.Event{ID: "evt_1", Note: relay.Note{MessageID: "7265419038812345671"}}
	group := e
	group.Note.Group = true
	for _, tc := range []struct {
		name  string
		event relay.Event
		texts []string
		want  []relay.Reply
	}{
		{"none", e, nil, nil},
		{"blank", e, []string{"", " \n"}, nil},
		{"one", e, []string{" hi\n"}, []relay.Reply{{Key: "evt_1/1", Text: "hi"}}},
		{
			"a blank one keeps its place", e,
			[]string{"a", " ", "b"},
			[]relay.Reply{{Key: "evt_1/1", Text: "a"}, {Key: "evt_1/3", Text: "b"}},
		},
		{
			"in a group", group,
			[]string{"a", "a"},
			[]relay.Reply{
				{Key: "evt_1/1", Text: "a", ReplyTo: "7265419038812345671"},
				{Key: "evt_1/2", Text: "a", ReplyTo: "7265419038812345671"},
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, agent.Answers(tc.event, tc.texts...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// An answer of many texts is cut.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	got := agent.Answers(relay.Event{ID: "evt_1"}, strings.Split(strings.Repeat("a", 1000), "")...)
	if len(got) != agent.MaxReplies || got[len(got)-1].Key != agent.AnswerKey("evt_1", agent.MaxReplies-1) {
		t.Errorf("got %d replies, the last %+v, want %d", len(got), got[len(got)-1], agent.MaxReplies)
	}
}

// A text is valid, trimmed and bounded, whatever the agent sent.
func TestPlain(t *testing.T) {
	t.Parallel()
	most := strings.Repeat("a", agent.MaxReply)
	for _, tc := range []struct{ name, given, want string }{
		{"empty", "", ""},
		{"text", "a <b> [CQ:at,qq=all] &amp;", "a <b> [CQ:at,qq=all] &amp;"},
		{"space", "\u3000\r\n a\n\nb \t", "a\n\nb"},
		{"not UTF-8", "a\xffb", "a\uFFFDb"},
		{"half a character", "a\xe4\xbd", "a\uFFFD"},
		{"at most", most, most},
		{"over it", most + "b", most},
		{"cut in a character", most[1:] + "你", most[1:]},
		{"grows when mended", strings.Repeat("\xffa", agent.MaxReply/2), strings.Repeat("\uFFFDa", agent.MaxReply/4)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := agent.Plain(tc.given)
			if got != tc.want {
				t.Errorf("got %d bytes %.40q, want %d bytes %.40q", len(got), got, len(tc.want), tc.want)
			}
			if !utf8.ValidString(got) || len(got) > agent.MaxReply {
				t.Errorf("got %d bytes, valid %v", len(got), utf8.ValidString(got))
			}
		})
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("hi \xff", 3)
	f.Add("你", agent.MaxReply)
	f.Fuzz(func(t *testing.T, text string, times int) {
		text = strings.Repeat(text, min(max(times, 0), agent.MaxReply/max(len(text), 1)+2))
		got := agent.Plain(text)
		if !utf8.ValidString(got) || len(got) > agent.MaxReply {
			t.Errorf("got %d bytes, valid %v", len(got), utf8.ValidString(got))
		}
	})
}
