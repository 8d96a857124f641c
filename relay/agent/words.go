package agent

import (
	"context"
	"net/http"
	"strings"
	"unicode"

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
	return Speaker(v) + ": " + Words(v)
}

// longestLabel is how much of a name is shown, in characters.
const longestLabel = 64

// Speaker is who says it, as it may stand before his words.
func Speaker(v relay.Envelope) string {
	for _, name := range []string{v.Nickname, v.Sender} {
		if name = Label(name); name != "" {
			return name
		}
	}
	return "somebody"
}

// Label is a name as it may stand in a text that an agent reads: on one line, bounded, and without the brackets that the
// relay's own words stand in. People choose their names, and could choose one that looks like somebody else's words.
func Label(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case r == '[', r == ']':
			return '_'
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > longestLabel {
		name = string(runes[:longestLabel])
	}
	return strings.Join(strings.Fields(name), " ")
}

// Spoken says that somebody said something: agents that talk are not told of recalls, notices and requests to be a
// friend, who could not be answered yet, nor of what the format does not understand.
func Spoken(v relay.Envelope) bool {
	switch v.Kind {
	case "recall", "system", "friend_request":
		return false
	case "other", "":
		return strings.TrimSpace(v.Text) != "" || len(v.Media) > 0
	}
	return true
}

// Unspoken is the outcome of an event that is not told to the agent.
func Unspoken() relay.Outcome { return relay.Outcome{Status: http.StatusNoContent, Unasked: true} }

// Within bounds what an attempt does altogether, where it takes several calls.
func (w Wire) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, w.Timeout)
}
