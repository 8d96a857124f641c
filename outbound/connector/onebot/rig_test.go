package onebot_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/onebot"
	"github.com/imrelay/imrelay/outbound/connector/onebot/onebottest"
	"github.com/imrelay/imrelay/relay/egress"
)

const theSelf = "2810012345"

// world is what the daemon gives an account, in memory.
type world struct {
	logs *observer.ObservedLogs

	mu     sync.Mutex
	events []string
	err    error
	raised map[string]string
}

func (w *world) Take(ctx context.Context, body []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if w.err == nil && !strings.Contains(string(body), `"meta_event"`) {
		w.events = append(w.events, string(body))
	}
	return w.err
}

// refuse makes Take fail from now on; nil: work again.
func (w *world) refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// taken are the events, those about connections left out.
func (w *world) taken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

func (w *world) Raise(what, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raised[what] = text
}

func (w *world) Clear(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.raised, what)
}

func (w *world) alarm(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.raised[what]
	return ok
}

// wire is one with a world of its own. Calls take real sockets.
func wire(t *testing.T) (connector.Wire, *world) {
	t.Helper()
	client := egress.New(egress.Options{})
	t.Cleanup(client.Close)
	core, logs := observer.New(zap.DebugLevel)
	w := &world{raised: map[string]string{}, logs: logs}
	return connector.Wire{
		Account: "qq", Self: theSelf, Timeout: 5 * time.Second, Doer: client, Sockets: client.Sockets(),
		Inlet: w, Alarm: w, Log: zap.New(core),
	}, w
}

// network is one inside of the process, so that a bubble knows when nothing moves on it.
type network struct {
	conns  chan net.Conn
	closed chan struct{}
	down   bool
	tries  int
	mu     sync.Mutex
}

// tried is how often it was dialled.
func (n *network) tried() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tries
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error { close(n.closed); return nil }

func (*network) Addr() net.Addr { return &net.TCPAddr{} }

// cut makes dialling fail from now on; false: work again.
func (n *network) cut(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	n.mu.Lock()
	n.tries++
	down := n.down
	n.mu.Unlock()
	if down {
		return nil, errors.New("no way there")
	}
	here, there := net.Pipe()
	select {
	case n.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.dial, DisableKeepAlives: true}}
}

// serve serves on a new network until the test ends.
func serve(t *testing.T, h http.Handler) *network {
	t.Helper()
	n := &network{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(n)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return n
}

// rig is a connector and the implementation that it is connected with, in a bubble.
type rig struct {
	*world
	outbound.Connector

	t    *testing.T
	fake *onebottest.Fake
	net  *network
	// stop ends the connector's run, and waits for it.
	stop func()
}

// bubble runs the test in one.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// dialled is a connector that keeps a connection to the fake, running if so.
func dialled(t *testing.T, o onebottest.Options, running bool) *rig {
	t.Helper()
	r := &rig{t: t, fake: onebottest.New(t, o)}
	r.net = serve(t, r.fake)
	w, world := wire(t)
	w.Sockets, r.world = r.net.client(), world
	r.Connector = open(t, onebot.Config{URL: "ws://qq.example:3001/"}, w)
	if running {
		r.run()
	}
	synctest.Wait()
	return r
}

// hosted is a connector to which the fake can connect.
func hosted(t *testing.T, o onebottest.Options) *rig {
	t.Helper()
	w, world := wire(t)
	r := &rig{t: t, world: world}
	r.Connector = open(t, onebot.Config{Reverse: true}, w)
	r.net = serve(t, r.Connector.(http.Handler))
	o.Client = r.net.client()
	r.fake = onebottest.New(t, o)
	r.run()
	return r
}

// connect opens a connection of the fake.
func (r *rig) connect(role string) {
	r.t.Helper()
	if status := r.fake.Connect("ws://relay.example/im/qq/inbound", role); status != http.StatusSwitchingProtocols {
		r.t.Fatalf("connect: got %d, want 101", status)
	}
	synctest.Wait()
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Connector.(outbound.Resident).Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-done
	}
	r.t.Cleanup(r.stop)
}

// pass lets time pass.
func pass(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
	synctest.Wait()
}

func open(t *testing.T, c onebot.Config, w connector.Wire) outbound.Connector {
	t.Helper()
	out, err := onebot.New(c, w)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	return out
}

func (r *rig) send(text string) (outbound.Receipt, error) {
	return r.Send(r.t.Context(), outbound.Message{To: "private:1686812345", Text: text})
}

// mustSend sends, and wants it to be sent.
func (r *rig) mustSend(text string) outbound.Receipt {
	r.t.Helper()
	got, err := r.send(text)
	if err != nil {
		r.t.Fatalf("send: %v", err)
	}
	return got
}

// wantReason wants the error to be that, and returns its words.
func wantReason(t *testing.T, err error, want outbound.Reason, code string) string {
	t.Helper()
	e, ok := errors.AsType[*outbound.SendError](err)
	if !ok || e.Reason != want || code != "" && e.Code != code {
		t.Fatalf("got %v, want %v (%s)", err, want, code)
	}
	return e.Error()
}

func wantTexts(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}
