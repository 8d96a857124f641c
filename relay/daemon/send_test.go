package daemon_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Sent: the IM is called once with what the connector promises, and its id comes back as a string.
func TestSend(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	r.im.answers(says(http.StatusOK, `{"messageId":3768973957878705413}`))
	a := r.send(`{"to":"wxid_alice","text":"hello <&> 你","replyToMessageId":"7265419038812345671","requestId":"r-1","im":"wechat",
		"media":[{"type":"image","url":"https://example.test/a.png"}],"unknown":1}`)
	if a.status != 200 || a.object(t)["messageId"] != "3768973957878705413" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	got := r.im.requests()
	if len(got) != 1 || got[0].header.Get("Authorization") != "Bearer im-send-token" {
		t.Fatalf("IM got %d requests", len(got))
	}
	var sent map[string]any
	if err := json.Unmarshal(got[0].body, &sent); err != nil {
		t.Fatal(err)
	}
	if sent["to"] != "wxid_alice" || sent["text"] != "hello <&> 你" || sent["replyToMessageId"] != "7265419038812345671" ||
		sent["requestId"] == "" || fmt.Sprint(sent["media"]) != "[map[type:image url:https://example.test/a.png]]" {
		t.Errorf("IM got %s", got[0].body)
	}
	if a := r.do(http.MethodPost, "/messages/send", `{"to":"wxid_alice","text":"x"}`, "Authorization: Bearer "+botToken); a.status != 200 {
		t.Errorf("the short path: got %d %s", a.status, a.body)
	}
}

// One key is one message: replayed byte for byte, also after a restart, refused for other content.
func TestSendIdempotency(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	first := r.send(`{"to":"wxid_alice","text":"hello","requestId":"r-1"}`)
	if first.status != 200 || first.header.Get("Idempotent-Replayed") != "" {
		t.Fatalf("got %d %s", first.status, first.body)
	}
	check := func(when, body string, headers ...string) {
		t.Helper()
		a := r.send(body, headers...)
		if a.status != 200 || a.body != first.body || a.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s: got %d %s, replayed %q, want %s", when, a.status, a.body, a.header.Get("Idempotent-Replayed"), first.body)
		}
	}
	check("again", `{"text":"hello","to":"wxid_alice","requestId":"r-1"}`)
	check("by header", `{"to":"wxid_alice","text":"hello","requestId":"other"}`, "Idempotency-Key: r-1")
	check("by msgId", `{"to":"wxid_alice","text":"hello","msgId":"r-1","messageId":"zzz"}`)
	check("by messageId", `{"to":"wxid_alice","text":"hello","messageId":"r-1"}`)
	check("with the im named", `{"to":"wxid_alice","text":"hello","requestId":"r-1","im":"wechat"}`)
	if a := r.send(`{"to":"wxid_alice","text":"other","requestId":"r-1"}`); a.status != 422 || a.code(t) != "idempotency_key_reused" {
		t.Errorf("other content: got %d %s", a.status, a.body)
	}
	if a := r.send(`{"to":"wxid_alice","text":"hello"}`); a.status != 200 || a.body == first.body {
		t.Errorf("no key: got %d %s, want a message of its own", a.status, a.body)
	}
	r.stop()
	r.run(baseConfig)
	check("after a restart", `{"to":"wxid_alice","text":"hello","requestId":"r-1"}`)
	if n := len(r.im.requests()); n != 2 {
		t.Errorf("IM was called %d times, want 2", n)
	}
}

// Twenty at once with one key make one call, and all hear its result.
func TestSendAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	ok := sent()
	r.im.answers(func(w http.ResponseWriter, q *http.Request) {
		<-time.After(300 * time.Millisecond)
		ok(w, q)
	})
	answers := make(chan answer, 20)
	for range 20 {
		go func() {
			a, err := r.try(http.MethodPost, "/api/messages/send", `{"to":"wxid_alice","text":"hello","requestId":"r-1"}`,
				"Authorization: Bearer "+botToken)
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
	}
	bodies := map[string]int{}
	for range 20 {
		a := <-answers
		if a.status != 200 {
			t.Errorf("got %d %s", a.status, a.body)
		}
		bodies[a.body]++
	}
	if len(bodies) != 1 || len(r.im.requests()) != 1 {
		t.Errorf("got answers %v from %d calls", bodies, len(r.im.requests()))
	}
}

// A key that is still being sent after the hold is in progress.
func TestSendInProgress(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(strings.Replace(baseConfig, "timeout: 1s}\nagents", "timeout: 20s}\nagents", 1),
		"admin:", "outbound: {hold: 300ms}\nadmin:", 1))
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	ok := sent()
	r.im.answers(func(w http.ResponseWriter, q *http.Request) {
		entered <- struct{}{}
		<-leave
		ok(w, q)
	})
	body := `{"to":"wxid_alice","text":"hello","requestId":"r-1"}`
	first := make(chan answer, 1)
	go func() {
		a, err := r.try(http.MethodPost, "/api/messages/send", body, "Authorization: Bearer "+botToken)
		if err != nil {
			t.Error(err)
		}
		first <- a
	}()
	<-entered
	if a := r.send(body); a.status != 409 || a.code(t) != "in_progress" || a.header.Get("Retry-After") == "" {
		t.Errorf("second: got %d %s", a.status, a.body)
	}
	close(leave)
	if a := <-first; a.status != 200 {
		t.Errorf("first: got %d %s", a.status, a.body)
	}
}

// In the background: durable, sent in order, and its state can be asked for, by its client only.
func TestSendAsync(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig+`  second: {token: another-client-token}
`)
	var ids []string
	for i := range 5 {
		a := r.send(fmt.Sprintf(`{"to":"wxid_alice","text":"m%d"}`, i), "Prefer: respond-async")
		o := a.object(t)
		id, _ := o["id"].(string)
		if a.status != 202 || o["status"] != "queued" || !strings.HasPrefix(id, "msg_") ||
			a.header.Get("Preference-Applied") != "respond-async" {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		ids = append(ids, id)
	}
	status := func(id string) map[string]any {
		return r.do(http.MethodGet, "/api/messages/"+id, "", "Authorization: Bearer "+botToken).object(t)
	}
	for _, id := range ids {
		eventually(t, "it is sent", func() bool { return status(id)["status"] == "sent" })
		if m, _ := status(id)["messageId"].(string); m == "" {
			t.Errorf("sent without an id: %v", status(id))
		}
	}
	for i, q := range r.im.requests() {
		if !strings.Contains(string(q.body), fmt.Sprintf("m%d", i)) {
			t.Errorf("send %d: IM got %s", i, q.body)
		}
	}
	if a := r.do(http.MethodGet, "/api/messages/"+ids[0], "", "Authorization: Bearer another-client-token"); a.status != 404 {
		t.Errorf("another client: got %d %s", a.status, a.body)
	}
	r.im.answers(says(http.StatusBadRequest, `{"code":"E7","message":"no such user"}`))
	id, _ := r.send(`{"to":"wxid_nobody","text":"x"}`, "Prefer: respond-async").object(t)["id"].(string)
	eventually(t, "it has failed", func() bool { return status(id)["status"] == "failed" })
	if e := fmt.Sprint(status(id)["error"]); !strings.Contains(e, "upstream_rejected") {
		t.Errorf("failed: got %v", status(id))
	}
}

// Who may send, to whom, and through what.
func TestSendAuth(t *testing.T) {
	t.Parallel()
	r := start(t, `
listen: 127.0.0.1:0
data: %[3]q
ims:
  one: {format: wechat, send: {kind: http, url: "%[2]s/send"}}
  two: {format: wechat, send: {kind: http, url: "%[2]s/send"}}
  mute: {format: wechat}
agents:
  openclaw: {kind: openclaw, url: "%[1]s/x", secret: `+webhookSecret+`}
clients:
  all: {token: `+botToken+`}
  narrow: {token: narrow-client-token, ims: [one], recipients: [wxid_alice, "*@chatroom"]}
`)
	narrow, all := "Authorization: Bearer narrow-client-token", "Authorization: Bearer "+botToken
	for _, tc := range []struct {
		name, auth, body string
		status           int
		code             string
	}{
		{"no token", "X-None: 1", `{"to":"a","text":"x"}`, 401, "unauthorized"},
		{"wrong token", "Authorization: Bearer nope", `{"to":"a","text":"x"}`, 401, "unauthorized"},
		{"other account", narrow, `{"to":"wxid_alice","text":"x","im":"two"}`, 403, "forbidden"},
		{"other recipient", narrow, `{"to":"wxid_bob","text":"x"}`, 403, "forbidden"},
		{"allowed", narrow, `{"to":"wxid_alice","text":"x"}`, 200, ""},
		{"allowed by pattern", narrow, `{"to":"12@chatroom","text":"x"}`, 200, ""},
		{"ambiguous", all, `{"to":"wxid_new","text":"x"}`, 400, "im_ambiguous"},
		{"unknown account", all, `{"to":"wxid_new","text":"x","im":"nope"}`, 400, "im_unknown"},
		{"cannot send", all, `{"to":"wxid_new","text":"x","im":"mute"}`, 501, "im_cannot_send"},
		{"named", all, `{"to":"wxid_new","text":"x","im":"two"}`, 200, ""},
	} {
		a := r.do(http.MethodPost, "/api/messages/send", tc.body, tc.auth)
		if a.status != tc.status || (tc.code != "" && a.code(t) != tc.code) {
			t.Errorf("%s: got %d %s, want %d %s", tc.name, a.status, a.body, tc.status, tc.code)
		}
		if tc.status == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: WWW-Authenticate is %q", tc.name, a.header.Get("WWW-Authenticate"))
		}
	}
	if a := r.do(http.MethodPost, "/im/two/inbound", text(1, "wxid_known", "hi")); a.status != 200 {
		t.Fatalf("inbound: got %d %s", a.status, a.body)
	}
	if a := r.do(http.MethodPost, "/api/messages/send", `{"to":"wxid_known","text":"x"}`, all); a.status != 200 {
		t.Errorf("recipient seen on one account: got %d %s", a.status, a.body)
	}
}

// Bad requests name the field, and the IM is not called.
func TestSendRefusals(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "admin:", "outbound: {max_body: 2KiB}\nadmin:", 1))
	long := strings.Repeat("x", 257)
	for _, tc := range []struct {
		name, body, contentType string
		status                  int
		code, field             string
	}{
		{"no JSON", "hello", "application/json", 400, "invalid_request", ""},
		{"not UTF-8", "{\"to\":\"a\",\"text\":\"\xff\"}", "application/json", 400, "invalid_request", ""},
		{"more behind", `{"to":"a","text":"x"} {}`, "application/json", 400, "invalid_request", ""},
		{"an array", `[]`, "application/json", 400, "invalid_request", ""},
		{"wrong type", `{"to":1,"text":"x"}`, "application/json", 400, "invalid_request", "to"},
		{"wrong type of text", `{"to":"a","text":["x"]}`, "application/json", 400, "invalid_request", "text"},
		{"no to", `{"text":"x"}`, "application/json", 400, "invalid_request", "to"},
		{"no content", `{"to":"a"}`, "application/json", 400, "invalid_request", "text"},
		{"long to", `{"to":"` + long + `","text":"x"}`, "application/json", 400, "invalid_request", "to"},
		{"long id", `{"to":"a","text":"x","requestId":"` + long + `"}`, "application/json", 400, "invalid_request", "requestId"},
		{"other type", `to=a`, "application/x-www-form-urlencoded", 415, "unsupported_media_type", ""},
		{"too large", `{"to":"a","text":"` + strings.Repeat("x", 3000) + `"}`, "application/json", 413, "body_too_large", ""},
	} {
		a := r.do(http.MethodPost, "/api/messages/send", tc.body, "Authorization: Bearer "+botToken, "Content-Type: "+tc.contentType)
		if a.status != tc.status || a.code(t) != tc.code || !strings.Contains(a.body, tc.field) {
			t.Errorf("%s: got %d %s, want %d %s naming %q", tc.name, a.status, a.body, tc.status, tc.code, tc.field)
		}
	}
	if n := len(r.im.requests()); n != 0 {
		t.Errorf("IM was called %d times", n)
	}
}

// A short burst over a limit is held and sent; what holding would not help is refused at once, with a true retry_after.
func TestSendLimits(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(strings.Replace(baseConfig, "admin:", "outbound: {hold: 1200ms}\nadmin:", 1),
		"    send:", "    limits: {rate: 120/m, burst: 1}\n    send:", 1))
	answers := make(chan answer, 6)
	for i := range 6 {
		go func() {
			body := fmt.Sprintf(`{"to":"u%d","text":"m","requestId":"k%d"}`, i, i)
			began := time.Now()
			a, err := r.try(http.MethodPost, "/api/messages/send", body, "Authorization: Bearer "+botToken)
			if err != nil {
				t.Error(err)
			}
			if a.status == 429 && time.Since(began) > 600*time.Millisecond {
				t.Errorf("refused after %v, want at once", time.Since(began))
			}
			a.header.Set("Key", fmt.Sprint(i))
			answers <- a
		}()
	}
	byStatus := map[int][]answer{}
	for range 6 {
		a := <-answers
		byStatus[a.status] = append(byStatus[a.status], a)
	}
	if len(byStatus[200]) != 3 || len(byStatus[429]) != 3 || len(r.im.requests()) != 3 {
		t.Fatalf("got %d sent and %d refused, want 3 of each", len(byStatus[200]), len(byStatus[429]))
	}
	refused := byStatus[429][0]
	after, err := refused.object(t)["retry_after"].(json.Number).Int64()
	if err != nil || refused.code(t) != "rate_limited" || refused.header.Get("Retry-After") != fmt.Sprint(after) || after < 1 {
		t.Fatalf("got %s, Retry-After %q", refused.body, refused.header.Get("Retry-After"))
	}
	<-time.After(time.Duration(after) * time.Second)
	key := refused.header.Get("Key")
	a := r.send(fmt.Sprintf(`{"to":"u%s","text":"m","requestId":"k%s"}`, key, key))
	if a.status != 200 || a.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("after retry_after, same key: got %d %s", a.status, a.body)
	}
}

// What the IM's answers mean for the caller, and whether the same key may try again.
func TestSendUpstream(t *testing.T) {
	t.Parallel()
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	slow := func(_ http.ResponseWriter, q *http.Request) {
		select {
		case <-q.Context().Done():
		case <-time.After(5 * time.Second):
		}
	}
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		status int
		code   string
		again  bool // the same key is a new try
	}{
		{"throttled", func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Retry-After", "30")
			says(http.StatusTooManyRequests, `{}`)(w, q)
		}, 429, "upstream_rate_limited", true},
		{"refused", says(http.StatusNotFound, `{"code":"E404","message":"no such user"}`), 502, "upstream_rejected", true},
		{"bad gateway", says(http.StatusBadGateway, ``), 503, "upstream_unavailable", true},
		{"unavailable", says(http.StatusServiceUnavailable, ``), 503, "upstream_unavailable", true},
		{"failed", says(http.StatusInternalServerError, ``), 504, "delivery_unknown", false},
		{"gateway timeout", says(http.StatusGatewayTimeout, ``), 504, "delivery_unknown", false},
		{"hang-up", hangUp, 504, "delivery_unknown", false},
		{"timeout", slow, 504, "delivery_unknown", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, strings.Replace(baseConfig, "admin:", "outbound: {hold: 300ms}\nadmin:", 1))
			r.im.answers(tc.answer)
			body := `{"to":"wxid_alice","text":"hello","requestId":"r-1"}`
			a := r.send(body)
			if a.status != tc.status || a.code(t) != tc.code {
				t.Fatalf("got %d %s, want %d %s", a.status, a.body, tc.status, tc.code)
			}
			if (tc.status == 429 || tc.status == 503) != (a.header.Get("Retry-After") != "") {
				t.Errorf("Retry-After: got %q", a.header.Get("Retry-After"))
			}
			if tc.code == "upstream_rejected" && !strings.Contains(a.body, `"upstream":{"code":"E404","message":"no such user"}`) {
				t.Errorf("upstream: got %s", a.body)
			}
			calls := len(r.im.requests())
			r.im.answers(sent())
			a = r.send(body)
			switch {
			case tc.code == "upstream_rate_limited":
				if a.status != 429 || len(r.im.requests()) != calls {
					t.Errorf("while throttled: got %d, %d more calls", a.status, len(r.im.requests())-calls)
				}
			case tc.again:
				if a.status != 200 {
					t.Errorf("same key: got %d %s, want a new try", a.status, a.body)
				}
			default:
				if a.status != 504 || len(r.im.requests()) != calls {
					t.Errorf("same key: got %d %s and %d more calls, want the same answer", a.status, a.body, len(r.im.requests())-calls)
				}
				if a := r.send(`{"to":"wxid_alice","text":"hello","requestId":"r-1","resend":true}`); a.status != 200 {
					t.Errorf("resend: got %d %s", a.status, a.body)
				}
			}
			noSecrets(t, "the answer", a.body)
			noSecrets(t, "the log", r.logs.String())
		})
	}
}

// An IM that cannot be reached at all surely did not get it.
func TestSendIMAway(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "admin:", "outbound: {hold: 300ms}\nadmin:", 1))
	r.im.Close()
	a := r.send(`{"to":"wxid_alice","text":"hello","requestId":"r-1"}`)
	if a.status != 503 || a.code(t) != "upstream_unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// A long text goes in parts; a part that fails is told of, and the same key goes on from there.
func TestSendLongText(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "    send:", "    limits: {max_text: 20}\n    send:", 1))
	var n atomic.Int32
	ok := sent()
	r.im.answers(func(w http.ResponseWriter, q *http.Request) {
		if n.Add(1) == 2 {
			says(http.StatusBadRequest, `{"code":"E1","message":"not now"}`)(w, q)
			return
		}
		ok(w, q)
	})
	body := `{"to":"wxid_alice","text":"first sentence here. second sentence here. third one.","requestId":"r-1"}`
	a := r.send(body)
	o := a.object(t)
	if done, _ := o["messageIds"].([]any); a.status != 502 || o["part"] != json.Number("2") || len(done) != 1 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	a = r.send(body)
	done, _ := a.object(t)["messageIds"].([]any)
	if a.status != 200 || len(done) < 3 || a.object(t)["messageId"] != done[0] {
		t.Fatalf("same key: got %d %s", a.status, a.body)
	}
	var whole []string
	for i, q := range r.im.requests() {
		var m struct{ Text string }
		if err := json.Unmarshal(q.body, &m); err != nil {
			t.Fatal(err)
		}
		if i != 1 {
			whole = append(whole, m.Text)
		}
		if len(m.Text) > 20 {
			t.Errorf("part %q is longer than the limit", m.Text)
		}
	}
	if got := strings.Join(whole, " "); got != "first sentence here. second sentence here. third one." {
		t.Errorf("parts: got %q", got)
	}
	if a := r.send(`{"to":"wxid_alice","text":"` + strings.Repeat("word ", 200) + `"}`); a.status != 400 || a.code(t) != "invalid_request" {
		t.Errorf("over 20 parts: got %d %s", a.status, a.body)
	}
}

// The echo of what we sent is dropped by the id that the IM gave it.
func TestSendEcho(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "    self: wxid_bot\n", "", 1))
	id := r.send(`{"to":"wxid_alice","text":"hello"}`).object(t)["messageId"].(string)
	echo := fmt.Sprintf(`{"MsgId":9,"FromUserName":{"string":"wxid_bot"},"ToUserName":{"string":"wxid_alice"},"MsgType":1,`+
		`"Content":{"string":"hello"},"NewMsgId":%s}`, id)
	if a := r.inbound(echo); a.status != 200 || a.object(t)["ignored"] != "self" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if n := len(r.agent.requests()); n != 0 {
		t.Errorf("agent got %d requests", n)
	}
}
