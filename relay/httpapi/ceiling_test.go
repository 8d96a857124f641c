package httpapi_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/httpapi"
)

const getHealth = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

// newLowRig is a rig that serves n connections at the same time.
func newLowRig(t *testing.T, n int) *rig {
	t.Helper()
	r := newRig(t, nil)
	r.serve(n)
	return r
}

// TestCeiling turns away what comes beyond it, in the shape of all errors, and serves again when there is room.
func TestCeiling(t *testing.T) {
	t.Parallel()
	const limit = 3
	r := newLowRig(t, limit)
	served := make([]net.Conn, limit)
	for i := range served {
		served[i] = r.dial()
		write(t, served[i], getHealth)
		answer(t, bufio.NewReader(served[i])).want(t, http.StatusOK, "")
	}
	for range 5 {
		conn := r.dial()
		in := bufio.NewReader(conn)
		write(t, conn, getHealth)
		got := answer(t, in)
		got.want(t, http.StatusServiceUnavailable, "too_many_connections")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/healthz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.isError(req, got)
		if after := got.header.Get("Retry-After"); after != "1" || got.header.Get("X-Request-Id") == "" {
			t.Errorf("got Retry-After %q and X-Request-Id %q, want 1 and an id", after, got.header.Get("X-Request-Id"))
		}
		ends(t, in)
	}
	write(t, served[0], getHealth)
	answer(t, bufio.NewReader(served[0])).want(t, http.StatusOK, "")
	if err := served[1].Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; {
		conn := r.dial()
		write(t, conn, getHealth)
		got := answer(t, bufio.NewReader(conn))
		if got.status == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("got %d after a connection was closed, want 200", got.status)
		}
	}
}

// TestCeilingAgainstSilence does not wait for those who say nothing, neither with the next one nor with the end.
func TestCeilingAgainstSilence(t *testing.T) {
	t.Parallel()
	r := newLowRig(t, 1)
	served := r.dial()
	write(t, served, getHealth)
	answer(t, bufio.NewReader(served)).want(t, http.StatusOK, "")
	var all sync.WaitGroup
	for range 200 {
		silent := r.dial()
		all.Go(func() {
			if _, err := io.Copy(io.Discard, silent); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a silent connection is still open, want it closed")
			}
		})
	}
	conn := r.dial()
	write(t, conn, getHealth)
	answer(t, bufio.NewReader(conn)).want(t, http.StatusServiceUnavailable, "too_many_connections")
	all.Wait()
}

// TestCeilingClose ends what is being turned away.
func TestCeilingClose(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	inner, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := httpapi.Ceiling(inner, 1)
	accepted := make(chan net.Conn, 1)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	})
	r := &rig{t: t, addr: l.Addr().String()}
	first, second := r.dial(), r.dial()
	served := <-accepted
	t.Cleanup(func() { _ = served.Close() })
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	accepting.Wait()
	ends(t, bufio.NewReader(second))
	if err := first.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the served connection: got %v, want it open", err)
	}
}
