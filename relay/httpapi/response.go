package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/imrelay/imrelay/outbound"
)

// response is what every handler writes to: it knows the request's id and whether anything was written. It travels as
// the ResponseWriter itself, so that no request has to be copied for a context value.
type response struct {
	http.ResponseWriter

	id string
	// idHeader is the header with the id, here so that it costs no object of its own.
	idHeader [1]string
	started  time.Time
	// vars are the variables of the path.
	vars     map[string]string
	body     pacedBody
	patience patience
	wrote    bool
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	w.wrote = true
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.wrote = true
	w.writing(len(p))
	return w.ResponseWriter.Write(p) //nolint:wrapcheck // a writer passes on what it wraps
}

// Unwrap lets an [http.ResponseController] reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Values of headers that never change. A header map holds slices, and these are shared by all answers.
var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
	async    = []string{preferAsync}
)

// writeJSON writes a finished JSON text.
func (w *response) writeJSON(status int, body []byte) error {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// encodeJSON writes a value as JSON.
func (w *response) encodeJSON(status int, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return w.writeJSON(status, buf.Bytes())
}

// errorBody is the shape of every error.
type errorBody struct {
	Error      *errorWords        `json:"error"`
	RequestID  string             `json:"requestId,omitempty"`
	RetryAfter int                `json:"retry_after,omitempty"`
	Upstream   *outbound.Upstream `json:"upstream,omitempty"`
	Part       int                `json:"part,omitempty"`
	MessageIDs []string           `json:"messageIds,omitempty"`
}

// errorWords are a code and what it means here.
type errorWords struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// writeError writes the error with its headers.
func (w *response) writeError(e *Error) {
	h := w.Header()
	after := e.retryAfter()
	if after > 0 {
		h.Set("Retry-After", strconv.Itoa(after))
	}
	if e.allow != "" {
		h.Set("Allow", e.allow)
	}
	if e.Code == CodeUnauthorized {
		h["Www-Authenticate"] = []string{"Bearer"}
	}
	if e.hangUp {
		h.Set("Connection", "close")
		w.body.hangUp()
	}
	h["Cache-Control"] = noStore
	// A caller that has hung up gets no answer, and there is nobody else to tell.
	_ = w.encodeJSON(e.Code.Status(), errorBody{
		Error: &errorWords{Code: e.Code, Message: e.Message}, RequestID: w.id, RetryAfter: after,
		Upstream: e.Upstream, Part: e.Part, MessageIDs: e.MessageIDs,
	})
}
