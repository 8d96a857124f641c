package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// statuses is the table from this package's codes to what HTTP says: the log's lines have it as status, and the API
// answers with it.
var statuses = map[Code]int{
	CodeInProgress:          http.StatusConflict,
	CodeKeyReused:           http.StatusUnprocessableEntity,
	CodeForbidden:           http.StatusForbidden,
	CodeAmbiguous:           http.StatusBadRequest,
	CodeUnknownIM:           http.StatusBadRequest,
	CodeCannotSend:          http.StatusNotImplemented,
	CodeInvalid:             http.StatusBadRequest,
	CodeRateLimited:         http.StatusTooManyRequests,
	CodeUpstreamRateLimited: http.StatusTooManyRequests,
	CodeUpstreamRejected:    http.StatusBadGateway,
	CodeUpstreamUnavailable: http.StatusServiceUnavailable,
	CodeDeliveryUnknown:     http.StatusGatewayTimeout,
	CodeStoreUnavailable:    http.StatusServiceUnavailable,
	CodeShuttingDown:        http.StatusServiceUnavailable,
	CodeNotFound:            http.StatusNotFound,
	CodeUnsupportedMedia:    http.StatusBadRequest,
}

// Status is the HTTP status that goes with the code; 500 for one that is none of ours.
func (c Code) Status() int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// wholeSeconds rounds up to whole seconds, at least one: what Retry-After can say. What is under a microsecond is the
// rounding of a token bucket.
func wholeSeconds(d time.Duration) time.Duration {
	d = d.Round(time.Microsecond)
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func refuseFor(code Code, after time.Duration, message string) *Error {
	return &Error{Code: code, Message: message, RetryAfter: wholeSeconds(after)}
}

func errRateLimited(after time.Duration) *Error {
	return refuseFor(CodeRateLimited, after, "over the account's or the recipient's rate; it was not sent, repeat it later")
}

func errThrottled(after time.Duration) *Error {
	return refuseFor(CodeUpstreamRateLimited, after, "the IM wants fewer messages; it was not sent, repeat it later")
}

func errUnavailable(after time.Duration) *Error {
	return refuseFor(CodeUpstreamUnavailable, after, "the IM cannot be reached; it was not sent, repeat it later")
}

// errRejected is for what is refused for good: by the IM, or before it was asked.
func errRejected(e *SendError) *Error {
	if e.Ours {
		return refuse(CodeInvalid, "%s: %s", e.Code, e.Detail)
	}
	out := refuse(CodeUpstreamRejected, "the IM refused the message; it was not sent, change it before you repeat it")
	if e.Code != "" || e.Detail != "" {
		out.Upstream = &Upstream{Code: e.Code, Message: e.Detail}
	}
	return out
}

func errUnknown() *Error {
	return refuse(CodeDeliveryUnknown,
		`it may have been sent; look before you repeat it with the same key and "resend": true`)
}

func errStore(cause error) *Error {
	e := refuseFor(CodeStoreUnavailable, storePause, "the store cannot take it now; it was not sent, repeat it later")
	e.Err = cause
	return e
}

// errQueue is for a ledger that did not say whether it took a queued send.
func errQueue(cause error) *Error {
	e := errStore(cause)
	e.Message = "the store cannot take it now and nothing was promised; repeat it later, with a key so that it cannot go twice"
	return e
}

// errPace is for a limiter that does not answer, unless it is the caller who did not wait for it.
func errPace(ctx context.Context, cause error) *Error {
	if ctx.Err() != nil {
		return errLeft(ctx.Err())
	}
	return errStore(fmt.Errorf("keep the pace: %w", cause))
}

// errLookup is errStore where nothing was to be sent.
func errLookup(cause error) *Error {
	e := refuseFor(CodeStoreUnavailable, storePause, "the store cannot tell it now; ask again later")
	e.Err = cause
	return e
}

func errStopping() *Error {
	return refuseFor(CodeShuttingDown, time.Second, "the relay is stopping; it was not sent, repeat it later")
}

var errCallerLeft = errors.New("caller left")

// errLeft is for a caller who is no longer there; it matters only to the log and to those who wait for the same key.
func errLeft(cause error) *Error {
	e := refuseFor(CodeUpstreamUnavailable, time.Second, "the caller left before the message was sent; it was not sent")
	e.Err = fmt.Errorf("%w: %w", errCallerLeft, cause)
	return e
}

func errInProgress() *Error {
	return refuseFor(CodeInProgress, time.Second, "a request with the same key is being sent; ask again later")
}
