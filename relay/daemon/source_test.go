package daemon_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// guardedFormats has accounts whose servers prove themselves, each in its own way.
const guardedFormats = `
listen: 127.0.0.1:0
data: %[3]q
admin: {token: ` + adminToken + `}
trusted_proxies: [127.0.0.1/32]
ims:
  gewe: {format: wechat, token: ` + imToken + `}
  pad: {format: wechat, signature: {kind: wechatpad, secret: ` + imToken + `}}
  near: {format: wechat, allow: [127.0.0.1/32, 198.51.100.0/24]}
  qq: {format: onebot, signature: {kind: onebot, secret: ` + imToken + `}}
  tg: {format: telegram, signature: {kind: telegram, secret: ` + imToken + `}}
agents:
  openclaw: {kind: openclaw, url: "%[1]s/x", secret: ` + webhookSecret + `, timeout: 10s}
`

// mac is the hex digest of the parts under the key.
func mac(of func() hash.Hash, key string, parts ...string) string {
	h := hmac.New(of, []byte(key))
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// dated are WeChatPadPro's headers.
func dated(key string, at time.Time, body string) []string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	return []string{"X-Webhook-Timestamp: " + stamp, "X-Webhook-Signature: " + mac(sha256.New, key, stamp, body)}
}

// A post is taken from a server that proves who it is, and refused to all others.
func TestSources(t *testing.T) {
	t.Parallel()
	r := start(t, guardedFormats)
	const secret = imToken
	hi := func(id int64) string { return text(id, "wxid_mei", "hi") }
	qq, tg := everyFormat[1].body, everyFormat[2].body
	now := time.Now()
	forwarded := func(from string) []string { return []string{"X-Forwarded-For: " + from} }
	tests := []struct {
		name, im, query, body string
		headers               []string
		status                int
		code                  string
	}{
		{"gewe, no token", "gewe", "", hi(1), nil, 401, "unauthorized"},
		{"gewe, wrong token", "gewe", "?token=guess", hi(1), nil, 401, "unauthorized"},
		{"gewe, token", "gewe", "?token=" + secret, hi(1), nil, 200, ""},
		{"gewe, token among others", "gewe", "?a=1&token=" + secret + "&b=2", hi(2), nil, 200, ""},
		{"gewe, probe", "gewe", "?token=" + secret, `{"testMsg":"回调地址链接成功！","token":"sample"}`, nil, 200, ""},
		{"pad, unsigned", "pad", "", hi(1), nil, 401, "unauthorized"},
		{"pad, no timestamp", "pad", "", hi(1), dated(secret, now, hi(1))[1:], 401, "unauthorized"},
		{"pad, another key", "pad", "", hi(1), dated("guess", now, hi(1)), 401, "unauthorized"},
		{"pad, another body", "pad", "", hi(1), dated(secret, now, hi(2)), 401, "unauthorized"},
		{"pad, stale", "pad", "", hi(1), dated(secret, now.Add(-time.Hour), hi(1)), 401, "unauthorized"},
		{"pad, from the future", "pad", "", hi(1), dated(secret, now.Add(time.Hour), hi(1)), 401, "unauthorized"},
		{"pad, signed", "pad", "", hi(1), dated(secret, now, hi(1)), 200, ""},
		{"pad, a minute old", "pad", "", hi(2), dated(secret, now.Add(-time.Minute), hi(2)), 200, ""},
		{"near, from afar", "near", "", hi(1), forwarded("203.0.113.5"), 403, "source_not_allowed"},
		{"near, claimed further left", "near", "", hi(1), forwarded("198.51.100.7, 203.0.113.5"), 403, "source_not_allowed"},
		{"near, no address", "near", "", hi(1), forwarded("unknown"), 403, "source_not_allowed"},
		{"near, behind the proxy", "near", "", hi(1), forwarded("198.51.100.7"), 200, ""},
		{"near, itself", "near", "", hi(2), nil, 200, ""},
		{"qq, unsigned", "qq", "", qq("1"), nil, 401, "unauthorized"},
		{"qq, another key", "qq", "", qq("1"), []string{"X-Signature: sha1=" + mac(sha1.New, "guess", qq("1"))}, 401, "unauthorized"},
		{"qq, another body", "qq", "", qq("1"), []string{"X-Signature: sha1=" + mac(sha1.New, secret, qq("2"))}, 401, "unauthorized"},
		{"qq, another digest", "qq", "", qq("1"), []string{"X-Signature: sha1=" + mac(sha256.New, secret, qq("1"))}, 401, "unauthorized"},
		{"qq, signed", "qq", "", qq("1"), []string{"X-Signature: sha1=" + mac(sha1.New, secret, qq("1"))}, 200, ""},
		{"tg, no header", "tg", "", tg("1"), nil, 401, "unauthorized"},
		{"tg, wrong", "tg", "", tg("1"), []string{"X-Telegram-Bot-Api-Secret-Token: guess"}, 401, "unauthorized"},
		{"tg, in the query", "tg", "?token=" + secret, tg("1"), nil, 401, "unauthorized"},
		{"tg, right", "tg", "", tg("1"), []string{"X-Telegram-Bot-Api-Secret-Token: " + secret}, 200, ""},
	}
	taken := 0
	for _, tt := range tests {
		a := r.do(http.MethodPost, "/im/"+tt.im+"/inbound"+tt.query, tt.body, tt.headers...)
		if a.status != tt.status || tt.code != "" && a.code(t) != tt.code {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, a.status, a.body, tt.status, tt.code)
		}
		noSecrets(t, tt.name, a.body)
		if tt.status == http.StatusOK && !strings.Contains(tt.body, "testMsg") {
			taken++
		}
	}
	if got := len(r.agent.requests()); got != taken {
		t.Errorf("agent got %d events, want the %d that were taken", got, taken)
	}
	noSecrets(t, "the log", r.logs.String())
}

// The servers of WeChat's pads ask with HEAD whether the address lives, and prove nothing; others are not answered.
func TestProbes(t *testing.T) {
	t.Parallel()
	r := start(t, guardedFormats)
	for im, want := range map[string]int{"pad": 200, "gewe": 200, "qq": 405, "tg": 405} {
		if a := r.do(http.MethodHead, "/im/"+im+"/inbound", ""); a.status != want || a.body != "" {
			t.Errorf("%s: got %d %q, want %d", im, a.status, a.body, want)
		}
	}
}

// What an agent says is never an answer to a server that would do as it says, whatever becomes of the message.
func TestNothingIsCommanded(t *testing.T) {
	t.Parallel()
	commands := map[string]string{
		"qq": `{"reply":"gotcha","at_sender":true,"ban":true,"approve":true}`,
		"tg": `{"method":"sendMessage","chat_id":1,"text":"gotcha"}`,
	}
	for _, s := range everyFormat {
		if !s.plain {
			continue
		}
		for status, became := range map[int]string{200: "delivered", 422: "dead", 503: "queued"} {
			t.Run(s.im+"/"+became, func(t *testing.T) {
				t.Parallel()
				r := start(t, strings.Replace(manyFormats, "inbound: {wait: 5s}\n", "inbound: {wait: 1s}\n", 1))
				r.agent.answers(says(status, commands[s.im]))
				for _, posted := range []string{s.body("7"), s.body("7"), `{"of":"nobody"}`} {
					a := r.push(s, posted)
					if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") || a.header.Get("Location") != "" {
						t.Errorf("%s: got headers %v", posted, a.header)
					}
				}
				eventually(t, became, func() bool {
					events := r.listed("events", s.im)
					return len(events) > 0 && events[0].State == became
				})
			})
		}
	}
}

// The IM's server has its answer within its patience, 3 seconds at the most impatient, although the agent hangs.
func TestAnswerInTime(t *testing.T) {
	t.Parallel()
	r := start(t, strings.NewReplacer("inbound: {wait: 5s}\n", "", "timeout: 1s}\nclients", "timeout: 20s}\nclients").Replace(manyFormats))
	over := make(chan struct{})
	r.agent.answers(func(http.ResponseWriter, *http.Request) { <-over })
	t.Cleanup(func() { close(over) })
	for _, s := range everyFormat {
		t.Run(s.im, func(t *testing.T) {
			t.Parallel()
			for _, id := range []string{"8", "9"} {
				began := time.Now()
				a := r.do(http.MethodPost, "/im/"+s.im+"/inbound", s.body(id))
				took := time.Since(began)
				want := http.StatusAccepted
				if s.plain {
					want = http.StatusOK
				}
				if a.status != want || took >= 3*time.Second {
					t.Errorf("message %s: got %d %s after %v, want %d within 3s", id, a.status, a.body, took, want)
				}
			}
			if got := fmt.Sprint(messageIDs(r.listed("events", s.im))); got != "[8 9]" {
				t.Errorf("stored: got %s, want both", got)
			}
		})
	}
}
