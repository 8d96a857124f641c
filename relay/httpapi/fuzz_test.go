package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/httpapi"
)

// bare is a server without a socket, for what is asked many times.
func bare(tb testing.TB) (*httpapi.Server, *fakeAcceptor, *fakeSender) {
	tb.Helper()
	acceptor := &fakeAcceptor{}
	server, sender := bareWith(tb, acceptor)
	return server, acceptor, sender
}

// bareWith is a server without a socket before an acceptor of the caller's.
func bareWith(tb testing.TB, acceptor httpapi.Acceptor) (*httpapi.Server, *fakeSender) {
	tb.Helper()
	sender := &fakeSender{}
	table := testTable()
	table.MaxSend = 1 << 20
	server, err := httpapi.New(httpapi.Options{
		Acceptor: acceptor, Sender: sender, Health: &fakeHealth{}, Table: table, Log: zap.NewNop(),
	})
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return server, sender
}

// FuzzSendBody holds the decoder to encoding/json: what it takes, that takes too, and reads the same; what it refuses
// is an invalid_request.
func FuzzSendBody(f *testing.F) {
	for _, seed := range []string{
		`{"to":"a","text":"b"}`, `{"to":"a","text":"\ud800x\u00e9\n"}`, `{"t\u006f":"a","text":"b","TEXT":1}`,
		`{"to":"a","to":"b"}`, `{"to":"a","media":[{"type":"image","url":"https://a.example/b"}],"resend":true}`,
		`{"to":"a","text":"b"}x`, `[]`, ``, `{`, `{"to":"a","text":"b","requestId":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	server, _, sender := bare(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		sender.requests = nil
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/messages/send", bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+clientToken)
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, req)
		got := reply{status: rec.Code, body: rec.Body.Bytes()}
		if got.status != http.StatusOK {
			if got.want(t, http.StatusBadRequest, "invalid_request"); got.message() == "" {
				t.Fatalf("refused without a word: %s", got.body)
			}
			return
		}
		sent := sender.requests[0]
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("took %q, which is no object: %v", body, err)
		}
		for name, got := range map[string]string{
			"to": sent.To, "text": sent.Text, "im": sent.Account, "replyToMessageId": sent.ReplyTo,
		} {
			var want string
			if raw, ok := fields[name]; ok {
				if err := json.Unmarshal(raw, &want); err != nil {
					t.Fatalf("%s of %q: %v", name, body, err)
				}
			}
			if got != want {
				t.Fatalf("%s of %q: got %q, want %q", name, body, got, want)
			}
			if name != "text" && utf8.RuneCountInString(got) > 256 {
				t.Fatalf("%s: took %d characters", name, utf8.RuneCountInString(got))
			}
		}
		if sent.To == "" || sent.Text == "" && len(sent.Media) == 0 {
			t.Fatalf("took %q, which says nothing to anybody", body)
		}
	})
}

// FuzzPrefer holds the wait to its bounds, and what is said to be applied to what was.
func FuzzPrefer(f *testing.F) {
	for _, seed := range []string{
		"", "respond-async", "wait=5", "respond-async, wait=10", `foo="a,b;c"; bar, wait="7"`, "WAIT = 3;x", "wait=1,wait=2",
		"respond-async=", "wait=-1", "wait=99999999999999999999", `x="\"`, ",,;,=",
	} {
		f.Add(seed, "")
	}
	f.Add("respond-async", "wait=3")
	server, acceptor, _ := bare(f)
	ask := func(t *testing.T, prefer ...string) (wait time.Duration, applied string) {
		t.Helper()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/im/open/inbound", strings.NewReader("{}"))
		req.Header["Prefer"] = prefer
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, req)
		if rec.Code != http.StatusAccepted {
			t.Fatalf("got %d, want 202", rec.Code)
		}
		wait = acceptor.posts[0].Wait
		acceptor.posts = nil
		return wait, rec.Header().Get("Preference-Applied")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		wait, applied := ask(t, one, two)
		if wait < 0 || wait > 30*time.Second || wait%time.Second != 0 {
			t.Fatalf("%q, %q: got wait %v", one, two, wait)
		}
		again, same := ask(t, applied)
		if again != wait || same != applied {
			t.Fatalf("%q, %q: got %v, %q, and from that %v, %q", one, two, wait, applied, again, same)
		}
	})
}
