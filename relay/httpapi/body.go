package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// bodyGrace is how long a body may take whatever its size, and bodyRate what it must then bring a second.
	bodyGrace = 5 * time.Second
	bodyRate  = 16 << 10
	// trustedLength is up to where a Content-Length is believed for the size of the buffer. A longer body earns its
	// buffer by arriving.
	trustedLength = 256 << 10
	// lingering is how long a sender that is hung up on may go on before it is not listened to.
	lingering = 500 * time.Millisecond
	// firstChunk is the first buffer of a body without a Content-Length.
	firstChunk = 4 << 10
)

// pacedBody is a request body that must keep a pace: its connection has a read deadline from the start of the request,
// which moves as bytes arrive. net/http takes it away behind the last one, where it begins to read only to notice a
// hang-up. A body that nobody reads keeps the deadline, so that the server does not wait for it either.
type pacedBody struct {
	io.ReadCloser

	rc    http.ResponseController
	start time.Time
	grace time.Duration
	got   int64
}

// begin puts the body under its deadline. A writer that knows no deadlines, as in a test, has none.
func (b *pacedBody) begin(w http.ResponseWriter, r *http.Request, grace time.Duration) {
	b.ReadCloser, b.rc, b.start, b.grace = r.Body, *http.NewResponseController(w), time.Now(), grace
	_ = b.rc.SetReadDeadline(b.start.Add(grace))
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.got += int64(n)
	if err == nil {
		_ = b.rc.SetReadDeadline(b.start.Add(b.grace + time.Duration(b.got)*time.Second/bodyRate))
	}
	return n, err
}

// hangUp shortens the wait for the rest of a body that nobody wants.
func (b *pacedBody) hangUp() {
	if b.ReadCloser != nil {
		_ = b.rc.SetReadDeadline(time.Now().Add(lingering))
	}
}

// readBody reads the whole body into one buffer, and counts while it does: more than limit bytes are a 413, whatever
// Content-Length says.
func (c *call) readBody(limit int64) ([]byte, error) {
	length := c.r.ContentLength
	switch {
	case length > limit:
		return nil, tooLarge()
	case length == 0:
		return nil, nil
	}
	most, size := length, min(length, trustedLength)
	if most < 0 {
		most, size = limit+1, min(limit+1, firstChunk)
	}
	buf := make([]byte, 0, size)
	for {
		if len(buf) == cap(buf) {
			if int64(len(buf)) == most {
				break
			}
			buf = append(make([]byte, 0, min(2*int64(cap(buf)), most)), buf...)
		}
		n, err := c.body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unreadable(err)
		}
	}
	if int64(len(buf)) > limit {
		return nil, tooLarge()
	}
	return buf, nil
}

// tooLarge is a 413. The connection is closed, since the rest of the body is not to be read.
func tooLarge() *Error {
	return &Error{Code: CodeBodyTooLarge, Message: "the body is larger than is accepted here", hangUp: true}
}

// unreadable says why a body did not come whole.
func unreadable(err error) *Error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{
			Code: CodeRequestTimeout, Message: "the body came too slowly; send it again", Err: err, hangUp: true,
		}
	}
	return &Error{
		Code: CodeBodyIncomplete, Message: "the body ended before it was whole; send it again", Err: err, hangUp: true,
	}
}
