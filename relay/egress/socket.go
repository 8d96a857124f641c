package egress

import (
	"net/http"
	"net/url"
)

// Sockets is a client for requests that become WebSockets. It dials as c does, through the same proxy and past the same
// guard, which is Public's for a proxy too, and follows no redirect. It is for nothing else: it repeats requests, and says nothing of what was written.
func (c *Client) Sockets() *http.Client {
	t := &http.Transport{
		DialContext: c.direct.DialContext, TLSClientConfig: c.tls.Clone(), DisableKeepAlives: true,
		MaxResponseHeaderBytes: MaxAnswer,
	}
	if proxy := c.targets.proxy; proxy != nil {
		t.Proxy = func(r *http.Request) (*url.URL, error) { return proxy(r.URL) }
	}
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
