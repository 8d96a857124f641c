package httpapi

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
)

// What the server asks of connections.
const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// Options are what a server is made of. All but those marked as optional must be set.
type Options struct {
	// Acceptor takes inbound posts, Sender sends.
	Acceptor Acceptor
	Sender   Sender
	// Store is what the admin API looks into and mends.
	Store Store
	// Overview tells of agents and accounts, Stream of what happens.
	Overview Overview
	Stream   Streamer
	// Health is asked by /readyz.
	Health Health
	// Metrics answers /metrics. Optional: without it there is no such path here.
	Metrics http.Handler
	// Table is the configuration to begin with.
	Table Table
	// Version is shown by /healthz.
	Version string
	// BodyGrace is how long a body may take, whatever its size, before it must keep a pace. Optional: 5s.
	BodyGrace time.Duration
	// AnswerGrace is how long an answer may take to be taken, whatever its size, before it must keep a pace; for one
	// that leaves in parts, each part. Optional: 30s.
	AnswerGrace time.Duration
	// Heartbeat is how often an idle event stream shows that it lives. Optional: 15s.
	Heartbeat time.Duration
	// Log gets one line for each refused request, and each failure's cause.
	Log *zap.Logger
}

// Store is the part of a queue that the admin API needs.
type Store interface {
	queue.Inspector
	queue.Mender
	queue.Pauser
}

// Server is the whole HTTP API as one [http.Handler].
type Server struct {
	o        Options
	log      *zap.Logger
	router   *mux.Router
	table    atomic.Pointer[table]
	guesses  *guesses
	started  time.Time
	stop     sync.Once
	stopping chan struct{}
}

var _ http.Handler = (*Server)(nil)

// New makes the server, or says what is wrong with its table.
func New(o Options) (*Server, error) {
	if o.BodyGrace <= 0 {
		o.BodyGrace = bodyGrace
	}
	if o.AnswerGrace <= 0 {
		o.AnswerGrace = answerGrace
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = heartbeat
	}
	s := &Server{
		o: o, log: o.Log, guesses: newGuesses(), started: time.Now(), stopping: make(chan struct{}),
	}
	if err := s.Reload(o.Table); err != nil {
		return nil, err
	}
	s.router = mux.NewRouter().SkipClean(true)
	s.routes()
	return s, nil
}

// Reload takes a new table over. Requests under way end with the old one; a table with a mistake changes nothing.
func (s *Server) Reload(t Table) error {
	c, err := compile(t)
	if err != nil {
		return fmt.Errorf("compile table: %w", err)
	}
	s.table.Store(c)
	return nil
}

// Mount serves all paths below prefix by h, behind the server's request ids and its recovery from panics. It must not
// be called after the first request.
func (s *Server) Mount(prefix string, h http.Handler) {
	s.router.PathPrefix(prefix).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rw, ok := w.(*response); ok && r.ContentLength != 0 {
			// In a copy: net/http looks at the body of its own request to decide what to do with the rest of it.
			paced := *r
			paced.Body = &rw.body
			r = &paced
		}
		h.ServeHTTP(w, r)
	})
}

// Configure makes hs serve s with limits on headers, idle connections and readers that read nothing. It leaves the address and TLS alone.
func (s *Server) Configure(hs *http.Server) {
	hs.Handler = s
	hs.ReadHeaderTimeout = readHeaderTimeout
	hs.IdleTimeout = idleTimeout
	// It bounds what net/http itself writes, and a handler's answer anew each time.
	hs.WriteTimeout = s.o.AnswerGrace
	hs.MaxHeaderBytes = maxHeaderBytes
	hs.DisableGeneralOptionsHandler = true // OPTIONS * is a 404 of ours, like every path that is none
	// What net/http itself has to say is about connections that broke: of no use unless one looks for it.
	if l, err := zap.NewStdLogAt(s.log, zap.DebugLevel); err == nil {
		hs.ErrorLog = l
	}
}

// Stopping makes inbound posts and sends answer 503 from now on, readyz too, and ends event streams. Requests under way
// are not touched. It may be called more than once.
func (s *Server) Stopping() { s.stop.Do(func() { close(s.stopping) }) }

// isStopping says that Stopping was called.
func (s *Server) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

// ServeHTTP implements http.Handler. What must hold for every answer, 404 and 405 too, is done here, round the router.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rw := s.newResponse(w, r)
	w.Header()[headerRequestID] = rw.idHeader[:]
	if r.ContentLength != 0 {
		rw.body.begin(w, r, s.o.BodyGrace)
	}
	defer rw.finish()
	defer s.recover(rw, r)
	s.dispatch(rw, r)
}

// newResponse wraps the writer of a request.
func (s *Server) newResponse(w http.ResponseWriter, r *http.Request) *response {
	id := requestID(r.Header)
	return &response{
		ResponseWriter: w, id: id, idHeader: [1]string{id}, started: time.Now(),
		patience: patience{grace: s.o.AnswerGrace},
	}
}

// dispatch calls the handler of the route that matches. It asks the router for no more than that: its own ServeHTTP
// copies the request twice to put the variables into its context, which costs more than all else that is done here.
func (s *Server) dispatch(w *response, r *http.Request) {
	var match mux.RouteMatch
	s.router.Match(r, &match)
	w.vars = match.Vars
	match.Handler.ServeHTTP(w, r)
}

// recover turns a panic into a 500, unless the handler meant to break the connection.
func (s *Server) recover(w *response, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it as it stands
		panic(v)
	}
	s.log.Error("handler panicked", zap.String("event", "request.panicked"), zap.String("requestId", w.id),
		zap.String("method", r.Method), zap.String("panic", fmt.Sprint(v)), zap.ByteString("stack", debug.Stack()))
	if w.wrote {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	w.writeError(&Error{Code: CodeInternal, Message: internalMessage, hangUp: true})
}

// call is one request on its way through a handler.
type call struct {
	*response

	s *Server
	r *http.Request
	t *table
}

// handler answers a request, or returns the error that endpoint writes.
type handler func(c *call) error

// endpoint is the one place where errors become answers.
func (s *Server) endpoint(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rw, ok := w.(*response)
		if !ok { // only a router of somebody else's can have wrapped it
			rw = s.newResponse(w, r)
		}
		c := &call{response: rw, s: s, r: r, t: s.table.Load()}
		if err := h(c); err != nil {
			c.fail(err)
		}
	})
}

// fail writes the error, and logs it if nobody outside can know what it means.
func (c *call) fail(err error) {
	e := asError(err)
	if e.Code == CodeInternal {
		c.s.log.Error("request failed", zap.String("event", "request.failed"), zap.String("requestId", c.id),
			zap.String("method", c.r.Method), zap.NamedError("error", e.Err))
	}
	if !c.wrote {
		c.writeError(e)
	}
}

// logRefusal writes the one line of a refused request. name says whose it is, under the key role.
func (c *call) logRefusal(event string, err error, role, name string) {
	e := asError(err)
	c.s.log.Warn("request refused", zap.String("event", event), zap.String("code", string(e.Code)),
		zap.Int("status", e.Code.Status()), zap.String(role, name), zap.String("requestId", c.id),
		zap.String("remote", clientAddr(c.r, c.t.proxies).String()),
		zap.Float64("durationMs", float64(time.Since(c.started).Microseconds())/1000), zap.Error(e.Err))
}
