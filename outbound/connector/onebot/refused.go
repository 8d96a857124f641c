package onebot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"

	"github.com/coder/websocket"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

// refused is what a status means that is no new WebSocket. Nothing was sent, whatever it says.
func refused(status int) error {
	e := connector.Status(egress.Answer{Status: status})
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.Err, e.Detail = errToken, string(errToken)
	case e == nil:
		e = &outbound.SendError{Reason: outbound.Rejected, Code: strconv.Itoa(status)}
	case e.Reason == outbound.Uncertain:
		e.Reason = outbound.NotSent
	}
	if e.Err == nil {
		e.Err = trouble(fmt.Sprintf("the address answered %d, not with a WebSocket", status))
		e.Detail = e.Err.Error()
	}
	return e
}

// whyNot puts into words why no WebSocket could be opened; the cause's own hold the address.
func whyNot(ctx context.Context, err error) string {
	dns, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return "cancelled"
	case ctx.Err() != nil:
		return "no connection in time"
	case isDNS && dns.IsNotFound:
		return "no such host"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	}
	return "connection failed"
}

// shown is what is shown of why a connection ended or was not made.
func shown(err error) string {
	if t, ok := errors.AsType[trouble](err); ok {
		return string(t)
	}
	if e, ok := errors.AsType[*outbound.SendError](err); ok && e.Code != "" {
		return e.Code
	}
	switch {
	case websocket.CloseStatus(err) != -1, errors.Is(err, io.EOF):
		return "the other side ended the connection"
	case errors.Is(err, websocket.ErrMessageTooBig):
		return "a frame was too large"
	}
	return "connection lost"
}
