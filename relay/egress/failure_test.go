package egress_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/egress"
)

func TestUnreachable(t *testing.T) {
	t.Parallel()
	gone := listen(t)
	url := "http://" + gone.Addr().String() + "/hook"
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, url, reason string }{
		{"refused", url, "connection refused"},
		{"unknown name", "http://nobody.test/hook", "no such host"},
		{"malformed name", "http://a..test/hook", "no such host"},
		{"failing name server", "http://broken.test/hook", "name lookup failed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t, egress.Options{}).Do(t.Context(), post(row.url))
			check(t, err, want{reason: row.reason})
		})
	}
}

// TestLostAnswers has counterparts that read the request and then fail. It was sent once and never again.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		fail   func(p *peer)
		reason string
	}{
		{"closes", func(*peer) {}, "connection closed before an answer"},
		{"resets", func(p *peer) { _ = p.Conn.(*net.TCPConn).SetLinger(0) }, "connection reset"},
		{
			"closes within the header", func(p *peer) { p.say("HTTP/1.1 200 OK\r\nX-A: 1\r\n") },
			"connection closed within the answer",
		},
		{
			"closes after an interim one", func(p *peer) { p.say("HTTP/1.1 100 Continue\r\n\r\n") },
			"connection closed within the answer",
		},
		{
			"closes within the body", func(p *peer) { p.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") },
			"connection closed within the answer",
		},
		{
			"closes within a chunk", func(p *peer) { p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf") },
			"connection closed within the answer",
		},
		{"speaks no HTTP", func(p *peer) { p.say("220 mail.test ESMTP\r\n\r\n") }, "answer is not HTTP"},
		{"sends a broken header", func(p *peer) { p.say("HTTP/1.1 200 OK\r\nno colon\r\n\r\n") }, "answer is not HTTP"},
		{"sends only interim ones", func(p *peer) {
			for range 100 {
				p.say("HTTP/1.1 100 Continue\r\n\r\n")
			}
			p.hold()
		}, "answer is not HTTP"},
		{"sends an endless header", func(p *peer) {
			p.say("HTTP/1.1 200 OK\r\n")
			for p.say("X-A: " + strings.Repeat("x", 1000) + "\r\n") {
			}
		}, "header of the answer is too large"},
		{"sends an endless line", func(p *peer) {
			for p.say(strings.Repeat("x", 4096)) {
			}
		}, "header of the answer is too large"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(p *peer) {
				if _, _, ok := p.read(); ok {
					row.fail(p)
				}
			})
			_, err := newClient(t, egress.Options{}).Do(t.Context(), post(f.URL))
			check(t, err, want{reason: row.reason, written: true})
			await(t, f.closed, "the connection's end")
			if n := f.requests.Load(); n != 1 {
				t.Errorf("got %d requests, want 1", n)
			}
		})
	}
}

// TestLostOnKeptConnection has a counterpart that takes the second request of a connection and hangs up. That it was
// lost before it was read cannot be known, so it is not sent again.
func TestLostOnKeptConnection(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(p *peer) {
		p.read()
		p.say(ok200)
		p.read()
	})
	c := newClient(t, egress.Options{})
	do(t, c, post(f.URL))
	_, err := c.Do(t.Context(), post(f.URL))
	check(t, err, want{reason: "connection closed before an answer", written: true})
	if conns, requests := f.conns.Load(), f.requests.Load(); conns != 1 || requests != 2 {
		t.Errorf("got %d connections, %d requests, want 1 and 2", conns, requests)
	}
}

func TestTooSlow(t *testing.T) {
	t.Parallel()
	drip := func(p *peer, s string) {
		for p.say(s) {
			select {
			case <-t.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	for name, handle := range map[string]func(p *peer){
		"says nothing":     func(p *peer) { p.hold() },
		"drips the header": func(p *peer) { p.say("HTTP/1.1 200 OK\r\nX-A: "); drip(p, "x") },
		"drips headers":    func(p *peer) { p.say("HTTP/1.1 200 OK\r\n"); drip(p, "X-A: x\r\n") },
		"drips the body":   func(p *peer) { p.say("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"); drip(p, "x") },
		"drips chunks": func(p *peer) {
			p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			drip(p, "1\r\nx\r\n")
		},
		"drips no length": func(p *peer) { p.say("HTTP/1.1 200 OK\r\n\r\n"); drip(p, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(p *peer) {
				if _, _, ok := p.read(); ok {
					handle(p)
				}
			})
			c := newClient(t, egress.Options{})
			call := post(f.URL)
			call.Timeout = 200 * time.Millisecond
			begin := time.Now()
			_, err := c.Do(t.Context(), call)
			check(t, err, want{"no answer within 200ms", true, true})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err = c.Do(ctx, call)
			check(t, err, want{"no answer in time", true, true})
			if took := time.Since(begin); took < 300*time.Millisecond || took > 5*time.Second {
				t.Errorf("got %v, want about 300 ms", took)
			}
		})
	}
}

// TestTooSlowToConnect has a counterpart that accepts the connection and never shakes hands: nothing was written yet.
func TestTooSlowToConnect(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(p *peer) { p.hold() })
	call := post(strings.Replace(f.URL, "http:", "https:", 1))
	call.Timeout = 100 * time.Millisecond
	_, err := newClient(t, egress.Options{}).Do(t.Context(), call)
	check(t, err, want{"no connection within 100ms", false, true})
	await(t, f.closed, "the connection's end")
}

// TestUnreadBody has a counterpart that reads nothing of a large body and says nothing.
func TestUnreadBody(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(*peer) { <-t.Context().Done() })
	call := post(f.URL)
	call.Body, call.Timeout = make([]byte, 32<<20), 200*time.Millisecond
	_, err := newClient(t, egress.Options{}).Do(t.Context(), call)
	check(t, err, want{"no answer within 200ms", true, true})
}

func TestContext(t *testing.T) {
	t.Parallel()
	t.Run("done before", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, answerOK)
		c := newClient(t, egress.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Do(ctx, post(f.URL))
		check(t, err, want{reason: "cancelled"})
		ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		_, err = c.Do(ctx, post(f.URL))
		check(t, err, want{reason: "no connection in time", timeout: true})
		if n := f.conns.Load(); n != 0 {
			t.Errorf("got %d connections, want none", n)
		}
	})
	t.Run("cancelled while the answer is awaited", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		f := newFake(t, func(p *peer) {
			p.read()
			cancel()
			p.hold()
		})
		begin := time.Now()
		_, err := newClient(t, egress.Options{}).Do(ctx, post(f.URL))
		check(t, err, want{reason: "cancelled", written: true})
		if !errors.Is(ctx.Err(), context.Canceled) || time.Since(begin) > 5*time.Second {
			t.Errorf("took %v, want a prompt end", time.Since(begin))
		}
		await(t, f.closed, "the connection's end")
	})
	t.Run("cancelled while connecting", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		f := newFake(t, func(p *peer) {
			cancel()
			p.hold()
		})
		_, err := newClient(t, egress.Options{}).Do(ctx, post(strings.Replace(f.URL, "http:", "https:", 1)))
		check(t, err, want{reason: "cancelled"})
		await(t, f.closed, "the connection's end")
	})
}

func TestAddressesNotAllowed(t *testing.T) {
	t.Parallel()
	c := newClient(t, egress.Options{})
	for _, host := range []string{
		"169.254.169.254", "169.254.0.1", "169.254.255.255:8080", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
		"[64:ff9b::169.254.169.254]", "[fd00:ec2::254]", "[fd20:ce::254]", "[fe80::1]", "[febf::1]", "100.100.100.200",
		"[::ffff:100.100.100.200]", "192.0.0.192", "168.63.129.16", "rebind.test",
	} {
		for _, scheme := range []string{"http://", "https://"} {
			call := egress.Call{Method: http.MethodGet, URL: scheme + host + "/latest/meta-data/", Timeout: 5 * time.Second}
			_, err := c.Do(t.Context(), call)
			check(t, err, want{reason: "address not allowed"})
		}
	}
	f := newFake(t, answerOK)
	port, _, _ := strings.Cut(strings.TrimPrefix(f.URL, "http://127.0.0.1:"), "/")
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "agent.test", "localhost"} {
		do(t, c, post("http://"+host+":"+port+"/hook"))
	}
}
