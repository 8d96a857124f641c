package openai

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

// mostImages bounds what the model is shown beside text.
const mostImages = 8

// question is what the model is asked.
type question struct {
	event   relay.Event
	attempt int
	history []turn
	asked   string
	images  []string
}

// message is one of a request's messages. Content is a string or a list of parts.
type message struct {
	Role    string `json:"role"`
	Content any    `json:"content"`
}

// part is a part of a message that is more than text.
type part struct {
	Type  string    `json:"type"`
	Text  string    `json:"text,omitempty"`
	Image *imageURL `json:"image_url,omitempty"`
}

type imageURL struct {
	URL string `json:"url"`
}

// request is the body of a call. It holds nothing that is not asked of every server: some refuse fields that they do not
// know.
type request struct {
	Model    string    `json:"model"`
	Messages []message `json:"messages"`
	Stream   bool      `json:"stream"`
}

// images are the addresses of what the model may look at.
func images(v relay.Envelope) []string {
	var out []string
	for _, m := range v.Media {
		if m.Type == "image" && agent.Link(m.URL) && len(out) < mostImages {
			out = append(out, m.URL)
		}
	}
	return out
}

// ask asks the model, and once more with less where the server says that it was too much. q is then what was asked last.
func (a *Agent) ask(ctx context.Context, q *question) (reply, error) {
	r, err := a.call(ctx, *q)
	switch {
	case err != nil || r.status == 0:
		return r, err
	case r.overflow && len(q.history) > 0:
		q.history = q.history[(len(q.history)+1)/2:]
	case len(q.images) > 0 && refusesImages(r.status):
		q.images = nil
	default:
		return r, nil
	}
	return a.call(ctx, *q)
}

// refusesImages says whether a refusal may be for the images: models that see none, and servers that cannot fetch them,
// have no word for it in common.
func refusesImages(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// call makes one request and reads its answer.
func (a *Agent) call(ctx context.Context, q question) (reply, error) {
	body, err := encode(request{Model: a.config.Model, Messages: a.messages(q), Stream: true})
	if err != nil {
		return reply{}, fmt.Errorf("encode request: %w", err)
	}
	stream, err := a.wire.Streamer.Open(ctx, egress.Call{
		Method: http.MethodPost, URL: a.url, Header: a.header(q, body), Body: body, Timeout: a.wire.Timeout,
		Ready: q.event.Ready,
	})
	if err != nil {
		return reply{}, fmt.Errorf("ask model: %w", err)
	}
	defer func() { _ = stream.Close() }()
	r, err := read(stream)
	if err != nil {
		return reply{}, fmt.Errorf("read answer: %w", err)
	}
	r.retryAfter = egress.RetryAfter(stream.Header.Get("Retry-After"), time.Now())
	return r, nil
}

// header is the request's.
func (a *Agent) header(q question, body []byte) http.Header {
	h := agent.Header(q.event, q.attempt)
	h["Content-Type"] = []string{"application/json"}
	h["Accept"] = []string{"text/event-stream, application/json"}
	if a.bearer != nil {
		a.bearer.Sign(h, q.event.ID, time.Now(), body)
	}
	return h
}

// messages are what the model is given to read, in order.
func (a *Agent) messages(q question) []message {
	var out []message
	if a.config.System != "" {
		out = append(out, message{"system", a.config.System})
	}
	for _, t := range q.history {
		out = append(out, message{"user", t.Asked}, message{"assistant", t.Answer})
	}
	if len(q.images) == 0 {
		return append(out, message{"user", q.asked})
	}
	parts := []part{{Type: "text", Text: q.asked}}
	for _, at := range q.images {
		parts = append(parts, part{Type: "image_url", Image: &imageURL{at}})
	}
	return append(out, message{"user", parts})
}

// read reads an answer, whatever its status.
func read(s *egress.Stream) (reply, error) {
	if s.Status >= 200 && s.Status <= 299 {
		return readTaken(s)
	}
	body, _ := io.ReadAll(io.LimitReader(s, egress.MaxAnswer)) // the status says it, whatever becomes of the rest
	r := reply{status: s.Status, contentType: s.Header.Get("Content-Type"), body: body}
	if json.Valid(body) {
		r.overflow = overflows(s.Status, gjson.ParseBytes(body))
	}
	return r, nil
}
