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
	// Millis is how long a voice message or a video plays, where the sender knows: some IMs take none without.
	Millis int `json:"durationMs,omitempty"`
}

// Mention is a member of a group whom a message calls.
type Mention struct {
	// ID is the member's id at the IM. It is never everybody's.
	ID string `json:"id"`
	// Name is how the IM shows the member, where the sender knows.
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
	// Mentions are the members whom it calls, beside what the text says: "@" in the text calls nobody.
	Mentions []Mention
	// Media goes with the text, or stands alone. A [Carrier] gets one at a time, and no text with it.
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

// Paced is a Connector that knows what pace keeps its account alive.
type Paced interface {
	Connector
	// Pace is what holds for a send to the recipient where the configuration says nothing else, and the name under which
	// the IM counts that recipient: a topic counts with its group. Limits.Account is the same for every recipient.
	Pace(to string) (l Limits, counted string)
}

// Carrier is a Connector whose IM takes not every medium, and each as a message of its own: the text goes before them. A
// Connector that is none takes all media, in one call with the text.
type Carrier interface {
	Connector
	// Carry says why the IM does not take the medium, safe to show to the client; nil: it does. It calls nobody.
	Carry(m Media) error
}

// Renderer is a Connector whose IM does not show the markup that agents write.
type Renderer interface {
	Connector
	// Render is the text as the IM's users should read it. It is done before the text is cut into parts, and the same
	// text must always become the same.
	Render(text string) string
}

// Checker is a Connector that can ask the IM whether its account is logged in.
type Checker interface {
	Connector
	// Online says whether it is. An error means that nobody knows.
	Online(ctx context.Context) (bool, error)
}

// Resident is a Connector with a long connection of its own, which one relay keeps at a time.
type Resident interface {
	Connector
	// Run keeps the connection, and makes it again when it is lost, until ctx ends.
	Run(ctx context.Context)
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
	// Offline says that the account is logged out: nothing of it goes until it is in again (NotSent).
	Offline bool
	// Ours says that the IM was not asked: the message was refused before any call, and nothing is known of the account.
	Ours bool
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
