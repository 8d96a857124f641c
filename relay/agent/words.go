package agent

import (
	"context"
	"net/http"
	"strings"

	"github.com/imrelay/imrelay/relay"
)

// Words are what a message says, for an agent that is given text: its own words, or its kind where it has none.
func Words(v relay.Envelope) string {
	if text := strings.TrimSpace(v.Text); text != "" {
		return text
	}
	return "[" + v.Kind + "]"
}

// Speech is Words with who says it, where several speak: for an agent that cannot be told otherwise.
func Speech(v relay.Envelope) string {
	if !v.Group {
		return Words(v)
	}
	name := v.Nickname
	if name == "" {
		name = v.Sender
	}
	return name + ": " + Words(v)
}

// Spoken says that somebody said something: agents that talk are not told of recalls and notices, nor of what the
// format does not understand.
func Spoken(v relay.Envelope) bool {
	switch v.Kind {
	case "recall", "system":
		return false
	case "other", "":
		return strings.TrimSpace(v.Text) != "" || len(v.Media) > 0
	}
	return true
}

// Unspoken is the outcome of an event that is not told to the agent.
func Unspoken() relay.Outcome { return relay.Outcome{Status: http.StatusNoContent} }

// Within bounds what an attempt does altogether, where it takes several calls.
func (w Wire) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, w.Timeout)
}
