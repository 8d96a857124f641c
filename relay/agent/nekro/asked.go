package nekro

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sethvargo/go-retry"
	"github.com/tidwall/gjson"
	"github.com/tmaxmax/go-sse"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
)

const (
	// maxID bounds the ids that Nekro gives.
	maxID = 256
	// maxSegments bounds the parts of one message.
	maxSegments = 128
	// sendMessage is the event of a message to send.
	sendMessage = "send_message"
)

// response answers a request of Nekro's.
type response struct {
	Cmd       string         `json:"cmd"`
	RequestID string         `json:"request_id"`
	Success   bool           `json:"success"`
	Data      map[string]any `json:"data"`
}

// request is what Nekro asks. It holds nothing of the event that it came in, which may be long and it may wait.
type request struct {
	id, kind, channel, user string
	// reply is what Nekro wants sent, and refused why it is not.
	reply   relay.Reply
	refused error
}

// requestOf reads an event; nil: it asks nothing.
func requestOf(ev sse.Event) *request {
	// Validity is not gjson's to tell: it has no bound for how deep it goes.
	if !json.Valid([]byte(ev.Data)) {
		return nil
	}
	asked := gjson.Parse(ev.Data)
	data := asked.Get("data")
	r := &request{
		id: idOf(asked.Get("request_id").Str), kind: idOf(ev.Type),
		channel: idOf(data.Get("channel_id").Str), user: idOf(data.Get("user_id").Str),
	}
	if r.id == "" {
		return nil
	}
	if r.kind == sendMessage {
		r.reply, r.refused = replyOf(data.Get("segments"))
	}
	return r
}

// idOf is an id as Nekro gives it; empty: it cannot be one.
func idOf(s string) string {
	if len(s) > maxID || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return ""
	}
	return strings.Clone(s)
}

// asked takes a request without keeping the connection waiting. What has not begun when ctx ends is dropped, and nothing
// is answered after the end of last.
func (s *Stream) asked(ctx, last context.Context, l *link, ev sse.Event) {
	if ev.Type == "file_chunk_complete" {
		s.quiet.warn("dropped a file of the agent: files are not taken", "")
	}
	r := requestOf(ev)
	if r == nil {
		return
	}
	lane, work := "", func() { l.respond(last, r.id, s.known(ctx, r)) }
	if r.kind == sendMessage {
		lane = "/" + sessionOf(r.channel)
		until := time.Now().Add(s.times.send)
		work = func() {
			ctx, cancel := context.WithDeadline(ctx, until)
			defer cancel()
			l.respond(last, r.id, s.send(ctx, r))
		}
	}
	taken := s.lanes.do(lane, func() {
		if ctx.Err() == nil {
			work()
		}
	})
	if !taken {
		s.quiet.warn("dropped what the agent asked: too much waits", "")
	}
}

// respond posts the answer, again if need be: a second one of the same request changes nothing. Nil data are a refusal.
func (l *link) respond(ctx context.Context, id string, data map[string]any) {
	ctx, cancel := context.WithTimeout(ctx, l.stream.times.call)
	defer cancel()
	answer := response{Cmd: "response", RequestID: id, Success: data != nil, Data: data}
	if data == nil {
		answer.Data = map[string]any{"error": "refused"}
	}
	curve := retry.WithMaxRetries(3, retry.WithJitterPercent(25, retry.NewExponential(l.stream.times.again/4)))
	err := retry.Do(ctx, curve, func(ctx context.Context) error {
		_, err := l.command(ctx, l.id, answer)
		return retry.RetryableError(err)
	})
	if err != nil {
		l.stream.quiet.warn("cannot answer the agent", "", zap.String("requestId", id), zap.Bool("success", answer.Success))
	}
}

// send sends what Nekro says, and returns what it is told; nil: it was not sent.
func (s *Stream) send(ctx context.Context, r *request) map[string]any {
	ids, err := s.sent(ctx, r)
	if err != nil {
		s.quiet.warn("refused a message of the agent", reason(err), zap.String("requestId", r.id), zap.Error(err))
		return nil
	}
	return map[string]any{"message_id": strings.Join(ids, ","), "success": true}
}

func (s *Stream) sent(ctx context.Context, r *request) ([]string, error) {
	if r.refused != nil {
		return nil, r.refused
	}
	if ctx.Err() != nil {
		return nil, trouble("waited too long")
	}
	chat, err := s.chats.Find(ctx, sessionOf(r.channel))
	if err != nil {
		return nil, err
	}
	reply := r.reply
	reply.Key = "sse/" + r.id
	ids, err := s.wire.Outbox.Send(ctx, relay.Saying{Agent: s.wire.Name, Chat: chat, Replies: []relay.Reply{reply}})
	if err != nil {
		return nil, fmt.Errorf("send reply: %w", err)
	}
	return ids, nil
}

// replyOf makes a reply of a message's segments.
func replyOf(segments gjson.Result) (relay.Reply, error) {
	var reply relay.Reply
	var text strings.Builder
	if !segments.IsArray() {
		return reply, trouble("message has no segments")
	}
	list := segments.Array()
	if len(list) > maxSegments {
		return reply, trouble("message has too many segments")
	}
	for _, seg := range list {
		switch kind := seg.Get("type").Str; kind {
		case "text":
			text.WriteString(seg.Get("content").Str)
		case "at":
			text.WriteString("@" + named(seg) + " ")
		case "image", "file":
			url := strings.Clone(seg.Get("url").Str)
			if !agent.Link(url) {
				return reply, trouble("message has a file, and files are not taken")
			}
			reply.Media = append(reply.Media, relay.Media{Type: strings.Clone(kind), URL: url, Name: agent.Label(seg.Get("name").Str)})
		default:
			return reply, trouble("message has a segment of another type")
		}
	}
	if len(reply.Media) > agent.MaxMedia {
		return reply, trouble("message has too many files")
	}
	reply.Text = strings.Clone(agent.Plain(text.String()))
	if reply.Text == "" && len(reply.Media) == 0 {
		return reply, trouble("message is empty")
	}
	return reply, nil
}

// named is how a mention shows somebody.
func named(seg gjson.Result) string {
	if name := agent.Label(seg.Get("nickname").Str); name != "" {
		return name
	}
	return agent.Label(seg.Get("user_id").Str)
}

// known answers a question; nil: it is not known, or nothing that can be done.
func (s *Stream) known(ctx context.Context, r *request) map[string]any {
	switch r.kind {
	case "get_self_info":
		return map[string]any{"user_id": s.wire.Name, "user_name": s.wire.Name, "platform_name": platform}
	case "get_user_info":
		if account, name := s.people.find(r.user); name != "" {
			return map[string]any{"user_id": r.user, "user_name": name, "platform_name": account}
		}
	case "get_channel_info":
		chat, err := s.chats.Find(ctx, sessionOf(r.channel))
		if err != nil {
			return nil
		}
		name := s.people.name(chat.Account, chat.Conversation)
		if name == "" {
			name = chat.Conversation
		}
		return map[string]any{"channel_id": r.channel, "channel_name": name}
	}
	return nil
}
