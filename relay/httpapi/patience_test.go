package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/httpapi"
)

// TestAnswersNobodyReads end the connection of a client that asks on and on and reads nothing.
func TestAnswersNobodyReads(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/openapi.yaml", "/healthz", "/nothing", "/parts/"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(o *httpapi.Options) { o.AnswerGrace = 100 * time.Millisecond })
			r.server.Mount("/parts/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for range 64 {
					_, _ = w.Write(make([]byte, 1<<10))
					_ = http.NewResponseController(w).Flush()
				}
			}))
			conn := r.dial()
			requests := strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n", 256)
			for {
				_, err := io.WriteString(conn, requests)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("the connection is still open, want it closed")
				}
				if err != nil {
					return
				}
			}
		})
	}
}

// TestPatienceIsPerAnswer gives every answer its own time: neither a handler that waits nor a connection that idles for
// longer costs the next one any.
func TestPatienceIsPerAnswer(t *testing.T) {
	t.Parallel()
	const grace = 100 * time.Millisecond
	r := newRig(t, func(o *httpapi.Options) { o.AnswerGrace = grace })
	r.server.Mount("/parts/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 2 {
			_, _ = w.Write(make([]byte, 8<<10))
			<-time.After(2 * grace)
			_, _ = w.Write(make([]byte, 8<<10))
			_ = http.NewResponseController(w).Flush()
			<-time.After(2 * grace)
		}
	}))
	r.acceptor.mu.Lock()
	r.acceptor.accept = func(context.Context, relay.Post) (relay.Acceptance, error) {
		<-time.After(2 * grace)
		return relay.Acceptance{EventIDs: []string{"evt_1"}}, nil
	}
	r.acceptor.mu.Unlock()
	conn := r.dial()
	in := bufio.NewReader(conn)
	for _, path := range []string{"/healthz", "/openapi.yaml", "/parts/", "/healthz"} {
		write(t, conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		answer(t, in).want(t, http.StatusOK, "")
		<-time.After(2 * grace)
	}
	write(t, conn, "POST /im/open/inbound HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("got %q, %v, want a 100", line, err)
	}
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	write(t, conn, "{}")
	answer(t, in).want(t, http.StatusAccepted, "")
}
