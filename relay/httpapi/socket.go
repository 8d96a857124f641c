package httpapi

import (
	"maps"
	"net/http"
	"strings"
)

// socket hands a connection of the IM's own to the account's connector.
func (c *call) socket(a *account) error {
	switch {
	case c.s.isStopping():
		return shuttingDown()
	case len(a.Networks) > 0 && !contains(a.Networks, clientAddr(c.r, c.t.proxies)):
		return notAllowed()
	}
	if err := a.checkToken(c.r); err != nil {
		return err
	}
	if a.tokens.empty() && a.Verifier != nil {
		// Nothing signs a connection, and it must not be the open door beside the closed one.
		return unauthorized(credentialMissing, "a token of this IM account, which a connection needs beside the signature")
	}
	if !strings.EqualFold(c.r.Header.Get("Upgrade"), "websocket") {
		return invalid("Upgrade", "must ask for a WebSocket: this path is for the IM's own connection, and for posts")
	}
	w := &upgrading{ResponseWriter: c.ResponseWriter, before: c.Header().Clone()}
	a.Socket.ServeHTTP(w, c.r)
	if w.refused == 0 {
		c.wrote = true
		return nil
	}
	return refusedSocket(w.refused)
}

// refusedSocket is what the connector's refusal of a connection is to the API.
func refusedSocket(status int) error {
	switch status {
	case http.StatusForbidden:
		return &Error{Code: Code("forbidden"), Message: "the connection is not this account's: check X-Self-ID against self"}
	case http.StatusServiceUnavailable:
		return shuttingDown()
	default:
		return invalid("request", "cannot become a WebSocket: check its headers")
	}
}

// upgrading lets an upgrade through and keeps what a connector writes in place of one: errors have one shape.
type upgrading struct {
	http.ResponseWriter

	// before are the headers that were there already.
	before  http.Header
	refused int
}

// WriteHeader implements http.ResponseWriter.
func (w *upgrading) WriteHeader(status int) {
	if status < http.StatusBadRequest {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.refused = status
	clear(w.Header())
	maps.Copy(w.Header(), w.before)
}

// Write implements http.ResponseWriter.
func (w *upgrading) Write(p []byte) (int, error) {
	if w.refused != 0 {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p) //nolint:wrapcheck // a writer passes on what it wraps
}

// Unwrap lets the connection be taken over.
func (w *upgrading) Unwrap() http.ResponseWriter { return w.ResponseWriter }
