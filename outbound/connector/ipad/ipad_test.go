package ipad_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector/ipad"
)

func TestGet(t *testing.T) {
	t.Parallel()
	const doc = `{"Base_Response":{"Ret":0},"baseresponse":{"ret":1},"NEWMSGID":7,"null":null,"list":[{"ret":3}]}`
	for path, want := range map[string]string{
		"baseresponse": `{"Ret":0}`, "baseresponse.ret": "0", "newmsgid": "7", "null": "null",
		"list": `[{"ret":3}]`, "list.ret": "", "newmsgid.ret": "", "nothing": "", "nothing.ret": "",
	} {
		if got := ipad.Get(gjson.Parse(doc), strings.Split(path, ".")...).Raw; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`8120394857610293847`:                      "8120394857610293847",
		`"8120394857610293847"`:                    "8120394857610293847",
		`9223372036854775807`:                      "9223372036854775807",
		`{"high":1976706754,"low":1032436816}`:     "8489890863244754000",
		`{"High":"1976706754","Low":"1032436816"}`: "8489890863244754000",
		`{"high":1976706754,"low":-1032436816}`:    "8489890865474847664",
		`{"low":1032436816}`:                       "1032436816",
		`{"high":0,"low":0}`:                       "",
		`{"high":1,"low":"x"}`:                     "",
		`{"high":4294967296,"low":1}`:              "",
		`{"high":-2147483649,"low":1}`:             "",
		`{"unsigned":true}`:                        "",
		`0`:                                        "", `"0"`: "", `""`: "", `-5`: "", `"-5"`: "", `8.1e18`: "", `99999999999999999999`: "", `null`: "", `true`: "",
		`[1]`: "", `"om_5ce6"`: "",
	} {
		if got := ipad.ID(gjson.Parse(raw)); got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
}

// outcome is a report in short: sent, the reason of a failure, or nothing.
func outcome(r ipad.Report) string {
	switch {
	case r.Failure != nil && r.Failure.Offline:
		return "offline"
	case r.Failure != nil:
		return r.Failure.Reason.String()
	case r.Sent:
		return "sent " + r.ID
	}
	return ""
}

func TestRead(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, data, want string }{
		{"a text", `[{"isSendSuccess":true,"resp":{"base_response":{"ret":0,"errMsg":{}},"chat_send_ret_list":[{"ret":0,"newMsgId":8120394857610293847}]}}]`, "sent 8120394857610293847"},
		{"other spellings", `[{"IsSendSuccess":true,"Resp":{"BaseResponse":{"Ret":0},"ChatSendRetList":[{"Ret":0,"NewMsgId":"81"}]}}]`, "sent 81"},
		{"a picture", `[{"imageId":"a1","resp":{"baseResponse":{"ret":0},"newMsgId":81}}]`, "sent 81"},
		{"no list", `{"BaseResponse":{"ret":0},"Count":1,"List":[{"Ret":0,"NewMsgId":81}]}`, "sent 81"},
		{"one id, oddly spelled", `{"ClientImgId":{"string":"x"},"Newmsgid":81}`, "sent 81"},
		{"no id", `[{"isSendSuccess":true}]`, "sent "},
		{"a code of 0 and no id", `{"BaseResponse":{"ret":0}}`, "sent "},
		{"not sent", `[{"isSendSuccess":false}]`, "unknown"},
		{"not sent, as a number", `[{"isSendSuccess":0,"resp":{"newMsgId":81}}]`, "unknown"},
		{"not sent, as a text", `[{"isSendSuccess":"False"}]`, "unknown"},
		{"not sent, with a cause", `[{"isSendSuccess":false,"errMsg":"对方不是好友"}]`, "rejected"},
		{"not sent, with another", `[{"isSendSuccess":false,"resp":{"base_response":{"errMsg":{"str":"操作频繁"}}}}]`, "throttled"},
		{"words alone", `[{"errMsg":"上传失败"}]`, "unknown"},
		{"words beside an empty answer", `[{"errMsg":"账号已离线","resp":{"baseResponse":{"ret":0},"newMsgId":0}}]`, "offline"},
		{"words of success", `[{"resp":{"base_response":{"ret":0,"errMsg":{"str":"Everything is OK"}}}}]`, "sent "},
		{"-2 as 32 bits", `[{"isSendSuccess":true,"resp":{"base_response":{"ret":0},"chat_send_ret_list":[{"ret":4294967294,"newMsgId":81}]}}]`, "rejected"},
		{"-2", `{"baseResponse":{"ret":-2}}`, "rejected"},
		{"-2 in halves", `{"baseResponse":{"ret":{"low":-2,"high":-1}}}`, "rejected"},
		{"a blacklist", `{"List":[{"ret":-22}]}`, "rejected"},
		{"the second of two", `[{"isSendSuccess":true},{"isSendSuccess":true,"resp":{"base_response":{"ret":-22}}}]`, "rejected"},
		{"logged out", `{"baseResponse":{"ret":-13}}`, "offline"},
		{"logged in elsewhere", `{"baseResponse":{"ret":4294967196}}`, "offline"},
		{"spam", `{"baseResponse":{"ret":-24}}`, "throttled"},
		{"too frequent", `{"baseResponse":{"ret":"-34"}}`, "throttled"},
		{"WeChat's own trouble", `{"baseResponse":{"ret":-1}}`, "unknown"},
		{"no answer from WeChat", `{"baseResponse":{"ret":-800000}}`, "unknown"},
		{"a code that nobody knows", `{"baseResponse":{"ret":7}}`, "unknown"},
		{"no code", `{"baseResponse":{"ret":"AA=="}}`, "unknown"},
		{"more than a code", `{"baseResponse":{"ret":4294967296}}`, "unknown"},
		{"null", `{"baseResponse":{"ret":null},"newMsgId":null}`, ""},
		{"an empty list", `[]`, ""},
		{"nothing", `null`, ""},
		{"an id of something else", `{"msgId":81,"clientMsgId":82}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := outcome(ipad.Read(gjson.Parse(tt.data))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestWordsOfFailures: what is shown is the server's words without what is ours, which also mean nothing.
func TestWordsOfFailures(t *testing.T) {
	t.Parallel()
	e := ipad.Read(gjson.Parse(`[{"isSendSuccess":false,"errMsg":"no: 设备已离线"}]`), "设备已离线").Failure
	if e.Reason != outbound.Uncertain || e.Offline || strings.Contains(e.Detail, "离线") {
		t.Errorf("got %+v, want unknown, and the text hidden", e)
	}
	e = ipad.Read(gjson.Parse(`{"list":[{"ret":4294967262}]}`)).Failure
	if e.Code != "-34" || e.After != 3*time.Minute {
		t.Errorf("got %+v, want -34 for 3 minutes", e)
	}
}

func TestMeaning(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"请求超时，请重新登录": "unknown", "write: broken pipe": "unknown", "账号已退出登录": "offline", "Device is OFFLINE": "offline",
		"操作过于频繁": "throttled", "too frequent": "throttled", "参数错误": "rejected", "系统异常": "", "": "",
		"返回参数错误": "unknown", "数据格式无效": "", "illegal state": "", "invalid wxid": "rejected", "exit status 2: panic: offline": "unknown",
	} {
		e, ok := ipad.Meaning(words)
		got := ""
		if ok {
			got = outcome(ipad.Report{Failure: &e})
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", words, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	picture := outbound.Media{Type: "image", URL: "https://a.example/b.png"}
	mention := func(id string) outbound.Message {
		return outbound.Message{Text: "hello", Mentions: []outbound.Mention{{ID: "wxid_alice"}, {ID: id}}}
	}
	tests := []struct {
		name, code string
		m          outbound.Message
	}{
		{"a text", "", outbound.Message{Text: "hello"}},
		{"a member", "", mention("wxid_bob")},
		{"somebody who is called so", "", mention("wxid_notify@allen")},
		{"everybody", "mention", mention("notify@all")},
		{"everybody, oddly written", "mention", mention("Notify@ALL")},
		{"everybody by an announcement", "mention", mention("announcement@all")},
		{"all", "mention", mention("All")},
		{"all, in Chinese", "mention", mention("所有人")},
		{"all, with a sign", "mention", mention("@所有人")},
		{"nobody", "mention", mention("")},
		{"two in one", "mention", mention("wxid_bob,notify@all")},
		{"a space", "mention", mention("wxid_bob notify@all")},
		{"a wide space", "mention", mention("notify@all\u3000")},
		{"everybody beside a picture", "mention", outbound.Message{Media: []outbound.Media{picture}, Mentions: []outbound.Mention{{ID: "all"}}}},
		{"a picture", "", outbound.Message{Media: []outbound.Media{picture}}},
		{"two pictures", "media", outbound.Message{Media: []outbound.Media{picture, picture}}},
		{"a picture with a text", "media", outbound.Message{Text: "hello", Media: []outbound.Media{picture}}},
		{"a file", "media", outbound.Message{Media: []outbound.Media{{Type: "file", URL: picture.URL}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := ipad.Check(tt.m, ipad.Manners{}.Carry)
			if tt.code == "" && e == nil {
				return
			}
			if e == nil || e.Reason != outbound.Rejected || !e.Ours || e.Code != tt.code {
				t.Errorf("got %v, want rejected (%s)", e, tt.code)
			}
		})
	}
}

func TestCarry(t *testing.T) {
	t.Parallel()
	for m, want := range map[outbound.Media]string{
		{Type: "image", URL: "https://a.example/b.png"}:               "",
		{Type: "image", URL: "data:image/png;base64,AAAA"}:            "",
		{Type: "voice", URL: "http://a.example/b.silk", Millis: 2540}: "",
		{Type: "voice", URL: "http://a.example/b.silk"}:               "durationMs:",
		{Type: "image", URL: "file:///etc/passwd"}:                    "url:",
		{Type: "image", URL: "data:image/png,x"}:                      "url:",
		{Type: "file", URL: "https://a.example/b.pdf"}:                "image, voice;",
		{Type: "video", URL: "https://a.example/b.mp4"}:               "image, voice;",
		{}: "image, voice;",
	} {
		err := ipad.Manners{}.Carry(m)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", m, err, want)
		}
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	alice, bob := outbound.Mention{ID: "wxid_alice", Name: "Alice"}, outbound.Mention{ID: "wxid_bob"}
	tests := []struct {
		name, text, want string
		called           int
		mentions         []outbound.Mention
	}{
		{"nobody", "hello", "hello", 0, nil},
		{"one", "hello", "@Alice\u2005hello", 1, []outbound.Mention{alice}},
		{"one without a name", "hello", "@wxid_bob\u2005hello", 1, []outbound.Mention{bob}},
		{"two", "hello", "@Alice\u2005@wxid_bob\u2005hello", 2, []outbound.Mention{alice, bob}},
		{"named already", "@Alice hello", "@Alice hello", 1, []outbound.Mention{alice}},
		{"one of two named", "@Alice hello", "@wxid_bob\u2005@Alice hello", 2, []outbound.Mention{alice, bob}},
		{"the name of another", "@Alice_B, @Alice-C and @Alice2 hello", "@Alice\u2005@Alice_B, @Alice-C and @Alice2 hello", 1, []outbound.Mention{alice}},
		{"the name of another, and the name", "@Alicent and @Alice!", "@Alicent and @Alice!", 1, []outbound.Mention{alice}},
		{"named at the end", "hello @Alice", "hello @Alice", 1, []outbound.Mention{alice}},
		{"named before words without spaces", "@Alice你好", "@Alice\u2005@Alice你好", 1, []outbound.Mention{alice}},
		{
			"a long name", "hello", "@" + strings.Repeat("😀", 16) + "\u2005hello", 1,
			[]outbound.Mention{{ID: "wxid_carol", Name: strings.Repeat("😀", 40)}},
		},
		{
			"a long name that the text has", "@" + strings.Repeat("长", 40), "@" + strings.Repeat("长", 40), 1,
			[]outbound.Mention{{ID: "wxid_carol", Name: strings.Repeat("长", 40)}},
		},
		{"no room but for one", strings.Repeat("x", 1990), "@wxid_bob\u2005" + strings.Repeat("x", 1990), 1, []outbound.Mention{bob, alice}},
		{"no room", strings.Repeat("x", 2000), strings.Repeat("x", 2000), 0, []outbound.Mention{alice, bob}},
		{"twice the same", "hello", "@Alice\u2005hello", 1, []outbound.Mention{alice, {ID: alice.ID, Name: "Al"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, called := ipad.Content(outbound.Message{Text: tt.text, Mentions: tt.mentions})
			if got != tt.want || len(called) != tt.called || called == nil {
				t.Errorf("got %q, and %q called; want %q, and %d", got, called, tt.want, tt.called)
			}
		})
	}
}

func TestManners(t *testing.T) {
	t.Parallel()
	const text = "**bold** and [a link](https://a.example)"
	for marks, want := range map[string]string{
		"": "bold and a link (https://a.example)", "plain": "bold and a link (https://a.example)", "keep": text,
	} {
		m, err := ipad.NewManners(marks)
		if err != nil || m.Render(text) != want {
			t.Errorf("%q: got %q, %v; want %q", marks, m.Render(text), err, want)
		}
	}
	if _, err := ipad.NewManners("html"); err == nil || !strings.HasPrefix(err.Error(), "markdown:") {
		t.Errorf("got %v, want an error about markdown", err)
	}
	var m ipad.Manners
	for text, want := range map[string]int{"": 0, "abc": 3, "今天": 2, "😀": 2, "a\xff": 2} {
		if got := m.Measure(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	l, counted := m.Pace("wxid_alice")
	if m.MaxText() != 1800 || counted != "wxid_alice" || l.Account.Per != 1200*time.Millisecond || l.Account.Burst != 1 ||
		l.Recipient.Per != 2*time.Second || l.Recipient.Burst != 2 || l.Jitter != 500*time.Millisecond || l.Ramp != 10*time.Minute {
		t.Errorf("got %d, %q, %+v", m.MaxText(), counted, l)
	}
}
