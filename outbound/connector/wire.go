package connector

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay/egress"
)

// Wire is what the daemon gives every kind beside its own configuration. What it gives is not to be used before the
// connector sends or runs: a configuration that is only checked has no network.
type Wire struct {
	// Account is the account's name in the configuration, Self its own id at the IM; empty: not configured.
	Account, Self string
	// Timeout bounds a call; 0: [DefaultTimeout].
	Timeout time.Duration
	// Doer makes the calls.
	Doer egress.Doer
	// Media fetches media from addresses that strangers name: see [Wire.Fetcher].
	Media egress.Doer
	// Sockets opens WebSockets: it is for the request that asks for one, and for no other.
	Sockets *http.Client
	// Inlet takes in what a connection received.
	Inlet Inlet
	// Alarm tells operators what no send's line does.
	Alarm Alarm
	// Log is for what is about no send.
	Log *zap.Logger
}

// Bound is the time that a call may take.
func (w Wire) Bound() time.Duration {
	if w.Timeout <= 0 {
		return DefaultTimeout
	}
	return w.Timeout
}

// Fetcher is what media are fetched with, at whatever URL a message names. Only a test has none, and gets Doer.
func (w Wire) Fetcher() egress.Doer {
	if w.Media == nil {
		return w.Doer
	}
	return w.Media
}

// Inlet takes in what an account's own connection received.
type Inlet interface {
	// Take makes the body durable as if the IM had posted it, and returns when it is. What is no message, or a repeat,
	// is no error: every error means that the relay cannot take it now, and that the IM must give it again.
	Take(ctx context.Context, body []byte) error
}

// Alarm is for what an operator has to see and mend. Raising what is raised already says nothing again.
type Alarm interface {
	// Raise says that something is wrong. what is one word with a fixed meaning; text is safe to show.
	Raise(what, text string)
	// Clear says that it is over.
	Clear(what string)
}

// Hosted is a Connector to which the IM connects by itself: a request for a WebSocket on the account's inbound path is
// served by it. Source and token were checked before.
type Hosted interface {
	outbound.Connector
	// Hosts says whether it is configured so.
	Hosts() bool
	http.Handler
}
