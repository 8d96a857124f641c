package httpapi

import (
	"net/http"
	"time"
)

const (
	// answerGrace is how long a part of an answer may take to leave whatever its size, and answerRate what must then
	// leave a second.
	answerGrace = 30 * time.Second
	answerRate  = 16 << 10
	// heldBack is how much of an answer net/http keeps until the handler has returned.
	heldBack = 2 << 10
)

// patience bounds how long a reader may take to take an answer. The deadline begins with the request, as
// [http.Server.WriteTimeout] (see [Server.Configure]): that bounds what net/http writes itself, and is all that a quick
// short answer needs. A handler may wait for longer than that, so it begins anew where it does, and with each part of
// a long answer.
type patience struct {
	grace time.Duration
	// written counts what is held back.
	written int
	// own says that the handler sets the deadlines itself.
	own bool
}

// allow gives the reader the time for n bytes from now. A writer that knows no deadlines, as in a test, has none.
func (w *response) allow(n int) {
	end := time.Now().Add(w.patience.grace + time.Duration(n)*time.Second/answerRate)
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(end)
}

// writing is told of n bytes before they are written: beyond what is held back they meet the connection.
func (w *response) writing(n int) {
	if w.patience.written += n; w.patience.written > heldBack && !w.patience.own {
		w.allow(n)
	}
}

// FlushError is for [http.ResponseController].
func (w *response) FlushError() error {
	if !w.patience.own {
		w.allow(0)
	}
	return http.NewResponseController(w.ResponseWriter).Flush() //nolint:wrapcheck // a writer passes on what it wraps
}

// SetWriteDeadline is for [http.ResponseController]: a handler that calls it keeps its deadlines until it returns.
func (w *response) SetWriteDeadline(end time.Time) error {
	w.patience.own = true
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(end) //nolint:wrapcheck // as above
}

// finish is called when the handler has returned: what is left of the answer leaves now.
func (w *response) finish() {
	if w.patience.own || time.Since(w.started) > w.patience.grace/2 {
		w.allow(0)
	}
}
