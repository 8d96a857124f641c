package openai

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
)

const (
	// thinks and thought enclose what a model thinks.
	thinks, thought = "<think>", "</think>"
)

// speakable is what is said of a model's text, now and on every repeat: without the thoughts before it, and bounded.
func speakable(text string) string {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, thinks); ok {
		_, text, _ = strings.Cut(rest, thought)
	}
	return agent.Plain(text)
}

// said is the outcome of an answer. The same text has the same outcome, whether the model was asked or it is remembered.
func said(e relay.Event, text string) relay.Outcome {
	return relay.Outcome{
		Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: []byte(text),
		Replies: agent.Answers(e, text),
	}
}

// refused is the outcome of an answer that is none. Servers name the wrong token in their refusals; it is taken out.
func (a *Agent) refused(r reply) relay.Outcome {
	return agent.Hide(relay.Outcome{
		Status: r.status, Reason: r.reason, ContentType: r.contentType, Body: r.body, RetryAfter: r.retryAfter,
	}, a.config.Token.Reveal())
}

// encode is JSON without the escapes that are for HTML only, which would make six bytes of one.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// encodedLen is the length of a text in JSON.
func encodedLen(text string) int {
	b, _ := encode(text) // a string always encodes
	return len(b)
}
