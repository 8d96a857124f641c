package onebot

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
)

// host is connected to by an implementation.
type host struct {
	bot

	times  times
	links  links
	intake *intake

	mu      sync.Mutex
	stopped bool
}

var (
	_ outbound.Resident = (*host)(nil)
	_ connector.Hosted  = (*host)(nil)
	_ caller            = (*host)(nil)
)

func newHost(b bot) *host {
	h := &host{bot: b, times: usual, intake: newIntake(b.wire, usual)}
	h.api = h
	return h
}

// Hosts implements [connector.Hosted].
func (*host) Hosts() bool { return true }

// Run implements [outbound.Resident]: it closes the connections when ctx ends and the calls under way are answered, and
// lets in none from then on. Before it was ever called they are let in already.
func (h *host) Run(ctx context.Context) {
	h.stop(false)
	h.intake.open()
	<-ctx.Done()
	h.stop(true)
	events := h.intake.hurry()
	h.links.end(errStopped, h.wire.Bound())
	h.intake.finish(events)
}

func (h *host) stop(stopped bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = stopped
}

// ServeHTTP implements [http.Handler].
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("X-Self-ID") != h.wire.Self:
		http.Error(w, "X-Self-ID is not the account that is configured here", http.StatusForbidden)
		return
	case !h.isOpen():
		w.Header().Set("Retry-After", "1")
		http.Error(w, "no connection is taken now; try again in a moment", http.StatusServiceUnavailable)
		return
	}
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		h.wire.Log.Info("connection refused", zap.String("event", "im.refused"), zap.Error(err))
		return
	}
	l := newLink(ws, roleOf(r.Header.Get("X-Client-Role")), h.times, h.wire)
	l.take, l.leads, l.working = h.intake.put, h.links.leads, h.works
	// The request's own context tells nothing any more, the connection is not the server's.
	h.serve(context.WithoutCancel(r.Context()), l)
}

// serve serves a link until it ends.
func (h *host) serve(ctx context.Context, l *link) {
	if !h.links.add(l) {
		_ = l.ws.Close(websocket.StatusTryAgainLater, "too many connections")
		return
	}
	defer h.links.remove(l)
	var own sync.WaitGroup
	defer own.Wait()
	own.Go(func() {
		l.prove(ctx)
		select {
		case <-l.done:
		case <-l.doubted:
			l.end(errSilent) // they come again
		}
	})
	if !h.isOpen() {
		l.end(errStopped)
	}
	l.run(ctx)
	h.wire.Log.Info("the IM is not connected any more", zap.String("event", "im.disconnected"),
		zap.String("reason", shown(l.reason())))
}

// works is told that a link works.
func (h *host) works(l *link) {
	h.links.replace(l)
	h.wire.Log.Info("the IM is connected", zap.String("event", "im.connected"))
}

// isOpen says that connections are taken: there is room, and the relay does not stop.
func (h *host) isOpen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.stopped
}

// roleOf reads X-Client-Role; who says nothing is for both.
func roleOf(name string) role {
	switch strings.ToLower(name) {
	case "api":
		return role{sends: true}
	case "event":
		return role{events: true}
	default:
		return role{events: true, sends: true}
	}
}

// call implements caller.
func (h *host) call(ctx context.Context, a action) ([]byte, error) {
	l := h.links.best()
	if l == nil {
		e := notSent(codeNotConnected, nil)
		e.Detail = "the OneBot implementation is not connected to this relay"
		return nil, e
	}
	return l.ask(ctx, a)
}
