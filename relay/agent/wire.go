package agent

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

// Wire is what the daemon gives every kind beside its own configuration.
type Wire struct {
	// Name is the agent's name in the configuration.
	Name string
	// Doer makes the calls, Streamer those whose answer is a stream.
	Doer     egress.Doer
	Streamer egress.Streamer
	// Timeout bounds one attempt.
	Timeout time.Duration
	// StandardWebhooks adds the webhook-… headers, signed with the kind's secrets.
	StandardWebhooks bool
	// Reader reads what is in an event.
	Reader Reader
	// Memory keeps what must outlive an attempt.
	Memory Memory
	// Outbox sends what the agent says outside its answers.
	Outbox relay.Outbox
	// Events finds events that the agent was given.
	Events Events
	// Alarm tells operators what an attempt's line does not.
	Alarm Alarm
	// Log is for what is about no attempt.
	Log *zap.Logger
}

// Reader reads what is in an event.
type Reader interface {
	// Read returns what the format of the event's account reads in it. Its error is a [*relay.AttemptError]: the account
	// is configured no more, or read by another format now, and nobody can tell what was said.
	Read(e relay.Event) (relay.Envelope, error)
}

// Memory is the agent's own part of what the relay remembers, across restarts and relays. Its errors are those of
// [github.com/imrelay/imrelay/relay/memo].
type Memory interface {
	// Load returns the value that was last saved under the name; nil: there is none.
	Load(ctx context.Context, name string) ([]byte, error)
	// Save keeps the value for that long, durably; a nil value forgets the name.
	Save(ctx context.Context, name string, value []byte, keep time.Duration) error
}

// Events finds events.
type Events interface {
	// Chat returns the conversation of an event that was queued for this agent, or [ErrNotServed].
	Chat(ctx context.Context, eventID string) (relay.Chat, error)
}

// Alarm is for what an operator has to see and mend. Raising what is raised already says nothing again.
type Alarm interface {
	// Raise says that something is wrong. what is one word with a fixed meaning; text is safe to show.
	Raise(what, text string)
	// Clear says that it is over.
	Clear(what string)
}

// CalledBack is an agent that calls back: POST /agents/{name}/callback/{path}.
type CalledBack interface {
	relay.Agent
	// Path is the secret last part of the address.
	Path() secret.Text
	// Callback takes what the agent posted, and returns nil when it is durable. A [*relay.Refusal] is shown to the
	// agent; any other error is a 503.
	Callback(ctx context.Context, body []byte) error
}
