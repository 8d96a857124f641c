package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/secret"
)

// TestHealth tells that the process lives, whatever else is wrong.
func TestHealth(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.health.lines = []httpapi.HealthLine{{Name: "store", State: httpapi.StateFailed}}
	for _, path := range []string{"/healthz", "/health"} {
		r.do(ask{method: http.MethodGet, path: path}).wantJSON(t, 200, `{"status":"healthy","uptime":0,"version":"1.2.3"}`)
		if got := r.do(ask{method: http.MethodHead, path: path}); got.status != 200 {
			t.Errorf("HEAD %s: got %d, want 200", path, got.status)
		}
	}
}

// TestReady has a line for each dependency, and is unready when one has failed, not when one is degraded.
func TestReady(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.health.lines = []httpapi.HealthLine{
		{Name: "store", State: httpapi.StateOK},
		{Name: "agent openclaw", State: httpapi.StateDegraded, Detail: "connection\nrefused"},
	}
	get := ask{method: http.MethodGet, path: "/readyz"}
	got := r.do(get)
	want := "store: ok\nagent openclaw: degraded (connection refused)\n"
	if got.status != 200 || string(got.body) != want {
		t.Errorf("got %d %q, want 200 %q", got.status, got.body, want)
	}
	r.health.lines = append(r.health.lines, httpapi.HealthLine{Name: "disk", State: httpapi.StateFailed, Detail: "full"})
	got = r.do(get)
	if want += "disk: failed (full)\n"; got.status != 503 || string(got.body) != want {
		t.Errorf("got %d %q, want 503 %q", got.status, got.body, want)
	}
	get.header = map[string]string{"Accept": "application/json"}
	r.do(get).wantJSON(t, 503, `{"ready":false,"checks":[{"name":"store","state":"ok"},
		{"name":"agent openclaw","state":"degraded","detail":"connection\nrefused"},{"name":"disk","state":"failed","detail":"full"}]}`)
}

// TestStopping turns new work away and lives on.
func TestStopping(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	auth := map[string]string{"Authorization": "Bearer " + clientToken}
	r.sender.lookup = func(context.Context, string, string) (outbound.Report, error) {
		return outbound.Report{ID: "msg_1", Status: "sent"}, nil
	}
	r.server.Stopping()
	r.server.Stopping()
	for _, got := range []reply{r.do(ask{path: "/im/open/inbound", body: "{}"}), r.do(ask{path: "/im/plain/inbound"}), r.send(`{"to":"a","text":"b"}`), r.send(`{`, "Prefer", "respond-async")} {
		got.want(t, http.StatusServiceUnavailable, "shutting_down")
		if got.header.Get("Retry-After") != "1" {
			t.Errorf("got Retry-After %q, want 1", got.header.Get("Retry-After"))
		}
	}
	if got := r.do(ask{method: http.MethodGet, path: "/healthz"}); got.status != 200 {
		t.Errorf("healthz: got %d, want 200", got.status)
	}
	if got := r.do(ask{method: http.MethodGet, path: "/readyz"}); got.status != 503 || !strings.HasPrefix(string(got.body), "relay: failed (stopping)\n") {
		t.Errorf("readyz: got %d %q, want 503 and a line that says so", got.status, got.body)
	}
	r.do(ask{method: http.MethodGet, path: "/api/messages/msg_1", header: auth}).want(t, 200, "")
	r.admin(http.MethodGet, "/api/admin/events", "").want(t, 200, "")
	if n := len(r.acceptor.taken()) + len(r.sender.asked()); n != 0 {
		t.Errorf("got %d requests through, want none", n)
	}
}

// TestReload takes tokens and accounts over between requests, and refuses a table with a mistake whole.
func TestReload(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	post := ask{path: "/im/open/inbound", body: "{}"}
	r.do(post).want(t, 202, "")
	changed := testTable()
	changed.Accounts[0].Tokens = []secret.Text{secret.New("new-token")}
	changed.Clients[0].Tokens = []secret.Text{secret.New("new-client")}
	if err := r.server.Reload(changed); err != nil {
		t.Fatalf("Reload: %v", err)
	}
	r.do(post).want(t, 401, "unauthorized")
	post.header = map[string]string{"Authorization": "Bearer new-token"}
	r.do(post).want(t, 202, "")
	r.send(`{"to":"a","text":"b"}`).want(t, 401, "unauthorized")
	r.send(`{"to":"a","text":"b"}`, "Authorization", "Bearer new-client").want(t, 200, "")
	for name, spoil := range map[string]func(*httpapi.Table){
		"account twice":        func(o *httpapi.Table) { o.Accounts = append(o.Accounts, o.Accounts[0]) },
		"account without name": func(o *httpapi.Table) { o.Accounts[0].Name = "" },
		"empty account token":  func(o *httpapi.Table) { o.Accounts[0].Tokens = []secret.Text{{}} },
		"client without token": func(o *httpapi.Table) { o.Clients[0].Tokens = nil },
		"empty client token":   func(o *httpapi.Table) { o.Clients[0].Tokens = []secret.Text{{}} },
		"shared client token":  func(o *httpapi.Table) { o.Clients = append(o.Clients, o.Clients[0]) },
	} {
		bad := testTable()
		spoil(&bad)
		if err := r.server.Reload(bad); err == nil {
			t.Errorf("%s: got no error", name)
		} else if strings.Contains(err.Error(), clientToken) || strings.Contains(err.Error(), imToken) {
			t.Errorf("%s: the error shows a token: %v", name, err)
		}
	}
	r.do(post).want(t, 202, "")
}

// TestReloadUnderLoad drops no request.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	r.acceptor.accept = func(context.Context, relay.Post) (relay.Acceptance, error) {
		entered <- struct{}{}
		<-release
		return relay.Acceptance{EventIDs: []string{"evt_1"}}, nil
	}
	var under sync.WaitGroup
	under.Go(func() { r.do(ask{path: "/im/open/inbound", body: "{}"}).want(t, 202, "") })
	<-entered
	if err := r.server.Reload(httpapi.Table{}); err != nil {
		t.Errorf("Reload: %v", err)
	}
	close(release)
	under.Wait()
	r.do(ask{path: "/im/open/inbound", body: "{}"}).want(t, 404, "not_found")
}

// TestMount serves others behind the request ids and the recovery.
func TestMount(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.server.Mount("/console/", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/console/panic" {
			panic("boom")
		}
		if req.URL.Path == "/console/half" {
			_, _ = w.Write([]byte("half an answer"))
			_ = http.NewResponseController(w).Flush()
			panic("boom")
		}
		if body, err := io.ReadAll(req.Body); err != nil || len(body) != int(req.ContentLength) {
			t.Errorf("read body: got %d bytes, %v, want %d", len(body), err, req.ContentLength)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("flush: %v", err)
		}
		_, _ = w.Write([]byte("console at " + req.URL.Path))
	}))
	if got := r.do(ask{method: http.MethodGet, path: "/console/events"}); string(got.body) != "console at /console/events" {
		t.Errorf("got %d %q", got.status, got.body)
	}
	if got := r.do(ask{path: "/console/login", body: "token=x"}); string(got.body) != "console at /console/login" {
		t.Errorf("got %d %q", got.status, got.body)
	}
	r.do(ask{method: http.MethodGet, path: "/console/panic"}).want(t, 500, "internal")
	r.do(ask{method: http.MethodPost, path: "/api/admin/events"}).want(t, 405, "method_not_allowed")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/console/half", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a panic amid the answer: got %q as if it were whole", got)
	}
}

// TestMetrics serves what it is given, and has no such path without.
func TestMetrics(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *httpapi.Options) {
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = w.Write([]byte("imrelay_up 1\n"))
		})
	})
	if got := r.do(ask{method: http.MethodGet, path: "/metrics"}); got.status != 200 || string(got.body) != "imrelay_up 1\n" {
		t.Errorf("got %d %q", got.status, got.body)
	}
	r.do(ask{path: "/metrics"}).want(t, 405, "method_not_allowed")
	without := newRig(t, nil)
	without.do(ask{method: http.MethodGet, path: "/metrics"}).want(t, 404, "not_found")
}

// TestQuiet writes no line for what went well.
func TestQuiet(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.do(ask{path: "/im/open/inbound", body: "{}"})
	r.do(ask{method: http.MethodGet, path: "/healthz"})
	r.do(ask{method: http.MethodGet, path: "/readyz"})
	r.do(ask{method: http.MethodGet, path: "/nothing"})
	r.send(`{"to":"a","text":"b"}`)
	if lines := r.logs.All(); len(lines) != 0 {
		t.Errorf("got %d lines, want none: %v", len(lines), lines)
	}
}
