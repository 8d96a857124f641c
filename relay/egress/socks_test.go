package egress_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/egress"
)

// socksServer is a SOCKS5 proxy (RFC 1928, 1929) that knows far.test.
type socksServer struct {
	addr string
	// user and password are asked for unless empty; reply is the code of its answer.
	user, password string
	reply          byte
	asked          chan string
	conns          atomic.Int64
}

func (s *socksServer) start(t *testing.T) {
	t.Helper()
	s.asked = make(chan string, 16)
	f := newFake(t, func(p *peer) {
		s.conns.Add(1)
		s.serve(p)
	})
	u, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = u.Host
}

// serve does one connection.
func (s *socksServer) serve(p *peer) {
	if !s.greet(p) {
		return
	}
	var head [4]byte
	if _, err := io.ReadFull(p.br, head[:]); err != nil {
		return
	}
	size := map[byte]int{1: net.IPv4len, 4: net.IPv6len}[head[3]]
	if head[3] == 3 {
		n, err := p.br.ReadByte()
		if err != nil {
			return
		}
		size = int(n)
	}
	to := make([]byte, size+2)
	if _, err := io.ReadFull(p.br, to); err != nil {
		return
	}
	host, port := string(to[:size]), strconv.Itoa(int(binary.BigEndian.Uint16(to[size:])))
	if head[3] != 3 {
		host = net.IP(to[:size]).String()
	}
	s.asked <- net.JoinHostPort(host, port)
	if !p.say(string([]byte{5, s.reply, 0, 1, 127, 0, 0, 1, 0, 80})) || s.reply != 0 {
		return
	}
	if host == "far.test" {
		host = "127.0.0.1"
	}
	far, err := (&net.Dialer{}).DialContext(p.t.Context(), "tcp", net.JoinHostPort(host, port))
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

// greet agrees on how to prove who one is.
func (s *socksServer) greet(p *peer) bool {
	var b [2]byte
	if _, err := io.ReadFull(p.br, b[:]); err != nil || b[0] != 5 {
		return false
	}
	methods := make([]byte, b[1])
	if _, err := io.ReadFull(p.br, methods); err != nil {
		return false
	}
	if s.user == "" {
		return p.say("\x05\x00")
	}
	if !strings.Contains(string(methods), "\x02") {
		return p.say("\x05\xff") && false
	}
	p.say("\x05\x02")
	field := func() string {
		n, err := p.br.ReadByte()
		if err != nil {
			return ""
		}
		v := make([]byte, n)
		_, _ = io.ReadFull(p.br, v)
		return string(v)
	}
	if _, err := p.br.ReadByte(); err != nil {
		return false
	}
	if field() != s.user || field() != s.password {
		return p.say("\x01\x01") && false
	}
	return p.say("\x01\x00")
}

// TestSOCKS goes through a SOCKS5 proxy, which looks up the name, and keeps the connection for the next call.
func TestSOCKS(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+r.RequestURI+r.Header.Get("Proxy-Authorization"))
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	roots := secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, row := range []struct {
		name, scheme, login string
		to                  *httptest.Server
	}{
		{"plain", "socks5", "", plain},
		{"TLS", "socks5", "", secure},
		{"socks5h", "socks5h", "", plain},
		{"name and password", "socks5h", "me:p%40ss@", secure},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := &socksServer{}
			if row.login != "" {
				s.user, s.password = "me", "p@ss"
			}
			s.start(t)
			c := newClient(t, egress.Options{RootCAs: roots, Proxy: through(row.scheme + "://" + row.login + s.addr)})
			host := strings.TrimPrefix(strings.TrimPrefix(row.to.URL, "https://"), "http://")
			url := row.to.URL
			if row.to == plain {
				host = strings.Replace(host, "127.0.0.1", "far.test", 1)
				url = "http://" + host
			}
			for range 2 {
				if a := do(t, c, post(url+"/hook?a=b")); string(a.Body) != host+"/hook?a=b" {
					t.Errorf("got %q, want what the server saw: %s/hook?a=b", a.Body, host)
				}
			}
			if got := <-s.asked; got != host {
				t.Errorf("proxy was asked for %q, want %q", got, host)
			}
			if n := s.conns.Load(); n != 1 {
				t.Errorf("got %d connections, want 1 for both calls", n)
			}
		})
	}
}

// TestSOCKSFailures: nothing was written to the server, whatever the proxy does.
func TestSOCKSFailures(t *testing.T) {
	t.Parallel()
	deny := want{reason: "proxy refused the connection"}
	for _, row := range []struct {
		name, login string
		server      *socksServer
		want        want
	}{
		{"wants a password", "", &socksServer{user: "me", password: "right"}, deny},
		{"wrong password", "me:wrong@", &socksServer{user: "me", password: "right"}, deny},
		{"cannot reach it", "", &socksServer{reply: 5}, deny},
		{"does not allow it", "", &socksServer{reply: 2}, deny},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := row.server
			s.start(t)
			_, err := newClient(t, egress.Options{Proxy: through("socks5://" + row.login + s.addr)}).
				Do(t.Context(), post("http://far.test/"))
			check(t, err, row.want)
		})
	}
	for _, row := range []struct {
		name, says string
		want       want
	}{
		{"hangs up", "", want{reason: "proxy not usable"}},
		{"speaks something else", "HTTP/1.1 400 Bad Request\r\n\r\n", deny},
		{"hangs", "-", want{reason: "no connection within 300ms", timeout: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(p *peer) {
				var b [3]byte
				_, _ = io.ReadFull(p.br, b[:])
				if row.says == "-" {
					p.hold()
					return
				}
				p.say(row.says)
			})
			call := post("http://far.test/")
			if row.want.timeout {
				call.Timeout = 300 * time.Millisecond
			}
			proxy := strings.Replace(strings.TrimSuffix(f.URL, "/hook?token=s3cret"), "http://", "socks5://", 1)
			_, err := newClient(t, egress.Options{Proxy: through(proxy)}).Do(t.Context(), call)
			check(t, err, row.want)
		})
	}
}

// TestSOCKSDeadline: behind the proxy a call is bounded as everywhere, and what was written to the server was written.
func TestSOCKSDeadline(t *testing.T) {
	t.Parallel()
	far := newFake(t, func(p *peer) { p.hold() })
	s := &socksServer{}
	s.start(t)
	call := post(far.URL)
	call.Timeout = 300 * time.Millisecond
	_, err := newClient(t, egress.Options{Proxy: through("socks5://" + s.addr)}).Do(t.Context(), call)
	check(t, err, want{reason: "no answer within 300ms", written: true, timeout: true})
}
