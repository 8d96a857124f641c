package agenttest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Host serves an agent's fake on one port of the loopback, through its restarts.
type Host struct {
	tb testing.TB

	mu     sync.Mutex
	addr   string
	server *http.Server // nil: stopped
	served chan struct{}
}

// NewHost returns a host that has a port once it was started.
func NewHost(tb testing.TB) *Host {
	tb.Helper()
	return &Host{tb: tb, addr: "127.0.0.1:0"}
}

// URL is the address, the same after every start.
func (h *Host) URL() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return "http://" + h.addr
}

// Start serves by the handler. It does nothing while the host is started.
func (h *Host) Start(handler http.Handler) {
	h.tb.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		return
	}
	l, err := h.listen()
	if err != nil {
		h.tb.Errorf("start the fake: %v", err)
		return
	}
	h.addr = l.Addr().String()
	server, served := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}, make(chan struct{})
	h.server, h.served = server, served
	go func() {
		defer close(served)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			h.tb.Errorf("serve the fake: %v", err)
		}
	}()
}

// listen takes the port, which a connection of another test may hold for a moment.
func (h *Host) listen() (l net.Listener, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", h.addr); err == nil || !Wait(ctx, 20*time.Millisecond) {
			return l, err
		}
	}
}

// Stop cuts all connections and refuses new ones. Stopping twice is fine.
func (h *Host) Stop() {
	h.mu.Lock()
	server, served := h.server, h.served
	h.server = nil
	h.mu.Unlock()
	if server != nil {
		_ = server.Close()
		<-served
	}
}

// Wait is over after d, and false if ctx is over before.
func Wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
