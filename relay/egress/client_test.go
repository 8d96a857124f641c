package egress_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay/egress"
)

func TestRequestAsSent(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	f := newFake(t, func(p *peer) {
		b := make([]byte, 4096)
		n, _ := p.Read(b)
		got <- string(b[:n])
		p.say(ok200)
	})
	c := newClient(t, egress.Options{})
	call := post(f.URL)
	call.Header = http.Header{
		"Content-Type": {"application/json"}, "Host": {"elsewhere"}, "Content-Length": {"1"}, "Connection": {"close"},
		"transfer-encoding": {"chunked"}, "Expect": nil,
	}
	do(t, c, call)
	host := strings.TrimPrefix(strings.TrimSuffix(f.URL, "/hook?token=s3cret"), "http://")
	want := "POST /hook?token=s3cret HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n" +
		"User-Agent: imrelay\r\nContent-Length: 7\r\n\r\n{\"a\":1}"
	if s := <-got; s != want {
		t.Errorf("got %q, want %q", s, want)
	}
}

func TestRequestKinds(t *testing.T) {
	t.Parallel()
	type seen struct{ method, uri, length, auth, agent, body string }
	got := make(chan seen, 1)
	f := newFake(t, func(p *peer) {
		for req, body, ok := p.read(); ok; req, body, ok = p.read() {
			got <- seen{
				req.Method, req.RequestURI, req.Header.Get("Content-Length"), req.Header.Get("Authorization"),
				req.Header.Get("User-Agent"), string(body),
			}
			p.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	base := strings.TrimSuffix(f.URL, "/hook?token=s3cret")
	large := strings.Repeat("0123456789abcdef", 1<<16)
	withUser := strings.Replace(base, "http://", "http://me:pass@", 1)
	c := newClient(t, egress.Options{})
	for _, row := range []struct {
		name string
		call egress.Call
		want seen
	}{
		{"get", egress.Call{Method: "GET", URL: base}, seen{method: "GET", uri: "/"}},
		{"query only", egress.Call{Method: "GET", URL: base + "?a=b%20c#d"}, seen{method: "GET", uri: "/?a=b%20c"}},
		{"escaped path", egress.Call{Method: "GET", URL: base + "/a%2Fb"}, seen{method: "GET", uri: "/a%2Fb"}},
		{"post nothing", egress.Call{Method: "POST", URL: base}, seen{method: "POST", uri: "/", length: "0"}},
		{
			"put 1 MiB",
			egress.Call{Method: "PUT", URL: base, Body: []byte(large)},
			seen{method: "PUT", uri: "/", length: "1048576", body: large},
		},
		{
			"post 40 KiB",
			egress.Call{Method: "POST", URL: base, Body: []byte(large[:40<<10])},
			seen{method: "POST", uri: "/", length: "40960", body: large[:40<<10]},
		},
		{
			"name and password",
			egress.Call{Method: "GET", URL: withUser},
			seen{method: "GET", uri: "/", auth: "Basic bWU6cGFzcw=="},
		},
		{
			"own Authorization and User-Agent",
			egress.Call{
				Method: "GET", URL: withUser, Header: http.Header{"Authorization": {"Bearer x"}, "User-Agent": {"me"}},
			},
			seen{method: "GET", uri: "/", auth: "Bearer x", agent: "me"},
		},
	} {
		if row.want.agent == "" {
			row.want.agent = "imrelay"
		}
		do(t, c, row.call)
		if g := <-got; g != row.want {
			t.Errorf("%s: got %.300v, want %.300v", row.name, g, row.want)
		}
	}
	if n := f.conns.Load(); n != 1 {
		t.Errorf("got %d connections, want 1 for all", n)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("x", egress.MaxAnswer)
	for _, row := range []struct {
		name, raw, method string
		status            int
		body, header      string
		truncated, reused bool
		ends              bool // the counterpart closes the connection after the answer
	}{
		{name: "with length", raw: ok200, status: 200, body: "ok", reused: true},
		{name: "empty", raw: "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", status: 202, reused: true},
		{name: "no content", raw: "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", status: 204, header: "1", reused: true},
		{
			name: "chunked", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
			status: 200, body: "ok", reused: true,
		},
		{name: "to the end", raw: "HTTP/1.1 200 OK\r\n\r\nok", status: 200, body: "ok", ends: true},
		{name: "HTTP/1.0", raw: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok"},
		{
			name: "asked to close", raw: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
			status: 200, body: "ok",
		},
		{name: "more than it said", raw: ok200 + "HTTP/1.1 500 No\r\n\r\n", status: 200, body: "ok"},
		{
			name:   "interim ones first",
			raw:    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-A: 0\r\n\r\n" + ok200,
			status: 200, body: "ok", reused: true,
		},
		{
			name: "redirect", raw: "HTTP/1.1 302 Found\r\nX-A: 1\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
			status: 302, header: "1", reused: true,
		},
		{name: "server error", raw: "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno", status: 500, body: "no", reused: true},
		{name: "HEAD", method: "HEAD", raw: "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", status: 200, reused: true},
		{name: "protocol switch", raw: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", status: 101},
		{
			name: "as long as it may be", raw: fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(full), full),
			status: 200, body: full, reused: true,
		},
		{
			name: "one byte more", raw: fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sy", len(full)+1, full),
			status: 200, body: full, truncated: true,
		},
		{
			name:   "chunked, as long as it may be",
			raw:    fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(full), full),
			status: 200, body: full, reused: true,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(p *peer) {
				for _, _, ok := p.read(); ok; _, _, ok = p.read() {
					p.say(row.raw)
					if row.ends {
						return
					}
					if !row.reused {
						p.hold() // a second request would never be answered
					}
				}
			})
			c, call := newClient(t, egress.Options{}), post(f.URL)
			if row.method != "" {
				call.Method, call.Body = row.method, nil
			}
			for range 2 {
				a := do(t, c, call)
				if a.Status != row.status || string(a.Body) != row.body || a.Truncated != row.truncated {
					t.Errorf("got %d, %d bytes, truncated %v", a.Status, len(a.Body), a.Truncated)
				}
				if got := a.Header.Get("X-A"); got != row.header {
					t.Errorf("got header %q, want %q", got, row.header)
				}
			}
			want := int64(2)
			if row.reused {
				want = 1
			}
			if n := f.conns.Load(); n != want {
				t.Errorf("got %d connections, want %d", n, want)
			}
		})
	}
}

// TestEndlessAnswers has counterparts that never stop talking. The answer must come all the same, and the connection
// must be dropped.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	block := strings.Repeat("x", 16<<10)
	for name, row := range map[string]struct{ head, more string }{
		"a gigabyte announced": {"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", block},
		"chunks":               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4000\r\n" + block + "\r\n"},
		"small chunks": {
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("10\r\n"+block[:16]+"\r\n", 512),
		},
		"until the end": {"HTTP/1.1 200 OK\r\n\r\n", block},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(p *peer) {
				p.read()
				p.say(row.head)
				for p.say(row.more) {
				}
			})
			a := do(t, newClient(t, egress.Options{}), post(f.URL))
			if len(a.Body) != egress.MaxAnswer || !a.Truncated || strings.Trim(string(a.Body), "x") != "" {
				t.Errorf("got %d bytes, truncated %v, want %d x", len(a.Body), a.Truncated, egress.MaxAnswer)
			}
			await(t, f.closed, "the connection's end")
		})
	}
}

// TestEarlyRefusal has counterparts that refuse a large body without reading it.
func TestEarlyRefusal(t *testing.T) {
	t.Parallel()
	refusal := "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"
	for name, leave := range map[string]bool{"and keeps the connection": false, "and reads on": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(p *peer) {
				if _, err := http.ReadRequest(p.br); err != nil {
					return
				}
				p.say(refusal)
				if leave {
					p.hold()
					return
				}
				<-t.Context().Done()
			})
			call := post(f.URL)
			call.Body = bytes.Repeat([]byte("x"), 32<<20)
			a := do(t, newClient(t, egress.Options{}), call)
			if a.Status != 413 || string(a.Body) != "big" {
				t.Errorf("got %d %q, want the refusal", a.Status, a.Body)
			}
		})
	}
}

func TestNeverSent(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change func(*egress.Call)
		reason string
	}{
		{"line break in a value", func(c *egress.Call) { c.Header = http.Header{"X-A": {"a\r\nX-B: b"}} }, "invalid header"},
		{"zero byte in a value", func(c *egress.Call) { c.Header = http.Header{"X-A": {"a\x00"}} }, "invalid header"},
		{"line break in a name", func(c *egress.Call) { c.Header = http.Header{"X-A: b\r\nX-B": {"b"}} }, "invalid header"},
		{"empty name", func(c *egress.Call) { c.Header = http.Header{"": {"b"}} }, "invalid header"},
		{"method with a space", func(c *egress.Call) { c.Method = "GET /x" }, "invalid method"},
		{"no method", func(c *egress.Call) { c.Method = "" }, "invalid method"},
		{"no scheme", func(c *egress.Call) { c.URL = strings.TrimPrefix(c.URL, "http:") }, "invalid URL"},
		{"other scheme", func(c *egress.Call) { c.URL = "ftp" + strings.TrimPrefix(c.URL, "http") }, "invalid URL"},
		{"no host", func(c *egress.Call) { c.URL = "http:///hook" }, "invalid URL"},
		{"only a port", func(c *egress.Call) { c.URL = "http://:80/hook" }, "invalid URL"},
		{"opaque", func(c *egress.Call) { c.URL = "http:127.0.0.1/hook" }, "invalid URL"},
		{"line break in the URL", func(c *egress.Call) { c.URL += "\r\nX: y" }, "invalid URL"},
		{"name beyond ASCII", func(c *egress.Call) { c.URL = "http://例.test/hook" }, "invalid URL"},
		{"nothing", func(c *egress.Call) { c.URL = "" }, "invalid URL"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, answerOK)
			call := post(f.URL)
			row.change(&call)
			_, err := newClient(t, egress.Options{}).Do(t.Context(), call)
			check(t, err, want{reason: row.reason})
			if n := f.conns.Load(); n != 0 {
				t.Errorf("got %d connections, want none", n)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(srv.Close)
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	plain := newFake(t, answerOK)
	c := newClient(t, egress.Options{RootCAs: roots})
	for range 3 {
		if a := do(t, c, post(srv.URL)); string(a.Body) != `{"a":1}` {
			t.Errorf("got %q, want the body back", a.Body)
		}
	}
	large := post(srv.URL)
	large.Body = bytes.Repeat([]byte("x"), 1<<20)
	if a := do(t, c, large); !a.Truncated {
		t.Errorf("got %d bytes, want a truncated answer", len(a.Body))
	}
	_, err := newClient(t, egress.Options{}).Do(t.Context(), post(srv.URL))
	check(t, err, want{reason: "TLS certificate not trusted"})
	_, err = c.Do(t.Context(), post(strings.Replace(srv.URL, "127.0.0.1", "agent.test", 1)))
	check(t, err, want{reason: "TLS certificate is for another name"})
	_, err = c.Do(t.Context(), post(strings.Replace(plain.URL, "http:", "https:", 1)))
	check(t, err, want{reason: "TLS handshake failed"})
}

// A call that is not ready writes nothing, over a new connection as over an old one, whatever its size.
func TestReadyIsAskedBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	f := newFake(t, answerOK)
	c := newClient(t, egress.Options{})
	for _, size := range []int{1, 1 << 20} {
		call := post(f.URL)
		call.Body = bytes.Repeat([]byte("a"), size)
		call.Ready = func() error { return errors.New("another has it") }
		_, err := c.Do(t.Context(), call)
		check(t, err, want{reason: "called off before it began"})
		call.Ready = func() error { return nil }
		if a := do(t, c, call); a.Status != http.StatusOK {
			t.Errorf("ready, %d bytes: got %d, want 200", size, a.Status)
		}
	}
}
