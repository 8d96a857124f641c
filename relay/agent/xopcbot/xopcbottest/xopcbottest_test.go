package xopcbottest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay/agent/xopcbot/xopcbottest"
)

// ask makes a request, and returns the status, 0 for none, and what came of the body.
func ask(t *testing.T, g *xopcbottest.Fake, path, body string, pairs ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		req.Header.Set(pairs[i], pairs[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, string(got) + "<cut>"
	}
	return resp.StatusCode, string(got)
}

// stream asks for one.
var stream = []string{"Accept", "text/event-stream"}

const hello = `{"message":"hello","channel":"webchat","chatId":"Alice@x"}`

// There are the routes that are served, and the bodies that they take.
func TestRoutes(t *testing.T) {
	t.Parallel()
	g := xopcbottest.New(t, xopcbottest.Options{})
	for _, tc := range []struct {
		name, path, body string
		status           int
		holds            string
	}{
		{"agent", "/api/agent", hello, 200, `"content":"You said: hello"`},
		{"another channel", "/api/agent", `{"message":"hello","channel":"telegram"}`, 200, "Processing"},
		{"no message", "/api/agent", `{"text":"hello"}`, 400, "BAD_REQUEST"},
		{"no such run", "/api/agent/resume", `{"runId":"r1"}`, 404, "NOT_FOUND"},
		{"no run", "/api/agent/resume", `{}`, 400, "BAD_REQUEST"},
		{"the page's route", "/api/message/sync", hello, 404, `{"error":"Not found"}`},
		{"too large", "/api/agent", strings.Repeat("x", 1<<20+1), 413, "maxSize"},
	} {
		status, body := ask(t, g, tc.path, tc.body)
		if status != tc.status || !strings.Contains(body, tc.holds) {
			t.Errorf("%s: got %d %s, want %d with %s", tc.name, status, body, tc.status, tc.holds)
		}
	}
	if got := g.Made(); len(got) != 1 || got[0].Session != "main:webchat:default:direct:alice-x" || !got[0].OK {
		t.Errorf("made %+v, want the one run", got)
	}
}

// A run that lost its listener goes on, and is told again from its beginning, with a result that says ok whatever it was.
func TestResume(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault xopcbottest.Fault
		cut   bool
		holds string
	}{
		"good":   {xopcbottest.HangUpAfter, true, `"said: "`},
		"failed": {xopcbottest.FailedOK, false, `"model overloaded"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := xopcbottest.New(t, xopcbottest.Options{Turn: time.Millisecond, Fault: func(n int) xopcbottest.Fault {
				if n == 1 {
					return tc.fault
				}
				return xopcbottest.None
			}})
			_, body := ask(t, g, "/api/agent", hello, stream...)
			if strings.HasSuffix(body, "<cut>") != tc.cut {
				t.Errorf("began: got %s", body)
			}
			run := g.Made()[0].ID
			status, body := ask(t, g, "/api/agent/resume", `{"runId":"`+run+`"}`, stream...)
			for _, part := range []string{run, tc.holds, `"payload":{"status":"ok","summary":"Resumed run completed"}`} {
				if status != http.StatusOK || !strings.Contains(body, part) {
					t.Errorf("resumed: got %d %s, want %s in it", status, body, part)
				}
			}
			g.Stop()
			g.Start()
			if status, _ := ask(t, g, "/api/agent/resume", `{"runId":"`+run+`"}`); status != http.StatusNotFound {
				t.Errorf("after a restart: got %d, want 404", status)
			}
			if got := g.Runs("hello"); got != 1 {
				t.Errorf("ran %d times", got)
			}
		})
	}
}

// Tokens are taken in three places; five wrong ones in a row block the right one too.
func TestToken(t *testing.T) {
	t.Parallel()
	g := xopcbottest.New(t, xopcbottest.Options{Token: "t0"})
	for name, tc := range map[string]struct {
		path   string
		header []string
		want   int
	}{
		"bearer": {"/api/agent", []string{"Authorization", "Bearer t0"}, 200},
		"bare":   {"/api/agent", []string{"Authorization", "t0"}, 200},
		"query":  {"/api/agent?token=t0", nil, 200},
		"wrong":  {"/api/agent", []string{"Authorization", "Bearer t1"}, 401},
		"none":   {"/api/agent", nil, 401},
	} {
		if got, body := ask(t, g, tc.path, hello, tc.header...); got != tc.want {
			t.Errorf("%s: got %d %s, want %d", name, got, body, tc.want)
		}
	}
	for range 5 {
		ask(t, g, "/api/agent", hello)
	}
	status, body := ask(t, g, "/api/agent", hello, "Authorization", "Bearer t0")
	if status != http.StatusTooManyRequests || gjson.Get(body, "retryAfter").Int() < 290 {
		t.Errorf("blocked: got %d %s, want 429 and five minutes", status, body)
	}
}
