package relay

import "context"

// Media is something beside text: a picture, a file, a voice message.
type Media struct {
	// Type is image, file, voice or video.
	Type string
	// URL is where it can be fetched.
	URL string
	// Name is the file's name, where there is one.
	Name string
}

// Chat is a conversation of an IM account.
type Chat struct{ Account, Conversation string }

// Reply is one message that an agent wants sent.
type Reply struct {
	// Key is its idempotency key among all that the agent says: of the replies with one key the first is sent.
	Key string
	// Text is plain text, whatever is in it.
	Text string
	// Media goes with the text, or stands alone.
	Media []Media
	// ReplyTo is the IM's id of the message that it answers; empty: none.
	ReplyTo string
}

// Saying is what an agent says, where, and on the occasion of what.
type Saying struct {
	// Agent is the agent's name.
	Agent string
	// Chat is where it goes. Who says it makes sure that the agent serves that conversation.
	Chat Chat
	// EventID is the event that it answers, and Sender who wrote that; empty: the agent speaks by itself.
	EventID, Sender string
	// Replies are the messages, in order.
	Replies []Reply
}

// Outbox sends what agents say, through the same ledger, limits and order as every other send.
type Outbox interface {
	// Queue makes the replies durable, to be sent in the background in their order, and returns when they are. What
	// cannot be sent at all is told in the log and is no error: every error means that the store cannot take it now, and
	// that the same call may be made again.
	Queue(ctx context.Context, s Saying) error
	// Send sends the replies and returns the IM's ids of them when the outcome is known.
	Send(ctx context.Context, s Saying) ([]string, error)
}

// Resident is an Agent with a long connection of its own, which one relay keeps at a time; only that one delivers to it.
type Resident interface {
	Agent
	// Run keeps the connection, and makes it again when it is lost, until ctx ends.
	Run(ctx context.Context)
}
