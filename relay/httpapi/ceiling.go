package httpapi

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// maxFarewells is how many connections beyond the ceiling are dealt with at the same time. They hold descriptors
	// too; one that comes on top of them is told at once and closed, and may not get to read it.
	maxFarewells = 64
	// farewell is how long such a connection may take to send its request, and how long to take the answer.
	farewell = 500 * time.Millisecond
	// maxFarewellRead bounds what is read of a request that is turned away.
	maxFarewellRead = 64 << 10
)

// Ceiling lets at most limit connections of l be served at the same time. One that comes on top of them is answered 503
// too_many_connections, whatever it asks, and closed: a flood then costs its sender his requests, and not the relay the
// descriptors that its store and its agents need. limit must be positive. Closing the listener also ends the
// connections that are being turned away, and waits for that.
func Ceiling(l net.Listener, limit int) net.Listener {
	return &ceiling{Listener: l, limit: limit, leaving: map[net.Conn]struct{}{}}
}

// ceiling is the listener of [Ceiling].
type ceiling struct {
	net.Listener

	limit int

	mu      sync.Mutex
	served  int
	closed  bool
	leaving map[net.Conn]struct{}
	gone    sync.WaitGroup
}

// Accept implements net.Listener.
func (c *ceiling) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // a listener passes on what it wraps: net/http looks for Temporary
		}
		if c.enter() {
			return &seat{Conn: conn, leave: sync.OnceFunc(c.leave)}, nil
		}
		c.turnAway(conn)
	}
}

// Close implements net.Listener.
func (c *ceiling) Close() error {
	err := c.Listener.Close()
	c.mu.Lock()
	c.closed = true
	for conn := range c.leaving {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.gone.Wait()
	return err //nolint:wrapcheck // as in Accept
}

// enter takes a place, if there is one.
func (c *ceiling) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.served >= c.limit {
		return false
	}
	c.served++
	return true
}

func (c *ceiling) leave() {
	c.mu.Lock()
	c.served--
	c.mu.Unlock()
}

// turnAway tells the connection that there is no place, beside the next ones while that may take time.
func (c *ceiling) turnAway(conn net.Conn) {
	if c.bidding(conn) {
		return
	}
	sayFull(conn) // into the empty buffer of a new connection: it does not block
	_ = conn.Close()
}

// bidding begins to turn the connection away at leisure, unless that is done to as many as may be.
func (c *ceiling) bidding(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.leaving) >= maxFarewells {
		return false
	}
	c.leaving[conn] = struct{}{}
	c.gone.Go(func() {
		bid(conn)
		c.mu.Lock()
		delete(c.leaving, conn)
		c.mu.Unlock()
	})
	return true
}

// bid waits for a request, answers it and closes the connection. An answer to nothing would be no answer to many
// clients, and a close with something unread would take the answer back.
func bid(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(farewell))
	first := make([]byte, 1<<10)
	if _, err := conn.Read(first); err == nil {
		sayFull(conn)
		if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_, _ = io.CopyN(io.Discard, conn, maxFarewellRead)
		}
	}
	_ = conn.Close()
}

// sayFull writes the answer. That nobody takes it is no failure of ours.
func sayFull(conn net.Conn) {
	e := &Error{Code: CodeTooManyConnections, Message: "the relay serves as many connections as it can; try again in a moment"}
	id, after := "req_"+rand.Text(), e.retryAfter()
	body, err := json.Marshal(errorBody{
		Error: &errorWords{Code: e.Code, Message: e.Message}, RequestID: id, RetryAfter: after,
	})
	if err != nil { // strings and a number always marshal
		return
	}
	status := e.Code.Status()
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) +
		"\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\nRetry-After: " + strconv.Itoa(after) + "\r\n" + headerRequestID + ": " + id + "\r\n\r\n")
	b.Write(body)
	_ = conn.SetWriteDeadline(time.Now().Add(farewell))
	_, _ = conn.Write(b.Bytes())
}

// seat is a connection that has a place until it is closed.
type seat struct {
	net.Conn

	leave func()
}

// Close implements net.Conn.
func (s *seat) Close() error {
	defer s.leave()
	return s.Conn.Close() //nolint:wrapcheck // a connection passes on what it wraps
}

// CloseWrite lets net/http end an answer to a request that it has not read: the other side could not read it otherwise.
func (s *seat) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite() //nolint:wrapcheck // as above
	}
	return errors.ErrUnsupported
}
