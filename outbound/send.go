package outbound

import (
	"fmt"
	"time"
)

// Client is who may send.
type Client struct {
	// Name is the configured name; idempotency keys belong to it.
	Name string
	// Accounts are the IM accounts it may use; empty: all.
	Accounts []string
	// Recipients are the recipients it may send to, exact or with * for any run of characters; empty: all.
	Recipients []string
}

// Request is one send as the API took it in, checked for shape but for nothing that needs knowledge of accounts.
type Request struct {
	// Client is who asks.
	Client Client
	// RequestID is the id of the HTTP request, for the logs.
	RequestID string
	// EventID is the event that the message answers, for the logs; empty: none that we know.
	EventID string
	// Key is the idempotency key; empty: none was given.
	Key string
	// Account is the account asked for; empty: to be found out.
	Account string
	// To, Text, ReplyTo and Media are the content.
	To, Text, ReplyTo string
	Media             []Media
	Mentions          []Mention
	// Adapt makes what would be refused fit, for an agent that has answered is not there any more to do it: a text that
	// would need too many parts is cut off, and of a medium that the IM does not take the address is told.
	Adapt bool
	// Resend sends again although an earlier outcome is unknown.
	Resend bool

	// rendered says that Text is as the IM should show it already.
	rendered bool
}

// Result is a sent message.
type Result struct {
	// MessageIDs are the IM's ids, one a part, in order.
	MessageIDs []string
	// Replayed says that it was sent by an earlier request with the same key, and that the IM was not called.
	Replayed bool
}

// Report tells where a background send stands.
type Report struct {
	// ID is the message's id, msg_….
	ID string
	// Status is queued, sent, failed or unknown.
	Status string
	// MessageIDs are the IM's ids of what was sent so far.
	MessageIDs []string
	// Err is why it failed or is unknown; nil otherwise.
	Err *Error
	// Replayed says that Enqueue found the key already used for the same content.
	Replayed bool
}

// Code is a kind of refusal, in the API's words.
type Code string

// The codes of section 2 of the API.
const (
	CodeInProgress          Code = "in_progress"
	CodeKeyReused           Code = "idempotency_key_reused"
	CodeForbidden           Code = "forbidden"
	CodeAmbiguous           Code = "im_ambiguous"
	CodeUnknownIM           Code = "im_unknown"
	CodeCannotSend          Code = "im_cannot_send"
	CodeInvalid             Code = "invalid_request"
	CodeRateLimited         Code = "rate_limited"
	CodeUpstreamRateLimited Code = "upstream_rate_limited"
	CodeUpstreamRejected    Code = "upstream_rejected"
	CodeUpstreamUnavailable Code = "upstream_unavailable"
	CodeDeliveryUnknown     Code = "delivery_unknown"
	CodeStoreUnavailable    Code = "store_unavailable"
	CodeShuttingDown        Code = "shutting_down"
	CodeNotFound            Code = "not_found"
	CodeUnsupportedMedia    Code = "unsupported_media"
)

// Upstream is the IM's own word on a refusal.
type Upstream struct {
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// Error is a refused or failed send, safe to show to the client.
type Error struct {
	Code Code
	// Message says what is wrong and what to do.
	Message string
	// RetryAfter is how long to wait before the same request may do better; 0: not said.
	RetryAfter time.Duration
	// Upstream is the IM's own word; nil: it gave none.
	Upstream *Upstream
	// Part is the number, from 1, of the part of a long text that failed; 0: it is no long text.
	Part int
	// MessageIDs are the IM's ids of the parts that were sent before.
	MessageIDs []string
	// Err is the cause, for the log only.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
