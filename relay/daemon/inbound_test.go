package daemon_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The agent took it: 200 with its status and its JSON, and it got the exact bytes under a right signature.
func TestInboundTaken(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	r.agent.answers(says(http.StatusAccepted, `{"run": "r1",  "n": 7265419038812345671}`))
	body := " {\n\"NewMsgId\" : 7265419038812345671, \"FromUserName\":{\"string\":\"wxid_alice\"},\"ToUserName\":" +
		"{\"string\":\"wxid_bot\"},\"MsgType\":1,\"Content\":{\"string\":\"<&>\\u4f60 你\"},\"b\":1,\"a\":2}\n"
	a := r.do(http.MethodPost, "/im/inbound", body, "Content-Type: application/json; charset=utf-8")
	o := a.object(t)
	id, _ := o["eventId"].(string)
	if a.status != 200 || o["ok"] != true || o["status"] != json.Number("202") || !strings.HasPrefix(id, "evt_") {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	if !strings.Contains(a.body, "7265419038812345671") {
		t.Errorf("the agent's 64-bit number was changed: %s", a.body)
	}
	got := r.agent.requests()
	if len(got) != 1 || string(got[0].body) != body {
		t.Fatalf("agent got %d requests, first %q, want the posted bytes", len(got), got[0].body)
	}
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write([]byte(body))
	for name, want := range map[string]string{
		"X-Wechat-Abot-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
		"X-Relay-Event-Id":        id, "X-Relay-Attempt": "1", "Content-Type": "application/json; charset=utf-8",
	} {
		if v := got[0].header.Get(name); v != want {
			t.Errorf("%s: got %q, want %q", name, v, want)
		}
	}
	if s := r.state(id); s != "delivered" {
		t.Errorf("state: got %s", s)
	}
}

// An answer that is no JSON is given as a string.
func TestInboundTextAnswer(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	r.agent.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("thanks \"you\"")) })
	if a := r.inbound(text(1, "wxid_alice", "hi")); a.object(t)["body"] != `thanks "you"` {
		t.Errorf("got %s", a.body)
	}
}

// The agent refused it for good: 200, not ok, dead, and kept as a dead letter; a replay delivers the same bytes.
func TestInboundRefused(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	r.agent.answers(says(http.StatusUnprocessableEntity, `{"error":"no"}`))
	a := r.inbound(text(1, "wxid_alice", "hi"))
	o := a.object(t)
	if a.status != 200 || o["ok"] != false || o["dead"] != true || o["status"] != json.Number("422") {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	id := o["eventId"].(string)
	if dead := r.admin(http.MethodGet, "dead", ""); !strings.Contains(dead.body, id) {
		t.Errorf("dead letters: got %s", dead.body)
	}
	r.agent.answers(says(http.StatusOK, `{}`))
	if a := r.admin(http.MethodPost, "dead/replay", fmt.Sprintf(`{"ids":[%q]}`, id)); a.status != 200 {
		t.Fatalf("replay: got %d %s", a.status, a.body)
	}
	eventually(t, "the replayed event is delivered", func() bool { return r.state(id) == "delivered" })
	got := r.agent.requests()
	if len(got) != 2 || string(got[0].body) != string(got[1].body) || got[1].header.Get("X-Relay-Event-Id") != id ||
		got[1].header.Get("X-Relay-Attempt") != "1" {
		t.Errorf("got %d attempts, want the same bytes and id twice", len(got))
	}
}

// The agent is away: 202 at once once that is known, no attempt counted, and the message arrives when it is back.
func TestInboundAgentAway(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	address := r.agent.Listener.Addr().String()
	handler := r.agent.Config.Handler
	r.agent.Close()
	first := r.inbound(text(1, "wxid_alice", "hi"))
	o := first.object(t)
	if first.status != 202 || o["ok"] != true || o["queued"] != true || o["attempts"] != json.Number("0") ||
		o["lastError"] != "connection refused" {
		t.Fatalf("got %d %s", first.status, first.body)
	}
	eventually(t, "the circuit opens", func() bool { return strings.Contains(r.logs.String(), "agent.down") })
	began := time.Now()
	if a := r.inbound(text(2, "wxid_alice", "again")); a.status != 202 || time.Since(began) > 500*time.Millisecond {
		t.Errorf("while it is known to be away: got %d after %v", a.status, time.Since(began))
	}
	if a := r.do(http.MethodGet, "/readyz", ""); a.status != 200 || !strings.Contains(a.body, "degraded") {
		t.Errorf("readyz: got %d %s", a.status, a.body)
	}
	l, err := net.Listen("tcp", address) //nolint:noctx // a test's own listener
	if err != nil {
		t.Fatal(err)
	}
	back := &http.Server{Handler: handler}
	go func() { _ = back.Serve(l) }()
	t.Cleanup(func() { _ = back.Close() })
	eventually(t, "both are delivered", func() bool { return len(r.agent.requests()) == 2 })
	for i, got := range r.agent.requests() {
		if n := got.header.Get("X-Relay-Attempt"); n != "1" || !strings.Contains(string(got.body), []string{"hi", "again"}[i]) {
			t.Errorf("delivery %d: attempt %s, body %s", i+1, n, got.body)
		}
	}
}

// A failed attempt does not end the wait; the answer tells of the outcome that follows.
func TestInboundFailsOnce(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	var n atomic.Int32
	r.agent.answers(func(w http.ResponseWriter, q *http.Request) {
		if n.Add(1) == 1 {
			says(http.StatusInternalServerError, `{}`)(w, q)
			return
		}
		says(http.StatusOK, `{"second":true}`)(w, q)
	})
	a := r.inbound(text(1, "wxid_alice", "hi"))
	if a.status != 200 || !strings.Contains(a.body, "second") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if got := r.agent.requests(); len(got) != 2 || got[1].header.Get("X-Relay-Attempt") != "2" {
		t.Errorf("got %d attempts", len(got))
	}
}

// A slow agent gets its time, the IM server does not wait for it; Prefer says how long it would.
func TestInboundPrefer(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "timeout: 1s\nclients", "timeout: 10s\nclients", 1))
	r.agent.answers(func(w http.ResponseWriter, q *http.Request) {
		takes := 50 * time.Millisecond
		if b, err := io.ReadAll(q.Body); err != nil || bytes.Contains(b, []byte("slowly")) {
			takes = 8 * time.Second
		}
		select {
		case <-time.After(takes):
		case <-q.Context().Done():
		}
		says(http.StatusOK, `{}`)(w, q)
	})
	began := time.Now()
	a := r.inbound(text(1, "wxid_a", "slowly"), "Prefer: respond-async")
	if took := time.Since(began); a.status != 202 || took > 6*time.Second || a.header.Get("Preference-Applied") != "respond-async" {
		t.Errorf("respond-async: got %d after %v, applied %q", a.status, took, a.header.Get("Preference-Applied"))
	}
	began = time.Now()
	a = r.inbound(text(2, "wxid_b", "slowly"), "Prefer: wait=1")
	if took := time.Since(began); a.status != 202 || took < 900*time.Millisecond || took > 6*time.Second ||
		a.header.Get("Preference-Applied") != "wait=1" {
		t.Errorf("wait=1: got %d after %v, applied %q", a.status, took, a.header.Get("Preference-Applied"))
	}
	a = r.inbound(text(3, "wxid_c", "hi"), "Prefer: wait=5")
	if a.status != 200 {
		t.Errorf("wait=5: got %d %s", a.status, a.body)
	}
	a = r.inbound(text(4, "wxid_d", "hi"))
	if a.status != 200 || a.header.Get("Preference-Applied") != "" {
		t.Errorf("no preference: got %d %s", a.status, a.body)
	}
}

// Seen before: the first one's id, and nothing is forwarded, also after a restart. No id: never a repeat.
func TestInboundDuplicate(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	first := r.inbound(text(7265419038812345671, "wxid_alice", "hi")).object(t)["eventId"]
	check := func(when string) {
		a := r.inbound(text(7265419038812345671, "wxid_alice", "hi"))
		if o := a.object(t); a.status != 200 || o["ok"] != true || o["duplicate"] != true || o["eventId"] != first {
			t.Errorf("%s: got %d %s, want a duplicate of %v", when, a.status, a.body, first)
		}
	}
	check("at once")
	if a := r.inbound(text(7265419038812345672, "wxid_alice", "hi")); a.object(t)["duplicate"] != nil {
		t.Errorf("the neighbouring id: got %s", a.body)
	}
	if a := r.inbound(text(7265419038812345671, "wxid_bob", "hi")); a.object(t)["duplicate"] != nil {
		t.Errorf("another conversation: got %s", a.body)
	}
	for range 2 {
		if a := r.inbound(`{"FromUserName":{"string":"wxid_alice"},"Content":{"string":"ok"},"MsgType":1}`); a.object(t)["duplicate"] != nil {
			t.Errorf("no id: got %s", a.body)
		}
	}
	n := len(r.agent.requests())
	r.stop()
	r.run(baseConfig)
	check("after a restart")
	if got := len(r.agent.requests()); got != n {
		t.Errorf("a repeat was forwarded: %d requests, want %d", got, n)
	}
}

// Many copies at once are one event, and all hear its id.
func TestInboundDuplicateStorm(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	body := text(7265419038812345671, "wxid_alice", "hi")
	answers := make(chan answer, 100)
	for range 100 {
		go func() {
			a, err := r.try(http.MethodPost, "/im/inbound", body, "Content-Type: application/json")
			if err != nil {
				t.Error(err)
			}
			answers <- a
		}()
	}
	ids := map[any]int{}
	for range 100 {
		a := <-answers
		if a.status != 200 {
			t.Errorf("got %d %s", a.status, a.body)
		}
		ids[a.object(t)["eventId"]]++
	}
	if len(ids) != 1 || len(r.agent.requests()) != 1 {
		t.Errorf("got ids %v and %d deliveries, want one of each", ids, len(r.agent.requests()))
	}
}

// What is left out is answered with the reason.
func TestInboundIgnored(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "self: wxid_bot",
		`self: wxid_bot`+"\n    filter: 'kind == \"text\" && (!group || mentioned)'\n    max_age: 1h", 1))
	old := strings.Replace(text(5, "wxid_alice", "hi"), fmt.Sprintf(`"CreateTime":%d`, time.Now().Unix()),
		fmt.Sprintf(`"CreateTime":%d`, time.Now().Add(-2*time.Hour).Unix()), 1)
	group := strings.Replace(text(6, "1@chatroom", "wxid_alice:\nhi"), `"MsgType"`, `"MsgSource":"<msgsource/>","MsgType"`, 1)
	for _, tc := range []struct{ name, body, want string }{
		{"own message", strings.Replace(text(1, "wxid_bot", "hi"), `"ToUserName":{"string":"wxid_bot"}`, `"ToUserName":{"string":"wxid_alice"}`, 1), "self"},
		{"probe", `{"testMsg":"ok","token":"t"}`, "meta"},
		{"offline", `{"TypeName":"Offline","Appid":"wx_a","Wxid":"wxid_bot"}`, "meta"},
		{"group without a mention", group, "not_mentioned"},
		{"too old", old, "too_old"},
		{"picture", strings.Replace(text(8, "wxid_alice", "x"), `"MsgType":1`, `"MsgType":3`, 1), "filtered"},
	} {
		a := r.inbound(tc.body)
		if o := a.object(t); a.status != 200 || o["ok"] != true || o["ignored"] != tc.want {
			t.Errorf("%s: got %d %s, want ignored %q", tc.name, a.status, a.body, tc.want)
		}
	}
	if n := len(r.agent.requests()); n != 0 {
		t.Errorf("agent got %d requests, want none", n)
	}
}

// Bad requests are refused in the one error shape.
func TestInboundRefusals(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "admin:", "inbound: {max_body: 2KiB}\nadmin:", 1))
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"empty", http.MethodPost, "/im/inbound", "", 400, "empty_body"},
		{"no JSON", http.MethodPost, "/im/inbound", "hello", 400, "invalid_json"},
		{"half JSON", http.MethodPost, "/im/inbound", `{"a":`, 400, "invalid_json"},
		{"too large", http.MethodPost, "/im/inbound", `{"a":"` + strings.Repeat("x", 3000) + `"}`, 413, "body_too_large"},
		{"wrong method", http.MethodGet, "/im/inbound", "", 405, "method_not_allowed"},
		{"unknown path", http.MethodPost, "/im/nowhere", "{}", 404, "not_found"},
		{"unknown account", http.MethodPost, "/im/other/inbound", "{}", 404, "not_found"},
	} {
		a := r.do(tc.method, tc.path, tc.body)
		if a.status != tc.status || a.code(t) != tc.code {
			t.Errorf("%s: got %d %s, want %d %s", tc.name, a.status, a.body, tc.status, tc.code)
		}
		if tc.status == 405 && !strings.Contains(a.header.Get("Allow"), "POST") {
			t.Errorf("%s: Allow is %q", tc.name, a.header.Get("Allow"))
		}
		if a.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no X-Request-Id", tc.name)
		}
	}
	if a := r.do(http.MethodHead, "/im/wechat/inbound", ""); a.status != 200 {
		t.Errorf("liveness probe: got %d", a.status)
	}
}

// guarded has two accounts, one with a token and a source network, one with a signature.
const guarded = `
listen: 127.0.0.1:0
data: %[3]q
admin: {token: ` + adminToken + `}
trusted_proxies: [127.0.0.1/32]
ims:
  tokened: {format: wechat, token: ` + imToken + `, allow: [192.0.2.0/24]}
  signed: {format: generic, signature: {kind: github, secret: ` + webhookSecret + `}, send: {kind: http, url: "%[2]s/send"}}
agents:
  openclaw: {kind: openclaw, url: "%[1]s/x", secret: ` + webhookSecret + `, timeout: 1s}
clients:
  openclaw: {token: ` + botToken + `}
`

// Who may post is checked by network, token and signature; without a name, two accounts are ambiguous.
func TestInboundGuards(t *testing.T) {
	t.Parallel()
	r := start(t, guarded)
	body := `{"id":"1","conversation":"c","text":"hi"}`
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	mac.Write([]byte(body))
	signature := "X-Hub-Signature-256: sha256=" + hex.EncodeToString(mac.Sum(nil))
	from := "X-Forwarded-For: 192.0.2.7"
	for _, tc := range []struct {
		name, path, body string
		headers          []string
		status           int
		code             string
	}{
		{"ambiguous", "/im/inbound", body, nil, 400, "im_ambiguous"},
		{"wrong network", "/im/tokened/inbound", text(1, "a", "x"), []string{"Authorization: Bearer " + imToken}, 403, "source_not_allowed"},
		{"no token", "/im/tokened/inbound", text(1, "a", "x"), []string{from}, 401, "unauthorized"},
		{"wrong token", "/im/tokened/inbound", text(1, "a", "x"), []string{from, "Authorization: Bearer nope"}, 401, "unauthorized"},
		{"token", "/im/tokened/inbound", text(1, "a", "x"), []string{from, "Authorization: Bearer " + imToken}, 200, ""},
		{"token in the query", "/im/tokened/inbound?token=" + imToken, text(2, "a", "x"), []string{from}, 200, ""},
		{"unsigned", "/im/signed/inbound", body, nil, 401, "unauthorized"},
		{"signed for another body", "/im/signed/inbound", body + " ", []string{signature}, 401, "unauthorized"},
		{"signed", "/im/signed/inbound", body, []string{signature}, 200, ""},
	} {
		a := r.do(http.MethodPost, tc.path, tc.body, tc.headers...)
		if a.status != tc.status || (tc.code != "" && a.code(t) != tc.code) {
			t.Errorf("%s: got %d %s, want %d %s", tc.name, a.status, a.body, tc.status, tc.code)
		}
		noSecrets(t, tc.name, a.body)
	}
	noSecrets(t, "the log", r.logs.String())
}

// A body of several messages is one event each, with the bytes of its element.
func TestInboundSeveral(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	one := `{"MsgId":1,"NewMsgId":11,"FromUserName":{"string":"wxid_a"},"ToUserName":{"string":"wxid_bot"},"MsgType":1, "Content":{"string":"x"}}`
	two := `{ "MsgId":2,"NewMsgId":12,"FromUserName":{"string":"wxid_a"},"ToUserName":{"string":"wxid_bot"},"MsgType":1,"Content":{"string":"y"}}`
	a := r.inbound(`{"AddMsgs":[` + one + `, ` + two + `]}`)
	o := a.object(t)
	ids, _ := o["eventIds"].([]any)
	if a.status/100 != 2 || len(ids) != 2 || o["eventId"] != ids[0] {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	eventually(t, "both arrive", func() bool { return len(r.agent.requests()) == 2 })
	got := r.agent.requests()
	if string(got[0].body) != one || string(got[1].body) != two {
		t.Errorf("got %s and %s", got[0].body, got[1].body)
	}
}

// While the relay stops, new posts are told so, and what is under way is finished.
func TestInboundStopping(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "timeout: 1s\nclients", "timeout: 10s\nclients", 1))
	entered, leave := make(chan struct{}), make(chan struct{})
	r.agent.answers(func(w http.ResponseWriter, q *http.Request) {
		close(entered)
		<-leave
		says(http.StatusOK, `{"late":true}`)(w, q)
	})
	first := make(chan answer, 1)
	go func() {
		a, err := r.try(http.MethodPost, "/im/inbound", text(1, "wxid_a", "hi"), "Prefer: wait=10")
		if err != nil {
			t.Error(err)
		}
		first <- a
	}()
	<-entered
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	eventually(t, "it is stopping", func() bool { return r.do(http.MethodGet, "/readyz", "").status == 503 })
	a := r.inbound(text(2, "wxid_b", "hi"))
	if a.status != 503 || a.code(t) != "shutting_down" || a.header.Get("Retry-After") == "" {
		t.Errorf("new post: got %d %s", a.status, a.body)
	}
	if a := r.send(`{"to":"x","text":"y"}`); a.status != 503 || a.code(t) != "shutting_down" {
		t.Errorf("new send: got %d %s", a.status, a.body)
	}
	if a := r.do(http.MethodGet, "/healthz", ""); a.status != 200 {
		t.Errorf("healthz: got %d", a.status)
	}
	close(leave)
	if a := <-first; a.status != 200 || !strings.Contains(a.body, "late") {
		t.Errorf("post under way: got %d %s", a.status, a.body)
	}
	<-stopped
}

// To OneBot and Telegram an answer's body is a command, so theirs is empty; their messages go on as they came.
func TestPlainFormats(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "  wechat:\n    format: wechat", "  qq: {format: onebot}\n  tg: {format: telegram}\n  wechat:\n    format: wechat", 1))
	for path, body := range map[string]string{
		"/im/qq/inbound": `{"time":1767002400,"self_id":281,"post_type":"message","message_type":"private","message_id":12,"user_id":168,` +
			`"message":[{"type":"text","data":{"text":"hi"}}]}`,
		"/im/tg/inbound": `{"update_id":80,"message":{"message_id":5,"from":{"id":58,"is_bot":false},"chat":{"id":-100221,"type":"supergroup"},` +
			`"date":1767002431,"text":"hi"}}`,
	} {
		for range 2 {
			if a := r.do(http.MethodPost, path, body, "Content-Type: application/json"); a.status != 200 || strings.TrimSpace(a.body) != "{}" {
				t.Errorf("%s: got %d %s, want 200 {}", path, a.status, a.body)
			}
		}
		eventually(t, "delivered", func() bool {
			n := 0
			for _, q := range r.agent.requests() {
				if string(q.body) == body {
					n++
				}
			}
			return n == 1
		})
	}
}
