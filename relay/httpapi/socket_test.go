package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/httpapi"
)

// dial opens a raw connection that must be over in ten seconds.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(r.t.Context(), "tcp", r.addr)
	if err != nil {
		r.t.Fatalf("dial: %v", err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// write sends raw text. That the server has had enough before its end is no failure.
func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Logf("write: %v", err)
	}
}

// answer reads one answer from a raw connection.
func answer(t *testing.T, in *bufio.Reader) reply {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer's body: %v", err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: body}
}

// ends fails the test unless the server closes the connection.
func ends(t *testing.T, in *bufio.Reader) {
	t.Helper()
	if _, err := in.ReadByte(); err == nil {
		t.Error("the connection goes on, want it closed")
	} else if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // a net.Conn returns it as it is
		t.Error("the connection is still open, want it closed")
	}
}

// TestBodyBounds counts what comes, whatever Content-Length says or does not say.
func TestBodyBounds(t *testing.T) {
	t.Parallel()
	chunk := func(n int) string { return fmt.Sprintf("%x\r\n%s\r\n", n, strings.Repeat("a", n)) }
	for _, tt := range []struct {
		name, header, body string
		status             int
		code               string
		closed             bool
	}{
		{"largest", "Content-Length: 4096", strings.Repeat("a", 4096), 202, "", false},
		{"one too many", "Content-Length: 4097", strings.Repeat("a", 4097), 413, "body_too_large", true},
		{"announced only", "Content-Length: 99999999999", "", 413, "body_too_large", true},
		{"largest, chunked", "Transfer-Encoding: chunked", chunk(4000) + chunk(96) + "0\r\n\r\n", 202, "", false},
		{"too large, chunked", "Transfer-Encoding: chunked", chunk(4000) + chunk(97) + "0\r\n\r\n", 413, "body_too_large", true},
		{"much too large, chunked", "Transfer-Encoding: chunked", strings.Repeat(chunk(4000), 100) + "0\r\n\r\n", 413, "body_too_large", true},
		{"endless, chunked", "Transfer-Encoding: chunked", strings.Repeat(chunk(4000), 2), 413, "body_too_large", true},
		{"empty, chunked", "Transfer-Encoding: chunked", "0\r\n\r\n", 400, "empty_body", false},
		{"garbage for chunks", "Transfer-Encoding: chunked", "zz\r\n", 400, "body_incomplete", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			conn := r.dial()
			in := bufio.NewReader(conn)
			write(t, conn, "POST /im/open/inbound HTTP/1.1\r\nHost: x\r\n"+tt.header+"\r\n\r\n"+tt.body)
			got := answer(t, in)
			got.want(t, tt.status, tt.code)
			if tt.closed {
				ends(t, in)
				return
			}
			write(t, conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			if next := answer(t, in); next.status != http.StatusOK {
				t.Errorf("next request on the connection: got %d, want 200", next.status)
			}
		})
	}
}

// TestBodyCutShort accepts nothing of a body that ends before its Content-Length.
func TestBodyCutShort(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	conn := r.dial()
	write(t, conn, "POST /im/open/inbound HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{}")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	answer(t, in).want(t, http.StatusBadRequest, "body_incomplete")
	ends(t, in)
	if n := len(r.acceptor.taken()); n != 0 {
		t.Errorf("got %d posts accepted, want none", n)
	}
}

// TestLongBody comes whole, though its Content-Length alone buys it no buffer.
func TestLongBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *httpapi.Options) { o.Table.MaxInbound = 2 << 20 })
	body := strings.Repeat("0123456789abcdef", 100_000)
	r.do(ask{path: "/im/open/inbound", body: body}).want(t, http.StatusAccepted, "")
	if got := r.acceptor.taken()[0].Body; string(got) != body {
		t.Errorf("got %d bytes that differ, want the %d sent", len(got), len(body))
	}
}

// TestSlowBody ends a body that does not come, whether or not anybody waits for it.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path string
		status     int
		code       string
	}{
		{"read", "/im/open/inbound", 408, "request_timeout"},
		{"refused before it is read", "/im/wechat/inbound", 401, "unauthorized"},
		{"sent to nobody", "/nothing", 404, "not_found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(o *httpapi.Options) { o.BodyGrace = 100 * time.Millisecond })
			conn := r.dial()
			began := time.Now()
			write(t, conn, "POST "+tt.path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
			in := bufio.NewReader(conn)
			answer(t, in).want(t, tt.status, tt.code)
			ends(t, in)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v, want about 100ms", took)
			}
		})
	}
}

// TestDrippingBody ends a body that comes, but a byte at a time.
func TestDrippingBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *httpapi.Options) { o.BodyGrace = 100 * time.Millisecond })
	conn := r.dial()
	write(t, conn, "POST /im/open/inbound HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n")
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				_, _ = conn.Write([]byte("a"))
			}
		}
	}()
	answer(t, bufio.NewReader(conn)).want(t, http.StatusRequestTimeout, "request_timeout")
}

// TestSteadyBody may take its time as long as it keeps the pace.
func TestSteadyBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *httpapi.Options) { o.BodyGrace, o.Table.MaxInbound = time.Second, 1<<20 })
	conn := r.dial()
	in := bufio.NewReader(conn)
	body := strings.Repeat("a", 160<<10)
	for range 2 {
		write(t, conn, "POST /im/open/inbound HTTP/1.1\r\nHost: x\r\nContent-Length: 163840\r\n\r\n"+body[:len(body)-1])
		// What came earns ten seconds beyond the grace.
		<-time.After(1500 * time.Millisecond)
		write(t, conn, "a")
		answer(t, in).want(t, http.StatusAccepted, "")
	}
}

// TestWholeBody has no deadline any more: it would end the wait for the agent.
func TestWholeBody(t *testing.T) {
	t.Parallel()
	const grace = 100 * time.Millisecond
	r := newRig(t, func(o *httpapi.Options) { o.BodyGrace = grace })
	r.acceptor.mu.Lock()
	r.acceptor.accept = func(ctx context.Context, _ relay.Post) (relay.Acceptance, error) {
		select {
		case <-ctx.Done():
			return relay.Acceptance{}, context.Cause(ctx)
		case <-time.After(3 * grace):
			return relay.Acceptance{EventIDs: []string{"evt_1"}}, nil
		}
	}
	r.acceptor.mu.Unlock()
	conn := r.dial()
	in := bufio.NewReader(conn)
	for range 2 {
		write(t, conn, "POST /im/open/inbound HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
		answer(t, in).want(t, http.StatusAccepted, "")
	}
}

// TestSlowHeader ends a connection whose header does not come.
func TestSlowHeader(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	conn := r.dial()
	began := time.Now()
	write(t, conn, "POST /im/open/inbound HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	ends(t, bufio.NewReader(conn))
	if took := time.Since(began); took < 4*time.Second || took > 8*time.Second {
		t.Errorf("closed after %v, want about 5s", took)
	}
}

// TestLongHeader refuses a header that does not end.
func TestLongHeader(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	conn := r.dial()
	write(t, conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", 64<<10))
	if got := answer(t, bufio.NewReader(conn)); got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d, want 431", got.status)
	}
}

// TestExpectContinue refuses an announced body before it is sent.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	conn := r.dial()
	write(t, conn, "POST /im/wechat/inbound HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	answer(t, bufio.NewReader(conn)).want(t, http.StatusUnauthorized, "unauthorized")
}

// TestOddTargets answers what has no path in the shape of all errors.
func TestOddTargets(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, line := range []string{"OPTIONS *", "CONNECT im.example:443", "GET http://im.example", "POST /%00"} {
		conn := r.dial()
		write(t, conn, line+" HTTP/1.1\r\nHost: x\r\n\r\n")
		got := answer(t, bufio.NewReader(conn))
		if got.want(t, http.StatusNotFound, "not_found"); got.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: got no X-Request-Id", line)
		}
	}
}
