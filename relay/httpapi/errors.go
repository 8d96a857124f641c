package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
)

// Code is a kind of error, in the API's words. The codes of [relay.Code] and [outbound.Code] are Codes too.
type Code string

// The codes that this package raises itself.
const (
	CodeInvalidRequest   Code = "invalid_request"
	CodeBodyIncomplete   Code = "body_incomplete"
	CodeUnauthorized     Code = "unauthorized"
	CodeSourceNotAllowed Code = "source_not_allowed"
	CodeNotFound         Code = "not_found"
	CodeMethodNotAllowed Code = "method_not_allowed"
	CodeRequestTimeout   Code = "request_timeout"
	CodeBodyTooLarge     Code = "body_too_large"
	CodeUnsupportedType  Code = "unsupported_media_type"
	CodeInternal         Code = "internal"
	// CodeTooManyConnections is what a [Ceiling] answers.
	CodeTooManyConnections Code = "too_many_connections"
	CodeRateLimited             = Code(outbound.CodeRateLimited)
	CodeStoreUnavailable        = Code(relay.CodeStoreUnavailable)
	CodeShuttingDown            = Code(relay.CodeShuttingDown)
)

// meaning is what a code stands for on the wire.
type meaning struct {
	status int
	// again is the least time to wait before the same request may do better; 0: waiting does not help.
	again time.Duration
	// sentinel is what a caller of [Client] may branch on; nil: nothing.
	sentinel error
}

// meanings is the one table of codes, read by the server to answer and by the client to understand. What package outbound
// has a status for, because its log lines need one, has that.
var meanings = map[Code]meaning{
	CodeInvalidRequest:                     {status: outbound.CodeInvalid.Status()},
	CodeBodyIncomplete:                     {status: http.StatusBadRequest},
	Code(relay.CodeEmptyBody):              {status: http.StatusBadRequest},
	Code(relay.CodeInvalidJSON):            {status: http.StatusBadRequest},
	Code(relay.CodeAccountAmbiguous):       {status: http.StatusBadRequest},
	Code(relay.CodeAccountUnknown):         {status: http.StatusBadRequest},
	CodeUnauthorized:                       {status: http.StatusUnauthorized},
	CodeSourceNotAllowed:                   {status: http.StatusForbidden},
	Code(outbound.CodeForbidden):           {status: outbound.CodeForbidden.Status()},
	CodeNotFound:                           {status: outbound.CodeNotFound.Status(), sentinel: queue.ErrNotFound},
	CodeMethodNotAllowed:                   {status: http.StatusMethodNotAllowed},
	CodeRequestTimeout:                     {status: http.StatusRequestTimeout},
	Code(outbound.CodeInProgress):          {status: outbound.CodeInProgress.Status(), again: time.Second},
	CodeBodyTooLarge:                       {status: http.StatusRequestEntityTooLarge},
	CodeUnsupportedType:                    {status: http.StatusUnsupportedMediaType},
	Code(outbound.CodeUnsupportedMedia):    {status: outbound.CodeUnsupportedMedia.Status()},
	Code(outbound.CodeKeyReused):           {status: outbound.CodeKeyReused.Status()},
	CodeRateLimited:                        {status: outbound.CodeRateLimited.Status(), again: time.Second},
	Code(outbound.CodeUpstreamRateLimited): {status: outbound.CodeUpstreamRateLimited.Status(), again: time.Second},
	CodeInternal:                           {status: http.StatusInternalServerError},
	Code(outbound.CodeCannotSend):          {status: outbound.CodeCannotSend.Status()},
	Code(outbound.CodeUpstreamRejected):    {status: outbound.CodeUpstreamRejected.Status()},
	CodeStoreUnavailable: {
		status: outbound.CodeStoreUnavailable.Status(), again: time.Second, sentinel: queue.ErrUnavailable,
	},
	CodeShuttingDown:                       {status: outbound.CodeShuttingDown.Status(), again: time.Second},
	CodeTooManyConnections:                 {status: http.StatusServiceUnavailable, again: time.Second},
	Code(outbound.CodeUpstreamUnavailable): {status: outbound.CodeUpstreamUnavailable.Status(), again: time.Second},
	Code(outbound.CodeDeliveryUnknown):     {status: outbound.CodeDeliveryUnknown.Status()},
}

// Status returns the HTTP status of the code; 500 for one that the table does not know.
func (c Code) Status() int {
	if m, ok := meanings[c]; ok {
		return m.status
	}
	return http.StatusInternalServerError
}

// Error is an error as the API shows it: the server writes it, the [Client] reads it back.
type Error struct {
	Code Code
	// Message says what is wrong and what to do.
	Message string
	// RequestID is the id of the failed request; the client sets it.
	RequestID string
	// RetryAfter is how long to wait before the same request may do better; 0: it will not.
	RetryAfter time.Duration
	// Upstream, Part and MessageIDs are those of an [outbound.Error].
	Upstream   *outbound.Upstream
	Part       int
	MessageIDs []string
	// Err is the cause. The server logs it and never shows it; on the client it is a sentinel of queue, or nil.
	Err error

	// allow is the Allow header of a 405.
	allow string
	// hangUp closes the connection after the answer: the rest of the request is not to be read.
	hangUp bool
}

// Error implements error.
func (e *Error) Error() string {
	if e.RequestID == "" {
		return fmt.Sprintf("%s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%s: %s (%s)", e.Code, e.Message, e.RequestID)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// retryAfter returns the whole seconds for the Retry-After header; 0: none.
func (e *Error) retryAfter() int {
	d := max(e.RetryAfter, meanings[e.Code].again)
	return int((d + time.Second - 1) / time.Second)
}

// asError finds the API's words for any error. What nobody foresaw is internal, and its text stays in Err.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*relay.Refusal](err); ok {
		return known(&Error{Code: Code(e.Code), Message: e.Message, RetryAfter: e.RetryAfter, Err: e.Err})
	}
	if e, ok := errors.AsType[*outbound.Error](err); ok {
		return known(&Error{
			Code: Code(e.Code), Message: e.Message, RetryAfter: e.RetryAfter,
			Upstream: e.Upstream, Part: e.Part, MessageIDs: e.MessageIDs, Err: e.Err,
		})
	}
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return &Error{Code: CodeNotFound, Message: "no event has this id", Err: err}
	case errors.Is(err, queue.ErrUnavailable):
		return &Error{Code: CodeStoreUnavailable, Message: "the store cannot do it now; try again", Err: err}
	}
	return &Error{Code: CodeInternal, Message: internalMessage, Err: err}
}

// internalMessage is all that a caller learns of an error that nobody foresaw.
const internalMessage = "something failed inside the relay; its log has the details under this request id"

// known returns e, or an internal error in its place where the table does not know its code.
func known(e *Error) *Error {
	if _, ok := meanings[e.Code]; ok {
		return e
	}
	return &Error{Code: CodeInternal, Message: internalMessage, Err: e}
}

// invalid is a 400 whose message begins with the name of the field.
func invalid(field, what string) *Error {
	return &Error{Code: CodeInvalidRequest, Message: field + " " + what}
}
