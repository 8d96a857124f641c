// Package connectortest is the conformance suite of [outbound.Connector]: every connector runs it against an IM that is
// a real HTTP server, and that is slow, lies with a 200, and hangs up. What only one IM does belongs in the tests of its
// connector.
package connectortest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

// Setup is what a connector is made with.
type Setup struct {
	// URL is the fake's base.
	URL string
	// Secret is the token or key.
	Secret string
	// Timeout bounds a call.
	Timeout time.Duration
}

// Refusal is how the IM says no with a status of its own choice.
type Refusal struct {
	Name   string
	Status int
	Header http.Header
	Body   string
	// Want is what it means; After, Code and Recipient are looked at where they are set.
	Want      outbound.Reason
	After     time.Duration
	Code      string
	Recipient bool
}

// Harness tells the suite about one IM.
type Harness struct {
	// New makes the connector.
	New func(t *testing.T, s Setup) outbound.Connector
	// To is a recipient as the IM names one; default wxid_alice.
	To string
	// Sent is the IM's answer to a sent message with the id, which is given as JSON: a number or a string.
	Sent func(id string) string
	// IDs are ids in the IM's form; empty: 64-bit numbers, and texts.
	IDs []string
	// NoID says that the IM gives no ids.
	NoID bool
	// Refusals are the IM's own, those with status 200 first of all.
	Refusals []Refusal
	// Aside answers requests that are not the send itself, such as one for a token, and says that it did.
	Aside func(w http.ResponseWriter, r *http.Request) bool
}

const (
	theSecret = "tok-b7e23ec29af22b0b"
	theText   = "the weather is fine, <b>Alice</b> & Bob"
)

// message is what the suite sends.
func (s suite) message() outbound.Message {
	return outbound.Message{Account: "wechat", To: cmp.Or(s.To, "wxid_alice"), Text: theText, RequestID: "msg_0193"}
}

// fake is the IM.
type fake struct {
	*httptest.Server
	calls atomic.Int32
}

// suite is a harness with a fake.
type suite struct {
	Harness
}

// Run checks what the interface promises.
func Run(t *testing.T, h Harness) {
	t.Helper()
	s := suite{h}
	t.Run("a pointer", s.pointer)
	t.Run("sent", s.sent)
	t.Run("statuses", s.statuses)
	t.Run("refusals", s.refusals)
	t.Run("not sent", s.notSent)
	t.Run("uncertain", s.uncertain)
	t.Run("bounded answer", s.bounded)
	t.Run("hiding", s.hiding)
	t.Run("ends with its context", s.contextEnds)
	t.Run("concurrent", s.concurrent)
}

// start starts a fake whose sends are answered by f.
func (s suite) start(t *testing.T, f http.HandlerFunc) *fake {
	t.Helper()
	im := &fake{}
	im.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A server that leaves the body unread may close the connection under the answer.
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		if s.Aside != nil && s.Aside(w, r) {
			return
		}
		im.calls.Add(1)
		f(w, r)
	}))
	t.Cleanup(im.Close)
	return im
}

func (s suite) connector(t *testing.T, url string, timeout time.Duration) outbound.Connector {
	t.Helper()
	return s.New(t, Setup{URL: url, Secret: theSecret, Timeout: timeout})
}

// pointer: connectors are compared, and must not be taken for another that was made of the same.
func (s suite) pointer(t *testing.T) {
	t.Parallel()
	c := s.connector(t, "http://127.0.0.1:1", time.Second)
	if kind := reflect.TypeOf(c).Kind(); kind != reflect.Pointer {
		t.Errorf("got a %v, want a pointer", kind)
	}
}

func answer(status int, header http.Header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// try sends once, and wants the reason and exactly so many calls.
func (s suite) try(t *testing.T, im *fake, want outbound.Reason) outbound.SendError {
	t.Helper()
	r, err := s.connector(t, im.URL, 5*time.Second).Send(t.Context(), s.message())
	e := wantReason(t, r, err, want)
	if n := im.calls.Load(); n != 1 {
		t.Errorf("calls of one Send: got %d, want 1", n)
	}
	return e
}

func wantReason(t *testing.T, r outbound.Receipt, err error, want outbound.Reason) outbound.SendError {
	t.Helper()
	e, ok := errors.AsType[*outbound.SendError](err)
	if !ok || e.Reason != want {
		t.Fatalf("got %+v, %v; want %v", r, err, want)
	}
	return *e
}

func (s suite) sent(t *testing.T) {
	t.Parallel()
	ids := s.IDs
	if ids == nil {
		ids = []string{`7265419038812345671`, `"7265419038812345671"`, `9223372036854775807`, `5127`, `"om_5ce6d572455d"`}
	}
	for _, id := range ids {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			im := s.start(t, answer(http.StatusOK, nil, s.Sent(id)))
			got, err := s.connector(t, im.URL, 5*time.Second).Send(t.Context(), s.message())
			if err != nil {
				t.Fatalf("send: %v", err)
			}
			want := strings.Trim(id, `"`)
			if s.NoID {
				want = ""
			}
			if got.ID != want {
				t.Errorf("id: got %q, want %q", got.ID, want)
			}
			if n := im.calls.Load(); n != 1 {
				t.Errorf("calls: got %d, want 1", n)
			}
		})
	}
}

// statuses are those that mean the same everywhere.
func (s suite) statuses(t *testing.T) {
	t.Parallel()
	wait := http.Header{"Retry-After": {"17"}}
	tests := []Refusal{
		{Name: "429 with a time", Status: 429, Header: wait, Want: outbound.Throttled, After: 17 * time.Second},
		{Name: "429 without", Status: 429, Want: outbound.Throttled},
		{Name: "408", Status: 408, Want: outbound.NotSent},
		{Name: "425", Status: 425, Want: outbound.NotSent},
		{Name: "501", Status: 501, Want: outbound.Rejected},
		{Name: "502", Status: 502, Want: outbound.NotSent},
		{Name: "503", Status: 503, Want: outbound.NotSent},
		{Name: "503 with a time", Status: 503, Header: wait, Want: outbound.NotSent, After: 17 * time.Second},
		{Name: "500", Status: 500, Want: outbound.Uncertain},
		{Name: "504", Status: 504, Want: outbound.Uncertain},
		{Name: "404", Status: 404, Want: outbound.Rejected},
		{Name: "400", Status: 400, Want: outbound.Rejected},
		{Name: "redirect", Status: 302, Header: http.Header{"Location": {"/elsewhere"}}, Want: outbound.Rejected},
	}
	s.refuse(t, tests)
}

func (s suite) refusals(t *testing.T) {
	t.Parallel()
	s.refuse(t, s.Refusals)
}

func (s suite) refuse(t *testing.T, tests []Refusal) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			e := s.try(t, s.start(t, answer(tt.Status, tt.Header, tt.Body)), tt.Want)
			if tt.After > 0 && e.After != tt.After {
				t.Errorf("after: got %v, want %v", e.After, tt.After)
			}
			if tt.Code != "" && e.Code != tt.Code {
				t.Errorf("code: got %q, want %q", e.Code, tt.Code)
			}
			if e.Recipient != tt.Recipient {
				t.Errorf("recipient only: got %v, want %v", e.Recipient, tt.Recipient)
			}
		})
	}
}

// notSent: nobody listens, or the caller is gone before the call.
func (s suite) notSent(t *testing.T) {
	t.Parallel()
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().String()
		ln.Close()
		r, err := s.connector(t, "http://"+addr, time.Second).Send(t.Context(), s.message())
		wantReason(t, r, err, outbound.NotSent)
	})
	t.Run("no such host", func(t *testing.T) {
		t.Parallel()
		r, err := s.connector(t, "http://im.invalid", time.Second).Send(t.Context(), s.message())
		wantReason(t, r, err, outbound.NotSent)
	})
	t.Run("context over", func(t *testing.T) {
		t.Parallel()
		im := s.start(t, answer(http.StatusOK, nil, s.Sent("1")))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r, err := s.connector(t, im.URL, time.Second).Send(ctx, s.message())
		wantReason(t, r, err, outbound.NotSent)
		if n := im.calls.Load(); n != 0 {
			t.Errorf("calls: got %d, want 0", n)
		}
	})
}

// uncertain: the request was written, and nobody knows what became of it.
func (s suite) uncertain(t *testing.T) {
	t.Parallel()
	tests := map[string]http.HandlerFunc{
		"hang-up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hang-up inside of the answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4096")
			_, _ = io.WriteString(w, `{"mess`)
			panic(http.ErrAbortHandler)
		},
		"reset": func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if tcp, ok := c.(*net.TCPConn); err == nil && ok {
				_ = tcp.SetLinger(0)
				_ = tcp.Close()
			}
		},
		"no HTTP": func(w http.ResponseWriter, _ *http.Request) {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.9\r\n")
				c.Close()
			}
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.try(t, s.start(t, f), outbound.Uncertain)
		})
	}
	t.Run("too slow", func(t *testing.T) {
		t.Parallel()
		im := s.start(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		r, err := s.connector(t, im.URL, 300*time.Millisecond).Send(t.Context(), s.message())
		wantReason(t, r, err, outbound.Uncertain)
	})
	t.Run("dripping", func(t *testing.T) {
		t.Parallel()
		im := s.start(t, drip)
		began := time.Now()
		r, err := s.connector(t, im.URL, 500*time.Millisecond).Send(t.Context(), s.message())
		wantReason(t, r, err, outbound.Uncertain)
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("gave up after %v, want about 500ms", took)
		}
	})
}

// drip sends a byte now and then, for as long as somebody listens.
func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "100000")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// bounded: an endless answer is not read to its end.
func (s suite) bounded(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var written atomic.Int64
			im := s.start(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				junk := strings.Repeat("x", 32<<10)
				for r.Context().Err() == nil && written.Load() < 256<<20 {
					n, err := io.WriteString(w, junk)
					written.Add(int64(n))
					if err != nil {
						return
					}
				}
			})
			_, err := s.connector(t, im.URL, 10*time.Second).Send(t.Context(), s.message())
			if n := written.Load(); n > 64<<20 {
				t.Errorf("read about %d bytes, want it to stop early", n)
			}
			if e, ok := errors.AsType[*outbound.SendError](err); ok && len(e.Detail)+len(e.Code) > 2048 {
				t.Errorf("words of %d bytes, want them bounded", len(e.Detail)+len(e.Code))
			}
		})
	}
}

// hiding: what the IM repeats to us is not passed on if it is secret.
func (s suite) hiding(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 302, 400, 401, 429, 500, 502, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var im *fake
			im = s.start(t, func(w http.ResponseWriter, r *http.Request) {
				words := fmt.Sprintf("%s sent %s to %s%s", theSecret, theText, im.URL, r.URL)
				answer(status, nil, fmt.Sprintf(`{"ok":false,"error":%q,"message":%q}`, words, words))(w, r)
			})
			_, err := s.connector(t, im.URL, 5*time.Second).Send(t.Context(), s.message())
			if err != nil {
				wantHidden(t, err, im.URL)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		_, err := s.connector(t, "http://127.0.0.1:1/"+theSecret, time.Second).Send(t.Context(), s.message())
		wantHidden(t, err, "127.0.0.1:1/")
	})
}

func wantHidden(t *testing.T, err error, url string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, hidden := range []string{theSecret, theText, url} {
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("error shows %q: %v", hidden, err)
		}
	}
}

func (s suite) contextEnds(t *testing.T) {
	t.Parallel()
	im := s.start(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	r, err := s.connector(t, im.URL, time.Minute).Send(ctx, s.message())
	wantReason(t, r, err, outbound.Uncertain)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("returned after %v, want at the end of its context", took)
	}
}

func (s suite) concurrent(t *testing.T) {
	t.Parallel()
	im := s.start(t, answer(http.StatusOK, nil, s.Sent("1")))
	c := s.connector(t, im.URL, 10*time.Second)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.Send(t.Context(), s.message()); err != nil {
				t.Errorf("send: %v", err)
			}
		})
	}
	wg.Wait()
	if n := im.calls.Load(); n != 20 {
		t.Errorf("calls: got %d, want 20", n)
	}
}
