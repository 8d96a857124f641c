package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
)

// Secrets of every test. They must be found nowhere but where they belong.
const (
	webhookSecret = "hush-webhook-secret"
	botToken      = "hush-bot-token"
	imToken       = "hush-im-token"
	adminToken    = "hush-admin-token"
)

// request is what a fake counterpart was asked.
type request struct {
	at     time.Time
	header http.Header
	body   []byte
}

// fake is a counterpart over a real socket: it answers as told and remembers.
type fake struct {
	*httptest.Server

	mu     sync.Mutex
	got    []request
	answer http.HandlerFunc
}

// newFake starts one; answer may be changed later.
func newFake(t *testing.T, answer http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{answer: answer}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller hung up
		}
		f.mu.Lock()
		f.got = append(f.got, request{at: time.Now(), header: r.Header.Clone(), body: body})
		answer := f.answer
		f.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// answers changes what it answers.
func (f *fake) answers(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = h
}

// requests returns what it was asked so far.
func (f *fake) requests() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]request(nil), f.got...)
}

// says answers with a status and a JSON body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// sent answers as an IM that has taken the message, with another id each time.
func sent() http.HandlerFunc {
	var mu sync.Mutex
	n := int64(3768973957878705413)
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		id := n
		mu.Unlock()
		says(http.StatusOK, fmt.Sprintf(`{"messageId":"%d"}`, id))(w, r)
	}
}

// rig is a running relay with a fake agent and a fake IM.
type rig struct {
	t     *testing.T
	d     *daemon.Daemon
	url   string
	data  string
	agent *fake
	im    *fake
	logs  *buffer
	stop  func()
	// client makes the test's requests.
	client http.Client
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// baseConfig has one account, one agent and one client; %[1]s is the agent's URL, %[2]s the IM's, %[3]s the data folder.
const baseConfig = `
listen: 127.0.0.1:0
data: %[3]q
admin: {token: ` + adminToken + `}
ims:
  wechat:
    format: wechat
    self: wxid_bot
    send: {kind: http, url: "%[2]s/send", token: im-send-token, timeout: 1s}
agents:
  openclaw:
    kind: openclaw
    url: "%[1]s/wechat_abot/webhook"
    secret: ` + webhookSecret + `
    timeout: 1s
clients:
  openclaw: {token: ` + botToken + `}
`

// parse reads a configuration as the command would.
func parse(t *testing.T, text string) config.Config {
	t.Helper()
	cfg, err := config.Parse("", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatalf("configuration: %v", err)
	}
	return cfg
}

// start runs a relay; text is a configuration with the verbs of baseConfig.
func start(t *testing.T, text string) *rig {
	t.Helper()
	r := &rig{
		t: t, data: filepath.Join(t.TempDir(), "data"), logs: &buffer{},
		agent: newFake(t, says(http.StatusOK, `{"ok":true}`)), im: newFake(t, sent()),
	}
	r.run(text)
	return r
}

// run starts the relay on the rig's data folder.
func (r *rig) run(text string) {
	r.t.Helper()
	cfg := parse(r.t, fmt.Sprintf(text, r.agent.URL, r.im.URL, r.data))
	level := zap.NewAtomicLevelAt(zapcore.DebugLevel)
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(r.logs), level)
	d, err := daemon.New(r.t.Context(), cfg, daemon.Options{
		Log: zap.New(core), Level: level, Version: "test", Drain: 3 * time.Second,
	})
	if err != nil {
		r.t.Fatalf("new daemon: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- d.Run(ctx) }()
	r.d, r.url = d, d.URL()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			r.t.Errorf("run: %v", err)
		}
		if err := d.Close(); err != nil {
			r.t.Errorf("close: %v", err)
		}
	})
	r.t.Cleanup(r.stop)
}

// answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// object is the answer's JSON.
func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(a.body))
	d.UseNumber()
	var o map[string]any
	if err := d.Decode(&o); err != nil {
		t.Fatalf("answer %d %q is no JSON object: %v", a.status, a.body, err)
	}
	return o
}

// code is the error's code.
func (a answer) code(t *testing.T) string {
	t.Helper()
	e, ok := a.object(t)["error"].(map[string]any)
	if !ok {
		t.Fatalf("answer %d %q is no error", a.status, a.body)
	}
	if e["message"] == "" || a.object(t)["requestId"] == "" {
		t.Errorf("error %q lacks a message or a request id", a.body)
	}
	code, _ := e["code"].(string)
	return code
}

// do makes a request; headers are "Name: value".
func (r *rig) do(method, path, body string, headers ...string) answer {
	r.t.Helper()
	a, err := r.try(method, path, body, headers...)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// try is do that may fail, for goroutines.
func (r *rig) try(method, path, body string, headers ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b)}, err
}

// inbound posts a message as the IM server would.
func (r *rig) inbound(body string, headers ...string) answer {
	r.t.Helper()
	return r.do(http.MethodPost, "/im/inbound", body, append([]string{"Content-Type: application/json"}, headers...)...)
}

// send posts a send as the agent would.
func (r *rig) send(body string, headers ...string) answer {
	r.t.Helper()
	return r.do(http.MethodPost, "/api/messages/send", body,
		append([]string{"Authorization: Bearer " + botToken, "Content-Type: application/json"}, headers...)...)
}

// admin calls the admin API.
func (r *rig) admin(method, path, body string) answer {
	r.t.Helper()
	return r.do(method, "/api/admin/"+path, body, "Authorization: Bearer "+adminToken)
}

// text is a private WeChat message.
func text(id int64, from, content string) string {
	return fmt.Sprintf(`{"TypeName":"AddMsg","Appid":"wx_a","Wxid":"wxid_bot","Data":{"MsgId":%d,"FromUserName":{"string":%q},`+
		`"ToUserName":{"string":"wxid_bot"},"MsgType":1,"Content":{"string":%q},"CreateTime":%d,"NewMsgId":%d}}`,
		id%1000000, from, content, time.Now().Unix(), id)
}

// eventually waits for something to become true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}

// state is an event's state by the admin API.
func (r *rig) state(id string) string {
	r.t.Helper()
	a := r.admin(http.MethodGet, "events/"+id, "")
	if a.status != http.StatusOK {
		r.t.Fatalf("event %s: got %d %s", id, a.status, a.body)
	}
	var e struct {
		State string `json:"state"`
		Event struct {
			State string `json:"state"`
		} `json:"event"`
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		r.t.Fatal(err)
	}
	return e.State + e.Event.State
}

// noSecrets fails the test if a secret of the tests is in what was given.
func noSecrets(t *testing.T, what, s string) {
	t.Helper()
	for _, secret := range []string{webhookSecret, botToken, imToken, adminToken, "im-send-token"} {
		if strings.Contains(s, secret) {
			t.Errorf("%s shows the secret %s", what, secret)
		}
	}
}
