package bench

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sink plays the agent and the IM: it answers each post at once, or after a delay, and checks what it got.
type sink struct {
	addr     string
	batch    atomic.Pointer[batch]
	delay    atomic.Int64
	listener net.Listener
	conns    sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// answerDigits are overwritten by the message's number: an IM gives each message an id of its own.
const answerDigits = "8100000000000000000"

const sinkAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 45\r\n\r\n" +
	`{"ok":true,"messageId":"` + answerDigits + `"}`

// startSink opens a sink on a free port; it ends with the test.
func startSink(tb testing.TB) *sink {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed when the test ends
	if err != nil {
		tb.Fatal(err)
	}
	s := &sink{addr: l.Addr().String(), listener: l, open: map[net.Conn]struct{}{}}
	s.conns.Go(s.accept)
	tb.Cleanup(s.close)
	return s
}

func (s *sink) close() {
	s.listener.Close()
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.open = nil
	s.mu.Unlock()
	s.conns.Wait()
}

func (s *sink) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.open == nil {
			c.Close()
		} else {
			s.open[c] = struct{}{}
			s.conns.Go(func() { s.serve(c) })
		}
		s.mu.Unlock()
	}
}

func (s *sink) serve(c net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		c.Close()
	}()
	w := newWire(c)
	answer := []byte(sinkAnswer)
	digits := answer[bytes.Index(answer, []byte(answerDigits)):][:len(answerDigits)]
	for {
		head, body, err := w.next()
		if err != nil {
			return
		}
		n := s.take(head, body)
		overwrite(digits[1:], n+1)
		if d := time.Duration(s.delay.Load()); d > 0 {
			<-time.After(d)
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// signedEvery: one in so many signatures is checked, for it costs as much as all the rest.
const signedEvery = 16

// take notes a post, and returns its id as a number.
func (s *sink) take(head, body []byte) uint64 {
	b := s.batch.Load()
	if b == nil {
		return 0
	}
	n := b.receive(body, time.Now())
	if b.signed && n%signedEvery == 0 && !bytes.Equal(header(head, "X-Wechat-Abot-Signature"), signature(body)) {
		b.unsigned.Add(1)
	}
	return b.first + uint64(n)
}

// signature is what the agent expects.
func signature(body []byte) []byte {
	m := hmac.New(sha256.New, []byte(agentSecret))
	m.Write(body)
	return append([]byte("sha256="), hex.AppendEncode(nil, m.Sum(nil))...)
}

// await waits until so many messages of the batch have come, or none came for a long time.
func (b *batch) await(sent int64) {
	const patience = 15 * time.Second
	last, since := int64(-1), time.Now()
	for b.count.Load() < sent {
		if n := b.count.Load(); n != last {
			last, since = n, time.Now()
		} else if time.Since(since) > patience {
			return
		}
		<-time.After(time.Millisecond)
	}
}
