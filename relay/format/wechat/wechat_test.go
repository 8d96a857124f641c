package wechat_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format/wechat"
)

const (
	mei  = "wxid_mei4lt9c2x7q21"
	team = "57190482336@chatroom"
)

// read returns the only envelope of a body.
func read(t *testing.T, body, self string) relay.Envelope {
	t.Helper()
	es, err := wechat.Format{}.Read([]byte(body), self)
	if err != nil || len(es) != 1 {
		t.Fatalf("Read(%s) = %d envelopes, %v, want 1 and no error", body, len(es), err)
	}
	return es[0]
}

// message is a body of the bare family, with more fields at its end.
func message(from, to, content, more string) string {
	return fmt.Sprintf(`{"MsgId":17,"FromUserName":{"string":%q},"ToUserName":{"string":%q},"MsgType":1,`+
		`"Content":{"string":%q},"CreateTime":1768121000%s}`, from, to, content, more)
}

func TestSides(t *testing.T) {
	t.Parallel()
	type sides struct {
		Conversation, Sender string
		Peers                []string
		Group, Self          bool
	}
	tests := []struct {
		name, body, self string
		want             sides
	}{
		{"private", message(mei, robot, "hi", ""), robot, sides{Conversation: mei, Sender: mei}},
		{"own private", message(robot, mei, "hi", ""), robot, sides{Conversation: mei, Sender: robot, Self: true}},
		{
			"private, owner unknown", message(mei, robot, "hi", ""), "",
			sides{Conversation: mei, Sender: mei, Peers: []string{robot}},
		},
		{
			"private, owner is somebody else", message(mei, robot, "hi", ""), "wxid_other",
			sides{Conversation: mei, Sender: mei, Peers: []string{robot}},
		},
		{
			"own note to the helper", message(robot, "filehelper", "hi", ""), robot,
			sides{Conversation: "filehelper", Sender: robot, Self: true},
		},
		{
			"the envelope's owner counts before the configured one",
			`{"TypeName":"AddMsg","Wxid":"` + robot + `","Data":` + message(robot, mei, "hi", "") + `}`, mei,
			sides{Conversation: mei, Sender: robot, Self: true},
		},
		{"group", message(team, robot, mei+":\nhi", ""), robot, sides{Conversation: team, Sender: mei, Group: true}},
		{"group, owner unknown", message(team, robot, mei+":\nhi", ""), "", sides{team, mei, nil, true, false}},
		{"own in a group", message(robot, team, "hi", ""), robot, sides{team, robot, nil, true, true}},
		{"own in a group, owner unknown", message(robot, team, "hi", ""), "", sides{team, robot, nil, true, true}},
		{"own in a group by its prefix", message(team, robot, robot+":\nhi", ""), robot, sides{team, robot, nil, true, true}},
		{
			"a summary names the member, owner unknown",
			`{"fromUser":"` + mei + `","toUser":"` + team + `","msgType":1,"content":"hi"}`, "",
			sides{team, mei, nil, true, false},
		},
		{
			"an announcement to the room, owner unknown",
			strings.Replace(message(mei, team, "<sysmsg type='x'></sysmsg>", ""), `"MsgType":1,`, `"MsgType":10002,`, 1), "",
			sides{team, mei, nil, true, false},
		},
		{
			"enterprise room", message("1081@im.chatroom", robot, "25984@openim:\nhi", ""), robot,
			sides{"1081@im.chatroom", "25984@openim", nil, true, false},
		},
		{
			"said to be own", message(robot, mei, "hi", `,"isSelf":true`), "",
			sides{Conversation: mei, Sender: robot, Self: true},
		},
		{"no sender", `{"MsgType":1,"ToUserName":"` + robot + `"}`, "", sides{Conversation: robot}},
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

func TestGroupPrefix(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, from, content, sender, text string }{
		{"member", team, mei + ":\nhello", mei, "hello"},
		{"only the first is cut", team, mei + ":\nnote:\na:\nb", mei, "note:\na:\nb"},
		{"nothing behind it", team, mei + ":\n", mei, ""},
		{"the room is no sender", team, team + ":\nhello", "", "hello"},
		{"a colon alone is no prefix", team, mei + ": hello", "", mei + ": hello"},
		{"words are no id", team, "see also:\nhello", "", "see also:\nhello"},
		{"Chinese is no id", team, "注意:\nhello", "", "注意:\nhello"},
		{"a link is no id", team, "http://x/y:\nhello", "", "http://x/y:\nhello"},
		{"nothing is no id", team, ":\nhello", "", ":\nhello"},
		{"private text keeps it", mei, "list:\none", mei, "list:\none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := read(t, message(tt.from, robot, tt.content, ""), robot)
			if e.Sender != tt.sender || e.Text != tt.text {
				t.Errorf("%q: got sender %q text %q, want %q %q", tt.content, e.Sender, e.Text, tt.sender, tt.text)
			}
		})
	}
	t.Run("what the room says about itself has none", func(t *testing.T) {
		t.Parallel()
		body := strings.Replace(message(team, robot, "renamed:\nx", ""), `"MsgType":1,`, `"MsgType":10000,`, 1)
		if e := read(t, body, robot); e.Sender != "" || e.Kind != "system" {
			t.Errorf("got sender %q kind %q, want none and system", e.Sender, e.Kind)
		}
	})
	t.Run("own text in a group keeps it", func(t *testing.T) {
		t.Parallel()
		if e := read(t, message(robot, team, "todo:\nall", ""), robot); e.Sender != robot || e.Text != "todo:\nall" {
			t.Errorf("got sender %q text %q, want %q and the whole text", e.Sender, e.Text, robot)
		}
	})
}

func TestMentioned(t *testing.T) {
	t.Parallel()
	list := func(ids string) string {
		return fmt.Sprintf(`,"MsgSource":%q`, "<msgsource>\n\t<atuserlist>"+ids+"</atuserlist>\n</msgsource>")
	}
	push := func(text string) string { return fmt.Sprintf(`,"PushContent":%q`, text) }
	tests := []struct {
		name, text, more, self string
		want                   bool
	}{
		{"plain", "@x hi", list(robot), robot, true},
		{"CDATA with a leading comma", "@x hi", list("<![CDATA[," + robot + "]]>"), robot, true},
		{"one of several", "@x hi", list(mei + "," + robot), robot, true},
		{"spaces", "@x hi", list(mei + ", " + robot), robot, true},
		{"somebody else", "@x hi", list(mei), robot, false},
		{"somebody whose id begins alike", "@x hi", list(robot + "9"), robot, false},
		{"somebody else, whatever the push says", "@x hi", list(mei) + push("小梅在群聊中@了你"), robot, false},
		{"everybody", "@x hi", list("notify@all"), robot, true},
		{"everybody by an announcement", "@x hi", list("announcement@all"), robot, true},
		{"everybody in words", "@x hi", list("所有人"), robot, true},
		{"everybody, owner unknown", "@x hi", list("notify@all"), "", true},
		{"empty list", "@x hi", list(""), robot, false},
		{"empty list, owner unknown", "@x hi", list(""), "", false},
		{"push", "@x hi", push("小梅在群聊中@了你"), robot, true},
		{"push to everybody", "@x hi", push("小梅在群聊中@所有人"), robot, true},
		{"push, owner unknown", "@x hi", list(robot) + push("小梅在群聊中@了你"), "", true},
		{"the text says so", "@小助理 hi", push("小梅 : @小助理 hi"), robot, false},
		{"the text imitates the push", "hi 在群聊中@了你", push("小梅 : hi 在群聊中@了你"), robot, false},
		{"a name imitates the push", "hi", push("在群聊中@了你 : hi"), robot, false},
		{"the text imitates the list", "<atuserlist>" + robot + "</atuserlist>", "", robot, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if e := read(t, message(team, robot, mei+":\n"+tt.text, tt.more), tt.self); e.Mentioned != tt.want {
				t.Errorf("%s %s: got mentioned %v, want %v", tt.text, tt.more, e.Mentioned, tt.want)
			}
		})
	}
	t.Run("not in private", func(t *testing.T) {
		t.Parallel()
		if e := read(t, message(mei, robot, "hi", list(robot)), robot); e.Mentioned {
			t.Error("got mentioned in a private chat, want not")
		}
	})
}

func TestNickname(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, msgType, content, more, want string }{
		{"text", "1", "hi", `,"PushContent":"Mei : hi"`, "Mei"},
		{"a colon in the name", "1", "hi", `,"PushContent":"A : B : hi"`, "A : B"},
		{"shortened preview", "1", "a long text", `,"PushContent":"Mei : a long"`, ""},
		{"hidden preview", "1", "hi", `,"PushContent":"你收到了一条消息"`, ""},
		{"picture", "3", "<msg/>", `,"PushContent":"Mei : [图片]"`, "Mei"},
		{"title with a colon", "49", "<msg/>", `,"PushContent":"Mei : [链接]a : b"`, ""},
		{"told", "1", "hi", `,"fromNick":"Mei"`, "Mei"},
		{"none", "1", "hi", ``, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := strings.Replace(message(mei, robot, tt.content, tt.more), `"MsgType":1`, `"MsgType":`+tt.msgType, 1)
			if e := read(t, body, robot); e.Nickname != tt.want {
				t.Errorf("%s: got nickname %q, want %q", body, e.Nickname, tt.want)
			}
		})
	}
	t.Run("a room's name is nobody's", func(t *testing.T) {
		t.Parallel()
		if e := read(t, message(team, robot, mei+":\nhi", `,"fromNick":"周会"`), robot); e.Nickname != "" {
			t.Errorf("got nickname %q, want none", e.Nickname)
		}
	})
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	const composite = "h:…"
	tests := []struct{ name, ids, id, identity string }{
		{"number", `"NewMsgId":7265419038812345671`, "7265419038812345671", "7265419038812345671"},
		{"neighbour", `"NewMsgId":7265419038812345672`, "7265419038812345672", "7265419038812345672"},
		{"largest", `"NewMsgId":9223372036854775807`, "9223372036854775807", "9223372036854775807"},
		{"unsigned", `"NewMsgId":18446744073709551615`, "18446744073709551615", "18446744073709551615"},
		{"negative", `"NewMsgId":-7265419038812345671`, "-7265419038812345671", "-7265419038812345671"},
		{"string", `"NewMsgId":"7265419038812345671"`, "7265419038812345671", "7265419038812345671"},
		{"halves", `"NewMsgId":{"high":1691612211,"low":2097478471}`, "5465419158893", ""},
		{"halves of a neighbour", `"NewMsgId":{"low":2,"high":1}`, "4294967298", "4294967298"},
		{"signed low half", `"NewMsgId":{"low":-1,"high":1,"unsigned":false}`, "8589934591", "8589934591"},
		{"low half alone", `"NewMsgId":{"low":7}`, "7", "7"},
		{"small", `"NewMsgId":1968256046`, "1968256046", "1968256046"},
		{"small and round", `"NewMsgId":1968256000`, "1968256000", "1968256000"},
		{"last exact", `"NewMsgId":9007199254740000`, "9007199254740000", "9007199254740000"},
		{"beside MsgId", `"MsgId":5,"NewMsgId":77`, "77", "77"},
		{"rounded", `"NewMsgId":7265419038812345000`, "7265419038812345000", composite},
		{"rounded string", `"NewMsgId":"7265419038812345000"`, "7265419038812345000", composite},
		{"exponent", `"NewMsgId":7.265419038812346e18`, "7.265419038812346e18", composite},
		{"fraction", `"NewMsgId":7265.5,"MsgId":5`, "7265.5", composite},
		{"too large", `"NewMsgId":99999999999999999999`, "99999999999999999999", composite},
		{"words", `"NewMsgId":"abc","MsgId":5`, "abc", composite},
		{"zero", `"NewMsgId":0,"MsgId":5`, "5", composite},
		{"zero string", `"NewMsgId":"0","MsgId":5`, "5", composite},
		{"zero halves", `"NewMsgId":{"high":0,"low":0},"MsgId":5`, "5", composite},
		{"half too large", `"NewMsgId":{"high":1,"low":4294967296},"MsgId":5`, "5", composite},
		{"empty wrapper", `"NewMsgId":{},"MsgId":5`, "5", composite},
		{"null", `"NewMsgId":null,"MsgId":5`, "5", composite},
		{"list", `"NewMsgId":[1],"MsgId":5`, "5", composite},
		{"missing", `"MsgId":5`, "5", composite},
		{"MsgId as string", `"MsgId":"5"`, "5", composite},
		{"nothing", `"x":1`, "", ""},
		{"zeros", `"MsgId":0,"NewMsgId":0`, "", ""},
		{"nulls", `"MsgId":null,"NewMsgId":""`, "", ""},
		{"twice counts last", `"NewMsgId":1,"NewMsgId":2`, "2", "2"},
	}
	for _, tt := range tests {
		if tt.name == "halves" { // high·2^32 + low by hand would be a second implementation
			tt.id = fmt.Sprint(uint64(1691612211)<<32 + 2097478471)
			tt.identity = tt.id
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := read(t, `{"FromUserName":"`+mei+`","ToUserName":"`+robot+`","MsgType":1,"Content":"hi",`+tt.ids+`}`, robot)
			identity := e.Identity
			if strings.HasPrefix(identity, "h:") {
				identity = composite
			}
			if e.MessageID != tt.id || identity != tt.identity {
				t.Errorf("%s: got id %q identity %q, want %q %q", tt.ids, e.MessageID, e.Identity, tt.id, tt.identity)
			}
		})
	}
}

// A composite tells messages apart by everything that it is made of, and knows a message again when it is only wrapped
// otherwise.
func TestComposite(t *testing.T) {
	t.Parallel()
	body := func(msgID, created, from, content string) string {
		return `{"MsgId":` + msgID + `,"NewMsgId":7265419038812345000,"CreateTime":` + created + `,"MsgType":1,` +
			`"FromUserName":"` + from + `","ToUserName":"` + robot + `","Content":"` + content + `"}`
	}
	first := body("5", "1768121000", mei, "hi")
	want := read(t, first, robot).Identity
	if got := read(t, first, robot).Identity; got != want {
		t.Errorf("the same body: got %q, want %q", got, want)
	}
	if got := read(t, `{"TypeName":"AddMsg","Wxid":"`+robot+`","Data":`+first+`}`, "").Identity; got != want {
		t.Errorf("the same message in an envelope: got %q, want %q", got, want)
	}
	for name, other := range map[string]string{
		"MsgId":   body("6", "1768121000", mei, "hi"),
		"time":    body("5", "1768121001", mei, "hi"),
		"sender":  body("5", "1768121000", "wxid_x", "hi"),
		"content": body("5", "1768121000", mei, "ho"),
	} {
		if got := read(t, other, robot).Identity; got == want {
			t.Errorf("another %s has the same identity %q", name, got)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 11, 8, 43, 20, 0, time.UTC)
	tests := []struct {
		name, created string
		want          time.Time
	}{
		{"seconds", `1768121000`, at},
		{"string", `"1768121000"`, at},
		{"halves", `{"low":1768121000,"high":0}`, at},
		{"milliseconds", `1768121000000`, at},
		{"zero", `0`, time.Time{}},
		{"negative", `-5`, time.Time{}},
		{"far", `99999999999999999`, time.Time{}},
		{"words", `"soon"`, time.Time{}},
		{"null", `null`, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if e := read(t, `{"MsgType":1,"CreateTime":`+tt.created+`}`, robot); !e.At.Equal(tt.want) {
				t.Errorf("%s: got %v, want %v", tt.created, e.At, tt.want)
			}
		})
	}
}

// TestNames checks that a field is found however a server writes its name and wraps its value.
func TestNames(t *testing.T) {
	t.Parallel()
	want := read(t, `{"msgId":5,"newMsgId":77,"msgType":1,"fromUserName":"`+mei+`","toUserName":"`+robot+
		`","content":"hi","createTime":1768121000}`, robot)
	for name, body := range map[string]string{
		"Pascal":      message(mei, robot, "hi", `,"NewMsgId":77`),
		"snake, str":  `{"new_msg_id":77,"msg_type":1,"from_user_name":{"str":"` + mei + `"},"to_user_name":{"str":"` + robot + `"},"content":{"str":"hi"},"create_time":1768121000}`,
		"mixed":       `{"Newmsgid":"77","MSGTYPE":"1","fromUser":{"String":"` + mei + `"},"toUSerName":"` + robot + `","text":"hi","Createtime":"1768121000"}`,
		"escaped key": `{"\u004eewMsgId":77,"MsgType":{"low":1},"FromWxid":"` + mei + `","ToWxid":"` + robot + `","Content":"hi","CreateTime":1768121000}`,
		"in an array": `[` + message(mei, robot, "hi", `,"NewMsgId":77`) + `]`,
		"Data a list": `{"Data":[` + message(mei, robot, "hi", `,"NewMsgId":77`) + `]}`,
	} {
		if diff := cmp.Diff(want, read(t, body, robot), cmpopts.IgnoreFields(relay.Envelope{}, "Raw")); diff != "" {
			t.Errorf("%s differs from the plain one:\n%s", name, diff)
		}
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	a, b := message(mei, robot, "one", `,"NewMsgId":1`), message(mei, robot, "two", `,"NewMsgId":2`)
	tests := []struct {
		name, body string
		want       []string // Raw of each; none: the whole body
	}{
		{"two", `{"AddMsgs":[` + a + ",\n" + b + `]}`, []string{a, b}},
		{"blanks around", " \n {\"AddMsgs\" : [ " + a + " , " + b + " ] } \n", []string{a, b}},
		{"bare list", "\t[" + a + "," + b + "] ", []string{a, b}},
		{"one", `{"AddMsgs":[` + a + `]}`, nil},
		{"one and nothing", `{"AddMsgs":[null,` + a + `,{}]}`, nil},
		{"a stranger is kept", `{"AddMsgs":[` + a + `,{"x":1}]}`, []string{a, `{"x":1}`}},
		{"the same twice", `{"Data":{"AddMsgs":[` + a + "," + a + `]}}`, []string{a, a}},
		{"not messages", `{"AddMsgs":["a","b"]}`, nil},
		{"empty", `{"AddMsgs":[]}`, nil},
		{"a message with a list", strings.TrimSuffix(a, "}") + `,"messages":[{"x":1},{"x":2}]}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			es, err := wechat.Format{}.Read([]byte(tt.body), robot)
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
			want := tt.want
			if want == nil {
				want = []string{tt.body}
			}
			var got []string
			for _, e := range es {
				got = append(got, string(e.Raw))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Raw (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAppend checks that whoever appends to one element does not write into the next.
func TestAppend(t *testing.T) {
	t.Parallel()
	body := []byte(`{"AddMsgs":[{"MsgType":1},{"MsgType":3}]}`)
	es, err := wechat.Format{}.Read(body, robot)
	if err != nil || len(es) != 2 {
		t.Fatalf("Read = %d envelopes, %v, want 2", len(es), err)
	}
	_ = append(es[0].Raw, "xxxxxxxx"...)
	if got := string(es[1].Raw); got != `{"MsgType":3}` {
		t.Errorf("the second element became %s", got)
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	app := func(inside string) string { return "<msg><appmsg appid=''>" + inside + "</appmsg></msg>" }
	tests := []struct{ name, msgType, content, kind, text string }{
		{"unknown type", "424242", "x", "other", ""},
		{"type in words", `"text"`, "x", "other", ""},
		{"sysmsg", "10002", `<sysmsg type="pat"><pat>revokemsg</pat></sysmsg>`, "system", ""},
		{"recall", "10002", `<sysmsg type='revokemsg'></sysmsg>`, "recall", ""},
		{"type behind the quoted one", "49", app(`<title>re</title><refermsg><type>1</type><title>old</title></refermsg><type>57</type>`), "quote", "re"},
		{"type in the title", "49", app(`<title><![CDATA[<type>6</type>]]></title><type>5</type>`), "link", ""},
		{"type in a comment", "49", app(`<!-- <type>6</type> --><type>5</type>`), "link", ""},
		{"type in an attribute", "49", app(`<a b="<type>6</type>"/><type>5</type>`), "link", ""},
		{"type with blanks", "49", app("<type>\n <![CDATA[33]]></type>"), "mini_program", ""},
		{"entities", "49", app(`<title>&lt;a&gt; &amp;amp; &#20320;</title><type>57</type>`), "quote", "<a> &amp; 你"},
		{"no type", "49", app(`<title>x</title>`), "app", ""},
		{"empty type", "49", app(`<type/>`), "app", ""},
		{"closed too early", "49", "<msg><appmsg/><type>5</type></msg>", "app", ""},
		{"not XML", "49", "hello <", "app", ""},
		{"cut", "49", "<msg><appmsg><type>5", "link", ""},
		{"empty", "49", "", "app", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := strings.Replace(message(mei, robot, tt.content, ""), `"MsgType":1,`, `"MsgType":`+tt.msgType+`,`, 1)
			if e := read(t, body, robot); e.Kind != tt.kind || e.Text != tt.text {
				t.Errorf("%s: got kind %q text %q, want %q %q", tt.content, e.Kind, e.Text, tt.kind, tt.text)
			}
		})
	}
}

// TestHugePicture checks that the size of a picture does not become the size of what is kept. It is not parallel, as it
// counts the bytes that the whole process allocates.
func TestHugePicture(t *testing.T) {
	body := []byte(message(mei, robot, "<msg/>", `,"NewMsgId":9,"ImgBuf":{"iLen":1,"buffer":"`+strings.Repeat("QUJD", 1<<20)+`"}`))
	body = bytes.Replace(body, []byte(`"MsgType":1,`), []byte(`"MsgType":3,`), 1)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	es, err := wechat.Format{}.Read(body, robot)
	runtime.ReadMemStats(&after)
	if err != nil || es[0].Kind != "image" {
		t.Fatalf("Read = %+v, %v, want an image", es, err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
		t.Errorf("reading a body of %d bytes allocated %d, want at most 64 KiB", len(body), got)
	}
}

func BenchmarkRead(b *testing.B) {
	for _, name := range []string{"private_text", "group_mention", "image", "quote", "addmsgs_mixed"} {
		body, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) { benchmark(b, body) })
	}
	for _, size := range []int{1 << 10, 100 << 10} {
		b.Run(fmt.Sprintf("text %d KiB", size>>10), func(b *testing.B) {
			benchmark(b, []byte(message(mei, robot, strings.Repeat("a", size-160), `,"NewMsgId":7265419038812345671`)))
		})
	}
}

// BenchmarkReadTold is a 1 KiB text as a server pushes it: Chinese, with line breaks, and told again to the phone.
func BenchmarkReadTold(b *testing.B) {
	line := strings.Repeat("明天下午开会吗,", 3) + "ok?\n"
	text := strings.Repeat(line, 5)
	body := message(mei, robot, text, `,"PushContent":`+strconv.Quote("小梅 : "+text)+`,"NewMsgId":7265419038812345671`)
	benchmark(b, []byte(body))
}

func benchmark(b *testing.B, body []byte) {
	b.Helper()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (wechat.Format{}).Read(body, robot); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAnotherAccount: a server has several accounts and one callback. What befalls another is nothing of ours, and what we
// write to it is ours still.
func TestAnotherAccount(t *testing.T) {
	t.Parallel()
	read := func(body string) relay.Envelope {
		t.Helper()
		got, err := wechat.Format{}.Read([]byte(body), "wxid_us")
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: got %v and %v", body, got, err)
		}
		return got[0]
	}
	for owner, want := range map[string]string{"wxid_us": relay.KindOffline, "wxid_other": "meta", "": relay.KindOffline} {
		if e := read(`{"TypeName":"Offline","Appid":"wx_a","Wxid":"` + owner + `"}`); e.Kind != want || !e.Meta {
			t.Errorf("offline of %q: got kind %q, want %q", owner, e.Kind, want)
		}
	}
	e := read(`{"TypeName":"AddMsg","Wxid":"wxid_other","Data":{"NewMsgId":7265419038812345671,"MsgType":1,"FromUserName":` +
		`{"string":"wxid_us"},"ToUserName":{"string":"wxid_other"},"Content":{"string":"hi"}}}`)
	if !e.Self {
		t.Error("what we wrote to our other account is not ours")
	}
}

// TestBothInOneGroup: one message to a group of two of our accounts is one event of each, and a repeat is none.
func TestBothInOneGroup(t *testing.T) {
	t.Parallel()
	const other = "wxid_other4n8q1z6"
	push := func(owner, ids string) string {
		return `{"TypeName":"AddMsg","Wxid":"` + owner + `","Data":` + message(team, owner, mei+":\nhi", ids) + `}`
	}
	for name, ids := range map[string]string{"by its id": `,"NewMsgId":77`, "by a digest": `,"NewMsgId":7265419038812345000`} {
		ours, theirs := read(t, push(robot, ids), robot), read(t, push(other, ids), robot)
		if ours.Identity == theirs.Identity || ours.MessageID != theirs.MessageID {
			t.Errorf("%s: got identity %q and %q, id %q and %q; want two identities and one id",
				name, ours.Identity, theirs.Identity, ours.MessageID, theirs.MessageID)
		}
		if again := read(t, push(other, ids), robot); again.Identity != theirs.Identity {
			t.Errorf("%s: a repeat has identity %q, want %q", name, again.Identity, theirs.Identity)
		}
	}
	if e := read(t, push(other, ""), robot); e.Identity == "" {
		t.Error("a message with MsgId alone has no identity, want one")
	}
	none := `{"Wxid":"` + other + `","Data":{"MsgType":1,"FromUserName":"` + mei + `","ToUserName":"` + other + `","Content":"hi"}}`
	if e := read(t, none, robot); e.Identity != "" {
		t.Errorf("a message without any id has identity %q, want none", e.Identity)
	}
	if e := read(t, push(other, `,"NewMsgId":77`), ""); e.Identity != "77" {
		t.Errorf("without a configured self: got identity %q, want 77", e.Identity)
	}
}
