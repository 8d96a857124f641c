package bench

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
)

var (
	errHead    = errors.New("not a head of HTTP/1.1 with a Content-Length")
	errTooLong = errors.New("message too long")
)

// maxMessage is far above what the benchmarks send.
const maxMessage = 4 << 20

// wire reads HTTP/1.1 messages from one connection: those with a Content-Length, as all that take part here write. It
// is far cheaper than package net/http, so that what is measured is not the measuring.
type wire struct {
	conn     net.Conn
	buf      []byte
	from, to int // what was read and not yet given out
}

func newWire(c net.Conn) *wire { return &wire{conn: c, buf: make([]byte, 8<<10)} }

// next returns the head (with its empty line) and the body of the next message. Both are valid until the call after.
func (w *wire) next() (head, body []byte, err error) {
	size := -1
	for size < 0 {
		if i := bytes.Index(w.buf[w.from:w.to], []byte("\r\n\r\n")); i >= 0 {
			size = i + 4
		} else if err := w.fill(w.to - w.from + 1); err != nil {
			return nil, nil, err
		}
	}
	length, err := contentLength(w.buf[w.from : w.from+size])
	if err != nil {
		return nil, nil, err
	}
	if err := w.fill(size + length); err != nil {
		return nil, nil, err
	}
	all := w.buf[w.from : w.from+size+length]
	w.from += len(all)
	return all[:size], all[size:], nil
}

// fill reads until n bytes are there.
func (w *wire) fill(n int) error {
	if n > maxMessage {
		return errTooLong
	}
	if w.from+n > len(w.buf) || w.from == w.to {
		kept := w.buf[w.from:w.to]
		if n > len(w.buf) {
			w.buf = make([]byte, max(n, 2*len(w.buf)))
		}
		w.from, w.to = 0, copy(w.buf, kept)
	}
	for w.to-w.from < n {
		got, err := w.conn.Read(w.buf[w.to:])
		if w.to += got; errors.Is(err, io.EOF) && w.to > w.from {
			return io.ErrUnexpectedEOF
		} else if err != nil {
			return err
		}
	}
	return nil
}

// contentLength finds the length of the body that follows.
func contentLength(head []byte) (int, error) {
	v := header(head, "Content-Length")
	n, err := strconv.Atoi(string(v))
	if err != nil || n < 0 {
		return 0, errHead
	}
	return n, nil
}

// header returns a field's value; nil: there is none.
func header(head []byte, name string) []byte {
	for {
		i := bytes.IndexByte(head, '\n')
		if i < 0 {
			return nil
		}
		head = head[i+1:]
		if len(head) > len(name) && head[len(name)] == ':' && bytes.EqualFold(head[:len(name)], []byte(name)) {
			v, _, _ := bytes.Cut(head[len(name)+1:], []byte("\r\n"))
			return bytes.TrimSpace(v)
		}
	}
}

// status reads a response's status; 0: it is no response.
func status(head []byte) int {
	if len(head) < 12 || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) {
		return 0
	}
	return int(number(head[9:12]))
}

// number reads digits.
func number(digits []byte) (v uint64) {
	for _, c := range digits {
		v = v*10 + uint64(c-'0')
	}
	return v
}

// overwrite puts a number in the place of digits.
func overwrite(digits []byte, v uint64) {
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + v%10)
		v /= 10
	}
}
