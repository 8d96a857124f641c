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

// stream opens a stream from the fake.
func stream(t *testing.T, o egress.Options, call egress.Call) (*egress.Stream, error) {
	t.Helper()
	s, err := newClient(t, o).Open(t.Context(), call)
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

// An answer that is none is no stream, and says what it is.
func TestStreamHeads(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 70<<10)
	for _, row := range []struct {
		name, answer string
		want         want
	}{
		{"header too long", "HTTP/1.1 200 OK\r\nX-Long: " + long, want{"header of the answer is too large", true, false}},
		{"headers too many", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-More: "+long[:20<<10]+"\r\n", 4) + "\r\n", want{"header of the answer is too large", true, false}},
		{"status line too long", "HTTP/1.1 200 " + long, want{"header of the answer is too large", true, false}},
		{"interim ones without end", strings.Repeat("HTTP/1.1 103 Early\r\n\r\n", 20), want{"answer is not HTTP", true, false}},
		{"another protocol", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", want{"answer is not HTTP", true, false}},
		{"no HTTP", "SSH-2.0-x\r\n\r\n", want{"answer is not HTTP", true, false}},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", want{"answer is not HTTP", true, false}},
		{"half a header", "HTTP/1.1 200 OK\r\nX-A: b\r\n", want{"connection closed within the answer", true, false}},
		{"nothing", "", want{"connection closed before an answer", true, false}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(p *peer) {
				_, _, _ = p.read()
				p.say(row.answer)
			})
			_, err := stream(t, egress.Options{}, post(f.URL))
			check(t, err, row.want)
			await(t, f.closed, "the connection's end")
		})
	}
}

// What comes before a stream breaks is read, and it is told from a stream that ended.
func TestStreamCuts(t *testing.T) {
	t.Parallel()
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	cut := want{"connection closed within the answer", true, false}
	odd := want{"answer is not HTTP", true, false}
	for _, row := range []struct {
		name, answer, body string
		want               want
	}{
		{"whole chunks", chunked + "5\r\nhello\r\n3;x=y\r\nyou\r\n0\r\n\r\n", "helloyou", want{}},
		{"no last chunk", chunked + "5\r\nhello\r\n", "hello", cut},
		{"half a chunk", chunked + "5\r\nhello\r\n9\r\nyou", "helloyou", cut},
		{"half a chunk's size", chunked + "5\r\nhello\r\n9", "hello", cut},
		{"no end of the last chunk", chunked + "5\r\nhello\r\n0\r\n", "hello", odd},
		{"no size", chunked + "5\r\nhello\r\nxyz\r\n", "hello", odd},
		{"a huge size", chunked + "fffffffffffffffff\r\nhello", "", odd},
		{"whole", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", "hello", want{}},
		{"too short", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "hello", cut},
		{"to the end", "HTTP/1.1 200 OK\r\n\r\nhello", "hello", want{}},
		{"after an interim one", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\n\r\nhello", "hello", want{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(p *peer) {
				_, _, _ = p.read()
				p.say(row.answer)
			})
			s, err := stream(t, egress.Options{}, post(f.URL))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(s)
			if string(got) != row.body {
				t.Errorf("got %q, want %q", got, row.body)
			}
			if row.want == (want{}) {
				if err != nil {
					t.Errorf("got %v, want the end", err)
				}
				return
			}
			check(t, err, row.want)
		})
	}
}

// A stream goes through a proxy, and finds every way in which there is none.
func TestStreamThroughProxy(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, r.URL.Path)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(srv.Close)
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, row := range []struct {
		name, answer string
		want         want
	}{
		{"opens", "HTTP/1.1 200 Connection established\r\n\r\n", want{}},
		{"asks for a password", "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", want{reason: "proxy refused the connection"}},
		{"says too much", "HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 70<<10), want{reason: "proxy not usable"}},
		{"hangs", "-", want{reason: "no connection within 300ms", timeout: true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(p *peer) { connect(p, row.answer) })
			call := post(srv.URL + "/path")
			if row.want.timeout {
				call.Timeout = 300 * time.Millisecond
			}
			s, err := stream(t, egress.Options{RootCAs: roots, Proxy: through(strings.TrimSuffix(f.URL, "/hook?token=s3cret"))}, call)
			if row.want.reason != "" {
				check(t, err, row.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(s); err != nil || string(got) != "/path/path/path" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// Silence is counted from the last byte, not from the beginning; a stream that was closed ends its connection, which no
// other call is given.
func TestStreamIdle(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(p *peer) {
		_, _, _ = p.read()
		p.say("HTTP/1.1 200 OK\r\n\r\n")
		for range 10 {
			timer := time.NewTimer(100 * time.Millisecond)
			<-timer.C
			p.say(".")
		}
		p.hold()
	})
	c := newClient(t, egress.Options{})
	call := post(f.URL)
	call.Timeout, call.Idle = 500*time.Millisecond, 700*time.Millisecond
	s, err := c.Open(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(s)
	if string(got) != ".........." {
		t.Errorf("got %q", got)
	}
	check(t, err, want{"nothing came for 700ms", true, true})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	await(t, f.closed, "the connection's end")
	if _, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("read after the end: got %v", err)
	}
	if s, err = c.Open(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	await(t, f.closed, "the second connection's end")
	if got := f.conns.Load(); got != 2 {
		t.Errorf("got %d connections, want one a stream", got)
	}
}
