package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

const (
	// heartbeat is how often an idle stream shows that it lives: under the patience of common proxies.
	heartbeat = 15 * time.Second
	// streamPatience is how long a reader may take to take one notice.
	streamPatience = 10 * time.Second
)

// Notice is one thing that happened, for those who look on.
type Notice struct {
	// Name is its kind in one word of letters, digits, dots and underscores: "event.delivered".
	Name string
	// Data is a JSON text that tells of it.
	Data []byte
}

// Streamer tells what happens while it happens.
type Streamer interface {
	// Subscribe returns a channel of what happens from now on. It never waits for a subscriber: a slow one misses
	// notices. The channel is given up when ctx ends, and closed when nothing more will come.
	Subscribe(ctx context.Context) <-chan Notice
}

// stream serves GET /api/admin/stream as server-sent events, until the reader leaves or the relay stops.
func stream(c *call) error {
	if c.s.isStopping() {
		return shuttingDown()
	}
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	notices := c.s.o.Stream.Subscribe(ctx)
	h := c.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	c.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return nil
	}
	out := flusher{w: c.response, rc: http.NewResponseController(c.response)}
	if !out.send([]byte("retry: 2000\n\n")) {
		return nil
	}
	ticker := time.NewTicker(c.s.o.Heartbeat)
	defer ticker.Stop()
	for {
		var chunk []byte
		select {
		case <-ctx.Done():
			return nil
		case <-c.s.stopping:
			return nil
		case n, open := <-notices:
			if !open {
				return nil
			}
			chunk = n.encode()
		case <-ticker.C:
			chunk = []byte(": still here\n\n")
		}
		if !out.send(chunk) {
			return nil
		}
	}
}

// encode is the notice as a server-sent event.
func (n Notice) encode() []byte {
	var b bytes.Buffer
	b.WriteString("event: " + n.Name + "\n")
	for line := range bytes.SplitSeq(n.Data, []byte("\n")) {
		b.WriteString("data: ")
		b.Write(line)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// flusher writes at once, to a reader that must not dawdle.
type flusher struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// send writes one chunk, and is false when the reader has left or reads no more: that ends a stream and is no error.
func (f flusher) send(chunk []byte) bool {
	_ = f.rc.SetWriteDeadline(time.Now().Add(streamPatience))
	_, err := f.w.Write(chunk)
	return err == nil && f.rc.Flush() == nil
}
