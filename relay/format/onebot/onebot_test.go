package onebot_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format/onebot"
)

const (
	alice = "1686812345"
	hikes = "810712345"
)

// read returns the only envelope of a body.
func read(t *testing.T, body, self string) relay.Envelope {
	t.Helper()
	es, err := onebot.Format{}.Read([]byte(body), self)
	if err != nil || len(es) != 1 {
		t.Fatalf("Read(%s) = %d envelopes, %v, want 1 and no error", body, len(es), err)
	}
	return es[0]
}

// group is a message of alice to the group; message is JSON, more stands at its end.
func group(message, more string) string {
	return fmt.Sprintf(`{"time":1767002400,"self_id":%s,"post_type":"message","message_type":"group","group_id":%s,`+
		`"user_id":%s,"message_id":77,"message":%s%s}`, robot, hikes, alice, message, more)
}

// private is a private message with nothing but what is given.
func private(fields string) string {
	return `{"time":1767002400,"message_type":"private","message_id":77,"message":"hi",` + fields + `}`
}

func TestSides(t *testing.T) {
	t.Parallel()
	type sides struct {
		Conversation, Sender string
		Peers                []string
		Group, Self          bool
	}
	const (
		message  = `"post_type":"message",`
		sent     = `"post_type":"message_sent",`
		notice   = `"post_type":"notice",`
		us       = `"self_id":` + robot + `,`
		person   = "private:" + alice
		through  = person + "@" + hikes
		toUs     = `"target_id":` + robot
		toAlice  = `"target_id":` + alice
		byUs     = `"user_id":` + robot
		byAlice  = `"user_id":` + alice
		inGroup  = `"group_id":` + hikes
		temp     = `"sub_type":"group",`
		tempSelf = `"sub_type":"group_self",`
		room     = "group:" + hikes
	)
	tests := []struct {
		name, body, self string
		want             sides
	}{
		{"private", private(message + us + byAlice), "", sides{Conversation: person, Sender: alice}},
		{"target of an incoming message", private(message + us + byAlice + `,` + toUs), "", sides{Conversation: person, Sender: alice}},
		{"sender in its object only", private(message + us + `"sender":{` + byAlice + `}`), "", sides{Conversation: person, Sender: alice}},
		{"own", private(sent + us + byUs + `,` + toAlice), "", sides{Conversation: person, Sender: robot, Self: true}},
		{"own as message", private(message + us + byUs + `,` + toAlice), "", sides{Conversation: person, Sender: robot, Self: true}},
		{"own by the configured self", private(message + byUs + `,` + toAlice), robot, sides{Conversation: person, Sender: robot, Self: true}},
		{"own without a target", private(sent + us + byUs), "", sides{Sender: robot, Self: true}},
		{"own with the peer as user", private(sent + us + byAlice), "", sides{Conversation: person, Sender: robot, Self: true}},
		{"own to itself", private(sent + us + byUs + `,` + toUs), "", sides{Conversation: "private:" + robot, Sender: robot, Self: true}},
		{"the body's self counts first", private(message + us + byAlice), alice, sides{Conversation: person, Sender: alice}},
		{"nobody known", private(message + `"font":1`), "", sides{}},
		{"zero is nobody", private(message + `"user_id":0,"self_id":0`), "", sides{}},
		{"temporary", private(message + us + temp + byAlice + `,` + inGroup), "", sides{through, alice, []string{person}, false, false}},
		{
			"temporary, group beside the sender", private(message + us + temp + byAlice + `,"sender":{` + inGroup + `}`), "",
			sides{through, alice, []string{person}, false, false},
		},
		{"temporary, no group", private(message + us + temp + byAlice), "", sides{Conversation: person, Sender: alice}},
		{"temporary, filled in", private(message + us + temp + byAlice + `,"group_id":284840486`), "", sides{Conversation: person, Sender: alice}},
		{
			"temporary, own", private(message + us + tempSelf + byUs + `,` + toAlice + `,` + inGroup), "",
			sides{through, robot, []string{person}, false, true},
		},
		{"a friend of the group", private(message + us + byAlice + `,` + inGroup), "", sides{Conversation: person, Sender: alice}},
		{"group", group(`"hi"`, ``), "", sides{room, alice, nil, true, false}},
		{"group without a number", group(`"hi"`, `,"group_id":0`), "", sides{"", alice, nil, true, false}},
		{"numbers as strings", group(`"hi"`, `,"group_id":"`+hikes+`","user_id":"`+alice+`"`), "", sides{room, alice, nil, true, false}},
		{"guild", private(message + us + byAlice + `,"message_type":"guild"`), "", sides{Sender: alice}},
		{"recall by an admin", private(notice + us + byUs + `,` + inGroup + `,"notice_type":"group_recall","operator_id":` + alice), "", sides{room, alice, nil, true, false}},
		{"recall by us", private(notice + us + byAlice + `,` + inGroup + `,"notice_type":"group_recall","operator_id":` + robot), "", sides{room, robot, nil, true, true}},
		{"we joined", private(notice + us + byUs + `,` + inGroup + `,"notice_type":"group_increase"`), "", sides{room, robot, nil, true, false}},
		{"a title for us", private(notice + us + byUs + `,` + inGroup + `,"notice_type":"notify","sub_type":"title"`), "", sides{room, robot, nil, true, false}},
		{"poke by us", private(notice + us + byUs + `,` + toAlice + `,"notice_type":"notify","sub_type":"poke"`), "", sides{Conversation: person, Sender: robot, Self: true}},
		{"poke by the peer", private(notice + us + byAlice + `,` + toUs + `,"notice_type":"notify","sub_type":"poke"`), "", sides{Conversation: person, Sender: alice}},
		{"upload by us", private(notice + us + byUs + `,` + inGroup + `,"notice_type":"group_upload"`), "", sides{room, robot, nil, true, true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := read(t, tt.body, tt.self)
			got := sides{e.Conversation, e.Sender, e.Peers, e.Group, e.Self}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("sides of %s (-want +got):\n%s", tt.body, diff)
			}
		})
	}
}

// TestNoCollision checks that a group and a person of the same number are two conversations.
func TestNoCollision(t *testing.T) {
	t.Parallel()
	a := read(t, group(`"hi"`, `,"group_id":`+alice), robot)
	b := read(t, private(`"post_type":"message","self_id":`+robot+`,"user_id":`+alice), robot)
	if a.Conversation == b.Conversation || a.Identity == b.Identity {
		t.Errorf("got conversations %q and %q, identities %q and %q, want them to differ",
			a.Conversation, b.Conversation, a.Identity, b.Identity)
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	at := func(qq string) string { return `{"type":"at","data":{"qq":` + qq + `}}` }
	text := func(s string) string { return `{"type":"text","data":{"text":` + strconv.Quote(s) + `}}` }
	tests := []struct {
		name, message, text, kind string
		mentioned                 bool
	}{
		{"text", `[` + text("hi") + `]`, "hi", "text", false},
		{"several", `[` + text("a") + `,` + text("b ") + `]`, "ab", "text", false},
		{"one segment alone", text("hi"), "hi", "text", false},
		{"mention", `[` + at(`"2810012345"`) + `,` + text(" hi") + `]`, "hi", "text", true},
		{"mention by number", `[` + at(robot) + `,` + text(" hi") + `]`, "hi", "text", true},
		{"mention alone", `[` + at(robot) + `]`, "@" + robot, "text", true},
		{"mention in the middle", `[` + text("a ") + `,` + at(robot) + `,` + text("b") + `]`, "a b", "text", true},
		{"everybody", `[` + at(`"all"`) + `,` + text(" up") + `]`, "@all up", "text", true},
		{"somebody else", `[` + at(alice) + `,` + text(" hi") + `]`, "@" + alice + " hi", "text", false},
		{"nobody", `[` + at(`0`) + `,` + at(`null`) + `,` + text("hi") + `]`, "hi", "text", false},
		{"reply", `[{"type":"reply","data":{"id":"5","qq":"2810012345"}},` + text("hi") + `]`, "hi", "text", false},
		{"code in a text segment", `[` + text("[CQ:at,qq=all]&amp;") + `]`, "[CQ:at,qq=all]&amp;", "text", false},
		{"picture", `[` + at(robot) + `,{"type":"image","data":{"file":"a"}}]`, "", "image", true},
		{"first kind counts", `[{"type":"face","data":{}},{"type":"video","data":{}}]`, "", "sticker", false},
		{"unknown before known", `[{"type":"reply","data":{}},{"type":"record","data":{}}]`, "", "voice", false},
		{"link", `[{"type":"share","data":{}}]`, "", "link", false},
		{"place", `[{"type":"location","data":{}}]`, "", "location", false},
		{"card", `[{"type":"contact","data":{}}]`, "", "card", false},
		{"unknown", `[{"type":"poke","data":{}}]`, "", "other", false},
		{"blank", `[` + text(" \n") + `]`, "", "other", false},
		{"no data", `[{"type":"text"},{"type":"at"},{}]`, "", "other", false},
		{"odd data", `[{"type":"text","data":7},{"type":7,"data":[]},7,null]`, "", "other", false},
		{"number", `7`, "", "other", false},
		{"null", `null`, "raw", "text", false},

		{"CQ: plain", `"hi"`, "hi", "text", false},
		{"CQ: mention", `"[CQ:at,qq=2810012345] hi"`, "hi", "text", true},
		{"CQ: mention with a name", `"[CQ:at,qq=2810012345,name=a&#44;qq=1] hi"`, "hi", "text", true},
		{"CQ: everybody", `"[CQ:at,qq=all] up"`, "@all up", "text", true},
		{"CQ: escaped", `"&#91;CQ:at,qq=all&#93;"`, "[CQ:at,qq=all]", "text", false},
		{"CQ: escaped once", `"&amp;#91;CQ:at,qq=all&amp;#93;"`, "&#91;CQ:at,qq=all&#93;", "text", false},
		{"CQ: escaped in JSON", `"\u005bCQ:at,qq=all]"`, "@all", "text", true},
		{"CQ: comma is escaped in codes only", `"a&#44;b"`, "a&#44;b", "text", false},
		{"CQ: other escapes are words", `"&lt;&#60;&"`, "&lt;&#60;&", "text", false},
		{"CQ: between words", `"a[CQ:face,id=1]b"`, "ab", "text", false},
		{"CQ: no parameters", `"[CQ:dice]"`, "", "sticker", false},
		{"CQ: without a type", `"[CQ:] [CQ:,qq=all]"`, "[CQ:] [CQ:,qq=all]", "text", false},
		{"CQ: lower case is none", `"[cq:at,qq=all]"`, "[cq:at,qq=all]", "text", false},
		{"CQ: not closed", `"a [CQ:at,qq=all"`, "a [CQ:at,qq=all", "text", false},
		{"CQ: opened twice", `"[CQ:at,[CQ:at,qq=all]"`, "[CQ:at,@all", "text", true},
		{"CQ: bracket behind", `"[CQ:at,qq=all]]"`, "@all]", "text", true},
		{"CQ: escaped bracket in a value", `"[CQ:json,data=&#91;CQ:at&#44;qq=all&#93;]"`, "", "app", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := read(t, group(tt.message, `,"raw_message":"raw"`), robot)
			if e.Text != tt.text || e.Kind != tt.kind || e.Mentioned != tt.mentioned {
				t.Errorf("%s: got text %q kind %q mentioned %v, want %q %q %v",
					tt.message, e.Text, e.Kind, e.Mentioned, tt.text, tt.kind, tt.mentioned)
			}
		})
	}
	t.Run("nobody is mentioned where the account is not known", func(t *testing.T) {
		t.Parallel()
		if e := read(t, group(`"[CQ:at,qq=] [CQ:at] hi"`, `,"self_id":0`), ""); e.Mentioned || e.Text != "hi" {
			t.Errorf("got mentioned %v text %q, want false and hi", e.Mentioned, e.Text)
		}
	})
}

// TestTwins checks that a message reads the same as a list and as a string.
func TestTwins(t *testing.T) {
	t.Parallel()
	list := read(t, group(`[{"type":"reply","data":{"id":"5"}},{"type":"at","data":{"qq":"2810012345"}},`+
		`{"type":"text","data":{"text":" 1 < 2 & [a], b"}},{"type":"image","data":{"file":"x","url":"https://p.example/?a=1&b=2,3"}}]`, ``), robot)
	code := read(t, group(`"[CQ:reply,id=5][CQ:at,qq=2810012345] 1 < 2 &amp; &#91;a&#93;, b`+
		`[CQ:image,file=x,url=https://p.example/?a=1&amp;b=2&#44;3]"`, ``), robot)
	if diff := cmp.Diff(list, code, cmpopts.IgnoreFields(relay.Envelope{}, "Raw")); diff != "" {
		t.Errorf("the string differs from the list:\n%s", diff)
	}
}

func TestMedia(t *testing.T) {
	t.Parallel()
	const u = "https://m.example/1"
	tests := []struct {
		name, kind, data string
		want             []relay.Media
	}{
		{"image", "image", `"file":"a.jpg","url":"` + u + `"`, []relay.Media{{Type: "image", URL: u}}},
		{"voice", "record", `"file":"a.amr","url":"` + u + `"`, []relay.Media{{Type: "voice", URL: u}}},
		{"video", "video", `"url":"` + u + `"`, []relay.Media{{Type: "video", URL: u}}},
		{"file", "file", `"file":"a.pdf","url":"` + u + `"`, []relay.Media{{Type: "file", URL: u, Name: "a.pdf"}}},
		{"file with a name", "file", `"name":"b.pdf","file":"f7","url":"` + u + `"`, []relay.Media{{Type: "file", URL: u, Name: "b.pdf"}}},
		{"sticker", "mface", `"url":"` + u + `"`, []relay.Media{{Type: "image", URL: u}}},
		{"address as file", "image", `"file":"` + u + `"`, []relay.Media{{Type: "image", URL: u}}},
		{"address as file without a name", "file", `"file":"` + u + `"`, []relay.Media{{Type: "file", URL: u}}},
		{"path and address", "video", `"file":"` + u + `","url":"/data/a.mp4"`, []relay.Media{{Type: "video", URL: u}}},
		{"path", "video", `"file":"a.mp4","url":"/data/a.mp4"`, nil},
		{"file scheme", "image", `"url":"file:///etc/passwd"`, nil},
		{"bytes", "image", `"file":"base64://aGk="`, nil},
		{"endless", "image", `"url":"https://m.example/` + strings.Repeat("a", 5000) + `"`, nil},
		{"endless name", "file", `"name":"` + strings.Repeat("a", 300) + `","url":"` + u + `"`, []relay.Media{{Type: "file", URL: u}}},
		{"no medium", "share", `"url":"` + u + `"`, nil},
		{"number", "image", `"url":7`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := read(t, group(`[{"type":"`+tt.kind+`","data":{`+tt.data+`}}]`, ``), robot)
			if diff := cmp.Diff(tt.want, e.Media); diff != "" {
				t.Errorf("media of %.200s (-want +got):\n%s", tt.data, diff)
			}
		})
	}
}

func TestNickname(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, more, want string }{
		{"card", `,"sender":{"nickname":"Alice","card":"小A"}`, "小A"},
		{"no card", `,"sender":{"nickname":"Alice","card":""}`, "Alice"},
		{"null card", `,"sender":{"nickname":"Alice","card":null}`, "Alice"},
		{"anonymous", `,"sender":{"nickname":"匿名消息"},"anonymous":{"id":1,"name":"狮子","flag":"x"}`, "狮子"},
		{"none", ``, ""},
		{"no object", `,"sender":"Alice"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if e := read(t, group(`"hi"`, tt.more), robot); e.Nickname != tt.want {
				t.Errorf("%s: got nickname %q, want %q", tt.more, e.Nickname, tt.want)
			}
		})
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, fields, kind string
		meta               bool
	}{
		{"heartbeat", `"post_type":"meta_event","meta_event_type":"heartbeat"`, "meta", true},
		{"typing", `"post_type":"notice","notice_type":"notify","sub_type":"input_status"`, "meta", true},
		{"heartbeat, online", `"post_type":"meta_event","meta_event_type":"heartbeat","status":{"good":true,"online":true}`, "online", true},
		{"heartbeat, offline", `"post_type":"meta_event","meta_event_type":"heartbeat","status":{"good":true,"online":false}`, "offline", true},
		{"heartbeat, nobody knows", `"post_type":"meta_event","meta_event_type":"heartbeat","status":{"good":true,"online":null}`, "meta", true},
		{"heartbeat, only well", `"post_type":"meta_event","meta_event_type":"heartbeat","status":{"good":true}`, "meta", true},
		{"connected", `"post_type":"meta_event","meta_event_type":"lifecycle","sub_type":"connect"`, "online", true},
		{"enabled", `"post_type":"meta_event","meta_event_type":"lifecycle","sub_type":"enable"`, "meta", true},
		{"offline", `"post_type":"notice","notice_type":"bot_offline"`, "offline", true},
		{"offline, by Lagrange", `"post_type":"notice","notice_type":"notify","sub_type":"bot_offline"`, "offline", true},
		{"online", `"post_type":"notice","notice_type":"bot_online"`, "online", true},
		{"online, by Lagrange", `"post_type":"notice","notice_type":"notify","sub_type":"bot_online"`, "online", true},
		{"a notice that only sounds like it", `"post_type":"notice","notice_type":"group_ban","sub_type":"bot_offline"`, "system", false},
		{"another client", `"post_type":"notice","notice_type":"client_status"`, "meta", true},
		{"group recall", `"post_type":"notice","notice_type":"group_recall"`, "recall", false},
		{"friend recall", `"post_type":"notice","notice_type":"friend_recall"`, "recall", false},
		{"left", `"post_type":"notice","notice_type":"group_decrease"`, "system", false},
		{"unknown notice", `"post_type":"notice","notice_type":"eclipse"`, "system", false},
		{"file", `"post_type":"notice","notice_type":"offline_file"`, "file", false},
		{"friend request", `"post_type":"request","request_type":"friend"`, "friend_request", false},
		{"group request", `"post_type":"request","request_type":"group"`, "system", false},
		{"answer of an action", `"status":"ok","retcode":0,"data":{"message_id":5}`, "other", false},
		{"post_type of another type", `"post_type":1`, "other", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := read(t, `{"time":1767002400,"self_id":`+robot+`,"user_id":`+alice+`,`+tt.fields+`}`, robot)
			if e.Kind != tt.kind || e.Meta != tt.meta || e.Text != "" {
				t.Errorf("%s: got kind %q meta %v text %q, want %q %v and none", tt.fields, e.Kind, e.Meta, e.Text, tt.kind, tt.meta)
			}
		})
	}
}

// TestMessageID checks the id as it is shown, and whether a repeat is known in other bytes: not where the bytes had to be
// taken into the identity.
func TestMessageID(t *testing.T) {
	t.Parallel()
	const (
		known = "known again"
		bytes = "known by its bytes"
		never = "never known"
	)
	tests := []struct{ name, ids, id, repeat string }{
		{"number", `"message_id":1203948571`, "1203948571", known},
		{"negative", `"message_id":-1203948571`, "-1203948571", known},
		{"string", `"message_id":"1203948571"`, "1203948571", known},
		{"64 bits", `"message_id":7265419038812345671`, "7265419038812345671", known},
		{"64 bits as string", `"message_id":"7265419038812345671"`, "7265419038812345671", known},
		{"halves", `"message_id":{"high":1,"low":2}`, "4294967298", known},
		{"no number", `"message_id":"BAC-33221:7"`, "BAC-33221:7", known},
		{"small and round", `"message_id":1203948000`, "1203948000", known},
		{"rounded", `"message_id":7265419038812345000`, "7265419038812345000", bytes},
		{"rounded string", `"message_id":"7265419038812345000"`, "7265419038812345000", bytes},
		{"exponent", `"message_id":7.265419038812346e18`, "7.265419038812346e18", bytes},
		{"no time", `"message_id":5,"time":null`, "5", bytes},
		{"time 0", `"message_id":5,"time":0`, "5", bytes},
		{"missing", `"x":1`, "", never},
		{"zero", `"message_id":0`, "", never},
		{"zero string", `"message_id":"0"`, "", never},
		{"zero halves", `"message_id":{"high":0,"low":0}`, "", never},
		{"null", `"message_id":null`, "", never},
		{"empty", `"message_id":""`, "", never},
		{"list", `"message_id":[1]`, "", never},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			when := `"time":1767002400,`
			if strings.Contains(tt.ids, `"time"`) {
				when = ""
			}
			body := func(font string) string {
				return `{"post_type":"message","message_type":"private",` + when + `"self_id":` + robot + `,"user_id":` + alice +
					`,"message":"hi","font":` + font + `,` + tt.ids + `}`
			}
			e, same, other := read(t, body("0"), robot), read(t, body("0"), robot), read(t, body("14"), robot)
			got := never
			switch {
			case e.Identity == "" && same.Identity == "":
			case e.Identity == other.Identity:
				got = known
			case e.Identity == same.Identity:
				got = bytes
			}
			if e.MessageID != tt.id || got != tt.repeat {
				t.Errorf("%s: got id %q, %s; want %q, %s", tt.ids, e.MessageID, got, tt.id, tt.repeat)
			}
		})
	}
}

// TestIdentity checks that messages are told apart by everything that an identity is made of, and by nothing else.
func TestIdentity(t *testing.T) {
	t.Parallel()
	first := group(`"hi"`, ``)
	want := read(t, first, "").Identity
	change := func(old, new string) string { return strings.Replace(first, old, new, 1) }
	for name, body := range map[string]string{
		"id":           change(`"message_id":77`, `"message_id":78`),
		"time":         change(`1767002400`, `1767002401`),
		"account":      change(robot, "2810012346"),
		"group":        change(hikes, "810712346"),
		"message type": change(`"message_type":"group"`, `"message_type":"private"`),
	} {
		if got := read(t, body, "").Identity; got == want {
			t.Errorf("another %s has the same identity %q", name, got)
		}
	}
	for name, body := range map[string]string{
		"ids as strings": change(`"message_id":77`, `"message_id":"77"`),
		"as a list":      change(`"hi"`, `[{"type":"text","data":{"text":"hi"}}]`),
		"blanks":         " " + first + "\n",
		"configured":     change(`"self_id":`+robot+`,`, ``),
	} {
		if got := read(t, body, robot).Identity; got != want {
			t.Errorf("%s: got identity %q, want %q", name, got, want)
		}
	}
	recall := read(t, `{"time":1767002400,"self_id":`+robot+`,"post_type":"notice","notice_type":"group_recall",`+
		`"message_type":"group","group_id":`+hikes+`,"user_id":`+alice+`,"message_id":77}`, robot)
	if recall.Identity == want || recall.MessageID != "recall:77" {
		t.Errorf("got recall %q %q, want recall:77 and not the message's identity", recall.MessageID, recall.Identity)
	}
}

// TestNeighbours checks that 64-bit ids that differ in their last digit only are two.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	body := func(id, user string) string {
		return `{"time":1767002400,"self_id":1,"post_type":"message","message_type":"private","message":"hi","message_id":` +
			id + `,"user_id":` + user + `}`
	}
	for _, pair := range [][2]string{
		{"7265419038812345671", "7265419038812345672"},
		{`"7265419038812345671"`, `"7265419038812345672"`},
		{"9007199254740992", "9007199254740993"},
	} {
		a, b := read(t, body(pair[0], "5"), ""), read(t, body(pair[1], "5"), "")
		if a.MessageID == b.MessageID || a.Identity == b.Identity {
			t.Errorf("messages %v: got ids %q %q, identities %q %q", pair, a.MessageID, b.MessageID, a.Identity, b.Identity)
		}
		a, b = read(t, body("7", pair[0]), ""), read(t, body("7", pair[1]), "")
		if a.Conversation == b.Conversation || a.Sender == b.Sender {
			t.Errorf("people %v: got conversations %q %q", pair, a.Conversation, b.Conversation)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 12, 29, 10, 0, 0, 0, time.UTC)
	for when, want := range map[string]time.Time{
		`1767002400`: at, `"1767002400"`: at, `1767002400000`: at, `0`: {}, `-5`: {}, `null`: {}, `"soon"`: {},
	} {
		e := read(t, strings.Replace(group(`"hi"`, ``), `"time":1767002400`, `"time":`+when, 1), robot)
		if !e.At.Equal(want) {
			t.Errorf("%s: got %v, want %v", when, e.At, want)
		}
	}
}

// TestBroken checks that codes that do not end cost no more than others, as whoever may write to the account can send them.
func TestBroken(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"[CQ:", "[CQ:at,", "[CQ:at,qq=all", "[", "]", "&#91;", "[CQ:a]", "[CQ:a,=,=]"} {
		t.Run(piece, func(t *testing.T) {
			t.Parallel()
			body := group(strconv.Quote(strings.Repeat(piece, 1<<20/len(piece))), ``)
			began := time.Now()
			read(t, body, robot)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("reading %d bytes took %v, want at most 5s", len(body), took)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"private_text", "group_array", "group_cq", "meta_heartbeat"} {
		body, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (onebot.Format{}).Read(body, robot); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
