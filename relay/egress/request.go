package egress

import (
	"net/http"
	"strconv"
	"sync"
)

const (
	// inlineBody is the largest body that is copied behind the header, to leave in one write.
	inlineBody = 32 << 10
	// keptBuffer is the largest buffer that is kept for another request.
	keptBuffer = 64 << 10
	userAgent  = "imrelay"
)

// request is a call made ready to be written.
type request struct {
	*target
	method string
	ready  func() error
	// most bounds the answer's body.
	most int
	// first is the header, with the body behind it if that is small; rest is the body otherwise.
	first, rest []byte
	buf         *[]byte
}

// release gives the buffer back. The request must not be used any more.
func (r *request) release() {
	if cap(r.first) <= keptBuffer {
		*r.buf = r.first[:0]
		buffers.Put(r.buf)
	}
}

// buffers are for headers and small bodies.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// prepare checks the call and lays out its bytes.
func (c *Client) prepare(call *Call) (request, error) {
	t, err := c.targets.get(call.URL, call.Once)
	if err != nil {
		return request{}, err
	}
	if !isToken(call.Method) {
		return request{}, errMethod
	}
	req := request{target: t, method: call.Method, ready: call.Ready, most: call.MaxAnswer, buf: buffers.Get().(*[]byte)}
	if req.most <= 0 {
		req.most = MaxAnswer
	}
	b, err := t.appendHead((*req.buf)[:0], call)
	if err != nil {
		buffers.Put(req.buf)
		return request{}, err
	}
	if len(call.Body) <= inlineBody {
		req.first = append(b, call.Body...)
	} else {
		req.first, req.rest = b, call.Body
	}
	return req, nil
}

// appendHead lays out the request line and the header.
func (t *target) appendHead(b []byte, call *Call) ([]byte, error) {
	b = append(append(b, call.Method...), ' ')
	b = append(b, t.uri...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), t.host...)
	b = append(b, "\r\n"...)
	for name, values := range call.Header {
		if isOurs(name) {
			continue
		}
		if !isToken(name) {
			return nil, errHeader
		}
		for _, v := range values {
			if !isValue(v) {
				return nil, errHeader
			}
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	if _, ok := call.Header["User-Agent"]; !ok {
		b = append(b, "User-Agent: "+userAgent+"\r\n"...)
	}
	if _, ok := call.Header["Authorization"]; !ok {
		b = append(b, t.auth...)
	}
	if !t.route.tls {
		b = append(b, t.proxyAuth...)
	}
	if len(call.Body) > 0 || call.Method != http.MethodGet && call.Method != http.MethodHead {
		b = strconv.AppendInt(append(b, "Content-Length: "...), int64(len(call.Body)), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

// isOurs tells the headers that the message's framing and its way depend on.
func isOurs(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Upgrade", "Proxy-Authorization":
		return true
	}
	return false
}

// isToken tells whether s may be a method or the name of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

// isValue tells whether s may be the value of a header: no line break ends it early.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// tokenBytes are the bytes of a token.
var tokenBytes = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()
