package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

// TestSendAnswers holds the answers to a message that was sent to the contract.
func TestSendAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		result   outbound.Result
		want     string
		replayed string
	}{
		{"sent", outbound.Result{MessageIDs: []string{"7265419038812345671"}}, `{"messageId":"7265419038812345671"}`, ""},
		{"in parts", outbound.Result{MessageIDs: []string{"1", "2"}}, `{"messageId":"1","messageIds":["1","2"]}`, ""},
		{"without an id", outbound.Result{}, `{"messageId":""}`, ""},
		{"without an id, as a part", outbound.Result{MessageIDs: []string{""}}, `{"messageId":""}`, ""},
		{"again", outbound.Result{MessageIDs: []string{"1"}, Replayed: true}, `{"messageId":"1"}`, "true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.sender.send = func(context.Context, outbound.Request) (outbound.Result, error) { return tt.result, nil }
			got := r.send(`{"to":"wxid_alice","text":"hello"}`)
			got.wantJSON(t, http.StatusOK, tt.want)
			if h := got.header.Get("Idempotent-Replayed"); h != tt.replayed {
				t.Errorf("got Idempotent-Replayed %q, want %q", h, tt.replayed)
			}
		})
	}
}

// TestSendRequest hands the sender what the body says, on both paths.
func TestSendRequest(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/api/messages/send", "/messages/send"} {
		r := newRig(t, nil)
		got := r.do(ask{
			path: path, header: map[string]string{"Authorization": "Bearer " + clientToken, "X-Request-Id": "abc"},
			body: `{"to":"wxid_alice","text":"h\u00e9llo \ud83d\ude00","replyToMessageId":"7265419038812345671","requestId":"r-1",
				"im":"wechat","media":[{"type":"image","url":"https://a.example/b.png","name":"b.png","x":1,"durationMs":1500}],
				"mentions":["wxid_bob",{"id":"wxid_eve","name":"Eve"}],"resend":true,"channel":{"a":[1]}}`,
		})
		got.want(t, http.StatusOK, "")
		want := outbound.Request{
			Client: outbound.Client{Name: "openclaw"}, RequestID: "abc", Key: "r-1", Account: "wechat", To: "wxid_alice",
			Text: "héllo 😀", ReplyTo: "7265419038812345671", Resend: true,
			Media:    []outbound.Media{{Type: "image", URL: "https://a.example/b.png", Name: "b.png", Millis: 1500}},
			Mentions: []outbound.Mention{{ID: "wxid_bob"}, {ID: "wxid_eve", Name: "Eve"}},
		}
		if asked := r.sender.asked(); len(asked) != 1 || !reflect.DeepEqual(asked[0], want) {
			t.Errorf("%s: got %+v, want %+v", path, asked, want)
		}
	}
}

// TestSendEvent takes over which event a message answers, and no nonsense.
func TestSendEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for given, want := range map[string]string{"evt_1": "evt_1", "": "", "a b": "", strings.Repeat("e", 129): ""} {
		r.send(`{"to":"a","text":"b"}`, "X-Relay-Event-Id", given).want(t, 200, "")
		asked := r.sender.asked()
		if got := asked[len(asked)-1].EventID; got != want {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

// TestSendKey takes the idempotency key from the header, else from the first of the ids.
func TestSendKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, tt := range []struct{ name, header, body, want string }{
		{"header", "k-0", `"requestId":"k-1","msgId":"k-2","messageId":"k-3"`, "k-0"},
		{"requestId", "", `"messageId":"k-3","msgId":"k-2","requestId":"k-1"`, "k-1"},
		{"msgId", "", `"messageId":"k-3","msgId":"k-2","requestId":""`, "k-2"},
		{"messageId", "", `"messageId":"k-3","msgId":null`, "k-3"},
		{"none", "", `"other":1`, ""},
	} {
		r.send(`{"to":"a","text":"b",`+tt.body+`}`, "Idempotency-Key", tt.header).want(t, 200, "")
		asked := r.sender.asked()
		if key := asked[len(asked)-1].Key; key != tt.want {
			t.Errorf("%s: got key %q, want %q", tt.name, key, tt.want)
		}
	}
}

// TestSendShape refuses what is not a send, and names the field.
func TestSendShape(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	long := strings.Repeat("ä", 257)
	for _, tt := range []struct{ name, body, field string }{
		{"nothing", ``, "body"},
		{"no JSON", `to=a`, "body"},
		{"cut short", `{"to":"a"`, "body"},
		{"not UTF-8", "{\"to\":\"a\",\"text\":\"\xff\"}", "body"},
		{"more after it", `{"to":"a","text":"b"} x`, "body"},
		{"two objects", `{"to":"a","text":"b"}{}`, "body"},
		{"a list", `[{"to":"a","text":"b"}]`, "body"},
		{"null", `null`, "body"},
		{"deep nesting", `{"to":"a","text":"b","x":` + strings.Repeat("[", 1500), "body"},
		{"no to", `{"text":"b"}`, "to"},
		{"empty to", `{"to":"","text":"b"}`, "to"},
		{"blank to", `{"to":" ","text":"b"}`, "to"},
		{"to in another case", `{"To":"a","text":"b"}`, "to"},
		{"to is a number", `{"to":1,"text":"b"}`, "to"},
		{"to is a list", `{"to":["a"],"text":"b"}`, "to"},
		{"to is null", `{"to":null,"text":"b"}`, "to"},
		{"to twice", `{"to":"a","to":"c","text":"b"}`, "to"},
		{"to too long", `{"to":"` + long + `","text":"b"}`, "to"},
		{"no content", `{"to":"a"}`, "text"},
		{"empty content", `{"to":"a","text":"","media":[]}`, "text"},
		{"text is a number", `{"to":"a","text":1}`, "text"},
		{"text is an object", `{"to":"a","text":{}}`, "text"},
		{"im is a number", `{"to":"a","text":"b","im":1}`, "im"},
		{"replyToMessageId is a number", `{"to":"a","text":"b","replyToMessageId":7265419038812345671}`, "replyToMessageId"},
		{"replyToMessageId too long", `{"to":"a","text":"b","replyToMessageId":"` + long + `"}`, "replyToMessageId"},
		{"requestId is a number", `{"to":"a","text":"b","requestId":1}`, "requestId"},
		{"requestId too long", `{"to":"a","text":"b","requestId":"` + long + `"}`, "requestId"},
		{"msgId is a bool", `{"to":"a","text":"b","msgId":true}`, "msgId"},
		{"msgId too long", `{"to":"a","text":"b","msgId":"` + long + `"}`, "msgId"},
		{"messageId is an object", `{"to":"a","text":"b","messageId":{}}`, "messageId"},
		{"messageId too long", `{"to":"a","text":"b","messageId":"` + long + `"}`, "messageId"},
		{"resend is a string", `{"to":"a","text":"b","resend":"true"}`, "resend"},
		{"media is an object", `{"to":"a","media":{}}`, "media"},
		{"media of strings", `{"to":"a","media":["https://a.example/b"]}`, "media[0]"},
		{"media without a type", `{"to":"a","media":[{"url":"https://a.example/b"}]}`, "media[0].type"},
		{"media of another type", `{"to":"a","media":[{"type":"gif","url":"https://a.example/b"}]}`, "media[0].type"},
		{"media type is a number", `{"to":"a","media":[{"type":1,"url":"https://a.example/b"}]}`, "media[0].type"},
		{"media without a URL", `{"to":"a","media":[{"type":"image"}]}`, "media[0].url"},
		{"media of a file", `{"to":"a","media":[{"type":"image","url":"file:///etc/passwd"}]}`, "media[0].url"},
		{"media without a host", `{"to":"a","media":[{"type":"image","url":"https:///b"}]}`, "media[0].url"},
		{"media with a duration in words", `{"to":"a","media":[{"type":"voice","url":"https://a.example/b","durationMs":"2 s"}]}`, "media[0].durationMs"},
		{"media with a duration below 0", `{"to":"a","media":[{"type":"voice","url":"https://a.example/b","durationMs":-1}]}`, "media[0].durationMs"},
		{"media with two durations", `{"to":"a","media":[{"type":"voice","url":"https://a.example/b","durationMs":1,"durationMs":2}]}`, "durationMs"},
		{"mentions of too many", `{"to":"a","text":"b","mentions":[` + strings.Repeat(`"c",`, 50) + `"c"]}`, "mentions"},
		{"mentions is a string", `{"to":"a","text":"b","mentions":"wxid_bob"}`, "mentions"},
		{"mention of a number", `{"to":"a","text":"b","mentions":[1]}`, "mentions[0]"},
		{"mention without an id", `{"to":"a","text":"b","mentions":[{"name":"Bob"}]}`, "mentions[0].id"},
		{"mention of two at once", `{"to":"a","text":"b","mentions":["wxid_bob wxid_eve"]}`, "mentions[0].id"},
		{"mention of everybody", `{"to":"a","text":"b","mentions":["wxid_bob","notify@all"]}`, "mentions[1].id"},
		{"mention of all", `{"to":"a","text":"b","mentions":[{"id":"ALL"}]}`, "mentions[0].id"},
		{"mention too long", `{"to":"a","text":"b","mentions":["` + long + `"]}`, "mentions[0].id"},
		{"mention by a long name", `{"to":"a","text":"b","mentions":[{"id":"c","name":"` + long + `"}]}`, "mentions[0].name"},
		{"second media", `{"to":"a","media":[{"type":"image","url":"https://a.example/b"},{"type":"image","url":"b"}]}`, "media[1].url"},
	} {
		got := r.send(tt.body)
		got.want(t, http.StatusBadRequest, "invalid_request")
		if !strings.HasPrefix(got.message(), tt.field+" ") {
			t.Errorf("%s: got message %q, want it to begin with %q", tt.name, got.message(), tt.field)
		}
	}
	if n := len(r.sender.asked()); n != 0 {
		t.Errorf("got %d sends, want none", n)
	}
	r.send(`{"to":"a","text":"b"}`, "Idempotency-Key", strings.Repeat("k", 257)).want(t, 400, "invalid_request")
	longest := strings.Repeat("ä", 256)
	r.send(`{"to":"`+longest+`","text":"b","requestId":"`+longest+`"}`).want(t, 200, "")
	r.send(`{"to":"a","text":null,"media":[{"type":"voice","url":"HTTP://a.example/b","name":null}],"resend":null}`).want(t, 200, "")
}

// TestSendRefusedEarly holds what is refused before the body is looked at.
func TestSendRefusedEarly(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	good := `{"to":"a","text":"b"}`
	for _, auth := range []string{"", "Bearer", "Bearer x", "Basic " + clientToken, "Bearer " + imToken, "Bearer " + adminToken} {
		got := r.send(good, "Authorization", auth)
		got.want(t, http.StatusUnauthorized, "unauthorized")
		if got.header.Get("Www-Authenticate") != "Bearer" {
			t.Errorf("Authorization %q: got no WWW-Authenticate: Bearer", auth)
		}
	}
	for _, given := range []string{"text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json", ";", "text/html; application/json"} {
		r.send(good, "Content-Type", given).want(t, http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	for _, given := range []string{"", "application/json", "application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"} {
		r.send(good, "Content-Type", given).want(t, http.StatusOK, "")
	}
	r.send(`{"to":"a","text":"`+strings.Repeat("b", 4096)+`"}`).want(t, http.StatusRequestEntityTooLarge, "body_too_large")
	noSecrets(t, r)
}

// TestSendErrors holds every error of a sender to its status, headers and fields.
func TestSendErrors(t *testing.T) {
	t.Parallel()
	seconds := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	for _, tt := range []struct {
		err    error
		status int
		after  string
		want   string
	}{
		{&outbound.Error{Code: outbound.CodeInProgress, RetryAfter: seconds(2)}, 409, "2", `"retry_after":2`},
		{&outbound.Error{Code: outbound.CodeKeyReused}, 422, "", ``},
		{&outbound.Error{Code: outbound.CodeForbidden}, 403, "", ``},
		{&outbound.Error{Code: outbound.CodeAmbiguous}, 400, "", ``},
		{&outbound.Error{Code: outbound.CodeUnknownIM}, 400, "", ``},
		{&outbound.Error{Code: outbound.CodeCannotSend}, 501, "", ``},
		{&outbound.Error{Code: outbound.CodeInvalid}, 400, "", ``},
		{&outbound.Error{Code: outbound.CodeUnsupportedMedia}, 400, "", ``},
		{&outbound.Error{Code: outbound.CodeRateLimited, RetryAfter: seconds(12.1)}, 429, "13", `"retry_after":13`},
		{&outbound.Error{Code: outbound.CodeRateLimited, RetryAfter: seconds(0.01)}, 429, "1", `"retry_after":1`},
		{&outbound.Error{Code: outbound.CodeUpstreamRateLimited, RetryAfter: seconds(60)}, 429, "60", `"retry_after":60`},
		{
			&outbound.Error{Code: outbound.CodeUpstreamRejected, Upstream: &outbound.Upstream{Code: "-2", Message: "not a friend"}},
			502, "", `"upstream":{"code":"-2","message":"not a friend"}`,
		},
		{&outbound.Error{Code: outbound.CodeUpstreamUnavailable}, 503, "1", `"retry_after":1`},
		{&outbound.Error{Code: outbound.CodeStoreUnavailable}, 503, "1", `"retry_after":1`},
		{&outbound.Error{Code: outbound.CodeShuttingDown}, 503, "1", `"retry_after":1`},
		{
			&outbound.Error{Code: outbound.CodeDeliveryUnknown, Part: 3, MessageIDs: []string{"1", "2"}},
			504, "", `"part":3,"messageIds":["1","2"]`,
		},
	} {
		e, _ := errors.AsType[*outbound.Error](tt.err)
		t.Run(string(e.Code), func(t *testing.T) {
			t.Parallel()
			e.Message, e.Err = "what is wrong", errors.New("https://im.example/secret")
			r := newRig(t, nil)
			r.sender.send = func(context.Context, outbound.Request) (outbound.Result, error) { return outbound.Result{}, e }
			r.sender.enqueue = func(context.Context, outbound.Request) (outbound.Report, error) { return outbound.Report{}, e }
			for _, prefer := range []string{"", "respond-async"} {
				got := r.send(`{"to":"a","text":"b"}`, "Prefer", prefer, "X-Request-Id", "abc")
				want := `{"error":{"code":"` + string(e.Code) + `","message":"what is wrong"},"requestId":"abc"`
				if tt.want != "" {
					want += "," + tt.want
				}
				got.wantJSON(t, tt.status, want+"}")
				if after := got.header.Get("Retry-After"); after != tt.after {
					t.Errorf("got Retry-After %q, want %q", after, tt.after)
				}
			}
		})
	}
}

// TestSendUnforeseen shows nothing of an error that nobody foresaw, and logs it once.
func TestSendUnforeseen(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.sender.send = func(context.Context, outbound.Request) (outbound.Result, error) {
		return outbound.Result{}, errors.New("the secret path is wrong")
	}
	got := r.send(`{"to":"a","text":"b"}`)
	got.want(t, http.StatusInternalServerError, "internal")
	if strings.Contains(string(got.body), "secret") {
		t.Errorf("the answer shows the cause: %s", got.body)
	}
	if n := r.logs.FilterField(fieldEvent("request.failed")).Len(); n != 1 {
		t.Errorf("got %d lines request.failed, want 1", n)
	}
}

// TestSendAsync queues what need not be waited for, and answers every repeat alike.
func TestSendAsync(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	report := outbound.Report{ID: "msg_7", Status: "queued"}
	r.sender.enqueue = func(context.Context, outbound.Request) (outbound.Report, error) { return report, nil }
	first := r.send(`{"to":"a","text":"b"}`, "Prefer", "respond-async")
	first.wantJSON(t, http.StatusAccepted, `{"id":"msg_7","status":"queued"}`)
	if got := first.header.Get("Preference-Applied"); got != "respond-async" {
		t.Errorf("got Preference-Applied %q, want respond-async", got)
	}
	report.Replayed, report.Status = true, "sent"
	again := r.send(`{"to":"a","text":"b"}`, "Prefer", "respond-async")
	if string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("got %s, Idempotent-Replayed %q, want the first answer, true", again.body, again.header.Get("Idempotent-Replayed"))
	}
	r.send(`{"to":"a","text":"b"}`, "Prefer", "wait=5").want(t, http.StatusOK, "")
}

// TestLookup tells the client that sent a message where it stands.
func TestLookup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		report outbound.Report
		want   string
	}{
		{"queued", outbound.Report{Status: "queued"}, `{"id":"msg_7","status":"queued"}`},
		{"sent", outbound.Report{Status: "sent", MessageIDs: []string{"9"}}, `{"id":"msg_7","status":"sent","messageId":"9"}`},
		{"sent without an id", outbound.Report{Status: "sent"}, `{"id":"msg_7","status":"sent","messageId":""}`},
		{
			"failed",
			outbound.Report{Status: "failed", Err: &outbound.Error{
				Code: outbound.CodeUpstreamRejected, Message: "m", Upstream: &outbound.Upstream{Code: "-2"}, Err: errors.New("secret"),
			}},
			`{"id":"msg_7","status":"failed","error":{"code":"upstream_rejected","message":"m"},"upstream":{"code":"-2"}}`,
		},
		{
			"unknown in a part",
			outbound.Report{Status: "unknown", MessageIDs: []string{"1", "2"}, Err: &outbound.Error{
				Code: outbound.CodeDeliveryUnknown, Message: "m", Part: 3,
			}},
			`{"id":"msg_7","status":"unknown","messageId":"1","messageIds":["1","2"],"error":{"code":"delivery_unknown","message":"m"},"part":3}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.sender.lookup = func(_ context.Context, client, id string) (outbound.Report, error) {
				if client != "openclaw" {
					t.Errorf("got client %q, want openclaw", client)
				}
				tt.report.ID = id
				return tt.report, nil
			}
			auth := map[string]string{"Authorization": "Bearer " + clientToken}
			for _, path := range []string{"/api/messages/msg_7", "/messages/msg_7"} {
				r.do(ask{method: http.MethodGet, path: path, header: auth}).wantJSON(t, http.StatusOK, tt.want)
			}
			r.do(ask{method: http.MethodGet, path: "/api/messages/msg_7"}).want(t, http.StatusUnauthorized, "unauthorized")
		})
	}
	r := newRig(t, nil)
	r.do(ask{
		method: http.MethodGet, path: "/api/messages/msg_8", header: map[string]string{"Authorization": "Bearer " + clientToken},
	}).want(t, http.StatusNotFound, "not_found")
}
