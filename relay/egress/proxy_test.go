package egress_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/egress"
)

func through(raw string) func(*url.URL) (*url.URL, error) {
	return func(*url.URL) (*url.URL, error) { return url.Parse(raw) }
}

func TestProxyForHTTP(t *testing.T) {
	t.Parallel()
	type seen struct{ uri, host, auth string }
	got := make(chan seen, 2)
	f := newFake(t, func(p *peer) {
		for req, _, ok := p.read(); ok; req, _, ok = p.read() {
			got <- seen{req.RequestURI, req.Host, req.Header.Get("Proxy-Authorization")}
			p.say(ok200)
		}
	})
	proxy := strings.Replace(strings.TrimSuffix(f.URL, "/hook?token=s3cret"), "http://", "http://me:pass@", 1)
	c := newClient(t, egress.Options{Proxy: through(proxy)})
	call := post("http://far.test/hook?a=b")
	call.Header = http.Header{"Proxy-Authorization": {"Basic other"}}
	do(t, c, call)
	if g, w := <-got, (seen{"http://far.test/hook?a=b", "far.test", "Basic bWU6cGFzcw=="}); g != w {
		t.Errorf("got %+v, want %+v", g, w)
	}
}

// TestProxyForHTTPS goes through a tunnel, and finds every way in which there is none.
func TestProxyForHTTPS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Proxy-Authorization")+r.URL.Path)
	}))
	t.Cleanup(srv.Close)
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, row := range []struct {
		name   string
		answer string
		want   want
	}{
		{"opens", "HTTP/1.1 200 Connection established\r\n\r\n", want{}},
		{"asks for a password", "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", want{reason: "proxy refused the connection"}},
		{"cannot reach it", "HTTP/1.1 502 Bad Gateway\r\n\r\n", want{reason: "proxy refused the connection"}},
		{"speaks no HTTP", "hello\r\n\r\n", want{reason: "proxy not usable"}},
		{"speaks too early", "HTTP/1.1 200 OK\r\n\r\nhello", want{reason: "proxy refused the connection"}},
		{"hangs up", "", want{reason: "proxy not usable"}},
		{"hangs", "-", want{reason: "no connection within 300ms", timeout: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(p *peer) { connect(p, row.answer) })
			c := newClient(t, egress.Options{RootCAs: roots, Proxy: through(strings.TrimSuffix(f.URL, "/hook?token=s3cret"))})
			call := post(srv.URL + "/path")
			if row.want.timeout {
				call.Timeout = 300 * time.Millisecond
			}
			a, err := c.Do(t.Context(), call)
			if row.want.reason != "" {
				check(t, err, row.want)
				return
			}
			if err != nil || string(a.Body) != "/path" {
				t.Errorf("got %q, %v, want the server's answer", a.Body, err)
			}
		})
	}
}

// connect answers a CONNECT, and passes bytes both ways if it says that it does.
func connect(p *peer, answer string) {
	req, err := http.ReadRequest(p.br)
	if err != nil || req.Method != http.MethodConnect {
		return
	}
	if answer == "-" {
		p.hold()
		return
	}
	if !p.say(answer) || !strings.Contains(answer, "established") {
		return
	}
	far, err := (&net.Dialer{}).DialContext(p.t.Context(), "tcp", req.RequestURI)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	go func() {
		_, _ = io.Copy(far, p.br)
		_ = far.Close()
	}()
	_, _ = io.Copy(p.Conn, far)
}

func TestProxyRules(t *testing.T) {
	t.Parallel()
	f := newFake(t, answerOK)
	for _, row := range []struct{ name, proxy, url, reason string }{
		{"SOCKS4", "socks4://127.0.0.1:1", f.URL, "proxy not usable"},
		{"TLS to the proxy", "https://127.0.0.1:1", f.URL, "proxy not usable"},
		{"no SOCKS host", "socks5://", f.URL, "proxy not usable"},
		{"SOCKS refused", "socks5://127.0.0.1:1", f.URL, "connection refused"},
		{"metadata behind SOCKS", "socks5h://127.0.0.1:1", "http://169.254.169.254/", "address not allowed"},
		{"metadata as the SOCKS proxy", "socks5://169.254.169.254", f.URL, "address not allowed"},
		{"no host", "http://", f.URL, "proxy not usable"},
		{"no URL", "http://\x00", f.URL, "proxy not usable"},
		{"refused", "http://127.0.0.1:1", f.URL, "connection refused"},
		{"metadata behind it", f.URL, "http://169.254.169.254/", "address not allowed"},
		{"mapped metadata behind it", f.URL, "https://[::ffff:169.254.169.254]/", "address not allowed"},
		{"metadata as the proxy", "http://169.254.169.254:80", f.URL, "address not allowed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t, egress.Options{Proxy: through(row.proxy)}).Do(t.Context(), post(row.url))
			check(t, err, want{reason: row.reason})
		})
	}
}

// TestEnvironment relies on TestMain, which sets HTTP_PROXY to a proxy that does not exist.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	f := newFake(t, answerOK)
	far := strings.Replace(f.URL, "127.0.0.1", "agent.test", 1)
	do(t, newClient(t, egress.Options{}), post(far))
	c := newClient(t, egress.Options{Proxy: egress.ProxyFromEnvironment})
	_, err := c.Do(t.Context(), post(far))
	check(t, err, want{reason: "connection refused"})
	do(t, c, post(f.URL)) // the environment's rules leave loopback out
}
