package httpapi_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/httpapi"
)

// TestInboundAnswers holds every kind of acceptance to its answer.
func TestInboundAnswers(t *testing.T) {
	t.Parallel()
	one, two := []string{"evt_1"}, []string{"evt_1", "evt_2"}
	json := "application/json"
	for _, tt := range []struct {
		name   string
		a      relay.Acceptance
		status int
		want   string
	}{
		{
			"taken",
			relay.Acceptance{EventIDs: one, Answered: true, Status: 200, ContentType: json, Answer: []byte(`{"id":7265419038812345671}`)},
			200, `{"ok":true,"status":200,"body":{"id":7265419038812345671},"eventId":"evt_1"}`,
		},
		{
			"taken with a JSON string",
			relay.Acceptance{EventIDs: one, Answered: true, Status: 202, ContentType: json + "; charset=utf-8", Answer: []byte(`"hi"`)},
			200, `{"ok":true,"status":202,"body":"hi","eventId":"evt_1"}`,
		},
		{
			"taken with text",
			relay.Acceptance{EventIDs: one, Answered: true, Status: 200, ContentType: "text/plain", Answer: []byte("fine\n\"so\"")},
			200, `{"ok":true,"status":200,"body":"fine\n\"so\"","eventId":"evt_1"}`,
		},
		{
			"taken with a number as text",
			relay.Acceptance{EventIDs: one, Answered: true, Status: 200, ContentType: "text/plain", Answer: []byte("17")},
			200, `{"ok":true,"status":200,"body":"17","eventId":"evt_1"}`,
		},
		{
			"taken with JSON under a guessed type",
			relay.Acceptance{EventIDs: one, Answered: true, Status: 200, ContentType: "text/plain; charset=utf-8", Answer: []byte(" {\"a\":[1]}\n")},
			200, `{"ok":true,"status":200,"body":{"a":[1]},"eventId":"evt_1"}`,
		},
		{
			"taken with HTML",
			relay.Acceptance{EventIDs: one, Answered: true, Status: 200, ContentType: "text/html", Answer: []byte("[]")},
			200, `{"ok":true,"status":200,"body":"[]","eventId":"evt_1"}`,
		},
		{
			"taken with broken JSON",
			relay.Acceptance{EventIDs: one, Answered: true, Status: 200, ContentType: json, Answer: []byte(`{"a":`)},
			200, `{"ok":true,"status":200,"body":"{\"a\":","eventId":"evt_1"}`,
		},
		{
			"taken with what is not UTF-8",
			relay.Acceptance{EventIDs: one, Answered: true, Status: 200, ContentType: json, Answer: []byte("{\"a\":\"\xff\"}")},
			200, `{"ok":true,"status":200,"body":"{\"a\":\"\ufffd\"}","eventId":"evt_1"}`,
		},
		{
			"taken without a word",
			relay.Acceptance{EventIDs: one, Answered: true, Status: 204},
			200, `{"ok":true,"status":204,"body":"","eventId":"evt_1"}`,
		},
		{
			"refused for good",
			relay.Acceptance{EventIDs: one, Answered: true, Dead: true, Status: 400, ContentType: json, Answer: []byte(`{"e":1}`)},
			200, `{"ok":false,"status":400,"body":{"e":1},"eventId":"evt_1","dead":true}`,
		},
		{"queued", relay.Acceptance{EventIDs: one}, 202, `{"ok":true,"queued":true,"eventId":"evt_1","attempts":0}`},
		{
			"queued after failures",
			relay.Acceptance{EventIDs: one, Attempts: 3, LastError: "status 500"},
			202, `{"ok":true,"queued":true,"eventId":"evt_1","attempts":3,"lastError":"status 500"}`,
		},
		{
			"several queued",
			relay.Acceptance{EventIDs: two},
			202, `{"ok":true,"queued":true,"eventId":"evt_1","eventIds":["evt_1","evt_2"],"attempts":0}`,
		},
		{
			"several taken",
			relay.Acceptance{EventIDs: two, Answered: true, Status: 200},
			200, `{"ok":true,"status":200,"body":"","eventId":"evt_1","eventIds":["evt_1","evt_2"]}`,
		},
		{"repeat", relay.Acceptance{EventIDs: one, Duplicate: true}, 200, `{"ok":true,"duplicate":true,"eventId":"evt_1"}`},
		{"own message", relay.Acceptance{Ignored: relay.IgnoredSelf}, 200, `{"ok":true,"ignored":"self"}`},
		{"meta event", relay.Acceptance{Ignored: relay.IgnoredMeta}, 200, `{"ok":true,"ignored":"meta"}`},
		{"no mention", relay.Acceptance{Ignored: relay.IgnoredNotMentioned}, 200, `{"ok":true,"ignored":"not_mentioned"}`},
		{"too old", relay.Acceptance{Ignored: relay.IgnoredTooOld}, 200, `{"ok":true,"ignored":"too_old"}`},
		{"filtered", relay.Acceptance{Ignored: relay.IgnoredFiltered}, 200, `{"ok":true,"ignored":"filtered"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.acceptor.answers(tt.a, nil)
			got := r.do(ask{path: "/im/open/inbound", body: "{}"})
			got.wantJSON(t, tt.status, tt.want)
			if ct := got.header.Get("Content-Type"); ct != json {
				t.Errorf("got Content-Type %q, want %q", ct, json)
			}
			r.do(ask{path: "/im/plain/inbound", body: "{}"}).wantJSON(t, http.StatusOK, "{}")
		})
	}
}

// TestInboundRefusals holds every refusal to its status, code and headers.
func TestInboundRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		err    error
		status int
		code   string
		after  string
	}{
		{"not JSON", &relay.Refusal{Code: relay.CodeInvalidJSON, Message: "m"}, 400, "invalid_json", ""},
		{"store away", &relay.Refusal{Code: relay.CodeStoreUnavailable, Message: "m", RetryAfter: 2100 * time.Millisecond}, 503, "store_unavailable", "3"},
		{"store away, no time known", &relay.Refusal{Code: relay.CodeStoreUnavailable, Message: "m"}, 503, "store_unavailable", "1"},
		{"wrapped", fmt.Errorf("accept: %w", &relay.Refusal{Code: relay.CodeShuttingDown, Message: "m"}), 503, "shutting_down", "1"},
		{"unforeseen", errors.New("disk /var/lib/secret is on fire"), 500, "internal", ""},
		{"unknown code", &relay.Refusal{Code: "no_such_code", Message: "disk /var/lib/secret"}, 500, "internal", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.acceptor.answers(relay.Acceptance{}, tt.err)
			got := r.do(ask{path: "/im/plain/inbound", body: "{}"})
			got.want(t, tt.status, tt.code)
			if after := got.header.Get("Retry-After"); after != tt.after {
				t.Errorf("got Retry-After %q, want %q", after, tt.after)
			}
			if strings.Contains(string(got.body), "secret") {
				t.Errorf("the answer shows the cause: %s", got.body)
			}
			lines := r.logs.FilterField(fieldEvent("inbound.refused")).All()
			if len(lines) != 1 {
				t.Fatalf("got %d lines inbound.refused, want 1", len(lines))
			}
			fields := lines[0].ContextMap()
			if fields["code"] != tt.code || fields["status"] != int64(tt.status) || fields["im"] != "plain" || fields["remote"] != "127.0.0.1" {
				t.Errorf("got line %v, want code %s, status %d, im plain", fields, tt.code, tt.status)
			}
		})
	}
}

// TestInboundAccount finds the account by the path, or by being the only one.
func TestInboundAccount(t *testing.T) {
	t.Parallel()
	several := newRig(t, nil)
	several.do(ask{path: "/im/inbound", body: "{}"}).want(t, 400, "im_ambiguous")
	several.do(ask{path: "/im/nobody/inbound", body: "{}"}).want(t, 404, "not_found")
	only := newRig(t, func(o *httpapi.Options) { o.Table = onlyTable() })
	only.do(ask{path: "/im/inbound", body: "{}"}).want(t, 202, "")
	only.do(ask{path: "/im/open/inbound", body: "{}"}).want(t, 202, "")
	none := newRig(t, func(o *httpapi.Options) { o.Table.Accounts = nil })
	none.do(ask{path: "/im/inbound", body: "{}"}).want(t, 404, "not_found")
	for i, p := range only.acceptor.taken() {
		if p.Account != "open" {
			t.Errorf("post %d: got account %q, want open", i, p.Account)
		}
	}
}

// TestInboundPost hands the acceptor what came, byte for byte.
func TestInboundPost(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	body := "\x00 {\"NewMsgId\": 7265419038812345671}\xff\n"
	r.do(ask{path: "/im/open/inbound", body: body, header: map[string]string{
		"Content-Type": "text/xml", "Traceparent": "00-a-b-01", "X-Request-Id": "abc",
	}})
	want := relay.Post{
		Account: "open", ContentType: "text/xml", Traceparent: "00-a-b-01", RequestID: "abc", Wait: 2 * time.Second,
	}
	got := r.acceptor.taken()[0]
	if string(got.Body) != body {
		t.Errorf("got body %q, want %q", got.Body, body)
	}
	got.Body = nil
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestInboundToken needs one of the account's tokens, in the header or in the query.
func TestInboundToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, tt := range []struct {
		name, auth, query string
		ok                bool
	}{
		{name: "none"},
		{name: "right", auth: "Bearer " + imToken, ok: true},
		{name: "right, other case", auth: "bearer  " + imToken, ok: true},
		{name: "old one", auth: "Bearer " + imToken + "-old", ok: true},
		{name: "wrong", auth: "Bearer " + imToken + "x"},
		{name: "prefix of it", auth: "Bearer " + imToken[:5]},
		{name: "empty", auth: "Bearer "},
		{name: "other scheme", auth: "Basic " + imToken},
		{name: "in the query", query: "?token=" + imToken, ok: true},
		{name: "in the query, wrong header", auth: "Bearer x", query: "?a=b&token=" + imToken, ok: true},
		{name: "wrong in the query", query: "?token=x"},
		{name: "other parameter", query: "?xtoken=" + imToken},
		{name: "somebody else's", auth: "Bearer " + clientToken},
	} {
		header := map[string]string{}
		if tt.auth != "" {
			header["Authorization"] = tt.auth
		}
		got := r.do(ask{path: "/im/wechat/inbound" + tt.query, body: "{}", header: header})
		if tt.ok && got.status != http.StatusAccepted {
			t.Errorf("%s: got %d, want 202", tt.name, got.status)
		}
		if !tt.ok {
			got.want(t, http.StatusUnauthorized, "unauthorized")
			if got.header.Get("Www-Authenticate") != "Bearer" {
				t.Errorf("%s: got no WWW-Authenticate: Bearer", tt.name)
			}
		}
	}
	noSecrets(t, r)
}

// TestInboundSignature checks the signature of the bytes as they came, before it minds that there are none.
func TestInboundSignature(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	sign := func(body string) map[string]string {
		mac := hmac.New(sha256.New, []byte(signSecret))
		mac.Write([]byte(body))
		return map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))}
	}
	r.do(ask{path: "/im/signed/inbound", body: "{}", header: sign("{}")}).want(t, 202, "")
	r.do(ask{path: "/im/signed/inbound", body: "{}", header: sign("{ }")}).want(t, 401, "unauthorized")
	r.do(ask{path: "/im/signed/inbound", body: "{}"}).want(t, 401, "unauthorized")
	r.do(ask{path: "/im/signed/inbound"}).want(t, 401, "unauthorized")
	r.do(ask{path: "/im/signed/inbound", header: sign("")}).want(t, 400, "empty_body")
	r.do(ask{path: "/im/open/inbound"}).want(t, 400, "empty_body")
	noSecrets(t, r)
}

// TestInboundSource lets only the account's networks in, and believes only trusted proxies about them.
func TestInboundSource(t *testing.T) {
	t.Parallel()
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("198.51.100.0/24")}
	for _, tt := range []struct {
		name      string
		proxies   []netip.Prefix
		forwarded []string
		ok        bool
	}{
		{name: "peer elsewhere"},
		{name: "nobody is trusted", forwarded: []string{"192.0.2.7"}},
		{name: "trusted proxy", proxies: loopback, forwarded: []string{"192.0.2.7"}, ok: true},
		{name: "two trusted proxies", proxies: loopback, forwarded: []string{"192.0.2.7, 198.51.100.3"}, ok: true},
		{name: "forged by the client", proxies: loopback, forwarded: []string{"192.0.2.7, 203.0.113.9"}},
		{name: "forged in a header of its own", proxies: loopback, forwarded: []string{"192.0.2.7", "203.0.113.9"}},
		{name: "second header counts", proxies: loopback, forwarded: []string{"203.0.113.9", "192.0.2.7"}, ok: true},
		{name: "garbage", proxies: loopback, forwarded: []string{"192.0.2.7, what"}},
		{name: "mapped address", proxies: loopback, forwarded: []string{"::ffff:192.0.2.7"}, ok: true},
		{name: "proxy without the header", proxies: loopback},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(o *httpapi.Options) { o.Table.TrustedProxies = tt.proxies })
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/im/far/inbound", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header["X-Forwarded-For"] = tt.forwarded
			resp, err := r.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if want := map[bool]int{true: 202, false: 403}[tt.ok]; resp.StatusCode != want {
				t.Errorf("got %d, want %d", resp.StatusCode, want)
			}
		})
	}
	r := newRig(t, nil)
	r.do(ask{path: "/im/far/inbound", body: "{}"}).want(t, 403, "source_not_allowed")
}

// TestInboundMethods answers HEAD where the IM server looks so whether we live, and nothing else but POST.
func TestInboundMethods(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{http.MethodHead, "/im/wechat/inbound", 200, ""},
		{http.MethodHead, "/im/open/inbound", 405, "POST"},
		{http.MethodHead, "/im/nobody/inbound", 405, "POST"},
		{http.MethodGet, "/im/open/inbound", 405, "POST"},
		{http.MethodPut, "/im/wechat/inbound", 405, "HEAD, POST"},
		{http.MethodOptions, "/im/inbound", 405, "POST"},
	} {
		got := r.do(ask{method: tt.method, path: tt.path})
		if got.status != tt.status || got.header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: got %d Allow %q, want %d %q", tt.method, tt.path, got.status, got.header.Get("Allow"), tt.status, tt.allow)
		}
	}
	if n := len(r.acceptor.taken()); n != 0 {
		t.Errorf("got %d posts accepted, want none", n)
	}
}

// TestRequestID takes a sane id over and makes one otherwise, and shows it in every answer.
func TestRequestID(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, tt := range []struct {
		name, id string
		taken    bool
	}{
		{"sane", "abc-123.XYZ", true},
		{"longest", strings.Repeat("a", 128), true},
		{"too long", strings.Repeat("a", 129), false},
		{"with a space", "a b", false},
		{"not ASCII", "ä", false},
		{"none", "", false},
	} {
		for _, path := range []string{"/im/open/inbound", "/nothing", "/healthz"} {
			got := r.do(ask{path: path, header: map[string]string{"X-Request-Id": tt.id}})
			id := got.header.Get("X-Request-Id")
			if taken := id == tt.id; taken != tt.taken || !tt.taken && !strings.HasPrefix(id, "req_") {
				t.Errorf("%s, %s: got id %q for %q, want it taken over: %v", tt.name, path, id, tt.id, tt.taken)
			}
			if !strings.Contains(string(got.body), `"requestId":"`+id+`"`) {
				t.Errorf("%s, %s: got body %s, want id %q in it", tt.name, path, got.body, id)
			}
		}
	}
}

// TestPanic is a 500 in the shape of all errors, and a line in the log.
func TestPanic(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.acceptor.accept = func(context.Context, relay.Post) (relay.Acceptance, error) { panic("boom at /secret/path") }
	got := r.do(ask{path: "/im/open/inbound", body: "{}"})
	got.want(t, http.StatusInternalServerError, "internal")
	if strings.Contains(string(got.body), "boom") {
		t.Errorf("the answer shows the panic: %s", got.body)
	}
	if n := r.logs.FilterField(fieldEvent("request.panicked")).Len(); n != 1 {
		t.Errorf("got %d lines request.panicked, want 1", n)
	}
}
