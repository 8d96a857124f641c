package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

const (
	adminToken  = "admin-token-of-the-tests"
	clientToken = "client-token-of-the-tests"
	imToken     = "im-token-of-the-tests"
	signSecret  = "signature-secret-of-the-tests"
)

// fakeAcceptor is a relay core that answers what a test says.
type fakeAcceptor struct {
	mu     sync.Mutex
	posts  []relay.Post
	accept func(ctx context.Context, p relay.Post) (relay.Acceptance, error)
}

func (f *fakeAcceptor) Accept(ctx context.Context, p relay.Post) (relay.Acceptance, error) {
	f.mu.Lock()
	f.posts = append(f.posts, p)
	accept := f.accept
	f.mu.Unlock()
	if accept == nil {
		return relay.Acceptance{EventIDs: []string{"evt_1"}}, nil
	}
	return accept(ctx, p)
}

// taken returns the posts so far.
func (f *fakeAcceptor) taken() []relay.Post {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]relay.Post(nil), f.posts...)
}

// answers makes the acceptor answer so.
func (f *fakeAcceptor) answers(a relay.Acceptance, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accept = func(context.Context, relay.Post) (relay.Acceptance, error) { return a, err }
}

// fakeSender is a sender that answers what a test says.
type fakeSender struct {
	mu       sync.Mutex
	requests []outbound.Request
	send     func(ctx context.Context, r outbound.Request) (outbound.Result, error)
	enqueue  func(ctx context.Context, r outbound.Request) (outbound.Report, error)
	lookup   func(ctx context.Context, client, id string) (outbound.Report, error)
}

func (f *fakeSender) Send(ctx context.Context, r outbound.Request) (outbound.Result, error) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	send := f.send
	f.mu.Unlock()
	if send == nil {
		return outbound.Result{MessageIDs: []string{"7265419038812345671"}}, nil
	}
	return send(ctx, r)
}

func (f *fakeSender) Enqueue(ctx context.Context, r outbound.Request) (outbound.Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r)
	if f.enqueue == nil {
		return outbound.Report{ID: "msg_1", Status: "queued"}, nil
	}
	return f.enqueue(ctx, r)
}

func (f *fakeSender) Lookup(ctx context.Context, client, id string) (outbound.Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lookup == nil {
		return outbound.Report{}, &outbound.Error{Code: outbound.CodeNotFound, Message: "no such message"}
	}
	return f.lookup(ctx, client, id)
}

func (f *fakeSender) asked() []outbound.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]outbound.Request(nil), f.requests...)
}

// fakeOverview, fakeStream and fakeHealth are what the daemon would know.
type fakeOverview struct {
	agents   []httpapi.AgentState
	accounts []httpapi.AccountState
	err      error
}

func (f *fakeOverview) Agents(context.Context) ([]httpapi.AgentState, error) { return f.agents, f.err }

func (f *fakeOverview) Accounts(context.Context) ([]httpapi.AccountState, error) {
	return f.accounts, f.err
}

type fakeStream struct{ notices chan httpapi.Notice }

func (f *fakeStream) Subscribe(context.Context) <-chan httpapi.Notice { return f.notices }

type fakeHealth struct{ lines []httpapi.HealthLine }

func (f *fakeHealth) Health(context.Context) []httpapi.HealthLine { return f.lines }

// rig is a server on a real socket with everything round it faked but the store.
type rig struct {
	t        *testing.T
	server   *httpapi.Server
	acceptor *fakeAcceptor
	sender   *fakeSender
	overview *fakeOverview
	stream   *fakeStream
	health   *fakeHealth
	logs     *observer.ObservedLogs
	url      string
	addr     string
	client   *http.Client
}

// newRig starts a server; change, when not nil, changes its options before.
func newRig(t *testing.T, change func(o *httpapi.Options)) *rig {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	r := &rig{
		t: t, acceptor: &fakeAcceptor{}, sender: &fakeSender{}, overview: &fakeOverview{},
		stream: &fakeStream{notices: make(chan httpapi.Notice, 8)}, health: &fakeHealth{}, logs: logs,
	}
	o := httpapi.Options{
		Acceptor: r.acceptor, Sender: r.sender, Store: newStore(t), Overview: r.overview, Stream: r.stream,
		Health: r.health, Table: testTable(), Version: "1.2.3", Log: zap.New(core),
	}
	if change != nil {
		change(&o)
	}
	server, err := httpapi.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	r.server = server
	r.serve(1000)
	return r
}

// serve listens on a free port of the loopback, for so many connections at the same time.
func (r *rig) serve(connections int) {
	r.t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(r.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatalf("listen: %v", err)
	}
	hs := &http.Server{ReadHeaderTimeout: time.Second}
	r.server.Configure(hs)
	var done sync.WaitGroup
	done.Go(func() { _ = hs.Serve(httpapi.Ceiling(l, connections)) })
	transport := &http.Transport{}
	r.addr, r.url, r.client = l.Addr().String(), "http://"+l.Addr().String(), &http.Client{Transport: transport}
	r.t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = hs.Close()
		done.Wait()
	})
}

// testTable has accounts of every kind, one client and an admin token.
func testTable() httpapi.Table {
	verifier, err := signer.NewVerifier(signer.KindGitHub, signSecret)
	if err != nil {
		panic(err)
	}
	return httpapi.Table{
		Accounts: []httpapi.Account{
			{Name: "open"},
			{Name: "wechat", Tokens: []secret.Text{secret.New(imToken), secret.New(imToken + "-old")}, Probe: true},
			{Name: "signed", Verifier: verifier},
			{Name: "plain", Plain: true},
			{Name: "socket", Tokens: []secret.Text{secret.New(imToken)}, Socket: http.HandlerFunc(openSocket)},
			{Name: "signedsocket", Verifier: verifier, Socket: http.HandlerFunc(openSocket)},
			{Name: "far", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		},
		Clients: []httpapi.APIClient{{
			Client: outbound.Client{Name: "openclaw"}, Tokens: []secret.Text{secret.New(clientToken)},
		}},
		Admin:     httpapi.Admin{Token: secret.New(adminToken)},
		Callbacks: []httpapi.Callback{{Agent: "back", Path: secret.New(callbackPath), Take: takeCallback}},
		Wait:      2 * time.Second, MaxInbound: 4096, MaxSend: 4096,
	}
}

// onlyTable has one account, which is open.
func onlyTable() httpapi.Table {
	t := testTable()
	t.Accounts = t.Accounts[:1]
	return t
}

// ask is one request of a test.
type ask struct {
	method, path, body string
	header             map[string]string
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do makes a request and holds the answer to the API's description.
func (r *rig) do(a ask) reply {
	r.t.Helper()
	if a.method == "" {
		a.method = http.MethodPost
	}
	var body io.Reader
	if a.body != "" {
		body = strings.NewReader(a.body)
	}
	req, err := http.NewRequestWithContext(r.t.Context(), a.method, r.url+a.path, body)
	if err != nil {
		r.t.Fatalf("make request: %v", err)
	}
	for name, value := range a.header {
		req.Header.Set(name, value)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%s %s: read answer: %v", a.method, a.path, err)
	}
	out := reply{status: resp.StatusCode, header: resp.Header, body: got}
	r.described(req, out)
	return out
}

// admin makes a request with the admin token.
func (r *rig) admin(method, path, body string) reply {
	r.t.Helper()
	header := map[string]string{"Authorization": "Bearer " + adminToken}
	return r.do(ask{method: method, path: path, body: body, header: header})
}

// send posts to the send endpoint as the client, with more headers in pairs.
func (r *rig) send(body string, pairs ...string) reply {
	r.t.Helper()
	header := map[string]string{"Authorization": "Bearer " + clientToken, "Content-Type": "application/json"}
	for i := 0; i < len(pairs); i += 2 {
		header[pairs[i]] = pairs[i+1]
	}
	return r.do(ask{path: "/api/messages/send", body: body, header: header})
}

// described holds an answer to openapi.yaml. What has no path there must be an error in the common shape.
func (r *rig) described(req *http.Request, out reply) {
	r.t.Helper()
	if out.header.Get("X-Request-Id") == "" {
		r.t.Errorf("%s %s: answer without X-Request-Id", req.Method, req.URL.Path)
	}
	if got := out.header.Get("Cache-Control"); out.status >= http.StatusBadRequest && got != "no-store" {
		r.t.Errorf("%s %s: answer %d with Cache-Control %q, want no-store", req.Method, req.URL.Path, out.status, got)
	}
	route, params, err := description(r.t).FindRoute(req)
	if err != nil {
		r.isError(req, out)
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 out.status, Header: out.header, Body: io.NopCloser(bytes.NewReader(out.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if strings.HasPrefix(out.header.Get("Content-Type"), "text/event-stream") {
		return
	}
	if err := openapi3filter.ValidateResponse(r.t.Context(), input); err != nil {
		r.t.Errorf("%s %s: answer %d is not as described: %v\n%s", req.Method, req.URL.Path, out.status, err, out.body)
	}
}

// isError says what is wrong with an answer that must be an error.
func (r *rig) isError(req *http.Request, out reply) {
	r.t.Helper()
	if req.Method == http.MethodHead || out.status < http.StatusBadRequest {
		return
	}
	schema := document(r.t).Components.Schemas["Error"].Value
	var v any
	if err := json.Unmarshal(out.body, &v); err != nil {
		r.t.Errorf("%s %s: answer %d is not JSON: %q", req.Method, req.URL.Path, out.status, out.body)
		return
	}
	if err := schema.VisitJSON(v); err != nil {
		r.t.Errorf("%s %s: answer %d is no error: %v\n%s", req.Method, req.URL.Path, out.status, err, out.body)
	}
}

// code is the code of an error, "" of any other answer.
func (p reply) code() string {
	var in struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(p.body, &in)
	return in.Error.Code
}

// message is the message of an error.
func (p reply) message() string {
	var in struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(p.body, &in)
	return in.Error.Message
}

// want fails the test unless the answer has the status and the code.
func (p reply) want(t *testing.T, status int, code string) {
	t.Helper()
	if p.status != status || p.code() != code {
		t.Errorf("got %d %q, want %d %q; body %s", p.status, p.code(), status, code, p.body)
	}
}

// wantJSON fails the test unless the answer has the status and is this JSON.
func (p reply) wantJSON(t *testing.T, status int, want string) {
	t.Helper()
	if p.status != status || canonical(t, p.body) != canonical(t, []byte(want)) {
		t.Errorf("got %d %s, want %d %s", p.status, p.body, status, want)
	}
}

// canonical is a JSON text with its fields in order.
func canonical(t *testing.T, text []byte) string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Errorf("not JSON: %v in %q", err, text)
		return string(text)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
