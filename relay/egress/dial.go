package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
)

// dial opens a connection for the request: TCP, through the proxy if there is one, and TLS.
func (c *Client) dial(ctx context.Context, s span, req *request) (*conn, error) {
	ctx, cancel := context.WithDeadline(ctx, s.end)
	defer cancel()
	dialer, addr := &c.direct, req.route.addr
	if req.route.via != "" {
		dialer, addr = &c.proxies, req.route.via
	}
	tcp, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	raw := &counter{Conn: tcp}
	cn, err := c.secure(ctx, s, raw, req)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return cn, nil
}

// secure makes of a connection to the server, or to the proxy, one that the request can be written to.
func (c *Client) secure(ctx context.Context, s span, raw *counter, req *request) (*conn, error) {
	if req.route.socks {
		if err := socks(ctx, raw, req.target); err != nil {
			return nil, err
		}
	}
	if err := raw.SetDeadline(s.end); err != nil {
		return nil, fmt.Errorf("set deadline: %w", err)
	}
	if !req.route.tls {
		return newConn(raw, raw), nil
	}
	if req.route.via != "" && !req.route.socks {
		if err := tunnel(ctx, raw, req); err != nil {
			return nil, err
		}
	}
	config := c.tls.Clone()
	config.ServerName = req.server
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, &handshakeError{err: err}
	}
	return newConn(raw, secure), nil
}

// handshakeError is a failed TLS handshake.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// tunnel asks the proxy for a connection to the server.
func tunnel(ctx context.Context, raw *counter, req *request) error {
	cn := newConn(raw, raw)
	stop := cn.watch(ctx)
	b := append([]byte("CONNECT "), req.route.addr...)
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), req.route.addr...), "\r\n"...)
	b = append(append(b, req.proxyAuth...), "\r\n"...)
	err := exchangeConnect(cn, b)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}

// exchangeConnect writes the request for a tunnel and reads the proxy's answer. Nothing may follow it: the server does
// not speak before the TLS client does.
func exchangeConnect(cn *conn, b []byte) error {
	if _, err := cn.net.Write(b); err != nil {
		return fmt.Errorf("ask proxy: %w", err)
	}
	cn.budget = maxHead
	resp, err := http.ReadResponse(cn.br, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // it has none
	if err != nil {
		return errors.Join(errProxy, err)
	}
	if resp.StatusCode != http.StatusOK || cn.br.Buffered() > 0 {
		return errProxyDeny
	}
	return nil
}
