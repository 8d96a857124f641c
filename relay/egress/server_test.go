package egress_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/egress"
)

// TestMain gives the tests names that resolve without a network, and an environment with a proxy that does not exist,
// which nothing may use.
func TestMain(m *testing.M) {
	if err := os.Setenv("HTTP_PROXY", "http://127.0.0.1:1"); err != nil {
		panic(err)
	}
	stop, err := serveNames(map[string]net.IP{
		"agent.test.":  net.IPv4(127, 0, 0, 1),
		"rebind.test.": net.IPv4(169, 254, 169, 254),
	})
	if err != nil {
		panic(err)
	}
	code := m.Run()
	stop()
	os.Exit(code)
}

// serveNames makes the default resolver ask a server of our own. It answers A questions from the table, AAAA with
// nothing, broken.test with a failure of the server, and any other name with "no such name".
func serveNames(names map[string]net.IP) (stop func(), err error) {
	pc, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo(answerName(buf[:n], names), from)
		}
	}()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
	return func() { _ = pc.Close() }, nil
}

// answerName makes the answer to a question of one name (RFC 1035, 4.1).
func answerName(q []byte, names map[string]net.IP) []byte {
	name, i := "", 12
	for q[i] != 0 {
		name += string(q[i+1:i+1+int(q[i])]) + "."
		i += 1 + int(q[i])
	}
	end := i + 5
	a := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	ip, known := names[name]
	switch {
	case name == "broken.test.":
		a[3] |= 2
	case !known:
		a[3] |= 3
	case q[i+2] == 1:
		a[7] = 1
		a = append(append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), ip.To4()...)
	}
	return a
}

func listen(tb testing.TB) net.Listener {
	tb.Helper()
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	return ln
}

// fake is a counterpart on a real socket that says what it is told to, byte for byte.
type fake struct {
	URL      string
	conns    atomic.Int64 // accepted connections
	requests atomic.Int64 // requests read to their end
	closed   chan struct{}
}

// peer is one connection of a fake.
type peer struct {
	net.Conn
	t    *testing.T
	br   *bufio.Reader
	fake *fake
}

// newFake serves each connection with handle, and closes it afterwards.
func newFake(t *testing.T, handle func(p *peer)) *fake {
	t.Helper()
	ln := listen(t)
	f := &fake{URL: "http://" + ln.Addr().String() + "/hook?token=s3cret", closed: make(chan struct{}, 1024)}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.conns.Add(1)
			go func() {
				handle(&peer{Conn: c, t: t, br: bufio.NewReader(c), fake: f})
				_ = c.Close()
				f.closed <- struct{}{}
			}()
		}
	}()
	return f
}

// read reads one request, and returns its body; false: the client has closed the connection.
func (p *peer) read() (*http.Request, []byte, bool) {
	req, err := http.ReadRequest(p.br)
	if err != nil {
		return nil, nil, false
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, nil, false
	}
	p.fake.requests.Add(1)
	return req, body, true
}

// say writes, and tells whether anybody took it.
func (p *peer) say(s string) bool {
	_, err := io.WriteString(p.Conn, s)
	return err == nil
}

// hold waits until the client closes the connection.
func (p *peer) hold() { _, _ = io.Copy(io.Discard, p.br) }

const ok200 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// answerOK serves every request of a connection.
func answerOK(p *peer) {
	for _, _, ok := p.read(); ok; _, _, ok = p.read() {
		p.say(ok200)
	}
}

func newClient(t *testing.T, o egress.Options) *egress.Client {
	t.Helper()
	c := egress.New(o)
	t.Cleanup(c.Close)
	return c
}

func post(url string) egress.Call {
	return egress.Call{Method: http.MethodPost, URL: url, Body: []byte(`{"a":1}`), Timeout: 10 * time.Second}
}

// do makes a call that must be answered.
func do(t *testing.T, c egress.Doer, call egress.Call) egress.Answer {
	t.Helper()
	a, err := c.Do(t.Context(), call)
	if err != nil {
		t.Fatalf("got error %v (%v), want an answer", err, errors.Unwrap(err))
	}
	return a
}

// want is what an Error must say.
type want struct {
	reason           string
	written, timeout bool
}

// check compares an error with what it must say, and makes sure that it shows nothing of the URL.
func check(t *testing.T, err error, w want) {
	t.Helper()
	var e *egress.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %T %v, want an *egress.Error", err, err)
	}
	if got := (want{e.Reason, e.Written, e.Timeout}); got != w {
		t.Errorf("got %+v (%v), want %+v", got, e.Err, w)
	}
	for _, leak := range []string{"127.0.0.1", "s3cret", "hook", "http:", ".test"} {
		if strings.Contains(e.Error(), leak) {
			t.Errorf("%q shows %q", e.Error(), leak)
		}
	}
}

// await waits for a signal.
func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("waited 10 s for %s", what)
	}
}
