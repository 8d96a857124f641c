package nekro

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

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
	// mostWaiting is how much of what Nekro asks may wait. Nekro itself lets 100 events wait.
	mostWaiting = 256
	// maxSegments bounds the parts of one message.
	maxSegments = 128
)

// response answers a request of Nekro's.
type response struct {
	Cmd       string         `json:"cmd"`
	RequestID string         `json:"request_id"`
	Success   bool           `json:"success"`
	Data      map[string]any `json:"data"`
}

// asked takes a request without keeping the connection waiting.
func (s *Stream) asked(ctx context.Context, l *link, ev sse.Event) {
	if ev.Type == "file_chunk_complete" {
		s.wire.Log.Warn("dropped a file of the agent: files are not taken")
	}
	if !gjson.Valid(ev.Data) {
		return
	}
	asked := gjson.Parse(ev.Data)
	id, data := asked.Get("request_id").Str, asked.Get("data")
	if id == "" || len(id) > maxID {
		return
	}
	lane, work := "", func() { l.respond(ctx, id, s.known(ctx, ev.Type, data)) }
	if ev.Type == "send_message" {
		lane = "/" + sessionOf(data.Get("channel_id").Str)
		until := time.Now().Add(s.times.send)
		work = func() {
			ctx, cancel := context.WithDeadline(ctx, until)
			defer cancel()
			l.respond(ctx, id, s.send(ctx, id, data))
		}
	}
	if !s.lanes.do(lane, work) {
		s.wire.Log.Warn("dropped what the agent asked: too much waits")
	}
}

// respond posts the answer, again if need be: a second one of the same request changes nothing. A relay that stops still
// says what became of what it was asked. Nil data are a refusal.
func (l *link) respond(ctx context.Context, id string, data map[string]any) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.stream.times.call)
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
		l.stream.wire.Log.Warn("cannot answer the agent", zap.String("requestId", id), zap.Bool("success", answer.Success))
	}
}

// send sends what Nekro says, and returns what it is told; nil: it was not sent.
func (s *Stream) send(ctx context.Context, id string, data gjson.Result) map[string]any {
	ids, err := s.sent(ctx, id, data)
	if err != nil {
		s.wire.Log.Warn("refused a message of the agent", zap.String("requestId", id), zap.Error(err))
		return nil
	}
	return map[string]any{"message_id": strings.Join(ids, ","), "success": true}
}

func (s *Stream) sent(ctx context.Context, id string, data gjson.Result) ([]string, error) {
	if ctx.Err() != nil {
		return nil, errors.New("waited too long")
	}
	reply, err := replyOf(data.Get("segments"))
	if err != nil {
		return nil, err
	}
	chat, err := s.chats.Find(ctx, sessionOf(data.Get("channel_id").Str))
	if err != nil {
		return nil, err
	}
	reply.Key = "sse/" + id
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
		return reply, errors.New("message has no segments")
	}
	list := segments.Array()
	if len(list) > maxSegments {
		return reply, errors.New("message has too many segments")
	}
	for _, seg := range list {
		switch kind := seg.Get("type").Str; kind {
		case "text":
			text.WriteString(seg.Get("content").Str)
		case "at":
			text.WriteString("@" + named(seg) + " ")
		case "image", "file":
			url := seg.Get("url").Str
			if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
				return reply, errors.New("message has a file, and files are not taken")
			}
			reply.Media = append(reply.Media, relay.Media{Type: kind, URL: url, Name: seg.Get("name").Str})
		default:
			return reply, errors.New("message has a segment of another type")
		}
	}
	reply.Text = agent.Plain(text.String())
	if reply.Text == "" && len(reply.Media) == 0 {
		return reply, errors.New("message is empty")
	}
	return reply, nil
}

// named is how a mention shows somebody.
func named(seg gjson.Result) string {
	if name := seg.Get("nickname").Str; name != "" {
		return name
	}
	return seg.Get("user_id").Str
}

// known answers a question; nil: it is not known, or nothing that can be done.
func (s *Stream) known(ctx context.Context, question string, data gjson.Result) map[string]any {
	switch question {
	case "get_self_info":
		return map[string]any{"user_id": s.wire.Name, "user_name": s.wire.Name, "platform_name": platform}
	case "get_user_info":
		id := data.Get("user_id").Str
		if who, ok := s.people.find(id); ok {
			return map[string]any{"user_id": id, "user_name": who.name, "platform_name": who.account}
		}
	case "get_channel_info":
		channel := data.Get("channel_id").Str
		chat, err := s.chats.Find(ctx, sessionOf(channel))
		if err != nil {
			return nil
		}
		name := chat.Conversation
		if who, ok := s.people.find(name); ok {
			name = who.name
		}
		return map[string]any{"channel_id": channel, "channel_name": name}
	}
	return nil
}

// lanes do work one after another under one key, and beside each other under different ones.
type lanes struct {
	mu      sync.Mutex
	waiting map[string][]func()
	total   int
	running sync.WaitGroup
}

// do takes the work, unless too much waits.
func (n *lanes) do(key string, work func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.total >= mostWaiting {
		return false
	}
	n.total++
	if n.waiting == nil {
		n.waiting = map[string][]func(){}
	}
	queue, busy := n.waiting[key]
	n.waiting[key] = append(queue, work)
	if !busy {
		n.running.Go(func() { n.serve(key) })
	}
	return true
}

func (n *lanes) serve(key string) {
	for {
		n.mu.Lock()
		queue := n.waiting[key]
		if len(queue) == 0 {
			delete(n.waiting, key)
			n.mu.Unlock()
			return
		}
		n.waiting[key] = queue[1:]
		n.mu.Unlock()
		queue[0]()
		n.mu.Lock()
		n.total--
		n.mu.Unlock()
	}
}

// wait returns when all is done.
func (n *lanes) wait() { n.running.Wait() }
