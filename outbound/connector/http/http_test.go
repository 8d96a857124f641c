package http_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/connectortest"
	httpconnector "github.com/imrelay/imrelay/outbound/connector/http"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

func dial(t *testing.T) *egress.Client {
	t.Helper()
	c := egress.New(egress.Options{})
	t.Cleanup(c.Close)
	return c
}

func open(t *testing.T, c httpconnector.Config) outbound.Connector {
	t.Helper()
	out, err := httpconnector.New(c, connector.Wire{Doer: dial(t)})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	return out
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, template := range map[string]string{"plain": "", "template": `{"chat":{{json .To}},"content":{{json .Text}}}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.Run(t, connectortest.Harness{
				New: func(t *testing.T, s connectortest.Setup) outbound.Connector {
					t.Helper()
					c, err := httpconnector.New(httpconnector.Config{
						URL: s.URL + "/send?key=" + s.Secret, Token: secret.New(s.Secret), Template: template,
					}, connector.Wire{Doer: dial(t), Timeout: s.Timeout})
					if err != nil {
						t.Fatalf("new: %v", err)
					}
					return c
				},
				Sent:     func(id string) string { return fmt.Sprintf(`{"ok":true,"messageId":%s}`, id) },
				Refusals: refusals(),
			})
		})
	}
}

func refusals() []connectortest.Refusal {
	no := func(name, body string) connectortest.Refusal {
		return connectortest.Refusal{Name: name, Status: 200, Body: body, Want: outbound.Rejected}
	}
	doubt := func(name, body string) connectortest.Refusal {
		return connectortest.Refusal{Name: name, Status: 200, Body: body, Want: outbound.Uncertain}
	}
	coded := func(status int, name, body, code string) connectortest.Refusal {
		return connectortest.Refusal{Name: name, Status: status, Body: body, Want: outbound.Rejected, Code: code}
	}
	wait := func(status int, name, body string, after time.Duration) connectortest.Refusal {
		return connectortest.Refusal{Name: name, Status: status, Body: body, Want: outbound.Throttled, After: after}
	}
	return []connectortest.Refusal{
		no("ok is false", `{"ok":false}`),
		no("success is false", `{"success":false,"messageId":"1"}`),
		no("status is failed", `{"status":"failed","messageId":"1"}`),
		no("an error text", `{"error":"no such friend"}`),
		no("an error object", `{"error":{"message":"no such friend"}}`),
		no("Success", `{"Success":false,"Code":-12,"Message":"too frequent"}`),
		no("Success in words", `{"Success":"false"}`),
		no("success in digits", `{"success":0}`),
		no("status is fail", `{"status":"fail"}`),
		no("ret", `{"ret":1,"msg":"device is offline"}`),
		no("a code below 0", `{"code":-1,"msg":"not logged in"}`),
		no("a code of 300", `{"Code":300}`),
		no("status in words", `{"status":"false"}`),
		no("success in words", `{"success":"fail","messageId":"1"}`),
		no("a code of 404", `{"errno":404}`),
		no("a small code with words", `{"code":102,"msg":"permission denied"}`),
		doubt("a code below 0 without words", `{"code":-1}`),
		doubt("a code below 0 with others", `{"code":-1,"msg":"系统繁忙"}`),
		doubt("a code below 0 with the call's id", `{"id":"rpc","code":-1}`),
		doubt("a small code", `{"errno":2}`),
		no("errors in a list", `{"errors":[],"error":["no such friend"]}`),
		doubt("an error beside a message's id", `{"error":"quota","messageId":"1"}`),
		doubt("a crash", `{"ok":false,"error":"runtime error: invalid memory address or nil pointer dereference"}`),
		doubt("an inner error", `{"error":"Internal Server Error"}`),
		doubt("a ret of 500", `{"ret":500,"msg":"send failed"}`),
		doubt("a status of 500", `{"status":500}`),
		doubt("a time-out", `{"ok":false,"error":"upstream timed out"}`),
		doubt("a time-out in Chinese", `{"ret":400,"msg":"请求超时"}`),
		coded(200, "errcode", `{"errcode":93000,"errmsg":"invalid webhook url"}`, "93000"),
		coded(200, "retcode", `{"status":"ok","retcode":100}`, "100"),
		coded(400, "a code in words", `{"error":{"code":"UNKNOWN_RECIPIENT","message":"no such friend"}}`, "UNKNOWN_RECIPIENT"),
		coded(403, "no code", `blocked`, "403"),
		wait(200, "a 200 that says when to come again", `{"ok":false,"error":"ratelimited","retry_after":9}`, 9*time.Second),
		wait(429, "a time in the body", `{"retry_after":0.65}`, 650*time.Millisecond),
		wait(429, "a time in parameters", `{"ok":false,"parameters":{"retry_after":14}}`, 14*time.Second),
		wait(429, "milliseconds", `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2000}`, 2*time.Second),
		wait(429, "a time beyond reason", `{"retry_after":1e30}`, time.Hour),
	}
}

// TestBody: what is posted, and how.
func TestBody(t *testing.T) {
	t.Parallel()
	full := outbound.Message{
		Account: "wechat", To: "wxid_alice", Text: "a < b & \"c\"\n", ReplyTo: "7265419038812345671", RequestID: "msg_1",
		Media:    []outbound.Media{{Type: "voice", URL: "https://x.example/a.silk", Millis: 1500}},
		Mentions: []outbound.Mention{{ID: "wxid_bob", Name: "Bob"}},
	}
	tests := []struct {
		name, template, want string
		m                    outbound.Message
	}{
		{
			"all", "",
			`{"to":"wxid_alice","text":"a < b & \"c\"\n","replyToMessageId":"7265419038812345671",` +
				`"mentions":[{"id":"wxid_bob","name":"Bob"}],` +
				`"media":[{"type":"voice","url":"https://x.example/a.silk","durationMs":1500}],"requestId":"msg_1"}`, full,
		},
		{"empty fields are left out", "", `{"to":"wxid_alice","text":"hi"}`, outbound.Message{To: "wxid_alice", Text: "hi"}},
		{
			"template", `{"chat":{{json .To}},"content":{{json .Text}}{{with .ReplyTo}},"quote":{{json .}}{{end}}}`,
			`{"chat":"wxid_alice","content":"a < b & \"c\"\n","quote":"7265419038812345671"}`, full,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got, auth, contentType string
			im := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if err != nil {
					t.Errorf("read: %v", err)
				}
				got, auth, contentType = string(b), r.Header.Get("Authorization"), r.Header.Get("Content-Type")
				_, _ = io.WriteString(w, `{"messageId":"1"}`)
			}))
			defer im.Close()
			c := open(t, httpconnector.Config{URL: im.URL, Token: secret.New("tok"), Template: tt.template})
			if _, err := c.Send(t.Context(), tt.m); err != nil {
				t.Fatalf("send: %v", err)
			}
			if got != tt.want || !json.Valid([]byte(got)) {
				t.Errorf("body:\n got %s\nwant %s", got, tt.want)
			}
			if auth != "Bearer tok" || contentType != "application/json" {
				t.Errorf("headers: got %q and %q", auth, contentType)
			}
		})
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`{"messageID":"a"}`:                                "a",
		`{"message_id":7265419038812345671}`:               "7265419038812345671",
		`{"id":"m1"}`:                                      "m1",
		`{"id":1,"messageId":2}`:                           "2",
		`{"id":"rpc","data":{"messageId":"m"}}`:            "m",
		`{"data":{"id":5127}}`:                             "5127",
		`{"messageId":null}`:                               "",
		`{"messageId":{"high":1,"low":2}}`:                 "",
		`{"messageId":"` + strings.Repeat("x", 300) + `"}`: "",
		`{}`: "",
		`[]`: "",
		`ok`: "",
		``:   "",
		`{"error":null,"errcode":0,"retcode":"0","id":"fine"}`:    "fine",
		`{"ret":200,"data":{"newMsgId":3768973957878705413}}`:     "3768973957878705413",
		`{"Success":true,"ret":0,"newMsgId":3768973957878705413}`: "3768973957878705413",
		`{"error":false,"success":true,"status":"ok","id":"f"}`:   "f",
	}
	for body, want := range tests {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			im := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
			defer im.Close()
			r, err := open(t, httpconnector.Config{URL: im.URL}).Send(t.Context(), outbound.Message{To: "x", Text: "hello"})
			if err != nil || r.ID != want {
				t.Errorf("got %q, %v; want %q", r.ID, err, want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		c    httpconnector.Config
		want string
	}{
		{"no url", httpconnector.Config{}, "url"},
		{"another scheme", httpconnector.Config{URL: "ftp://x.example/"}, "url"},
		{"no host", httpconnector.Config{URL: "http:///send"}, "url"},
		{"a broken template", httpconnector.Config{URL: "http://x.example", Template: `{"a":{{json .To}`}, "template"},
		{"an unknown field", httpconnector.Config{URL: "http://x.example", Template: `{"a":{{json .Nope}}}`}, "template"},
		{"no JSON", httpconnector.Config{URL: "http://x.example", Template: `text={{json .Text}}`}, "template"},
	}
	for name, value := range map[string]string{
		"text": `{{.Text}}`, "to": `{{.To}}`, "account": `{{.Account}}`, "reply": `{{.ReplyTo}}`, "id": `{{.RequestID}}`,
		"media": `{{range .Media}}{{.URL}}{{end}}`, "name": `{{range .Media}}{{.Name}}{{end}}`,
		"type": `{{range .Media}}{{.Type}}{{end}}`, "voice": `{{range .Media}}{{if eq .Type "voice"}}{{.URL}}{{end}}{{end}}`, "mention": `{{range .Mentions}}{{.ID}}{{end}}`,
		"mention's name": `{{range .Mentions}}{{.Name}}{{end}}`,
	} {
		tests = append(tests, struct {
			name string
			c    httpconnector.Config
			want string
		}{name + " without json", httpconnector.Config{URL: "http://x.example", Template: `{"a":"` + value + `"}`}, "template"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := httpconnector.New(tt.c, connector.Wire{Doer: dial(t)})
			if err == nil || !strings.HasPrefix(err.Error(), tt.want+":") {
				t.Errorf("got %v, want an error about %s", err, tt.want)
			}
		})
	}
}

// TestWhatIsNoRefusal: answers that only look like one, and the id that they give.
func TestWhatIsNoRefusal(t *testing.T) {
	t.Parallel()
	for body, id := range map[string]string{
		`{"ok":true,"error":{},"messageId":"1"}`:      "1",
		`{"error":"none","messageId":"1"}`:            "1",
		`{"error":null,"message_id":2}`:               "2",
		`{"ret":"200","data":{"newMsgId":3}}`:         "3",
		`{"ret":200,"newMsgId":4}`:                    "4",
		`{"code":200,"data":{"id":"5"}}`:              "5",
		`{"code":1,"id":"6"}`:                         "6",
		`{"status":"ok","retcode":0,"messageId":"7"}`: "7",
		`{"messageId":0}`:                             "",
		`{"ok":true,"code":500,"messageId":"9"}`:      "9",
		`{"success":true,"errcode":1,"id":"10"}`:      "10",
		`{"code":20000,"data":{"messageId":"11"}}`:    "11",
		`{"error":{"code":0,"message":""},"id":"13"}`: "13",
		`{"ok":true,"error":"none of it"}`:            "",
		`{"error":"false","id":"12"}`:                 "12",
		`{"messageId":0,"id":"8"}`:                    "8",
		`{}`:                                          "",
	} {
		im := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		t.Cleanup(im.Close)
		got, err := open(t, httpconnector.Config{URL: im.URL}).Send(t.Context(), outbound.Message{To: "a", Text: "b"})
		if err != nil || got.ID != id {
			t.Errorf("%s: got %q and %v, want %q", body, got.ID, err, id)
		}
	}
}

// TestATemplateWithoutMedia: what it has no place for is refused, not left out.
func TestATemplateWithoutMedia(t *testing.T) {
	t.Parallel()
	all := []string{"image", "file", "voice", "video"}
	for template, want := range map[string][]string{
		"": all, `{"to":{{json .To}},"text":{{json .Text}}}`: nil,
		`{"to":{{json .To}},"media":[{{range .Media}}{{json .URL}}{{end}}]}`:                                    all,
		`{"to":{{json .To}}{{range .Media}}{{if eq .Type "image"}},"picture":{{json .URL}}{{end}}{{end}}}`:      {"image"},
		`{"to":{{json .To}}{{range .Media}}{{if ne .Type "video"}},{{json .Type}}:{{json .URL}}{{end}}{{end}}}`: all[:3],
	} {
		c := open(t, httpconnector.Config{URL: "http://x.example", Template: template})
		carrier, ok := c.(outbound.Carrier)
		got := slices.DeleteFunc(slices.Clone(all), func(kind string) bool {
			return ok && carrier.Carry(outbound.Media{Type: kind, URL: "https://x.example/a"}) != nil
		})
		if !slices.Equal(got, want) {
			t.Errorf("template %q: carries %v, want %v", template, got, want)
		}
	}
}

// TestATemplateThatFails: of what makes no JSON the IM was not asked, so that nothing follows for the account.
func TestATemplateThatFails(t *testing.T) {
	t.Parallel()
	im := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the IM was asked") }))
	t.Cleanup(im.Close)
	c := open(t, httpconnector.Config{URL: im.URL, Template: `{"media":[{{range .Media}}{{json .URL}}{{end}}]}`})
	_, err := c.Send(t.Context(), outbound.Message{Media: []outbound.Media{{Type: "image", URL: "a"}, {Type: "image", URL: "b"}}})
	e, ok := errors.AsType[*outbound.SendError](err)
	if !ok || e.Reason != outbound.Rejected || !e.Ours || e.Code != "template" {
		t.Errorf("got %+v, want a refusal of ours for the template", err)
	}
}
