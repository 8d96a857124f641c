package astrbot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
)

const (
	// longestName is how long the name of an event or a session may be.
	longestName = 256
	// proactive is what the name of a session begins with, where the agent speaks by itself.
	proactive = "session:"
	// begunFor is how long it is known that an event is being answered.
	begunFor = 24 * time.Hour
	// again is how long the same words without ids are the same post, which the plugin makes again within seconds.
	again = time.Minute
)

// hand posts the message for an answer that comes by callback. AstrBot runs a message again whose answer it has begun, so
// an event that was answered is not posted again; one that it is still at work on it knows itself, and answers 202.
func (a *Agent) hand(ctx context.Context, t try) (relay.Outcome, error) {
	begun, err := a.wire.Memory.Load(ctx, "answered/"+t.event.ID)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if begun != nil {
		return relay.Outcome{Status: http.StatusOK, Unasked: true}, nil
	}
	r, err := a.post(ctx, t, a.wire.Timeout, t.event.Ready)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if len(r.items) > 0 {
		// A plugin whose callback is switched off answers here. What it said must not be lost.
		all := newSaid(t.event.ID, agent.ReplyTo(t.event))
		all.add(r.items)
		r.outcome.Replies = all.replies
		a.wire.Log.Warn("astrbot: the answer did not come by callback; is hep_callback_switch on?", t.fields()...)
	}
	return r.outcome, nil
}

// Callback implements agent.CalledBack. What the agent says on an event goes to the event's conversation, what it says by
// itself to the session's, if it was ever given anything of it.
func (a *Agent) Callback(ctx context.Context, body []byte) error {
	if a.mode != modeCallback {
		return refuse(relay.CodeNotFound, "this agent is not called back", nil)
	}
	if !json.Valid(body) {
		return refuse(relay.CodeInvalidRequest, "the body is no JSON", nil)
	}
	doc := gjson.ParseBytes(body)
	id, data := doc.Get("msg_id"), doc.Get("data")
	if id.Type != gjson.String || id.Str == "" || len(id.Str) > longestName || !data.IsArray() {
		return refuse(relay.CodeInvalidRequest, "the body needs msg_id, a string, and data, a list", nil)
	}
	s := relay.Saying{Agent: a.wire.Name}
	var err error
	if session, ok := strings.CutPrefix(id.Str, proactive); ok {
		s.Chat, err = a.chats.Find(ctx, session)
	} else {
		s.EventID = id.Str
		s.Chat, err = a.wire.Events.Chat(ctx, id.Str)
	}
	if errors.Is(err, agent.ErrNotServed) {
		return refuse(relay.CodeNotFound, "no message or session of that name was given to this agent", err)
	}
	if err != nil {
		return fmt.Errorf("find conversation: %w", err)
	}
	all := newSaid(id.Str, "")
	all.most = math.MaxInt
	items := itemsOf(data, math.MaxInt)
	if s.EventID == "" {
		if all.occasion, err = a.occasion(ctx, id.Str, items); err != nil {
			return err
		}
	}
	all.add(items)
	return a.say(ctx, s, all)
}

// occasion tells what the agent says by itself from the same words that it said before, where its items have no ids: it
// is when the words first came, for a minute. In that time the plugin posts what was not taken again; later the same words
// are said again, such as a daily reminder.
func (a *Agent) occasion(ctx context.Context, session string, items []item) (string, error) {
	if !slices.ContainsFunc(items, func(it item) bool { return it.id == "" }) {
		return "", nil
	}
	words := sha256.New()
	for _, it := range items {
		_, _ = io.WriteString(words, it.key(session, "")) // a hash takes everything
	}
	name := "heard/" + hex.EncodeToString(words.Sum(nil)[:16])
	at, err := a.wire.Memory.Load(ctx, name)
	if err != nil {
		return "", fmt.Errorf("look for the same words: %w", err)
	}
	if at == nil {
		at = strconv.AppendInt(nil, time.Now().UnixNano(), 10)
		if err := a.wire.Memory.Save(ctx, name, at, again); err != nil {
			return "", fmt.Errorf("remember words: %w", err)
		}
	}
	return string(at), nil
}

// say makes what the agent said durable, and that it has begun to answer. What is more than one saying holds is said in
// several: the plugin has said it all, and posts it no more once it was taken.
func (a *Agent) say(ctx context.Context, s relay.Saying, all *said) error {
	if all.left > 0 {
		a.wire.Log.Warn("astrbot: parts of an answer cannot be sent", zap.String("eventId", s.EventID),
			zap.String("im", s.Chat.Account), zap.String("conversationId", s.Chat.Conversation), zap.Int("parts", all.left))
	}
	for replies := range slices.Chunk(all.replies, agent.MaxReplies) {
		s.Replies = replies
		if err := a.wire.Outbox.Queue(ctx, s); err != nil {
			return fmt.Errorf("queue replies: %w", err)
		}
	}
	if s.EventID == "" {
		return nil
	}
	if err := a.wire.Memory.Save(ctx, "answered/"+s.EventID, []byte("1"), begunFor); err != nil {
		return fmt.Errorf("remember answer: %w", err)
	}
	return nil
}

func refuse(code relay.Code, message string, err error) error {
	return &relay.Refusal{Code: code, Message: message, Err: err}
}
