package xopcbottest

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxBody is how much a gateway takes.
	maxBody = 1 << 20
	// mostWrong tokens block whoever shows them.
	mostWrong = 5
)

// call is one request under way.
type call struct {
	*Fake

	up     *life
	w      http.ResponseWriter
	r      *http.Request
	body   []byte
	fault  Fault
	record *Request // nil: it is no POST
}

// serve answers one request.
func (f *Fake) serve(up *life, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return
	}
	c := &call{Fake: f, up: up, w: w, r: r, body: body}
	if r.Method == http.MethodPost {
		c.record = &Request{Path: r.URL.Path, Header: r.Header.Clone(), Body: body}
		f.mu.Lock()
		f.requests = append(f.requests, c.record)
		f.mu.Unlock()
	}
	switch {
	case f.away(up):
		c.say(http.StatusServiceUnavailable, "")
	case r.Method == http.MethodGet && r.URL.Path == "/health":
		c.say(http.StatusOK, `{"status":"ok","service":"xopcbot-gateway","version":"0.1.0","uptime":1,"channels":{}}`)
	case len(body) > maxBody:
		c.say(http.StatusRequestEntityTooLarge, `{"error":"Request body too large","maxSize":"1MB"}`)
	case c.known():
		c.route()
	}
}

// away says that the gateway is starting or stopping.
func (f *Fake) away(up *life) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return up.leaving || time.Since(up.began) < f.o.Boot
}

// known checks the token, and answers if it is not the right one.
func (c *call) known() bool {
	c.mu.Lock()
	wait := time.Until(c.up.blocked)
	right := c.o.Token == "" || c.token() == c.o.Token
	switch {
	case wait > 0:
	case right:
		c.up.wrong = 0
	default:
		if c.up.wrong++; c.up.wrong >= mostWrong {
			c.up.wrong, c.up.blocked = 0, time.Now().Add(c.o.Block)
		}
	}
	c.mu.Unlock()
	switch {
	case wait > 0:
		seconds := int(math.Ceil(wait.Seconds()))
		c.w.Header().Set("Retry-After", strconv.Itoa(seconds))
		c.say(http.StatusTooManyRequests,
			fmt.Sprintf(`{"error":"Too Many Requests","message":"Too many failed attempts","retryAfter":%d}`, seconds))
		return false
	case !right:
		c.say(http.StatusUnauthorized, `{"error":"Unauthorized","message":"Invalid authentication token"}`)
	}
	return right
}

// token is the one shown: as a Bearer, as it stands, or in the query.
func (c *call) token() string {
	shown := c.r.Header.Get("Authorization")
	if scheme, token, ok := strings.Cut(shown, " "); ok && strings.EqualFold(scheme, "bearer") {
		return token
	}
	if shown == "" {
		return c.r.URL.Query().Get("token")
	}
	return shown
}

// route finds what is asked for, and lets go wrong what is to.
func (c *call) route() {
	post := c.r.Method == http.MethodPost
	if post {
		c.mu.Lock()
		c.posts++
		if c.o.Fault != nil {
			c.fault = c.o.Fault(c.posts)
		}
		c.mu.Unlock()
	}
	switch {
	case c.fault == Unavailable:
		c.say(http.StatusServiceUnavailable, "")
	case c.fault == HangUp:
		panic(http.ErrAbortHandler)
	case post && c.r.URL.Path == AgentPath && c.o.Page:
		c.page()
	case post && c.r.URL.Path == AgentPath:
		c.agent()
	case post && c.r.URL.Path == ResumePath && !c.o.Page:
		c.resume()
	default:
		c.say(http.StatusNotFound, `{"error":"Not found"}`)
	}
}

// say answers with JSON.
func (c *call) say(status int, body string) {
	c.begun(status, "application/json")
	_, _ = io.WriteString(c.w, body)
}

// begun writes the first line of an answer. What tests read of it is there before the caller sees it.
func (c *call) begun(status int, contentType string) {
	if c.record != nil {
		c.mu.Lock()
		c.record.Status = status
		c.mu.Unlock()
	}
	c.w.Header().Set("Content-Type", contentType)
	c.w.WriteHeader(status)
}

// refuse answers with an error of the interface.
func (c *call) refuse(status int, code, message string) {
	c.say(status, encode(map[string]any{"ok": false, "error": map[string]string{"code": code, "message": message}}))
}

// frame writes the n-th event of a stream.
func (c *call) frame(n int, name, data string) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\ndata: %s\nid: %d\n\n", name, data, n)
	_, _ = c.w.Write(b.Bytes())
	_ = http.NewResponseController(c.w).Flush()
}
