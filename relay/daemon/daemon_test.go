package daemon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
)

// The machine's endpoints answer, and the metrics carry no id of a chat or a person.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	r.inbound(text(1, "wxid_alice_secret", "hi"))
	r.send(`{"to":"wxid_alice_secret","text":"x"}`)
	for _, path := range []string{"/healthz", "/health"} {
		a := r.do(http.MethodGet, path, "")
		if o := a.object(t); a.status != 200 || o["status"] != "healthy" || o["version"] != "test" || o["uptime"] == nil {
			t.Errorf("%s: got %d %s", path, a.status, a.body)
		}
	}
	if a := r.do(http.MethodGet, "/readyz", ""); a.status != 200 || a.body != "store: ok\nagent openclaw: ok\n" {
		t.Errorf("readyz: got %d %q", a.status, a.body)
	}
	a := r.do(http.MethodGet, "/metrics", "")
	for _, want := range []string{
		`imrelay_inbound_messages_total{im="wechat",result="accepted"} 1`,
		`imrelay_delivery_attempts_total{agent="openclaw",decision="delivered"} 1`,
		`imrelay_outbound_calls_total{im="wechat",outcome="sent"} 1`,
		`imrelay_queue_events{agent="openclaw",state="delivered"} 1`,
		`imrelay_agent_up{agent="openclaw"} 1`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(a.body, "wxid_") {
		t.Errorf("metrics carry an id:\n%s", a.body)
	}
	if a := r.do(http.MethodGet, "/openapi.yaml", ""); a.status != 200 || !strings.Contains(a.body, "/im/inbound") {
		t.Errorf("openapi: got %d", a.status)
	}
	if a := r.do(http.MethodGet, "/nowhere", "", "X-Request-Id: mine-1"); a.status != 404 || a.code(t) != "not_found" ||
		a.header.Get("X-Request-Id") != "mine-1" {
		t.Errorf("unknown path: got %d %s", a.status, a.body)
	}
}

// What an operator follows: one line for each happening, with the fields to find it by, and nothing that is private.
func TestLogs(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	id := r.inbound(text(1, "wxid_alice", "private words")).object(t)["eventId"]
	r.inbound(text(1, "wxid_alice", "private words"))
	r.inbound(`{"testMsg":"x"}`)
	r.inbound(`nope`)
	r.agent.answers(says(http.StatusNotFound, `{}`))
	r.inbound(text(2, "wxid_alice", "private words"))
	r.send(`{"to":"wxid_alice","text":"private words","requestId":"q-1"}`)
	r.im.answers(says(http.StatusBadRequest, `{}`))
	r.send(`{"to":"wxid_alice","text":"private words"}`)
	r.stop()
	lines := map[string][]map[string]any{}
	for line := range strings.Lines(r.logs.String()) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("no JSON: %s", line)
		}
		name, _ := o["event"].(string)
		lines[name] = append(lines[name], o)
	}
	for name, fields := range map[string][]string{
		"inbound.accepted":   {"eventId", "im", "sender", "conversationId", "durationMs"},
		"inbound.duplicate":  {"eventId", "im", "sender", "conversationId"},
		"inbound.ignored":    {"im"},
		"inbound.refused":    {"im", "status", "code"},
		"delivery.attempted": {"eventId", "im", "sender", "conversationId", "status", "durationMs", "attempt", "agent", "decision"},
		"delivery.dead":      {"eventId", "im", "agent", "status", "error"},
		"outbound.sent":      {"messageId", "requestId", "im", "client", "conversationId", "status", "durationMs", "attempt"},
		"outbound.failed":    {"requestId", "im", "client", "conversationId"},
		"relay.started":      nil,
		"relay.stopping":     nil,
		"relay.stopped":      nil,
	} {
		if len(lines[name]) == 0 {
			t.Errorf("no %s line", name)
			continue
		}
		for _, field := range fields {
			if _, ok := lines[name][0][field]; !ok {
				t.Errorf("%s lacks %s: %v", name, field, lines[name][0])
			}
		}
	}
	if got := lines["inbound.accepted"][0]["eventId"]; got != id {
		t.Errorf("inbound.accepted: got event %v, want %v", got, id)
	}
	if strings.Contains(r.logs.String(), "private words") {
		t.Error("the log shows a message")
	}
	noSecrets(t, "the log", r.logs.String())
}

// A reload takes over tokens, secrets, filters and the log level at once, and refuses a bad file whole.
func TestReload(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	fill := func(text string) config.Config { return parse(t, fmt.Sprintf(text, r.agent.URL, r.im.URL, r.data)) }
	change := strings.NewReplacer(botToken, "fresh-bot-token", webhookSecret, "fresh-webhook-secret",
		"self: wxid_bot", "self: wxid_bot\n    filter: 'kind == \"image\"'", "admin:", "log: {level: warn}\nadmin:")
	if err := r.d.Reload(fill(change.Replace(baseConfig))); err != nil {
		t.Fatal(err)
	}
	if a := r.send(`{"to":"x","text":"y"}`); a.status != 401 {
		t.Errorf("old token: got %d", a.status)
	}
	if a := r.do(http.MethodPost, "/api/messages/send", `{"to":"x","text":"y"}`, "Authorization: Bearer fresh-bot-token"); a.status != 200 {
		t.Errorf("new token: got %d %s", a.status, a.body)
	}
	if a := r.inbound(text(1, "wxid_alice", "hi")); a.object(t)["ignored"] != "filtered" {
		t.Errorf("new filter: got %s", a.body)
	}
	bad := strings.Replace(baseConfig, "self: wxid_bot", "self: wxid_bot\n    filter: 'nonsense('", 1)
	if err := r.d.Reload(fill(bad)); err == nil || !strings.Contains(err.Error(), "ims.wechat.filter") {
		t.Errorf("bad filter: got %v", err)
	}
	moved := fill(change.Replace(baseConfig))
	moved.Dedupe.Window = 100 * time.Hour
	var ce *config.Error
	if err := r.d.Reload(moved); !errors.As(err, &ce) || ce.Mistakes[0].Key != "dedupe.window" {
		t.Errorf("what takes a restart: got %v", err)
	}
	if a := r.do(http.MethodPost, "/api/messages/send", `{"to":"x","text":"y"}`, "Authorization: Bearer fresh-bot-token"); a.status != 200 {
		t.Errorf("after refused reloads: got %d", a.status)
	}
	before := strings.Count(r.logs.String(), "outbound.sent")
	r.do(http.MethodPost, "/api/messages/send", `{"to":"x","text":"z"}`, "Authorization: Bearer fresh-bot-token")
	if after := strings.Count(r.logs.String(), "outbound.sent"); after != before {
		t.Error("the log level was not taken over")
	}
}

// Secrets are rotated under load without a wrong signature, and requests under way end.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	done := make(chan struct{})
	failures := make(chan string, 1000)
	go func() {
		defer close(done)
		for i := range 150 {
			a, err := r.try(http.MethodPost, "/im/inbound", text(int64(i+1), fmt.Sprintf("wxid_%d", i%10), "hi"))
			if err != nil || a.status != 200 {
				failures <- fmt.Sprintf("%d %s %v", a.status, a.body, err)
			}
		}
	}()
	for i := range 10 {
		next := strings.ReplaceAll(baseConfig, "secret: "+webhookSecret, fmt.Sprintf("secrets: [rotated-%d, %s]", i, webhookSecret))
		if err := r.d.Reload(parse(t, fmt.Sprintf(next, r.agent.URL, r.im.URL, r.data))); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	close(failures)
	for f := range failures {
		t.Errorf("a request failed: %s", f)
	}
	if n := len(r.agent.requests()); n != 150 {
		t.Errorf("agent got %d requests, want 150", n)
	}
}

// A conversation in which two machines talk to each other is paused, shown, and resumed by an operator.
func TestLoopBrake(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "admin:", "loop: {turns: 5, window: 60s, pause: 10m}\nadmin:", 1))
	for i := range 5 {
		if a := r.inbound(text(int64(i+1), "wxid_loop", "hi")); a.status != 200 {
			t.Fatalf("turn %d: got %d %s", i+1, a.status, a.body)
		}
		r.send(`{"to":"wxid_loop","text":"hi"}`)
	}
	a := r.inbound(text(6, "wxid_loop", "hi"))
	if a.status != 202 {
		t.Fatalf("turn 6: got %d %s", a.status, a.body)
	}
	id, _ := a.object(t)["eventId"].(string)
	if a := r.admin(http.MethodGet, "pauses", ""); !strings.Contains(a.body, "wxid_loop") || !strings.Contains(a.body, "loop") {
		t.Errorf("pauses: got %s", a.body)
	}
	if a := r.admin(http.MethodPost, "resume", `{"im":"wechat","conversation":"wxid_loop"}`); a.status != 200 {
		t.Fatalf("resume: got %d %s", a.status, a.body)
	}
	eventually(t, "the held event is delivered", func() bool { return r.state(id) == "delivered" })
}

// The run file tells this machine's commands where the relay is, and goes with it.
func TestRunFile(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "admin: {token: "+adminToken+"}\n", "", 1))
	f, err := daemon.ReadRunFile(r.data)
	if err != nil || f.PID != os.Getpid() || f.URL != r.url || f.AdminToken == "" || f.Started.IsZero() {
		t.Fatalf("got %+v, %v", f, err)
	}
	if info, err := os.Stat(filepath.Join(r.data, "run.json")); err != nil || (runtime.GOOS != "windows" && info.Mode().Perm() != 0o600) {
		t.Errorf("mode: got %v, %v", info.Mode(), err)
	}
	if a := r.do(http.MethodGet, "/api/admin/agents", "", "Authorization: Bearer "+f.AdminToken); a.status != 200 {
		t.Errorf("its token: got %d %s", a.status, a.body)
	}
	if err := r.d.Reload(parse(t, fmt.Sprintf(baseConfig, r.agent.URL, r.im.URL, r.data))); err != nil {
		t.Fatal(err)
	}
	if f, err := daemon.ReadRunFile(r.data); err != nil || f.AdminToken != adminToken {
		t.Errorf("after a reload with another token: got %+v, %v", f, err)
	}
	if err := r.d.Reload(parse(t, fmt.Sprintf(strings.Replace(baseConfig, "admin: {token: "+adminToken+"}\n", "", 1), r.agent.URL, r.im.URL, r.data))); err != nil {
		t.Fatal(err)
	}
	if a := r.admin(http.MethodGet, "agents", ""); a.status != 401 {
		t.Errorf("a token that is configured no more: got %d", a.status)
	}
	if again, err := daemon.ReadRunFile(r.data); err != nil || again.AdminToken != f.AdminToken {
		t.Errorf("without a token again: got %+v, %v, want the random one", again, err)
	}
	r.stop()
	if _, err := daemon.ReadRunFile(r.data); !errors.Is(err, daemon.ErrNotRunning) {
		t.Errorf("after the stop: got %v", err)
	}
}

// Metrics can have a listener of their own; then they are on no other.
func TestMetricsListener(t *testing.T) {
	t.Parallel()
	r := start(t, strings.Replace(baseConfig, "admin:", "metrics: {listen: 127.0.0.1:0}\nadmin:", 1))
	if a := r.do(http.MethodGet, "/metrics", ""); a.status != 404 {
		t.Errorf("on the API: got %d", a.status)
	}
}

// A second relay on the same data is refused, and the first goes on.
func TestSecondRelay(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	cfg := parse(t, fmt.Sprintf(baseConfig, r.agent.URL, r.im.URL, r.data))
	var locked *daemon.LockedError
	if _, err := daemon.New(t.Context(), cfg, daemon.Options{Log: zap.NewNop()}); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("got %v, want the holder's pid", err)
	}
	if a := r.inbound(text(1, "a", "x")); a.status != 200 {
		t.Errorf("the first: got %d", a.status)
	}
}

// A start that fails half-way leaves nothing behind: the same data and port can be used at once.
func TestFailedStart(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	data := filepath.Join(t.TempDir(), "data")
	text := strings.Replace(baseConfig, "127.0.0.1:0", strings.TrimPrefix(r.url, "http://"), 1)
	for range 2 {
		_, err := daemon.New(t.Context(), parse(t, fmt.Sprintf(text, r.agent.URL, r.im.URL, data)), daemon.Options{Log: zap.NewNop()})
		if err == nil || !strings.Contains(err.Error(), "listen") {
			t.Fatalf("port in use: got %v", err)
		}
	}
	d, err := daemon.New(t.Context(), parse(t, fmt.Sprintf(baseConfig, r.agent.URL, r.im.URL, data)), daemon.Options{Log: zap.NewNop()})
	if err != nil {
		t.Fatalf("after it: %v", err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// Every mistake is told in one go, each with its key.
func TestCheck(t *testing.T) {
	t.Parallel()
	cfg := parse(t, `
listen: 0.0.0.0:8088
redis: redis://127.0.0.1?shards=0
ims:
  open: {format: wechat, filter: "nope"}
  odd: {format: carrier-pigeon, token: some-token, send: {kind: http, urll: "http://127.0.0.1"}}
agents:
  a: {kind: openclaw, url: "http://127.0.0.1/x"}
  b: {kind: robot}
routes: [{agent: a, when: "1 +"}]
`)
	err := daemon.Check(cfg, daemon.Options{})
	for _, want := range []string{
		"redis", "ims.open:", "ims.open.filter", "ims.odd.format", "ims.odd.send.urll", "agents.a", "agents.b.kind", "routes[0].when",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s in\n%v", want, err)
		}
	}
	if err := daemon.Check(cfg, daemon.Options{Insecure: true}); strings.Contains(err.Error(), "ims.open:") {
		t.Errorf("--insecure: got %v", err)
	}
}

// What is too old is dead although nobody attempts it, its conversation being paused.
func TestTooOldWhilePaused(t *testing.T) {
	t.Parallel()
	text1 := strings.Replace(baseConfig, "    timeout: 1s\nclients", "    timeout: 1s\n    retry: {base: 100ms, cap: 100ms, park_after: 1s, max_age: 1s}\nclients", 1)
	r := start(t, text1)
	if a := r.admin(http.MethodPost, "pause", `{"im":"wechat","conversation":"wxid_alice"}`); a.status != 200 {
		t.Fatalf("pause: got %d %s", a.status, a.body)
	}
	id, _ := r.inbound(text(1, "wxid_alice", "hi")).object(t)["eventId"].(string)
	if s := r.state(id); s != "queued" {
		t.Fatalf("paused: got %s", s)
	}
	r.stop()
	<-time.After(1100 * time.Millisecond)
	r.run(text1)
	eventually(t, "it is dead", func() bool { return r.state(id) == "dead" })
	if n := len(r.agent.requests()); n != 0 {
		t.Errorf("it was attempted %d times", n)
	}
}

// Events of an agent that is configured no more are not forgotten silently.
func TestAgentConfiguredNoMore(t *testing.T) {
	t.Parallel()
	r := start(t, baseConfig)
	r.agent.answers(says(http.StatusServiceUnavailable, ``))
	r.inbound(text(1, "wxid_alice", "hi"), "Prefer: respond-async")
	r.stop()
	r.run(strings.Replace(baseConfig, "  openclaw:\n    kind", "  renamed:\n    kind", 1))
	a := r.do(http.MethodGet, "/readyz", "")
	if a.status != 200 || !strings.Contains(a.body, "agent openclaw: degraded (not configured any more, and 1 events wait for it)") {
		t.Errorf("got %d %s", a.status, a.body)
	}
}
