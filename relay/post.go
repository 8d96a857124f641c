package relay

import "time"

// Post is a received body, authenticated and within bounds, before anybody has looked into it.
type Post struct {
	// Account is the configured name of the IM account that it came in on.
	Account string
	// Body is the bytes as received. The acceptor keeps them.
	Body []byte
	// ContentType and Traceparent are the headers of those names; empty: not given.
	ContentType, Traceparent string
	// RequestID is the id of the HTTP request, for the logs.
	RequestID string
	// Wait is how long the caller would wait for the outcome; 0: not at all.
	Wait time.Duration
}

// Ignored is why a message was left out.
type Ignored string

// The reasons.
const (
	IgnoredSelf         Ignored = "self"
	IgnoredMeta         Ignored = "meta"
	IgnoredNotMentioned Ignored = "not_mentioned"
	IgnoredTooOld       Ignored = "too_old"
	IgnoredFiltered     Ignored = "filtered"
)

// Acceptance is what became of a post. The first that applies describes it: Ignored (every message was left out),
// Duplicate (every other one was a repeat), else the first fresh event, which is Delivered, Dead, or still Queued.
type Acceptance struct {
	// EventIDs are the ids of the events in the body's order, repeats with the id of the first one. Ignored messages
	// have none.
	EventIDs  []string
	Ignored   Ignored
	Duplicate bool
	// Answered says that the agent took the first fresh event, or refused it for good (then Dead is set too), and
	// Status, ContentType and Answer are what it said.
	Answered, Dead bool
	Status         int
	ContentType    string
	Answer         []byte
	// Attempts and LastError tell of an event that is still queued.
	Attempts  int
	LastError string
}

// Code is a kind of refusal, in the API's words.
type Code string

// The codes of a refused post, the last two of a refused callback.
const (
	CodeAccountAmbiguous Code = "im_ambiguous"
	CodeAccountUnknown   Code = "im_unknown"
	CodeEmptyBody        Code = "empty_body"
	CodeInvalidJSON      Code = "invalid_json"
	CodeStoreUnavailable Code = "store_unavailable"
	CodeShuttingDown     Code = "shutting_down"
	CodeInvalidRequest   Code = "invalid_request"
	CodeNotFound         Code = "not_found"
)

// Refusal is a post that was not accepted, safe to show to the sender.
type Refusal struct {
	Code Code
	// Message says what is wrong and what to do.
	Message string
	// RetryAfter is how long to wait before the same request may do better; 0: never.
	RetryAfter time.Duration
	// Err is the cause, for the log only.
	Err error
}

// Error implements error.
func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Message }

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }
