package astrbot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tmaxmax/go-sse"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

// longestStream bounds a stream, in bytes: what tools found is in it beside what is said.
const longestStream = 16 << 20

var errLong = errors.New("the stream is too long")

// chatBody is the message of mode api. A session there belongs to one user name, and a conversation may have many senders,
// so the conversation is both.
func chatBody(e relay.Event, v relay.Envelope) ([]byte, error) {
	session := agent.Session(relay.Chat{Account: e.Account, Conversation: e.Conversation})
	b, err := json.Marshal(map[string]any{
		"username": session, "session_id": session, "enable_streaming": false,
		"message": []map[string]string{{"type": "plain", "text": agent.Speech(v)}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return b, nil
}

// chat makes one attempt in mode api.
func (a *Agent) chat(ctx context.Context, e relay.Event, v relay.Envelope, attempt int) (relay.Outcome, error) {
	message, err := chatBody(e, v)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	t := try{event: e, attempt: attempt, body: message}
	header := t.header(a.keys.configured)
	header.Set("Accept", "text/event-stream")
	stream, err := a.wire.Streamer.Open(ctx, egress.Call{
		Method: http.MethodPost, URL: a.url, Header: header, Body: t.body,
		Timeout: a.wire.Timeout, Idle: a.times.idle, Ready: e.Ready,
	})
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	defer func() { _ = stream.Close() }()
	a.keys.answered(stream.Status)
	kind, _, err := mime.ParseMediaType(stream.Header.Get("Content-Type"))
	if stream.Status < 200 || stream.Status > 299 || err != nil || kind != "text/event-stream" {
		return refusedChat(stream)
	}
	return a.listen(t, stream)
}

// refusedChat is the outcome of a call that was not answered by a stream. AstrBot says what is wrong with a message in a 200.
func refusedChat(stream *egress.Stream) (relay.Outcome, error) {
	body, err := io.ReadAll(io.LimitReader(stream, egress.MaxAnswer+1))
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	answer := egress.Answer{
		Status: stream.Status, Header: stream.Header, Body: body, Truncated: len(body) > egress.MaxAnswer,
	}
	out := outcomeOf(answer)
	if out.Status >= 200 && out.Status <= 299 {
		out.Status, out.Reason = http.StatusInternalServerError, "AstrBot answered with no stream but a refusal"
	}
	return out, nil
}

// listen reads the stream to its end.
func (a *Agent) listen(t try, stream *egress.Stream) (relay.Outcome, error) {
	s := speech{try: t}
	for event, err := range sse.Read(&bounded{r: stream, left: longestStream}, &sse.ReadConfig{MaxEventSize: agent.MaxAnswer}) {
		if err != nil {
			return relay.Outcome{}, streamError(err)
		}
		if !json.Valid([]byte(event.Data)) {
			continue
		}
		switch doc := gjson.Parse(event.Data); doc.Get("type").Str {
		case "end":
			s.flush()
			if s.left > 0 {
				a.wire.Log.Warn("astrbot: parts of an answer cannot be sent", t.fields(zap.Int("parts", s.left))...)
			}
			return s.outcome(), nil
		case "error":
			return relay.Outcome{
				Status: http.StatusInternalServerError, Reason: "AstrBot ended its answer with an error",
			}, nil
		default:
			s.hear(doc)
		}
	}
	return relay.Outcome{}, &relay.AttemptError{Reason: "the stream ended before the answer did"}
}

// streamError says what it means that a stream cannot be read on.
func streamError(err error) *relay.AttemptError {
	if _, ok := errors.AsType[*egress.Error](err); ok {
		ae := agent.AttemptError(err)
		ae.Unreachable = false
		return ae
	}
	return &relay.AttemptError{Reason: "the stream is not what it should be, or too long", Err: err}
}

// bounded reads so much and no more.
type bounded struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLong
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// speech gathers what is said in a stream.
type speech struct {
	try     try
	replies []relay.Reply
	text    strings.Builder
	left    int
}

// hear takes one event of the stream. What the agent thinks, what its tools do, and what it
// read is not said.
func (s *speech) hear(doc gjson.Result) {
	data := doc.Get("data")
	switch kind := doc.Get("type").Str; kind {
	case "plain":
		switch doc.Get("chain_type").Str {
		case "reasoning", "think", "tool_call", "tool_call_result", "agent_stats", "llm_sources":
			return
		}
		if !doc.Get("streaming").Bool() {
			s.flush()
		}
		if room := agent.MaxReply - s.text.Len(); room > 0 && data.Type == gjson.String {
			s.text.WriteString(data.Str[:min(len(data.Str), room)])
		}
		if !doc.Get("streaming").Bool() {
			s.flush()
		}
	case "complete":
		s.flush()
	case "image", "record", "file", "video":
		s.flush()
		s.show(kind, data.Str)
	}
}

// show takes a picture or file. Most are in AstrBot and can be fetched with its key only, which goes to no IM.
func (s *speech) show(kind, data string) {
	if _, name, ok := strings.Cut(data, "]"); ok && strings.HasPrefix(data, "[") {
		data = name
	}
	if !agent.Link(data) {
		s.left++
		return
	}
	if kind == "record" {
		kind = "voice"
	}
	s.add(relay.Reply{Media: []relay.Media{{Type: kind, URL: data}}})
}

// flush ends a message.
func (s *speech) flush() {
	text := agent.Plain(s.text.String())
	s.text.Reset()
	if text != "" {
		s.add(relay.Reply{Text: text})
	}
}

func (s *speech) add(r relay.Reply) {
	if len(s.replies) >= agent.MaxReplies {
		s.left++
		return
	}
	r.Key = agent.AnswerKey(s.try.event.ID, len(s.replies))
	r.ReplyTo = agent.ReplyTo(s.try.event)
	s.replies = append(s.replies, r)
}

// outcome is that of a stream that came to its end.
func (s *speech) outcome() relay.Outcome {
	var text strings.Builder
	for _, r := range s.replies {
		if r.Text != "" && text.Len()+len(r.Text) < egress.MaxAnswer {
			text.WriteString(r.Text + "\n")
		}
	}
	return relay.Outcome{
		Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: []byte(strings.TrimSpace(text.String())),
		Replies: s.replies,
	}
}
