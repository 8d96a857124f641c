package gewechat_test

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector/gewechat"
	"github.com/imrelay/imrelay/relay/egress"
)

// recorder takes every call for sent, and remembers the last.
type recorder struct {
	answer string // empty: it was sent
	call   egress.Call
	calls  int
}

// Do implements [egress.Doer].
func (r *recorder) Do(_ context.Context, c egress.Call) (egress.Answer, error) {
	r.call = c
	r.calls++
	return egress.Answer{Status: 200, Body: []byte(cmp.Or(r.answer, `{"ret":200,"data":{"newMsgId":7}}`))}, nil
}

const base = "https://im.example/gewe/v2/api"

// body is a call's, with what all have.
func body(rest string) string {
	return `{"appId":"` + theApp + `","toWxid":"` + theRoom + `",` + rest + `}`
}

// reply is what shows what it answers.
func reply(title, id string) string {
	return `<appmsg appid="" sdkver="0"><title>` + title + `</title><des></des><action>view</action>` +
		`<type>57</type><showtype>0</showtype><content></content><url></url><refermsg><type>1</type><svrid>` + id +
		`</svrid><fromusr>` + theRoom + `</fromusr></refermsg></appmsg>`
}

// posted is what is posted for a message, and where.
type posted struct {
	name, path, want string
	quote            bool
	m                outbound.Message
}

func everyBody() []posted {
	alice, bob := outbound.Mention{ID: "wxid_alice", Name: "Alice"}, outbound.Mention{ID: "wxid_bob"}
	all := []outbound.Mention{alice, bob}
	return []posted{
		{
			"text", "/message/postText", body(`"content":"a < b & \"c\"\n[微笑]"`), false,
			outbound.Message{Text: "a < b & \"c\"\n[微笑]", ReplyTo: "7265419038812345671", RequestID: "msg_1"},
		},
		{
			"text that looks like a mention", "/message/postText", body(`"content":"@all notify@all"`), false,
			outbound.Message{Text: "@all notify@all"},
		},
		{
			"mentions", "/message/postText", body("\"content\":\"@Alice\u2005@wxid_bob\u2005hello\",\"ats\":\"wxid_alice,wxid_bob\""),
			false,
			outbound.Message{Text: "hello", Mentions: all},
		},
		{
			"mentions that the text names", "/message/postText",
			body("\"content\":\"@wxid_bob\u2005hello @Alice!\",\"ats\":\"wxid_alice,wxid_bob\""),
			false,
			outbound.Message{Text: "hello @Alice!", Mentions: all},
		},
		{
			"the same mention twice", "/message/postText", body("\"content\":\"@Alice\u2005hello\",\"ats\":\"wxid_alice\""),
			false,
			outbound.Message{Text: "hello", Mentions: []outbound.Mention{alice, {ID: "wxid_alice"}}},
		},
		{
			"reply", "/message/postAppMsg", body(`"appmsg":"` + strings.ReplaceAll(reply(`a &lt;b&gt; &amp; &#34;c&#34;&#xA;d`, "7265419038812345671"), `"`, `\"`) + `"`), true,
			outbound.Message{Text: "a <b> & \"c\"\nd", ReplyTo: "7265419038812345671"},
		},
		{"no reply", "/message/postText", body(`"content":"hello"`), true, outbound.Message{Text: "hello"}},
		{
			"reply to no number", "/message/postText", body(`"content":"hello"`), true,
			outbound.Message{Text: "hello", ReplyTo: "</svrid>"},
		},
		{
			"reply that mentions", "/message/postText", body("\"content\":\"@Alice\u2005hello\",\"ats\":\"wxid_alice\""), true,
			outbound.Message{Text: "hello", ReplyTo: "7265419038812345671", Mentions: []outbound.Mention{alice}},
		},
		{
			"image", "/message/postImage", body(`"imgUrl":"https://a.example/b.png?x=1&y=2"`), true,
			outbound.Message{ReplyTo: "7265419038812345671", Media: media("image", "https://a.example/b.png?x=1&y=2", "b", 0)},
		},
		{
			"file", "/message/postFile", body(`"fileUrl":"https://a.example/b","fileName":"报告.pdf"`), false,
			outbound.Message{Media: media("file", "https://a.example/b", "报告.pdf", 0)},
		},
		{
			"file without a name", "/message/postFile", body(`"fileUrl":"https://a.example/c/b.pdf?t=1","fileName":"b.pdf"`), false,
			outbound.Message{Media: media("file", "https://a.example/c/b.pdf?t=1", "", 0)},
		},
		{
			"file without any name", "/message/postFile", body(`"fileUrl":"https://a.example/","fileName":"file"`), false,
			outbound.Message{Media: media("file", "https://a.example/", "", 0)},
		},
		{
			"voice", "/message/postVoice", body(`"voiceUrl":"https://a.example/b.silk","voiceDuration":2540`), false,
			outbound.Message{Media: media("voice", "https://a.example/b.silk", "", 2540)},
		},
	}
}

// TestBody: what is posted, and where.
func TestBody(t *testing.T) {
	t.Parallel()
	for _, tt := range everyBody() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var im recorder
			tt.m.To = theRoom
			r, err := open(t, gewechat.Config{URL: base + "/", Quote: tt.quote}, &im).Send(t.Context(), tt.m)
			if err != nil || r.ID != "7" {
				t.Fatalf("got %+v, %v; want it sent", r, err)
			}
			if got := string(im.call.Body); got != tt.want {
				t.Errorf("body:\n got %s\nwant %s", got, tt.want)
			}
			if im.call.Method != http.MethodPost || im.call.URL != base+tt.path {
				t.Errorf("got %s %s, want POST %s", im.call.Method, im.call.URL, base+tt.path)
			}
			if h := im.call.Header; h.Get("X-GEWE-TOKEN") != theToken || h.Get("Content-Type") != "application/json" {
				t.Errorf("headers: got %v", h)
			}
		})
	}
}

func media(kind, url, name string, millis int) []outbound.Media {
	return []outbound.Media{{Type: kind, URL: url, Name: name, Millis: millis}}
}

func TestCarry(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		m    outbound.Media
		want string
	}{
		{"image", outbound.Media{Type: "image", URL: "https://a.example/b.png"}, ""},
		{"file", outbound.Media{Type: "file", URL: "http://a.example/b"}, ""},
		{"voice", outbound.Media{Type: "voice", URL: "https://a.example/b.silk", Millis: 1}, ""},
		{"voice of no length", outbound.Media{Type: "voice", URL: "https://a.example/b.silk"}, "durationMs"},
		{"video", outbound.Media{Type: "video", URL: "https://a.example/b.mp4", Millis: 1}, "image, file, voice;"},
		{"something new", outbound.Media{Type: "hologram", URL: "https://a.example/b"}, "image, file, voice;"},
		{"no web", outbound.Media{Type: "image", URL: "file:///etc/passwd"}, "url"},
		{"no URL", outbound.Media{Type: "image"}, "url"},
	}
	c := open(t, gewechat.Config{URL: base}, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := c.Carry(tt.m)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestFileName: the server may make a file of that name.
func TestFileName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("长", 200)
	tests := []struct{ name, given, url, want string }{
		{"a name", "报告 1.pdf", "https://a.example/b.pdf", "报告 1.pdf"},
		{"a path", "../../etc/cron.d/x", "https://a.example/b.pdf", "x"},
		{"a path of Windows", `C:\Windows\x.exe`, "https://a.example/b.pdf", "x.exe"},
		{"a path that ends in nothing", "../..", "https://a.example/b.pdf", "b.pdf"},
		{"controls", "a\x00\r\n\u202egpj.exe\xff", "https://a.example/b.pdf", "agpj.exe"},
		{"a long name", long + ".pdf", "https://a.example/b.pdf", strings.Repeat("长", 76) + ".pdf"},
		{"a long end", "a." + long, "https://a.example/b.pdf", "a." + strings.Repeat("长", 78)},
		{"a path in the URL", "", "https://a.example/..%2f..%2fetc%2fx", "x"},
		{"nothing", "", "https://a.example/..", "file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var im recorder
			m := outbound.Message{To: theRoom, Media: media("file", tt.url, tt.given, 0)}
			if _, err := open(t, gewechat.Config{URL: base}, &im).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if got := gjson.GetBytes(im.call.Body, "fileName").Str; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
