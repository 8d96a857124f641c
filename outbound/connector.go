package outbound

import (
	"context"
	"time"
)

// Media is something beside text: a picture, a file, a voice message.
type Media struct {
	// Type is image, file, voice or video.
	Type string `json:"type"`
	// URL is where the IM, or the connector, fetches it.
	URL string `json:"url"`
	// Name is the file's name, where there is one.
	Name string `json:"name,omitempty"`
}

// Message is one call to the IM: a whole send, or one part of a long text.
type Message struct {
	// Account is the configured name of the IM account that sends.
	Account string
	// To is the conversation, as the IM names it.
	To string
	// Text is plain text, never markup of the IM.
	Text string
	// ReplyTo is the IM's id of the message that this one answers; empty: none.
	ReplyTo string
	// Media goes with the text, or stands alone.
	Media []Media
	// RequestID is the same for every call that means the same message, and another for every other: an IM that can
	// drop repeats is given it.
	RequestID string
	// Ready is asked just before the first byte leaves; after its error nothing may, and the send was NotSent. Nil:
	// always.
	Ready func() error
}

// Receipt is what the IM said of a sent message.
type Receipt struct {
	// ID is the IM's id of the message, as text. Empty where the IM gives none.
	ID string
}

// Connector calls one IM account.
type Connector interface {
	// Send makes exactly one call to the IM. Every error is a [*SendError]. It returns when the outcome is known or
	// ctx ends; it is safe for concurrent use. It must not panic: a panic on behalf of a queued send ends the process,
	// and what was under way is unknown.
	Send(ctx context.Context, m Message) (Receipt, error)
}

// Idempotent is a Connector whose IM drops repeats of a RequestID, so that an unknown outcome may be tried again.
type Idempotent interface {
	Connector
	// Window is how long the IM remembers a RequestID.
	Window() time.Duration
}

// Measured is a Connector whose IM bounds a text's length in a unit of its own.
type Measured interface {
	Connector
	// MaxText is the longest text in units of Measure; 0: no bound.
	MaxText() int
	// Measure is a text's length in the IM's unit.
	Measure(text string) int
}

// Reason is the class of a failed send. It decides what may be done next.
type Reason uint8

// The reasons.
const (
	NotSent   Reason = iota + 1 // it surely did not reach the IM, and may be tried again
	Rejected                    // the IM refused it for good
	Throttled                   // the IM refused it for now; After says how long
	Uncertain                   // it may have reached the IM
)

var reasonNames = [...]string{NotSent: "not_sent", Rejected: "rejected", Throttled: "throttled", Uncertain: "unknown"}

// String returns the reason in one word.
func (r Reason) String() string {
	if r < NotSent || r > Uncertain {
		return "none"
	}
	return reasonNames[r]
}

// SendError says why a call to the IM failed. Its text holds no URL, token or message text.
type SendError struct {
	Reason Reason
	// After is how long the IM wants to be left alone (Throttled; NotSent when it said); 0: it did not say.
	After time.Duration
	// Recipient says that After holds for the recipient only, not for the account.
	Recipient bool
	// Code and Detail are the IM's own words, bounded in length.
	Code, Detail string
	// Err is the cause, for errors.Is and for nobody's eyes.
	Err error
}

// Error implements error.
func (e *SendError) Error() string {
	s := e.Reason.String()
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }
