package egress

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"time"
)

// Stream is an answer that is read as it comes. It must be closed. It belongs to one goroutine; only its context's end
// may come from another.
type Stream struct {
	// Status and Header are the answer's, whatever its status.
	Status int
	Header http.Header

	ctx  context.Context //nolint:containedctx // a stream ends with its call's context, and must say so when it does
	cn   *conn
	body io.ReadCloser
	idle time.Duration
	stop func() bool
}

// Open implements [Streamer]. The request is written whole before the answer is read, over a connection of its own: one
// that may be silent for hours is not taken from, or left to, other calls.
func (c *Client) Open(ctx context.Context, call Call) (*Stream, error) {
	s := spanOf(ctx, call.Timeout)
	if err := ctx.Err(); err != nil {
		return nil, s.fail(ctx, err, false)
	}
	req, err := c.prepare(&call)
	if err != nil {
		return nil, s.fail(ctx, err, false)
	}
	defer req.release()
	cn, err := c.dial(ctx, s, &req)
	if err != nil {
		return nil, s.fail(ctx, err, false)
	}
	stop := cn.watch(ctx)
	resp, err := cn.begin(&req) //nolint:bodyclose // the stream owns it
	if err != nil {
		stop()
		written := cn.wrote()
		cn.close()
		return nil, s.fail(ctx, err, written)
	}
	cn.budget = math.MaxInt
	return &Stream{
		Status: resp.StatusCode, Header: resp.Header, ctx: ctx, cn: cn, body: resp.Body, idle: call.Idle, stop: stop,
	}, nil
}

// begin writes the request and reads the header of the answer.
func (c *conn) begin(req *request) (*http.Response, error) {
	if req.ready != nil {
		if err := req.ready(); err != nil {
			return nil, errors.Join(errNotReady, err)
		}
	}
	if err := c.send(req); err != nil {
		return nil, err
	}
	resp, err := c.head(req.method)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		err = errNotHTTP
	}
	return resp, err
}

// Read implements io.Reader. Its errors are io.EOF, for an answer that ended as it should, and [*Error].
func (s *Stream) Read(p []byte) (int, error) {
	var deadline time.Time
	if s.idle > 0 {
		deadline = time.Now().Add(s.idle)
	}
	if err := s.cn.raw.SetReadDeadline(deadline); err != nil {
		return 0, s.fail(err)
	}
	if s.ctx.Err() != nil { // it ended before the deadline was set, which has undone what its end had done
		return 0, s.fail(s.ctx.Err())
	}
	n, err := s.body.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, s.fail(err)
}

// fail makes the error of a broken stream.
func (s *Stream) fail(err error) *Error {
	e := &Error{Written: true, Err: err}
	switch {
	case errors.Is(s.ctx.Err(), context.Canceled):
		e.Reason = "cancelled"
	case s.ctx.Err() != nil:
		e.Timeout, e.Reason = true, "no end of the answer in time"
	case isTimeout(err):
		e.Timeout, e.Reason = true, "nothing came for "+s.idle.String()
	case !isTransport(err): // there was an answer, and it went wrong by itself
		e.Reason = reason(errNotHTTP, true)
	default:
		e.Reason = reason(err, true)
	}
	return e
}

// Close ends the stream and its connection.
func (s *Stream) Close() error {
	s.stop()
	s.cn.close()
	return nil
}
