package openclawtest_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay/agent/openclaw/openclawtest"
	"github.com/imrelay/imrelay/signer"
)

const wechat = `{"Data":{"NewMsgId":7265419038812345671,"FromUserName":{"string":"48213570966@chatroom"},` +
	`"Content":{"string":"wxid_alice:\nhello:\nyou"}}}`

// post posts to the gateway, and returns the status, 0 for none, and the body.
func post(t *testing.T, url, body string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

// signed is the header of an event.
func signed(t *testing.T, id, body string) http.Header {
	t.Helper()
	d, err := signer.NewDigest(signer.HeaderOpenClaw, "s3")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"X-Relay-Event-Id": {id}}
	d.Sign(h, id, time.Now(), []byte(body))
	return h
}

// relayAPI is the relay's side of the send API: it answers as told, and 200 from then on.
func relayAPI(t *testing.T, statuses ...int) string {
	t.Helper()
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer bt" || r.URL.Path != "/api/messages/send" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		status := http.StatusOK
		if len(statuses) > 0 {
			status, statuses = statuses[0], statuses[1:]
		}
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/api"
}

// The channel verifies, runs an event once, and answers after the turn.
func TestWebhook(t *testing.T) {
	t.Parallel()
	g := openclawtest.New(t, openclawtest.Options{Secret: "s3", Replies: 2, FirstTurn: 50 * time.Millisecond})
	g.SpeakTo(relayAPI(t, 429, 200, 503), "bt")
	url := g.URL() + openclawtest.WebhookPath
	if got, _ := post(t, url, wechat+" ", signed(t, "evt_1", wechat)); got != 401 {
		t.Errorf("other bytes: got %d, want 401", got)
	}
	if got, _ := post(t, url, "{", signed(t, "evt_1", "{")); got != 400 {
		t.Errorf("no JSON: got %d, want 400", got)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if got, _ := post(t, url+"/", wechat, signed(t, "evt_1", wechat)); got != 200 {
				t.Errorf("got %d, want 200", got)
			}
		})
	}
	wg.Wait()
	want := []openclawtest.Turn{{
		EventID: "evt_1", Text: "hello:\nyou", To: "48213570966@chatroom", MessageID: "7265419038812345671", Message: wechat,
	}}
	if diff := cmp.Diff(want, g.Turns()); diff != "" {
		t.Errorf("turns (-want +got):\n%s", diff)
	}
	said := func(n string, status int) openclawtest.Send {
		return openclawtest.Send{
			Key: "evt_1/" + n, To: "48213570966@chatroom", Text: "hello:\nyou", ReplyTo: "7265419038812345671", Status: status,
		}
	}
	sends := []openclawtest.Send{said("1", 429), said("1", 200), said("2", 503), said("2", 200)}
	if diff := cmp.Diff(sends, g.Sends()); diff != "" {
		t.Errorf("sends (-want +got):\n%s", diff)
	}
	if got := g.Runs("hello:\nyou"); got != 1 {
		t.Errorf("runs: got %d, want 1", got)
	}
}

// A turn that fails, or that cannot say what it came to, leaves the event to be run again.
func TestWebhookFails(t *testing.T) {
	t.Parallel()
	g := openclawtest.New(t, openclawtest.Options{Secret: "s3", Fault: func(n int) openclawtest.Fault {
		return []openclawtest.Fault{
			openclawtest.Failed, openclawtest.HangUp, openclawtest.Unavailable, openclawtest.None, openclawtest.HangUpAfter,
		}[min(n-1, 4)]
	}})
	g.SpeakTo(relayAPI(t, 403), "bt")
	url, body := g.URL()+openclawtest.WebhookPath, `{"text":"hi","from":"wxid_alice","id":"m1"}`
	for n, want := range []int{500, 0, 503, 500, 0} {
		if got, _ := post(t, url, body, signed(t, "evt_1", body)); got != want {
			t.Errorf("request %d: got %d, want %d", n+1, got, want)
		}
	}
	if got := g.Runs("hi"); got != 3 {
		t.Errorf("runs: got %d, want 3", got)
	}
}

// A restart is 503, then nothing, then 503, then a gateway that knows nothing.
func TestRestart(t *testing.T) {
	t.Parallel()
	g := openclawtest.New(t, openclawtest.Options{
		Secret: "s3", Turn: time.Minute, Boot: 200 * time.Millisecond, Leave: 500 * time.Millisecond,
	})
	url, body := g.URL()+openclawtest.WebhookPath, `{"text":"hi"}`
	ask := func(id string) int {
		got, _ := post(t, url, body, signed(t, id, body))
		return got
	}
	until := func(want int) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); ask("evt_1") != want; {
			if time.Now().After(end) {
				t.Fatalf("did not come to answer %d", want)
			}
		}
	}
	if got := ask("evt_1"); got != 503 {
		t.Errorf("booting: got %d, want 503", got)
	}
	until(200)
	cut := make(chan int, 1)
	go func() { cut <- ask("evt_2") }() // its turn takes longer than the gateway lives
	for end := time.Now().Add(5 * time.Second); g.Runs("hi") < 2 && time.Now().Before(end); {
		ask("evt_1")
	}
	stopped := make(chan struct{})
	go func() {
		g.Stop()
		close(stopped)
	}()
	until(503)
	<-stopped
	if got := <-cut; got != 0 {
		t.Errorf("turn under way: got %d, want none", got)
	}
	if got := ask("evt_1"); got != 0 {
		t.Errorf("stopped: got %d, want none", got)
	}
	g.Start()
	until(200)
	if got := g.Runs("hi"); got != 3 {
		t.Errorf("runs: got %d, want one more, for it forgot", got)
	}
}

// The hook is picky, admits a run once for a key, and says what it came to once and without one.
func TestHook(t *testing.T) {
	t.Parallel()
	g := openclawtest.New(t, openclawtest.Options{Token: "tok", FirstTurn: 20 * time.Millisecond})
	g.SpeakTo(relayAPI(t, 429), "bt")
	url := g.URL() + openclawtest.HooksPath
	ok := `{"message":"[wechat private a] Alice: hi: you","channel":"c","to":"a","deliver":true}`
	for _, tc := range []struct {
		name, url, token, key, body string
		status                      int
		want                        string
	}{
		{"token in the query", url + "?token=tok", "tok", "k", ok, 400, "header"},
		{"wrong token", url, "no", "k", ok, 401, "Unauthorized"},
		{"no JSON", url, "tok", "k", "{", 400, "invalid json"},
		{"no message", url, "tok", "k", `{"message":" "}`, 400, "message"},
		{"half a way", url, "tok", "k", `{"message":"x","channel":"c"}`, 400, "together"},
		{"a session", url, "tok", "k", `{"message":"x","sessionKey":"s"}`, 400, "sessionKey"},
		{"long key", url, "tok", strings.Repeat("k", 257), ok, 400, "Key"},
		{"too large", url, "tok", "k", `{"message":"` + strings.Repeat("x", 256<<10) + `"}`, 413, "large"},
		{"admitted", url, "tok", "k", ok, 200, `{"ok":true,"runId":"run-1"}`},
		{"again", url, "tok", "k", ok, 200, `{"ok":true,"runId":"run-1"}`},
		{"another key", url, "tok", "k2", ok, 200, `{"ok":true,"runId":"run-2"}`},
		{"waited for", url, "tok", "k2", strings.TrimSuffix(ok, "}") + `,"waitForCompletion":true}`, 200, `"runId":"run-2","completion":{"status":"ok",`},
	} {
		h := http.Header{"Authorization": {"Bearer " + tc.token}, "Idempotency-Key": {tc.key}}
		if status, got := post(t, tc.url, tc.body, h); status != tc.status || !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %d %q, want %d %q", tc.name, status, got, tc.status, tc.want)
		}
	}
	if got := g.Runs("hi: you"); got != 2 {
		t.Errorf("runs: got %d, want 2", got)
	}
	for end := time.Now().Add(5 * time.Second); len(g.Sends()) < 2 && time.Now().Before(end); {
		post(t, url, "{", nil) // asks for nothing, and takes a moment
	}
	statuses := map[int]int{}
	for _, s := range g.Sends() {
		statuses[s.Status]++
		if s.Key != "" || s.ReplyTo != "" || s.To != "a" {
			t.Errorf("send: got %+v", s)
		}
	}
	if diff := cmp.Diff(map[int]int{429: 1, 200: 1}, statuses); diff != "" {
		t.Errorf("sends (-want +got):\n%s", diff)
	}
}

// A GET is answered 200 whatever it asks for, and a wrong path is a plain 404.
func TestPages(t *testing.T) {
	t.Parallel()
	g := openclawtest.New(t, openclawtest.Options{})
	for path, want := range map[string]string{
		openclawtest.WebhookPath: "<!doctype", openclawtest.HooksPath: "<!doctype", "/none": "<!doctype", "/healthz": "live", "/readyz": "ready",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(want)) {
			t.Errorf("GET %s: got %d %q, %v, want %q", path, resp.StatusCode, body, err, want)
		}
	}
	if got, body := post(t, g.URL()+"/none", "{}", nil); got != 404 || !strings.Contains(body, "Not Found") {
		t.Errorf("POST: got %d %q, want 404", got, body)
	}
}
