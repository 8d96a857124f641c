package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
)

// idleAcceptor accepts at no cost.
type idleAcceptor struct{}

var oneEvent = []string{"evt_01980c5e-6f7a-7c3e-9d3b-5a1f0c2b4d6e"}

func (idleAcceptor) Accept(context.Context, relay.Post) (relay.Acceptance, error) {
	return relay.Acceptance{EventIDs: oneEvent}, nil
}

// idleWriter is a ResponseWriter at no cost.
type idleWriter struct{ h http.Header }

func (w *idleWriter) Header() http.Header         { return w.h }
func (w *idleWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *idleWriter) WriteHeader(int)             {}

func (w *idleWriter) SetReadDeadline(time.Time) error  { return nil }
func (w *idleWriter) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkInbound is what this package adds to an accepted 1 KB post.
func BenchmarkInbound(b *testing.B) {
	server, _ := bareWith(b, idleAcceptor{})
	body := bytes.Repeat([]byte("a"), 1024)
	w := &idleWriter{h: http.Header{}}
	reader := bytes.NewReader(body)
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://x/im/wechat/inbound", io.NopCloser(reader))
	if err != nil {
		b.Fatal(err)
	}
	req.ContentLength = int64(len(body))
	req.RequestURI = "/im/wechat/inbound"
	req.RemoteAddr = "127.0.0.1:1234"
	req.Header.Set("Authorization", "Bearer "+imToken)
	req.Header.Set("Prefer", "respond-async")
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		server.ServeHTTP(w, req)
	}
}
