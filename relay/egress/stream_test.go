package egress_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/egress"
)

// open opens a stream of what the handler says.
func open(t *testing.T, ctx context.Context, call egress.Call, h http.HandlerFunc) (*egress.Stream, error) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c := egress.New(egress.Options{})
	t.Cleanup(c.Close)
	call.Method, call.URL = http.MethodPost, s.URL+"/secret-path"
	stream, err := c.Open(ctx, call)
	if err == nil {
		t.Cleanup(func() { _ = stream.Close() })
	}
	return stream, err
}

// What is written arrives while the answer goes on, is not bounded, and ends as it should.
func TestStream(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	long := strings.Repeat("x", 3*egress.MaxAnswer)
	stream, err := open(t, t.Context(), egress.Call{Body: []byte("hello")}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(body)
		_ = http.NewResponseController(w).Flush()
		<-more
		_, _ = io.WriteString(w, long)
	})
	if err != nil {
		t.Fatal(err)
	}
	if stream.Status != 202 || stream.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got %d, %v", stream.Status, stream.Header)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(stream, first); err != nil || string(first) != "hello" {
		t.Fatalf("first: got %q, %v", first, err)
	}
	close(more)
	if rest, err := io.ReadAll(stream); err != nil || string(rest) != long {
		t.Errorf("rest: got %d bytes, %v, want %d", len(rest), err, len(long))
	}
}

// A stream that breaks, falls silent or is cancelled says so, as a call that was written.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	hang := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "a")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	for _, tc := range []struct {
		name    string
		idle    time.Duration
		limit   time.Duration
		cancel  bool
		handler http.HandlerFunc
		timeout bool
		reason  string
	}{
		{name: "hang-up", reason: "connection closed within the answer", handler: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
		{name: "silent", idle: 50 * time.Millisecond, handler: hang, timeout: true, reason: "nothing came for 50ms"},
		{name: "deadline", limit: 300 * time.Millisecond, handler: hang, timeout: true, reason: "no end of the answer in time"},
		{name: "cancelled", cancel: true, handler: hang, reason: "cancelled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.limit > 0 {
				ctx, cancel = context.WithTimeout(ctx, tc.limit)
				defer cancel()
			}
			stream, err := open(t, ctx, egress.Call{Idle: tc.idle}, tc.handler)
			if err != nil {
				t.Fatal(err)
			}
			if tc.cancel {
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			got, err := io.ReadAll(stream)
			e, ok := errors.AsType[*egress.Error](err)
			if !ok || string(got) != "a" {
				t.Fatalf("got %q, %v", got, err)
			}
			if !e.Written || e.Timeout != tc.timeout || e.Reason != tc.reason {
				t.Errorf("got %+v, want timeout %v, %q", e, tc.timeout, tc.reason)
			}
		})
	}
}

// A stream that cannot be opened says whether the request was written.
func TestStreamOpen(t *testing.T) {
	t.Parallel()
	block := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		<-r.Context().Done()
	}
	_, err := open(t, t.Context(), egress.Call{Timeout: 100 * time.Millisecond}, block)
	if e, ok := errors.AsType[*egress.Error](err); !ok || !e.Written || !e.Timeout {
		t.Errorf("no header: got %v", err)
	}
	_, err = open(t, t.Context(), egress.Call{Ready: func() error { return io.ErrClosedPipe }}, block)
	if e, ok := errors.AsType[*egress.Error](err); !ok || e.Written || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("called off: got %v", err)
	}
	c := egress.New(egress.Options{})
	defer c.Close()
	_, err = c.Open(t.Context(), egress.Call{Method: "GET", URL: "http://169.254.169.254/latest"})
	if e, ok := errors.AsType[*egress.Error](err); !ok || e.Written || e.Reason != "address not allowed" {
		t.Errorf("metadata: got %v", err)
	}
}

// A call may ask for more of an answer, or for less.
func TestMaxAnswer(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 100_000))
	}))
	t.Cleanup(s.Close)
	c := egress.New(egress.Options{})
	t.Cleanup(c.Close)
	for most, want := range map[int]int{0: egress.MaxAnswer, 10: 10, 200_000: 100_000} {
		a, err := c.Do(t.Context(), egress.Call{Method: "GET", URL: s.URL, MaxAnswer: most})
		if err != nil || len(a.Body) != want || a.Truncated != (want < 100_000) {
			t.Errorf("at most %d: got %d bytes, truncated %v, %v, want %d", most, len(a.Body), a.Truncated, err, want)
		}
	}
}
