package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// defaultIdle is how long a connection is kept for the next call. Node and uvicorn close theirs after 5 s: a
// connection that both sides close at the same moment costs a call whose outcome nobody knows.
const defaultIdle = 3 * time.Second

// Options are what a [Client] may be told. The zero value is the usual client.
type Options struct {
	// RootCAs verify TLS servers; nil: those of the system.
	RootCAs *x509.CertPool
	// Proxy chooses the proxy for a URL, nil for none; nil: no proxy ever. [ProxyFromEnvironment] is one to give. Its
	// choice for a URL is remembered. Proxies are spoken to by http://, socks5:// and socks5h://; each of them looks up
	// the server's name, so that what a name leads to is the proxy's business. The proxy's own address may be private,
	// whatever Public says.
	Proxy func(*url.URL) (*url.URL, error)
	// Public refuses every address that is not the Internet: loopback, private, link-local, carriers' NAT, multicast,
	// unspecified and reserved ones. It is for URLs that strangers choose. Addresses are looked at after names were
	// resolved; behind a proxy, which resolves by itself, only a host that is an address, or localhost, can be refused.
	Public bool
	// Allow are the networks that Public lets through all the same. Cloud metadata stays refused.
	Allow []netip.Prefix
	// IdleTimeout is how long an unused connection is kept; 0: 3 s.
	IdleTimeout time.Duration
}

// ProxyFromEnvironment chooses by HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as they were when first asked.
func ProxyFromEnvironment(u *url.URL) (*url.URL, error) {
	return http.ProxyFromEnvironment(&http.Request{URL: u})
}

// Client is the [Doer] over real sockets.
type Client struct {
	direct  net.Dialer // to servers
	proxies net.Dialer
	tls     *tls.Config
	targets targets
	pool    pool
}

var (
	_ Doer     = (*Client)(nil)
	_ Streamer = (*Client)(nil)
)

// New makes a client. It opens nothing.
func New(o Options) *Client {
	idle := o.IdleTimeout
	if idle <= 0 {
		idle = defaultIdle
	}
	g := guard{public: o.Public, allow: o.Allow}
	return &Client{
		direct:  net.Dialer{ControlContext: g.control},
		proxies: net.Dialer{ControlContext: guard{}.control},
		tls: &tls.Config{
			MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs, NextProtos: []string{"http/1.1"},
			ClientSessionCache: tls.NewLRUClientSessionCache(0),
		},
		targets: targets{guard: g, proxy: o.Proxy, known: map[string]*target{}},
		pool:    pool{limit: idle, idle: map[route][]*conn{}},
	}
}

// Close drops the idle connections. Calls under way go on, later ones are possible, and neither leaves a connection
// open. Close may be called more than once.
func (c *Client) Close() { c.pool.close() }

// Do implements [Doer].
func (c *Client) Do(ctx context.Context, call Call) (Answer, error) {
	s := spanOf(ctx, call.Timeout)
	if err := ctx.Err(); err != nil {
		return Answer{}, s.fail(ctx, err, false)
	}
	req, err := c.prepare(&call)
	if err != nil {
		return Answer{}, s.fail(ctx, err, false)
	}
	defer req.release()
	answer, written, err := c.do(ctx, s, &req)
	if err != nil {
		return Answer{}, s.fail(ctx, err, written)
	}
	return answer, nil
}

// do exchanges the request over an idle connection or a new one. An idle connection that takes no byte has been closed
// by the other side; then, and only then, another one is used.
func (c *Client) do(ctx context.Context, s span, req *request) (answer Answer, written bool, err error) {
	if cn := c.pool.get(req.route, s.end); cn != nil {
		answer, written, err = c.exchange(ctx, cn, req)
		if err == nil || written || isOver(ctx, err) {
			return answer, written, err
		}
	}
	cn, err := c.dial(ctx, s, req)
	if err != nil {
		return Answer{}, false, err
	}
	return c.exchange(ctx, cn, req)
}

// exchange does the call on cn, and keeps cn or closes it.
func (c *Client) exchange(ctx context.Context, cn *conn, req *request) (Answer, bool, error) {
	stop := cn.watch(ctx)
	answer, keep, err := cn.roundTrip(req)
	written := cn.wrote()
	if stop() && keep {
		c.pool.put(req.route, cn)
	} else {
		cn.close()
	}
	return answer, written, err
}

// Causes that have a reason of their own.
var (
	errAddress   = errors.New("address not allowed")
	errURL       = errors.New("invalid URL")
	errMethod    = errors.New("invalid method")
	errHeader    = errors.New("invalid header")
	errProxy     = errors.New("proxy not usable")
	errProxyDeny = errors.New("proxy refused the connection")
	errHead      = errors.New("header of the answer is too large")
	errNotHTTP   = errors.New("answer is not HTTP")
	errNotReady  = errors.New("called off before it began")
)
