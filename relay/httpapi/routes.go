package httpapi

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// Paths of the admin API, shared with the client.
const (
	pathEvents   = "/api/admin/events"
	pathDead     = "/api/admin/dead"
	pathReplay   = "/api/admin/dead/replay"
	pathDrop     = "/api/admin/dead/drop"
	pathAgents   = "/api/admin/agents"
	pathAccounts = "/api/admin/accounts"
	pathPauses   = "/api/admin/pauses"
	pathPause    = "/api/admin/pause"
	pathResume   = "/api/admin/resume"
	pathStream   = "/api/admin/stream"
	pathReady    = "/readyz"
)

// routes registers every path, the busiest first: the router looks at them in this order. There is no subrouter and no
// catch-all, so that no path can be reached without its own check.
func (s *Server) routes() {
	// The inbound paths see to their methods themselves: which there are depends on the account.
	s.router.Handle("/im/inbound", s.endpoint(inbound))
	s.router.Handle("/im/{name}/inbound", s.endpoint(inbound))
	for _, prefix := range []string{"/api/messages", "/messages"} {
		s.handle(http.MethodPost, prefix+"/send", send)
		s.handle(http.MethodGet, prefix+"/{id:msg_[^/]+}", lookup)
	}
	s.handle(http.MethodPost, "/agents/{name}/callback/{path}", callback)
	s.handle(http.MethodGet, "/healthz", healthz)
	s.handle(http.MethodGet, "/health", healthz)
	s.handle(http.MethodGet, pathReady, readyz)
	s.handle(http.MethodGet, "/openapi.yaml", openapi)
	if s.o.Metrics != nil {
		s.handle(http.MethodGet, "/metrics", func(c *call) error { s.o.Metrics.ServeHTTP(c, c.r); return nil })
	}
	s.adminRoutes()
	s.router.NotFoundHandler = s.endpoint(notFound)
	s.router.MethodNotAllowedHandler = s.endpoint(methodNotAllowed)
}

// adminRoutes registers the paths behind the admin token.
func (s *Server) adminRoutes() {
	s.handle(http.MethodGet, pathEvents, admin(listEvents))
	s.handle(http.MethodGet, pathEvents+"/{id}", admin(getEvent))
	s.handle(http.MethodGet, pathDead, admin(listDead))
	s.handle(http.MethodPost, pathReplay, admin(replayDead))
	s.handle(http.MethodPost, pathDrop, admin(dropDead))
	s.handle(http.MethodGet, pathAgents, admin(listAgents))
	s.handle(http.MethodGet, pathAccounts, admin(listAccounts))
	s.handle(http.MethodGet, pathPauses, admin(listPauses))
	s.handle(http.MethodPost, pathPause, admin(pause))
	s.handle(http.MethodPost, pathResume, admin(resume))
	s.handle(http.MethodGet, pathStream, admin(stream))
}

// handle registers one path for one method; who may GET may ask for the HEAD.
func (s *Server) handle(method, path string, h handler) {
	methods := []string{method}
	if method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	s.router.Handle(path, s.endpoint(h)).Methods(methods...)
}

// notFound answers every path that is none.
func notFound(*call) error {
	return &Error{Code: CodeNotFound, Message: "there is nothing at this path; /openapi.yaml lists what there is"}
}

// methodNotAllowed answers a known path with a method that it does not have.
func methodNotAllowed(c *call) error {
	var allow []string
	probe := *c.r
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		probe.Method = method
		var match mux.RouteMatch
		if c.s.router.Match(&probe, &match) && match.MatchErr == nil {
			allow = append(allow, method)
		}
	}
	return wrongMethod(strings.Join(allow, ", "))
}

// wrongMethod is a 405.
func wrongMethod(allow string) *Error {
	return &Error{Code: CodeMethodNotAllowed, Message: "this path takes " + allow + " only", allow: allow}
}
