// Package egress makes outgoing HTTP calls to agents and IMs: one request, one bounded answer, and an error that says
// whether a byte was written. It follows no redirect, asks for no compression, uses no proxy unless it is given one,
// dials no cloud metadata address, and repeats nothing that may have left: that is its callers' business.
//
// # Why it is no http.Client
//
// [http.Transport] runs two goroutines a connection and hands every answer over twice; that was half the cost of
// delivering a message. It also repeats requests on its own judgement and does not say whether anything was written.
// [Client] does each call on the caller's goroutine, over a pool of connections of its own; answers are parsed by
// [http.ReadResponse]. It speaks HTTP/1.1 only, to proxies SOCKS5 too.
package egress

import (
	"context"
	"net/http"
	"time"
)

// MaxAnswer is how much of an answer's body is read where a call says nothing else.
const MaxAnswer = 64 << 10

// DefaultTimeout bounds a call that brings no Timeout.
const DefaultTimeout = 30 * time.Second

// Call is one request.
type Call struct {
	Method, URL string
	// Header is sent as it stands, but for Host, Content-Length, Transfer-Encoding and Connection, which are ours. A
	// User-Agent is added if there is none.
	Header http.Header
	// Body is sent with its length. It must not be changed until Do returns.
	Body []byte
	// Timeout bounds the whole call, connecting and reading the answer included; 0: [DefaultTimeout].
	Timeout time.Duration
	// MaxAnswer is how much of the answer's body is read; 0: [MaxAnswer]. A stream has no bound.
	MaxAnswer int
	// Idle is how long a stream's body may be silent before reading it fails; 0: for ever. Only a stream looks at it.
	Idle time.Duration
	// Once says that the URL is none of the configuration's, so that nothing of it is remembered: where it leads is
	// remembered for a bounded number of URLs, and for good.
	Once bool
	// Ready, if not nil, is asked just before the first byte is written. Its error ends the call, and nothing was
	// written: whoever was frozen on the way here may have lost the right to make it.
	Ready func() error
}

// Answer is what came back, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	// Body is at most the call's MaxAnswer bytes; Truncated says that there was more.
	Body      []byte
	Truncated bool
}

// Error says why there is no answer. Its text holds no URL.
type Error struct {
	// Written says that a byte of the request may have left: the other side may have acted on it.
	Written bool
	// Timeout says that the time was over.
	Timeout bool
	// Lasting says that the same call would fail again: its URL, or the name, the address or the certificate there.
	Lasting bool
	// Reason is safe to show: "connection refused", "no such host", "connection closed before an answer".
	Reason string
	// Err is the cause; its text may hold the URL.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Doer makes calls.
type Doer interface {
	// Do makes the call. Every error is an [*Error], the end of ctx included. Safe for concurrent use.
	Do(ctx context.Context, c Call) (Answer, error)
}

// Streamer makes calls whose answers are read as they come.
type Streamer interface {
	// Open makes the call, and returns once the answer's header is there: Timeout bounds that, and ctx the whole. Every
	// error is an [*Error]. Safe for concurrent use.
	Open(ctx context.Context, c Call) (*Stream, error)
}
