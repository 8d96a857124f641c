package telegram_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format/telegram"
)

const (
	lin  = `{"id":6620194873,"is_bot":false,"first_name":"Lin"}`
	us   = `{"id":7104459213,"is_bot":true,"first_name":"Relay","username":"Relay_Trial_Bot"}`
	team = `{"id":-1002418830957,"type":"supergroup"}`
)

// read returns the only envelope of a body.
func read(t *testing.T, body, self string) relay.Envelope {
	t.Helper()
	es, err := telegram.Format{}.Read([]byte(body), self)
	if err != nil || len(es) != 1 {
		t.Fatalf("Read(%s) = %d envelopes, %v, want 1 and no error", body, len(es), err)
	}
	return es[0]
}

// message is an update with a message in the group, with more fields at its end.
func message(from, more string) string {
	return `{"update_id":512903771,"message":{"message_id":4211,"from":` + from + `,"chat":` + team + `,"date":1768121000,` +
		more + `}}`
}

// marked is a text of which a part is an entity.
func marked(text, part, kind, more string) string {
	before, _, _ := strings.Cut(text, part)
	units := func(s string) int { return len(utf16.Encode([]rune(s))) }
	return fmt.Sprintf(`"text":%s,"entities":[{"type":%q,"offset":%d,"length":%d%s}]`,
		strconv.Quote(text), kind, units(before), units(part), more)
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	const composite = "h:…"
	tests := []struct{ name, update, message, id, identity string }{
		{"number", "512903771", "4211", "4211", "update:512903771"},
		{"neighbour", "512903772", "4211", "4211", "update:512903772"},
		{"largest", "18446744073709551615", "4211", "4211", "update:18446744073709551615"},
		{"beyond a float64", "9007199254740993", "4211", "4211", "update:9007199254740993"},
		{"its neighbour", "9007199254740992", "4211", "4211", "update:9007199254740992"},
		{"string", `"512903771"`, `"4211"`, "4211", "update:512903771"},
		{"halves", `{"high":1,"low":2}`, `{"low":7}`, "7", "update:4294967298"},
		{"round and small", "512903000", "4211", "4211", "update:512903000"},
		{"rounded", "7265419038812345000", "4211", "4211", composite},
		{"zero", "0", "4211", "4211", composite},
		{"null", "null", "4211", "4211", composite},
		{"exponent", "5.129e8", "4211", "4211", composite},
		{"words", `"abc"`, "4211", "4211", composite},
		{"no message id", "512903771", "null", "update:512903771", "update:512903771"},
		{"zero message id", "512903771", "0", "update:512903771", "update:512903771"},
		{"rounded, no message id", "7265419038812345000", "0", "update:7265419038812345000", composite},
		{"neither", "0", "0", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := `{"update_id":` + tt.update + `,"message":{"message_id":` + tt.message + `,"chat":` + team + `,"text":"x"}}`
			e := read(t, body, robot)
			identity := e.Identity
			if strings.HasPrefix(identity, "h:") {
				identity = composite
			}
			if e.MessageID != tt.id || identity != tt.identity {
				t.Errorf("%s: got id %q identity %q, want %q %q", body, e.MessageID, e.Identity, tt.id, tt.identity)
			}
		})
	}
}

// A composite tells updates apart by everything that it is made of.
func TestComposite(t *testing.T) {
	t.Parallel()
	body := func(update, id, date, from, text string) string {
		return `{"update_id":` + update + `,"message":{"message_id":` + id + `,"from":{"id":` + from + `},"chat":` + team +
			`,"date":` + date + `,"text":"` + text + `"}}`
	}
	base := body("0", "5", "1768121000", "7", "hi")
	want := read(t, base, robot).Identity
	if got := read(t, base, robot).Identity; got != want {
		t.Errorf("the same body: got %q, want %q", got, want)
	}
	for name, other := range map[string]string{
		"update":  body("7265419038812345000", "5", "1768121000", "7", "hi"),
		"message": body("0", "6", "1768121000", "7", "hi"),
		"date":    body("0", "5", "1768121001", "7", "hi"),
		"sender":  body("0", "5", "1768121000", "8", "hi"),
		"text":    body("0", "5", "1768121000", "7", "ho"),
	} {
		if got := read(t, other, robot).Identity; got == want {
			t.Errorf("another %s has the same identity %q", name, got)
		}
	}
}

// What was sent is remembered by message_id, so an update that only names a message must not carry its id.
func TestNotAnEcho(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"button": `{"update_id":9,"callback_query":{"id":"1","from":` + lin + `,"message":{"message_id":4211,"from":` + us +
			`,"chat":` + team + `,"date":1700000000}}}`,
		"reaction": `{"update_id":9,"message_reaction":{"message_id":4211,"user":` + lin + `,"chat":` + team + `,"date":1}}`,
	} {
		if e := read(t, body, robot); e.MessageID != "update:9" || e.Self || e.Conversation != "-1002418830957" {
			t.Errorf("%s: got id %q self %v in %q, want update:9, not our own, in the group", name, e.MessageID, e.Self,
				e.Conversation)
		}
	}
}

func TestConversation(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, chat, more, want string }{
		{"52 bits", "-4503599627370495", "", "-4503599627370495"},
		{"neighbour", "-4503599627370494", "", "-4503599627370494"},
		{"64 bits", "-9223372036854775807", "", "-9223372036854775807"},
		{"its neighbour", "-9223372036854775806", "", "-9223372036854775806"},
		{"string", `"-1002418830957"`, "", "-1002418830957"},
		{"topic", "-100", `,"message_thread_id":31,"is_topic_message":true`, "-100/31"},
		{"replies", "-100", `,"message_thread_id":31`, "-100"},
		{"topic without a thread", "-100", `,"is_topic_message":true`, "-100"},
		{"business", "66", `,"business_connection_id":"aB/c"`, "66/business/aB/c"},
		{"none", "0", `,"message_thread_id":31,"is_topic_message":true`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := `{"update_id":1,"message":{"message_id":2,"chat":{"id":` + tt.chat + `},"text":"x"` + tt.more + `}}`
			if e := read(t, body, robot); e.Conversation != tt.want {
				t.Errorf("%s: got conversation %q, want %q", body, e.Conversation, tt.want)
			}
		})
	}
}

// A chat with a name of its own may have been sent to by it; nothing else is another name of a conversation.
func TestPeers(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, chat, more, want string }{
		{"channel", `"type":"channel","username":"Harbour_News"`, "", "@Harbour_News"},
		{"supergroup", `"type":"supergroup","username":"weekly"`, "", "@weekly"},
		{"no name", `"type":"channel"`, "", ""},
		{"a person's name", `"type":"private","username":"lin_qiao"`, "", ""},
		{"topic", `"type":"supergroup","username":"weekly"`, `,"message_thread_id":31,"is_topic_message":true`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := read(t, `{"update_id":1,"channel_post":{"message_id":2,"chat":{"id":-1007,`+tt.chat+`},"text":"x"`+tt.more+`}}`, robot)
			if got := strings.Join(e.Peers, " "); got != tt.want {
				t.Errorf("%s: got peers %q, want %q", tt.chat, got, tt.want)
			}
		})
	}
}

func TestSelf(t *testing.T) {
	t.Parallel()
	twin := `{"id":99,"is_bot":false,"username":"relay_trial_bot"}`
	tests := []struct {
		name, from, self string
		want             bool
	}{
		{"id", us, "7104459213", true},
		{"username", us, "@relay_trial_bot", true},
		{"bare username", us, "relay_trial_bot", true},
		{"both", us, robot, true},
		{"unknown", us, "", false},
		{"another", lin, robot, false},
		{"neighbour", `{"id":7104459214,"is_bot":true}`, robot, false},
		{"a person of that name", twin, "@relay_trial_bot", false},
		{"a bot of that name and another id", strings.Replace(twin, "false", "true", 1), robot, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if e := read(t, message(tt.from, `"text":"x"`), tt.self); e.Self != tt.want {
				t.Errorf("from %s, self %q: got self %v, want %v", tt.from, tt.self, e.Self, tt.want)
			}
		})
	}
}

func TestMentioned(t *testing.T) {
	t.Parallel()
	name := "@relay_trial_bot"
	reply := func(from, more string) string { return `"text":"x","reply_to_message":{"from":` + from + more + `}` }
	tests := []struct {
		name, more, self string
		want             bool
	}{
		{"mention", marked("hi "+name, name, "mention", ""), robot, true},
		{"by username alone", marked("hi "+name, name, "mention", ""), name, true},
		{"other case", marked("hi @Relay_TRIAL_bot", "@Relay_TRIAL_bot", "mention", ""), robot, true},
		{"behind surrogate pairs", marked("😀😀你 "+name+" 😀", name, "mention", ""), robot, true},
		{"only the id is known", marked("hi "+name, name, "mention", ""), "7104459213", false},
		{"another whose name begins alike", marked("hi "+name+"2", name+"2", "mention", ""), robot, false},
		{"another, beside ours as text", marked("@other_bot x "+name, "@other_bot", "mention", ""), robot, false},
		{"an address is no mention", marked("a"+name+".org", "a"+name+".org", "email", ""), robot, false},
		{"no entity", `"text":"` + name + `"`, robot, false},
		{"offset out of the text", `"text":"x","entities":[{"type":"mention","offset":-3,"length":16},3,{}]`, robot, false},
		{"text_mention", marked("hi Relay", "Relay", "text_mention", `,"user":`+us), robot, true},
		{"text_mention of another", marked("hi Lin", "Lin", "text_mention", `,"user":`+lin), robot, false},
		{"command", marked("/go"+name+" x", "/go"+name, "bot_command", ""), robot, true},
		{"command for another", marked("/go"+name+"2", "/go"+name+"2", "bot_command", ""), robot, false},
		{"command for all", marked("/go", "/go", "bot_command", ""), robot, false},
		{"reply", reply(us, ""), robot, true},
		{"reply to another", reply(lin, ""), robot, false},
		{"reply, self unknown", reply(us, ""), "", false},
		{"in a topic that the bot opened", reply(us, `,"forum_topic_created":{"name":"x"}`), robot, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if e := read(t, message(lin, tt.more), tt.self); e.Mentioned != tt.want {
				t.Errorf("%s, self %q: got mentioned %v, want %v", tt.more, tt.self, e.Mentioned, tt.want)
			}
		})
	}
	t.Run("not in private", func(t *testing.T) {
		t.Parallel()
		body := strings.Replace(message(lin, reply(us, "")), "supergroup", "private", 1)
		if e := read(t, body, robot); e.Mentioned || e.Group {
			t.Errorf("got mentioned %v group %v in a private chat, want neither", e.Mentioned, e.Group)
		}
	})
}

// TestManyEntities checks that a text full of entities does not cost the square of its size.
func TestManyEntities(t *testing.T) {
	t.Parallel()
	const n = 20_000
	entities := strings.TrimSuffix(strings.Repeat(`{"type":"mention","offset":1,"length":16},`, n), ",")
	body := message(lin, `"text":"`+strings.Repeat("@relay_trial_bot ", n)+`","entities":[`+entities+`]`)
	began := time.Now()
	if e := read(t, body, robot); e.Mentioned {
		t.Error("got mentioned by an entity that begins inside a name, want not")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("reading %d bytes took %v, want at most 5s", len(body), took)
	}
}

// A click long after its message is new, and an edit is as old as itself.
func TestTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 11, 8, 43, 20, 0, time.UTC)
	inner := `{"message_id":1,"chat":` + team + `,"date":1768121000,"edit_date":1768121060}`
	tests := []struct {
		name, body string
		want       time.Time
	}{
		{"message", `{"update_id":1,"message":` + inner + `}`, at},
		{"edited", `{"update_id":1,"edited_message":` + inner + `}`, at.Add(time.Minute)},
		{"button", `{"update_id":1,"callback_query":{"id":"1","message":` + inner + `}}`, time.Time{}},
		{"none", `{"update_id":1,"message":{"date":0}}`, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if e := read(t, tt.body, robot); !e.At.Equal(tt.want) {
				t.Errorf("%s: got %v, want %v", tt.body, e.At, tt.want)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"private_text", "group_mention", "group_reply"} {
		body, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (telegram.Format{}).Read(body, robot); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
