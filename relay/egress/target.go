package egress

import (
	"cmp"
	"encoding/base64"
	"net"
	"net/url"
	"sync"

	"golang.org/x/net/proxy"
)

// route is where a connection leads. Connections of the same route are interchangeable.
type route struct {
	// addr is the server's host:port; via is the proxy's, empty for none.
	addr, via string
	// socks says that the proxy speaks SOCKS5, else HTTP.
	socks, tls bool
}

// target is what a URL says about a request, worked out.
type target struct {
	route route
	// host is the Host header, uri the target of the request line.
	host, uri string
	// server is the name that a TLS server must prove.
	server string
	// auth and proxyAuth are whole header lines for names and passwords that stood in the URLs; empty for none.
	auth, proxyAuth string
	// socksAuth is what a SOCKS5 proxy wants to know; nil: nothing.
	socksAuth *proxy.Auth
}

// maxTargets bounds the targets that are remembered. Configured URLs are few; others are called with Once.
const maxTargets = 256

// targets makes targets of URLs, and remembers some.
type targets struct {
	guard guard
	proxy func(*url.URL) (*url.URL, error)

	mu    sync.RWMutex
	known map[string]*target
}

func (ts *targets) get(raw string, once bool) (*target, error) {
	ts.mu.RLock()
	t := ts.known[raw]
	ts.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	t, err := ts.parse(raw)
	if err != nil || once {
		return t, err
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.known) < maxTargets {
		ts.known[raw] = t
	}
	return t, nil
}

// parse finds out where a URL leads.
func (ts *targets) parse(raw string) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errURL
	}
	secure, port := u.Scheme == "https", u.Port()
	switch {
	case u.Opaque != "" || u.Hostname() == "" || !isHost(u.Host) || !secure && u.Scheme != "http":
		return nil, errURL
	case port == "" && secure:
		port = "443"
	case port == "":
		port = "80"
	}
	t := &target{server: u.Hostname(), host: u.Host, uri: u.RequestURI(), auth: basic("Authorization", u.User)}
	t.route = route{addr: net.JoinHostPort(t.server, port), tls: secure}
	if ts.proxy == nil {
		return t, nil
	}
	via, err := ts.proxy(u)
	if err != nil {
		return nil, errProxy
	}
	if via != nil {
		err = t.through(via, ts.guard)
	}
	return t, err
}

// proxyPorts are the schemes of proxies that are spoken to, and their usual ports.
var proxyPorts = map[string]string{"http": "80", "socks5": "1080", "socks5h": "1080"}

// through leads the target through a proxy.
func (t *target) through(via *url.URL, g guard) error {
	usual, ok := proxyPorts[via.Scheme]
	if !ok || via.Hostname() == "" {
		return errProxy
	}
	// The proxy resolves names, so only an address that stands in the URL can be refused here.
	if g.refusesHost(t.server) {
		return errAddress
	}
	t.route.via = net.JoinHostPort(via.Hostname(), cmp.Or(via.Port(), usual))
	if t.route.socks = via.Scheme != "http"; t.route.socks {
		t.socksAuth = socksAuth(via.User)
		return nil
	}
	t.proxyAuth = basic("Proxy-Authorization", via.User)
	if !t.route.tls {
		t.uri = "http://" + t.host + t.uri
	}
	return nil
}

// basic is a header line with the name and password of a URL.
func basic(header string, user *url.Userinfo) string {
	if user == nil {
		return ""
	}
	password, _ := user.Password()
	return header + ": Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
}

// isHost tells whether a URL's host may stand in a Host header: ASCII without spaces and controls.
func isHost(host string) bool {
	for i := range len(host) {
		if c := host[i]; c <= ' ' || c >= 0x7f || c == '%' {
			return false
		}
	}
	return true
}
