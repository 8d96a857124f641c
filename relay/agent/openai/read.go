package openai

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"github.com/tmaxmax/go-sse"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	// maxEvent bounds one event of a stream: some servers give all of an answer in one.
	maxEvent = agent.MaxAnswer
	// maxStream bounds a stream: servers wrap each word of an answer, or of its reasoning, into some hundred bytes.
	maxStream = 64 << 20
)

// Reasons of outcomes.
const (
	reasonError   = "an error within the answer"
	reasonTooLong = "the answer is too large"
	reasonOther   = "the answer is no chat completion"
	reasonNothing = "the answer ended without having begun"
)

// reply is what came of a request: text where status is 0, else a refusal.
type reply struct {
	text string

	status      int
	reason      string
	contentType string
	body        []byte
	retryAfter  time.Duration
	// overflow says that the request was too long for the model.
	overflow bool
}

// broken is a refusal that the server did not put into words.
func broken(reason string) reply {
	return reply{status: http.StatusInternalServerError, reason: reason}
}

// errHangUp says that the answer stopped in the middle.
var errHangUp = &relay.AttemptError{
	Reason: "the answer broke off", Err: errors.New("neither finish_reason nor [DONE]"),
}

// readTaken reads an answer of 2xx. Which form it has, its first byte tells better than its type: gateways give JSON for
// a stream, and call it what they like.
func readTaken(s *egress.Stream) (reply, error) {
	limited := &io.LimitedReader{R: s, N: maxStream}
	in := bufio.NewReader(limited)
	first, err := firstByte(in)
	if err != nil {
		return reply{}, err
	}
	events := strings.Contains(strings.ToLower(s.Header.Get("Content-Type")), "event-stream")
	switch {
	case first == '{' || first == '[', !events && !strings.ContainsRune("de:", rune(first)):
		return readWhole(in)
	default:
		return readEvents(in, limited)
	}
}

// firstByte is the first that is no space: servers send empty lines to keep a connection. 0: there is none.
func firstByte(in *bufio.Reader) (byte, error) {
	for {
		b, err := in.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return 0, nil
		case err != nil:
			return 0, err
		case b != ' ' && b != '\t' && b != '\r' && b != '\n':
			return b, in.UnreadByte()
		}
	}
}

// readWhole reads an answer in one piece.
func readWhole(in io.Reader) (reply, error) {
	body, err := io.ReadAll(io.LimitReader(in, agent.MaxAnswer+1))
	if err != nil {
		return reply{}, err
	}
	switch {
	case len(body) > agent.MaxAnswer:
		return broken(reasonTooLong), nil
	case !json.Valid(body):
		return broken(reasonOther), nil
	}
	doc := gjson.ParseBytes(body)
	choice := doc.Get("choices.0")
	switch {
	case isError(doc), choice.Get("finish_reason").Str == "error":
		return inside(doc), nil
	case !choice.IsObject():
		return broken(reasonOther), nil
	}
	return reply{text: content(choice)}, nil
}

// reading is a stream that is being read.
type reading struct {
	text strings.Builder
	// finished says that the answer is whole, done that the stream is.
	finished, done bool
	// failed is what went wrong; nil: nothing.
	failed *reply
}

// readEvents reads an answer that is a stream. Some servers leave out the empty line after the last event.
func readEvents(in io.Reader, limited *io.LimitedReader) (reply, error) {
	var r reading
	in = io.MultiReader(in, strings.NewReader("\n\n"))
	for event, err := range sse.Read(in, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		switch {
		case err != nil && r.finished: // what is missing is no part of the answer
		case errors.Is(err, bufio.ErrTooLong):
			return broken(reasonTooLong), nil
		case err != nil:
			return reply{}, err
		default:
			r.take(event)
		}
		if r.done {
			break
		}
	}
	switch {
	case r.finished, r.done && r.failed == nil && r.text.Len() > 0:
		return reply{text: r.text.String()}, nil
	case r.failed != nil:
		return *r.failed, nil
	case r.done:
		return broken(reasonNothing), nil
	case limited.N <= 0:
		return broken(reasonTooLong), nil
	}
	return reply{}, errHangUp
}

// take takes one event.
func (r *reading) take(event sse.Event) {
	data := strings.TrimSpace(event.Data)
	switch {
	case data == "": // it keeps the connection
		return
	case data == "[DONE]":
		r.done = true
		return
	case !json.Valid([]byte(data)):
		r.fail(broken(reasonOther))
		return
	}
	doc := gjson.Parse(data)
	choice := doc.Get("choices.0")
	finish := choice.Get("finish_reason").Str
	if isError(doc) || event.Type == "error" || finish == "error" {
		r.fail(inside(doc))
		return
	}
	r.text.WriteString(content(choice))
	r.finished = r.finished || finish != ""
	if r.text.Len() >= agent.MaxAnswer {
		r.finished, r.done = true, true
	}
}

// fail ends the stream; what became whole before stays so.
func (r *reading) fail(with reply) {
	r.failed, r.done = &with, true
}

// content is a choice's text: what it adds in a stream, all of it in one piece. Some models give a list of parts, of which
// the thoughts are not for others.
func content(choice gjson.Result) string {
	c := choice.Get("delta.content")
	if !c.Exists() {
		c = choice.Get("message.content")
	}
	if !c.IsArray() {
		return c.Str
	}
	var out strings.Builder
	for _, part := range c.Array() {
		if part.Get("type").Str == "text" {
			out.WriteString(part.Get("text").Str)
		}
	}
	return out.String()
}
