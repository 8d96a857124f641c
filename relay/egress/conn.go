package egress

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

const (
	// maxHead bounds the header of an answer.
	maxHead = 64 << 10
	// maxInterim bounds the answers such as 100 and 103 before the real one.
	maxInterim = 8
	// overlapBody is the body from which on the answer is read while the request is written: a server may refuse a
	// large body before it has read it.
	overlapBody = 64 << 10
	// settle is how long a write may lag behind an answer that came to all of it.
	settle = 20 * time.Millisecond
)

// counter counts what is handed to the socket, beneath TLS.
type counter struct {
	net.Conn
	n atomic.Int64
}

// Write implements net.Conn.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// conn is one connection. It belongs to one call at a time.
type conn struct {
	raw *counter
	// net is raw, or TLS over it.
	net net.Conn
	br  *bufio.Reader
	// budget is how many bytes br may still take from the connection.
	budget int
	// begun is what raw had counted when the call began.
	begun int64
	// asked is what http.ReadResponse needs to know of the request.
	asked http.Request
	// interrupt ends reads and writes under way.
	interrupt func()
	// idleSince is when the last call ended.
	idleSince time.Time
}

func newConn(raw *counter, over net.Conn) *conn {
	c := &conn{raw: raw, net: over}
	c.br = bufio.NewReader(c)
	c.interrupt = func() { _ = c.raw.SetDeadline(past) }
	return c
}

// Read implements io.Reader for br.
func (c *conn) Read(p []byte) (int, error) {
	if c.budget <= 0 {
		return 0, errHead
	}
	n, err := c.net.Read(p[:min(len(p), c.budget)])
	c.budget -= n
	return n, err
}

// close drops the connection. It says no goodbye in TLS, which could block, and its error means nothing: nobody waits
// for the connection any more.
func (c *conn) close() { _ = c.raw.Close() }

// wrote tells whether a byte left since the call began.
func (c *conn) wrote() bool { return c.raw.n.Load() > c.begun }

// past is a deadline that ends reads and writes under way.
var past = time.Unix(1, 0)

// watch begins a call on a connection whose deadline is set, and makes the end of ctx the end of it. The function that
// it returns undoes that, and is false if ctx was faster: then the connection is of no use any more.
func (c *conn) watch(ctx context.Context) (stop func() bool) {
	c.begun = c.raw.n.Load()
	return context.AfterFunc(ctx, c.interrupt)
}

// roundTrip writes the request and reads the answer. keep tells whether the connection may serve another call.
func (c *conn) roundTrip(req *request) (answer Answer, keep bool, err error) {
	if req.ready != nil {
		if err := req.ready(); err != nil {
			return Answer{}, false, errors.Join(errNotReady, err)
		}
	}
	if len(req.rest) > overlapBody {
		return c.overlapped(req)
	}
	sent := c.send(req)
	if sent != nil && (!c.wrote() || errors.Is(sent, os.ErrDeadlineExceeded)) {
		return Answer{}, false, sent
	}
	// After any other failed write the answer may be there all the same: a refusal of what was written so far.
	answer, keep, err = c.receive(req)
	if err != nil && sent != nil {
		err = sent
	}
	return answer, keep && sent == nil, err
}

// overlapped writes on a goroutine of its own, and ends only when that has ended: the body is the caller's again then.
func (c *conn) overlapped(req *request) (Answer, bool, error) {
	var sent error
	done := make(chan struct{})
	go func() {
		defer close(done)
		sent = c.send(req)
	}()
	answer, keep, err := c.receive(req)
	lag := time.NewTimer(settle)
	defer lag.Stop()
	select {
	case <-done:
		if err != nil && sent != nil {
			err = sent
		}
		return answer, keep && sent == nil, err
	case <-lag.C:
		c.close()
		<-done
		return answer, false, err // an answer to half a request is an answer
	}
}

// send writes the whole request.
func (c *conn) send(req *request) error {
	_, err := c.net.Write(req.first)
	if err == nil && len(req.rest) > 0 {
		_, err = c.net.Write(req.rest)
	}
	return err
}

// receive reads the answer to a request.
func (c *conn) receive(req *request) (Answer, bool, error) {
	resp, err := c.head(req.method) //nolint:bodyclose // the conn owns what is to be read, and is closed unless all was
	if err != nil {
		return Answer{}, false, err
	}
	answer := Answer{Status: resp.StatusCode, Header: resp.Header}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return answer, false, nil // what follows is no HTTP
	}
	c.budget = math.MaxInt
	answer.Body, answer.Truncated, err = readBody(resp, req.most)
	if err != nil {
		return Answer{}, false, err
	}
	// Bytes after the answer are no answer to anything.
	return answer, !resp.Close && !answer.Truncated && c.br.Buffered() == 0, nil
}

// head reads the header of the answer, and passes over those of interim ones.
func (c *conn) head(method string) (*http.Response, error) {
	c.budget = maxHead
	if _, err := c.br.Peek(1); err != nil {
		return nil, err
	}
	c.asked.Method = method
	for range maxInterim {
		resp, err := http.ReadResponse(c.br, &c.asked)
		switch {
		case err != nil && isTransport(err):
			return nil, err
		case err != nil:
			return nil, errors.Join(errNotHTTP, err)
		case resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols:
			return resp, nil
		}
	}
	return nil, errNotHTTP
}

// isTransport tells errors of the connection from those of the parser.
func isTransport(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errHead)
}

// readBody reads up to most bytes, and to the end if that is not further away.
func readBody(resp *http.Response, most int) (body []byte, truncated bool, err error) {
	if resp.ContentLength == 0 || resp.Body == http.NoBody {
		return nil, false, nil
	}
	size := 512
	if resp.ContentLength > 0 {
		size = int(min(resp.ContentLength, int64(most)))
	}
	body = make([]byte, 0, size)
	for {
		if len(body) == cap(body) {
			if resp.ContentLength > int64(most) {
				return body, true, nil
			}
			body = append(body, 0)[:len(body)]
		}
		n, err := resp.Body.Read(body[len(body):min(cap(body), most+1)])
		body = body[:len(body)+n]
		switch {
		case len(body) > most:
			return body[:most:most], true, nil
		case errors.Is(err, io.EOF):
			return body, false, nil
		case err != nil:
			return nil, false, err
		}
	}
}
