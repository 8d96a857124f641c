package generic_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format/formattest"
	"github.com/imrelay/imrelay/relay/format/generic"
)

func build(tb testing.TB, c generic.Config) *generic.Format {
	tb.Helper()
	f, err := generic.New(c)
	if err != nil {
		tb.Fatalf("New(%+v): %v", c, err)
	}
	return f
}

// nested is a configuration for an IM that wraps everything, and writes the content as JSON in a string.
var nested = generic.Config{
	ID: "event.message.message_id", Conversation: "event.message.chat_id", Sender: "event.sender.sender_id.open_id",
	Nickname: `event.sender.display\.name`, Text: "event.message.content.@fromstr.text", Kind: "event.message.message_type",
	Group: "event.message.chat_type", Mentioned: "event.message.mentions.#.id.open_id", Self: "event.sender.is_bot",
	Time: "event.message.create_time",
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for folder, c := range map[string]generic.Config{
		"usual":    {},
		"nested":   nested,
		"messages": {Messages: "events", Text: "content.body", Conversation: "room_id", ID: "event_id", Time: "origin_server_ts"},
	} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			formattest.Golden(t, build(t, c), "testdata/"+folder, "bot-1")
		})
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	formattest.Run(t, build(t, generic.Config{Messages: "events"}))
}

func FuzzRead(f *testing.F) {
	for _, folder := range []string{"usual", "nested", "messages"} {
		formattest.Seed(f, "testdata/"+folder)
	}
	formats := []*generic.Format{build(f, generic.Config{}), build(f, nested), build(f, generic.Config{Messages: "events.0.x"})}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, format := range formats {
			formattest.Check(t, format, body, "bot-1")
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]generic.Config{
		"empty part":            {ID: "a..b"},
		"leading dot":           {Sender: ".a"},
		"trailing dot":          {Text: "a."},
		"trailing pipe":         {Text: "a|"},
		"trailing backslash":    {Text: `a\`},
		"open bracket":          {Kind: "a.#(b==1"},
		"wrong bracket":         {Kind: "a.#(b]"},
		"open quote":            {Kind: `a.#(b=="x)`},
		"control character":     {Time: "a\n"},
		"not UTF-8":             {Time: "\xff"},
		"long":                  {Group: strings.Repeat("a", 257)},
		"query for messages":    {Messages: `a.#(b==1)#`},
		"modifier for messages": {Messages: "a.@reverse"},
		"join for messages":     {Messages: "a.#.b"},
	} {
		if f, err := generic.New(c); err == nil {
			t.Errorf("%s: New(%+v) = %v, want an error", name, c, f)
		}
	}
}

func TestNewNamesAllMistakes(t *testing.T) {
	t.Parallel()
	_, err := generic.New(generic.Config{ID: "a..b", Mentioned: "x.", Messages: "#"})
	for _, want := range []string{"id:", "mentioned:", "messages:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want one that names %q", err, want)
		}
	}
}

func TestNewTakes(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"a", "a.b", "a.0.b", `a\.b.c`, "a.#", "a.#.b", `a.#(b=="x.y)").c`, "a.*", "a.@fromstr.b", "@type", `{"x":a.b,c}.x`,
		`a.#(b=="\"").c`, "消息.编号", `a\(b`,
	} {
		if _, err := generic.New(generic.Config{Text: path}); err != nil {
			t.Errorf("New with path %q: %v, want no error", path, err)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 11, 8, 43, 20, 0, time.UTC)
	tests := []struct {
		name, body string
		want       relay.Envelope
	}{
		{"text makes the kind", `{"text":"hi"}`, relay.Envelope{Text: "hi", Kind: "text"}},
		{"nothing", `{"a":1}`, relay.Envelope{Kind: "other"}},
		{"sender is the conversation", `{"from":"al"}`, relay.Envelope{Sender: "al", Conversation: "al", Kind: "other"}},
		{
			"objects",
			`{"chat":{"id":-100,"title":"x"},"from":{"id":7,"name":"Al"},"text":{"body":"hi"}}`,
			relay.Envelope{Conversation: "-100", Sender: "7", Nickname: "Al", Text: "hi", Kind: "text"},
		},
		{
			"own by sender", `{"sender":"bot-1","room_id":"r"}`,
			relay.Envelope{Sender: "bot-1", Conversation: "r", Group: true, Self: true, Kind: "other"},
		},
		{"own by flag", `{"fromMe":true}`, relay.Envelope{Self: true, Kind: "other"}},
		{"not own", `{"from_me":0,"self":"no"}`, relay.Envelope{Kind: "other"}},
		{"group by word", `{"chat_type":"supergroup"}`, relay.Envelope{Group: true, Kind: "other"}},
		{"group by flag", `{"isGroup":"true"}`, relay.Envelope{Group: true, Kind: "other"}},
		{"no group", `{"chat_type":"private"}`, relay.Envelope{Kind: "other"}},
		{"mention in a list", `{"mentions":["x","bot-1"]}`, relay.Envelope{Mentioned: true, Kind: "other"}},
		{"mention among objects", `{"mentions":[{"id":"bot-1"}]}`, relay.Envelope{Mentioned: true, Kind: "other"}},
		{"mention of others", `{"mentions":["x",{"id":"y"},null]}`, relay.Envelope{Kind: "other"}},
		{"mention by flag", `{"at_me":1}`, relay.Envelope{Mentioned: true, Kind: "other"}},
		{"seconds", `{"time":1768121000}`, relay.Envelope{At: at, Kind: "other"}},
		{"milliseconds", `{"time":1768121000000}`, relay.Envelope{At: at, Kind: "other"}},
		{"decimal string", `{"ts":"1768121000.5"}`, relay.Envelope{At: at.Add(time.Second / 2), Kind: "other"}},
		{"RFC 3339", `{"createdAt":"2026-01-11T16:43:20+08:00"}`, relay.Envelope{At: at, Kind: "other"}},
		{"no time", `{"time":"now","date":[1]}`, relay.Envelope{Kind: "other"}},
		{"kind", `{"msg_type":"image","text":"x"}`, relay.Envelope{Kind: "image", Text: "x"}},
		{"last of two", `{"text":"a","text":"b"}`, relay.Envelope{Kind: "text", Text: "b"}},
		{"the first of the names", `{"eventId":"e","messageId":"m"}`, relay.Envelope{MessageID: "m", Identity: "m", Kind: "other"}},
		{"wherever it stands", `{"messageId":"m","eventId":"e"}`, relay.Envelope{MessageID: "m", Identity: "m", Kind: "other"}},
		{"a room in a channel", `{"roomId":"r","channel":"wechat"}`, relay.Envelope{Conversation: "r", Group: true, Kind: "other"}},
		{"a channel before its room", `{"channel":"wechat","roomId":"r"}`, relay.Envelope{Conversation: "r", Group: true, Kind: "other"}},
		{"group by its id", `{"groupId":"g","chatId":"c"}`, relay.Envelope{Conversation: "c", Group: true, Kind: "other"}},
		{"a room that is no group", `{"roomId":"r","isGroup":false}`, relay.Envelope{Conversation: "r", Kind: "other"}},
		{"no room", `{"group_id":0,"user_id":7}`, relay.Envelope{Conversation: "7", Sender: "7", Kind: "other"}},
		{"0 is no id", `{"id":0,"msgId":5}`, relay.Envelope{MessageID: "5", Identity: "5", Kind: "other"}},
		{"nothing is none", `{"text":"","content":"b"}`, relay.Envelope{Kind: "text", Text: "b"}},
		{"null is none", `{"text":"a","content":null}`, relay.Envelope{Kind: "text", Text: "a"}},
	}
	f := build(t, generic.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			formattest.Check(t, f, []byte(tt.body), "bot-1")
			got, err := f.Read([]byte(tt.body), "bot-1")
			tt.want.Raw = []byte(tt.body)
			if diff := cmp.Diff([]relay.Envelope{tt.want}, got); err != nil || diff != "" {
				t.Errorf("Read(%s) error %v (-want +got):\n%s", tt.body, err, diff)
			}
		})
	}
}

// TestConfiguredConversation: where the conversation is configured, only the configuration and the usual names for it say
// what is a group.
func TestConfiguredConversation(t *testing.T) {
	t.Parallel()
	f := build(t, generic.Config{Conversation: "roomId"})
	for body, want := range map[string]bool{`{"roomId":"r"}`: false, `{"roomId":"r","isGroup":true}`: true} {
		if got, err := f.Read([]byte(body), ""); err != nil || got[0].Group != want || got[0].Conversation != "r" {
			t.Errorf("%s: got %+v, %v, want group %v", body, got, err, want)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	const digest = "h:…"
	long := strings.Repeat("x", 300)
	tests := []struct{ name, id, messageID, identity string }{
		{"string", `"m-1"`, "m-1", "m-1"},
		{"string with zeros", `"007"`, "007", "007"},
		{"number", `7265419038812345671`, "7265419038812345671", "7265419038812345671"},
		{"neighbour", `7265419038812345672`, "7265419038812345672", "7265419038812345672"},
		{"halves", `{"high":1,"low":2}`, "4294967298", "4294967298"},
		{"rounded", `7265419038812345000`, "7265419038812345000", digest},
		{"rounded string", `"7265419038812345000"`, "7265419038812345000", digest},
		{"decimal", `1.5`, "1.5", "1.5"},
		{"decimal string", `"1768121000.000200"`, "1768121000.000200", "1768121000.000200"},
		{"exponent", `7.265419038812346e18`, "7.265419038812346e18", digest},
		{"exponent string", `"7.265419038812346e18"`, "7.265419038812346e18", "7.265419038812346e18"},
		{"float of a large number", `7265419038812345344.0`, "7265419038812345344.0", digest},
		{"beyond all floats", `1e999`, "1e999", digest},
		{"small exponent", `12e1`, "12e1", "12e1"},
		{"zero halves", `{"high":0,"low":0}`, "", ""},
		{"zero string", `"0"`, "", ""},
		{"zero", `0`, "", ""},
		{"empty", `""`, "", ""},
		{"null", `null`, "", ""},
		{"bool", `true`, "", ""},
		{"list", `["m-1"]`, "", ""},
		{"object", `{"x":1}`, "", ""},
		{"too long", `"` + long + `"`, digest, digest},
		{"control characters", `"a\u0000b"`, digest, digest},
		{"not UTF-8", "\"a\xff\"", digest, digest},
	}
	f := build(t, generic.Config{})
	short := func(s string) string {
		if strings.HasPrefix(s, "h:") {
			return digest
		}
		return s
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := f.Read([]byte(`{"id":`+tt.id+`,"text":"hi"}`), "")
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
			if e := got[0]; short(e.MessageID) != tt.messageID || short(e.Identity) != tt.identity {
				t.Errorf("got id %q identity %q, want %q %q", e.MessageID, e.Identity, tt.messageID, tt.identity)
			}
		})
	}
}

// Two ids that cannot be kept as they are must still be two.
func TestDigestsDiffer(t *testing.T) {
	t.Parallel()
	f := build(t, generic.Config{})
	seen := map[string]string{}
	for _, id := range []string{"a\xff", "a\xfe", strings.Repeat("x", 300), strings.Repeat("x", 301)} {
		got, err := f.Read([]byte(`{"id":"`+id+`"}`), "")
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		if other, ok := seen[got[0].Identity]; ok {
			t.Errorf("ids %q and %q have the same identity %q", id, other, got[0].Identity)
		}
		seen[got[0].Identity] = id
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	f := build(t, generic.Config{Messages: "data.0.list"})
	a, b := `{"id":"1","text":"a"}`, `{ "id" : "2" }`
	tests := []struct {
		name, body string
		raw        []string
	}{
		{"two", " {\"data\": [ {\"list\": [" + a + " ,\n" + b + "]}]} ", []string{a, b}},
		{"one", `{"data":[{"list":[` + a + `]}]}`, nil},
		{"none", `{"data":[{"list":[]}]}`, nil},
		{"absent", a, nil},
		{"not a list", `{"data":[{"list":` + a + `}]}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			formattest.Check(t, f, []byte(tt.body), "")
			es, err := f.Read([]byte(tt.body), "")
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
			var got []string
			for _, e := range es {
				got = append(got, string(e.Raw))
			}
			want := tt.raw
			if want == nil {
				want = []string{tt.body}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Raw (-want +got):\n%s", diff)
			}
		})
	}
}

func ExampleNew() {
	f, err := generic.New(generic.Config{ID: "event.id", Text: "event.body.text", Sender: "event.who"})
	if err != nil {
		panic(err)
	}
	messages, err := f.Read([]byte(`{"event":{"id":"e-1","who":"alice","body":{"text":"hello"}}}`), "")
	if err != nil {
		panic(err)
	}
	fmt.Println(messages[0].MessageID, messages[0].Conversation, messages[0].Text)
	// Output: e-1 alice hello
}

func BenchmarkRead(b *testing.B) {
	for name, c := range map[string]generic.Config{"usual": {}, "nested": nested} {
		f := build(b, c)
		body := []byte(`{"id":"m-1","room_id":"r-1","sender":"alice","text":"` + strings.Repeat("a", 900) + `","time":1768121000}`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Read(body, "bot-1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
