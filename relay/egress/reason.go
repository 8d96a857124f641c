package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// span is the time that a call has.
type span struct {
	end     time.Time
	timeout time.Duration
	// outer says that end is the context's deadline, and comes before the call's own time-out.
	outer bool
}

// spanOf is the time that a call has from now on.
func spanOf(ctx context.Context, timeout time.Duration) span {
	s := span{timeout: timeout}
	if s.timeout <= 0 {
		s.timeout = DefaultTimeout
	}
	s.end = time.Now().Add(s.timeout)
	if end, ok := ctx.Deadline(); ok && end.Before(s.end) {
		s.end, s.outer = end, true
	}
	return s
}

// isOver tells whether err, or the context, says that the call has no time left.
func isOver(ctx context.Context, err error) bool {
	return ctx.Err() != nil || isTimeout(err)
}

// fail makes the error of a call.
func (s span) fail(ctx context.Context, err error, written bool) *Error {
	e := &Error{Written: written, Err: err}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Reason = "cancelled"
	case isOver(ctx, err):
		e.Timeout, e.Reason = true, s.late(written)
	default:
		e.Reason, e.Lasting = reason(err, written), lasting(err)
	}
	return e
}

// late says that time was over.
func (s span) late(written bool) string {
	what := "no connection "
	if written {
		what = "no answer "
	}
	if s.outer {
		return what + "in time"
	}
	return what + "within " + s.timeout.String()
}

// isTimeout tells time-outs from other failures.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &ne) && ne.Timeout()
}

// reasons are the causes that have words of their own, looked up in order.
var reasons = []struct {
	err   error
	words string
}{
	{errAddress, "address not allowed"},
	{errURL, "invalid URL"},
	{errMethod, "invalid method"},
	{errHeader, "invalid header"},
	{errProxyDeny, "proxy refused the connection"},
	{errProxy, "proxy not usable"},
	{errHead, "header of the answer is too large"},
	{errNotHTTP, "answer is not HTTP"},
	{errNotReady, "called off before it began"},
	{errRefused, "connection refused"},
	{errReset, "connection reset"},
	{errPipe, "connection reset"},
	{errNoRoute, "host unreachable"},
	{errNoNetwork, "network unreachable"},
	{io.ErrUnexpectedEOF, "connection closed within the answer"},
	{io.EOF, "connection closed before an answer"},
}

// reason puts a cause into words that are safe to show.
func reason(err error, written bool) string {
	var dns *net.DNSError
	var hs *handshakeError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host"
	case errors.As(err, &dns):
		return "name lookup failed"
	case errors.As(err, &hs):
		return handshakeReason(hs.err)
	}
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.words
		}
	}
	if written {
		return "connection failed before an answer"
	}
	return "connection failed"
}

// lasting tells the causes that are the same the next time.
func lasting(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	var hs *handshakeError
	return errors.As(err, &hs) || errors.Is(err, errAddress) || errors.Is(err, errURL) || errors.Is(err, errMethod) ||
		errors.Is(err, errHeader)
}

// handshakeReason tells a certificate that is not trusted from everything else.
func handshakeReason(err error) string {
	var verify *tls.CertificateVerificationError
	var name x509.HostnameError
	switch {
	case errors.As(err, &name):
		return "TLS certificate is for another name"
	case errors.As(err, &verify):
		return "TLS certificate not trusted"
	default:
		return "TLS handshake failed"
	}
}
