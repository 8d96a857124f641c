package egress_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/egress"
)

func get(url string) egress.Call {
	return egress.Call{Method: http.MethodGet, URL: url, Timeout: 5 * time.Second}
}

// TestPublic: nothing that is not the Internet is dialled, whatever name leads there.
func TestPublic(t *testing.T) {
	t.Parallel()
	f := newFake(t, answerOK)
	port := f.URL[strings.LastIndex(f.URL, ":"):]
	c := newClient(t, egress.Options{Public: true})
	for _, host := range []string{
		"127.0.0.1", "127.9.9.9", "agent.test", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::127.0.0.1]",
		"0.0.0.0", "0.1.2.3", "[::]", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "[fd12::1]",
		"[::ffff:10.0.0.1]", "[64:ff9b::10.0.0.1]", "100.64.0.1", "100.127.255.255", "169.254.169.254", "rebind.test",
		"[fe80::1]", "224.0.0.1", "239.255.255.255", "[ff02::1]", "255.255.255.255", "240.0.0.1", "192.0.0.8",
		"[2002:7f00:1::]", "[64:ff9b:1::7f00:1]", "[fec0::1]", "[::127.0.0.1]",
	} {
		_, err := c.Do(t.Context(), get("http://"+host+port))
		check(t, err, want{reason: "address not allowed"})
	}
	if n := f.conns.Load(); n != 0 {
		t.Errorf("got %d connections, want none", n)
	}
	if _, err := c.Sockets().Get(f.URL); err == nil || f.conns.Load() != 0 { //nolint:bodyclose,noctx // there is no answer
		t.Errorf("sockets: got %v and %d connections, want a refusal", err, f.conns.Load())
	}
}

// TestPublicAllows: exceptions are what they say, never the clouds' credentials, and the Internet needs none.
func TestPublicAllows(t *testing.T) {
	t.Parallel()
	f := newFake(t, answerOK)
	allow := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16")}
	c := newClient(t, egress.Options{Public: true, Allow: allow})
	do(t, c, post(f.URL))
	do(t, c, post(strings.Replace(f.URL, "127.0.0.1", "agent.test", 1)))
	for _, host := range []string{"10.0.0.1", "169.254.169.254"} {
		_, err := c.Do(t.Context(), get("http://"+host+"/"))
		check(t, err, want{reason: "address not allowed"})
	}
	call := get("http://192.0.2.1:1/") // leads nowhere
	call.Timeout = 100 * time.Millisecond
	if _, err := c.Do(t.Context(), call); err == nil || strings.Contains(err.Error(), "allowed") {
		t.Errorf("an address of the Internet: got %v, want it dialled", err)
	}
}

// TestPublicProxy: the proxy may be private; of hosts behind it only addresses and localhost can be known.
func TestPublicProxy(t *testing.T) {
	t.Parallel()
	f := newFake(t, answerOK)
	c := newClient(t, egress.Options{Public: true, Proxy: through(f.URL)})
	do(t, c, post("http://far.test/hook"))
	for _, host := range []string{
		"127.0.0.1", "10.0.0.1", "0x7f.1", "2130706433", "017700000001", "127.1", "10.0.0.1.", "0", "[::1]", "localhost",
		"LocalHost.", "a.localhost",
	} {
		_, err := c.Do(t.Context(), get("http://"+host+"/"))
		check(t, err, want{reason: "address not allowed"})
	}
	usual := newClient(t, egress.Options{Proxy: through(f.URL)})
	for _, host := range []string{"localhost", "127.1", "10.0.0.1"} {
		do(t, usual, post("http://"+host+"/"))
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"169.254.169.254": true, "169.254.169.254.": true, "::ffff:169.254.169.254": true, "fd00:ec2::254": true,
		"0xa9fea9fe": true, "2852039166": true, "0xA9.254.0251.0376": true, "169.254.43518": true, "100.100.100.200": true,
		"127.0.0.1": false, "10.0.0.1": false, "a.example": false, "169.254.169.254.example": false, "": false,
		"4294967296": false, "169.254.169.254.1": false, "169.16690686": true, "169.16777216": false, "169.254..1": false,
	} {
		if got := egress.Metadata(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}

// TestLasting tells failures that stay from those that pass.
func TestLasting(t *testing.T) {
	t.Parallel()
	plain := newFake(t, answerOK)
	hangs := newFake(t, func(p *peer) { p.read() })
	for _, row := range []struct {
		name, url string
		want      bool
	}{
		{"no URL", "nothing", true},
		{"no such host", "http://nobody.test/", true},
		{"address not allowed", "http://169.254.169.254/", true},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), true},
		{"failing name server", "http://broken.test/", false},
		{"refused", "http://127.0.0.1:1/", false},
		{"hangs up", hangs.URL, false},
	} {
		_, err := newClient(t, egress.Options{}).Do(t.Context(), get(row.url))
		e, ok := err.(*egress.Error) //nolint:errorlint // it is promised to be one
		if !ok || e.Lasting != row.want {
			t.Errorf("%s: got %v, lasting %v, want %v", row.name, err, ok && e.Lasting, row.want)
		}
	}
}

// TestOnce: URLs that come once leave the memory to those that come again.
func TestOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t, answerOK)
	var asked atomic.Int64
	c := newClient(t, egress.Options{Proxy: func(*url.URL) (*url.URL, error) { asked.Add(1); return nil, nil }})
	const many = 300 // more than are remembered
	for i := range many {
		call := get(fmt.Sprintf("%s&n=%d", f.URL, i))
		call.Once = true
		do(t, c, call)
	}
	for range 3 {
		do(t, c, post(f.URL))
	}
	if got := asked.Load(); got != many+1 {
		t.Errorf("got %d URLs worked out, want %d", got, many+1)
	}
}
