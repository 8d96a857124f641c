package agent

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/imrelay/imrelay/relay"
)

// Bounds of what an agent may say at once.
const (
	// MaxReplies is how many messages one answer may hold.
	MaxReplies = 32
	// MaxMedia is how many things beside text one message may hold.
	MaxMedia = 10
	// MaxReply is how long one text may be, in bytes.
	MaxReply = 128 << 10
	// MaxAnswer is how much of an answer with replies is read.
	MaxAnswer = 1 << 20
)

// Answers makes the replies that an answer to the event holds of their texts, in order: keyed by the event and their
// number, so that an event that is attempted again is not answered again. Blank ones are none.
func Answers(e relay.Event, texts ...string) []relay.Reply {
	var out []relay.Reply
	for i, text := range texts {
		if text = Plain(text); text != "" && len(out) < MaxReplies {
			out = append(out, relay.Reply{Key: AnswerKey(e.ID, i), Text: text, ReplyTo: ReplyTo(e)})
		}
	}
	return out
}

// AnswerKey is the key of the event's n-th reply, where the agent gives none.
func AnswerKey(eventID string, n int) string { return fmt.Sprintf("%s/%d", eventID, n+1) }

// ReplyTo is what an answer to the event refers to. In a private chat everybody sees what an answer answers.
func ReplyTo(e relay.Event) string {
	if e.Note.Group {
		return e.Note.MessageID
	}
	return ""
}

// Plain is an agent's text as it may go on: valid, without space around it, and bounded.
func Plain(text string) string {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) <= MaxReply {
		return text
	}
	cut := MaxReply
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}
