package connector_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	thePNG  = "\x89PNG\r\n\x1a\nand what follows"
	theSilk = "\x02#!SILK_V3\x0c\x00\xa7"
)

// store serves a path's own words as a medium, and counts who comes.
func store(t *testing.T) (base string, calls *atomic.Int32) {
	t.Helper()
	calls = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		switch r.URL.Path {
		case "/a.png":
			_, _ = w.Write([]byte(thePNG))
		case "/a.silk":
			_, _ = w.Write([]byte(theSilk))
		case "/long.png":
			_, _ = w.Write(append([]byte(thePNG), make([]byte, 100<<10)...))
		case "/page.png":
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write([]byte("<html>log in first</html>"))
		case "/moved.png":
			http.Redirect(w, r, "/a.png", http.StatusFound)
		case "/empty.png":
		case "/hangup.png":
			panic(http.ErrAbortHandler)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

func client(t *testing.T) *egress.Client {
	t.Helper()
	c := egress.New(egress.Options{})
	t.Cleanup(c.Close)
	return c
}

func data(kind, body string) string {
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString([]byte(body))
}

func TestFetch(t *testing.T) {
	t.Parallel()
	long := append([]byte(thePNG), make([]byte, 100<<10)...)
	base, _ := store(t)
	tests := []struct {
		name, from string
		most       int
		want       outbound.Reason // none: it is got
	}{
		{"a picture", base + "/a.png", 1 << 20, 0},
		{"beyond what a call reads by itself", base + "/long.png", 1 << 20, 0},
		{"as long as it may be", base + "/long.png", len(long), 0},
		{"a byte too long", base + "/long.png", len(long) - 1, outbound.Rejected},
		{"not there", base + "/nothing.png", 1 << 20, outbound.Rejected},
		{"moved", base + "/moved.png", 1 << 20, outbound.Rejected},
		{"empty", base + "/empty.png", 1 << 20, outbound.Rejected},
		{"a page that calls itself a picture", base + "/page.png", 1 << 20, outbound.Rejected},
		{"a voice message", base + "/a.silk", 1 << 20, outbound.Rejected},
		{"hang-up", base + "/hangup.png", 1 << 20, outbound.Rejected},
		{"nobody there", "http://127.0.0.1:1/a.png", 1 << 20, outbound.Rejected},
		{"no such host", "http://media.invalid/a.png", 1 << 20, outbound.Rejected},
		{"where clouds keep credentials", "http://169.254.169.254/a.png", 1 << 20, outbound.Rejected},
		{"beyond ASCII", "http://例.invalid/a.png", 1 << 20, outbound.Rejected},
		{"a name and password", strings.Replace(base, "//", "//root:x@", 1) + "/a.png", 1 << 20, outbound.Rejected},
		{"another scheme", "file:///etc/passwd", 1 << 20, outbound.Rejected},
		{"no host", "http:///a.png", 1 << 20, outbound.Rejected},
		{"nothing", "", 1 << 20, outbound.Rejected},
		{"data", data("image/png", thePNG), 1 << 20, 0},
		{"data in capitals", "DATA:image/png;charset=x;BASE64," + base64.StdEncoding.EncodeToString([]byte(thePNG)), 1 << 20, 0},
		{"data as long as it may be", data("image/png", thePNG), len(thePNG), 0},
		{"data a byte too long", data("image/png", thePNG), len(thePNG) - 1, outbound.Rejected},
		{"data far too long", data("image/png", string(long)), len(thePNG), outbound.Rejected},
		{"data that is no picture", data("image/png", "hello"), 1 << 20, outbound.Rejected},
		{"data that is no base64", "data:image/png;base64,***", 1 << 20, outbound.Rejected},
		{"data as text", "data:image/png,hello", 1 << 20, outbound.Rejected},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, e := connector.Fetch(t.Context(), client(t), tt.from, tt.most)
			if tt.want == 0 {
				if e != nil || !bytes.HasPrefix(got, []byte(thePNG)) {
					t.Fatalf("got %d bytes, %v; want the picture", len(got), e)
				}
				return
			}
			if e == nil || e.Reason != tt.want || e.Code != "media" || !e.Ours || got != nil {
				t.Fatalf("got %d bytes, %+v; want %v (media) of ours", len(got), e, tt.want)
			}
			if strings.Contains(e.Error(), "127.0.0.1") || strings.Contains(e.Error(), ".png") {
				t.Errorf("the error shows the URL: %v", e)
			}
		})
	}
}

func TestFetchVoice(t *testing.T) {
	t.Parallel()
	base, _ := store(t)
	codecs := strings.TrimPrefix(theSilk, "\x02")
	for from, want := range map[string]bool{
		base + "/a.silk":             true,
		data("audio/silk", theSilk):  true,
		data("audio/silk", codecs):   true,
		base + "/a.png":              false,
		data("audio/amr", "#!AMR\n"): false,
		base + "/nothing.silk":       false,
	} {
		got, e := connector.FetchVoice(t.Context(), client(t), from, 1<<20)
		if (e == nil) != want || (len(got) > 0) != want {
			t.Errorf("%s: got %d bytes, %v; want it taken: %v", from, len(got), e, want)
		}
	}
}

// TestFetchCalls: one call for a URL, none for data, and none when the relay ends.
func TestFetchCalls(t *testing.T) {
	t.Parallel()
	base, calls := store(t)
	if _, e := connector.Fetch(t.Context(), client(t), base+"/moved.png", 1<<20); e == nil || calls.Load() != 1 {
		t.Errorf("got %v after %d calls, want a refusal after 1", e, calls.Load())
	}
	if _, e := connector.Fetch(t.Context(), nil, data("image/png", thePNG), 1<<20); e != nil {
		t.Errorf("data: got %v, want it without a call", e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, e := connector.Fetch(ctx, client(t), base+"/a.png", 1<<20)
	if e == nil || e.Reason != outbound.NotSent || !e.Ours || calls.Load() != 1 {
		t.Errorf("relay ends: got %+v after %d calls, want not_sent, ours, after the 1 of before", e, calls.Load())
	}
}

func TestFetchable(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]bool{
		"http://a.example/b.png": true, "https://a.example/b": true, "data:image/png;base64,AAAA": true,
		"http://root@a.example/b.png": false, "http://:x@a.example/": false, "http://例.example/": false, "http://:80/": false,
		"http://169.254.169.254/": false, "http://0xa9fea9fe/": false, "https://[fd00:ec2::254]:80/": false,
		"http://10.0.0.1/b.png": true, "http://127.0.0.1/b.png": true, // which of them are reached is a client's business
		"data:image/png,x": false, "ftp://a.example/b.png": false, "/b.png": false, "http://": false, "": false, "data": false,
	} {
		if got := connector.Fetchable(from); got != want {
			t.Errorf("%q: got %v, want %v", from, got, want)
		}
	}
}
