package relay

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Envelope is what a [Format] reads from one message. Raw is sacred; the rest is for deciding and for showing.
type Envelope struct {
	// MessageID is the IM's id of the message, as text; empty: it has none.
	MessageID string
	// Identity is what a repeat of the message has in common with the first, within its account and conversation:
	// the MessageID where that can be trusted, a composite where it cannot; empty: never a repeat.
	Identity string
	// Conversation is the chat: the room, or the peer in a private chat.
	Conversation string
	// Peers are other ids under which the conversation may be known, where the format cannot tell which side is us.
	Peers []string
	// Sender is who wrote it, Nickname what he is called.
	Sender, Nickname string
	// Text is the message's text, without a group prefix; empty for other kinds.
	Text string
	// Media are what it carries beside text and can be fetched by a URL that stands in it.
	Media []Media
	// Kind is text, image, voice, video, file, link, … or system, recall, meta.
	Kind string
	// Meta says that it is no message: a heartbeat, a probe, a notice of the IM server.
	Meta bool
	// Group, Mentioned and Self say: in a group chat; the account was mentioned; sent by the account itself.
	Group, Mentioned, Self bool
	// At is when the IM says it was sent; zero: it does not say.
	At time.Time
	// Raw is the bytes to deliver: the whole body, or the message's element of a batch exactly as it stood there.
	Raw []byte
}

// The kinds of meta events that tell of the account itself: whether it is logged in.
const (
	KindOffline = "offline"
	KindOnline  = "online"
)

// ErrNotJSON says that the body is not what the format needs.
var ErrNotJSON = errors.New("body is not valid JSON")

// Format reads what one kind of IM server pushes. It never changes the body; self is the account's own id, empty where
// it is not configured. It returns one envelope for each message, in their order, at least one; a body it does not
// understand is one envelope of kind "other" without an id, so that nothing is lost. The only error is ErrNotJSON.
type Format interface {
	Read(body []byte, self string) ([]Envelope, error)
}

// FormatFunc makes a Format of a function.
type FormatFunc func(body []byte, self string) ([]Envelope, error)

// Read calls f.
func (f FormatFunc) Read(body []byte, self string) ([]Envelope, error) { return f(body, self) }

// Event is one accepted message on its way to an agent.
type Event struct {
	// ID is evt_…, the same on every attempt and replay.
	ID string
	// Account and Conversation say where it came from.
	Account, Conversation string
	// Note is what the format read.
	Note Note
	// Body is what is delivered and signed, byte for byte. It must not be changed.
	Body []byte
	// Accepted is when it was made durable.
	Accepted time.Time
	// Ready is asked just before the first byte leaves; after its error nothing may. Nil: always.
	Ready func() error
}

// Note is the part of an envelope that is kept beside the body. Its JSON form is stored, so names stay.
type Note struct {
	MessageID   string `json:"messageId,omitempty"`
	Sender      string `json:"sender,omitempty"`
	Nickname    string `json:"nickname,omitempty"`
	Kind        string `json:"kind,omitempty"`
	Group       bool   `json:"group,omitempty"`
	Mentioned   bool   `json:"mentioned,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	Traceparent string `json:"traceparent,omitempty"`
	// Waiter is the relay at which somebody waits for the event, where there are several.
	Waiter string `json:"waiter,omitempty"`
}

// Outcome is an agent's answer to one attempt.
type Outcome struct {
	// Status is the HTTP status that the answer means, which is not always the one on its first line.
	Status int
	// ContentType and Body are the answer, bounded.
	ContentType string
	Body        []byte
	// RetryAfter is how long the agent wants to be left alone; 0: it did not say.
	RetryAfter time.Duration
	// Reason says why Status is not what its first line said, in words that are safe to show; empty: it is.
	Reason string
	// Replies are what the agent says to the conversation, in order. Only a 2xx has any.
	Replies []Reply
	// Unasked says that the agent was not called: the event is done with, and nothing was learned of the agent.
	Unasked bool
}

// Agent delivers events to one configured agent.
type Agent interface {
	// Deliver makes exactly one attempt. attempt counts from 1. An answer, whatever its status, is an Outcome; no
	// answer is an [*AttemptError]. It is safe for concurrent use.
	Deliver(ctx context.Context, e Event, attempt int) (Outcome, error)
}

// AttemptError says why an attempt got no answer. Its text holds no URL and no secret.
type AttemptError struct {
	// Unreachable says that not a byte of the request was written.
	Unreachable bool
	// Ours says that the failure is our own, and nothing was learned of the agent: it was not called.
	Ours bool
	// Timeout says that the agent did not answer in time.
	Timeout bool
	// Reason says it in words that are safe to show: "connection refused", "no answer within 5s".
	Reason string
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *AttemptError) Error() string { return fmt.Sprintf("agent: %s", e.Reason) }

// Unwrap returns the cause.
func (e *AttemptError) Unwrap() error { return e.Err }
