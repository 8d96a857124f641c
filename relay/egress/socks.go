package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"

	"golang.org/x/net/proxy"
)

// socksAuth is the name and password of a proxy's URL; nil: it has none.
func socksAuth(user *url.Userinfo) *proxy.Auth {
	if user == nil {
		return nil
	}
	password, _ := user.Password()
	return &proxy.Auth{User: user.Username(), Password: password}
}

// opened hands out a connection that is open already, so that what was guarded and counted is what is used.
type opened struct{ net.Conn }

// Dial implements [proxy.Dialer].
func (o opened) Dial(string, string) (net.Conn, error) { return o.Conn, nil }

// DialContext implements [proxy.ContextDialer].
func (o opened) DialContext(context.Context, string, string) (net.Conn, error) { return o.Conn, nil }

// socks asks a SOCKS5 proxy for a connection to the server, whose name the proxy looks up. The deadline of raw is gone
// afterwards.
func socks(ctx context.Context, raw *counter, t *target) error {
	d, err := proxy.SOCKS5("tcp", t.route.via, t.socksAuth, opened{raw})
	if err != nil {
		return errors.Join(errProxy, err)
	}
	dialer, ok := d.(proxy.ContextDialer)
	if !ok {
		return errProxy
	}
	// What it returns wraps raw, over which nothing but the request goes from now on.
	_, err = dialer.DialContext(ctx, "tcp", t.route.addr)
	switch {
	case err == nil:
		return nil
	case isOver(ctx, err):
		return fmt.Errorf("ask proxy: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errReset):
		return errors.Join(errProxy, err)
	default:
		return errors.Join(errProxyDeny, err)
	}
}
