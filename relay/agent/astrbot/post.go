package astrbot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

// Alarms.
const (
	alarmRefused = "key_refused"
	alarmRefresh = "key_refresh"
)

// try is one attempt.
type try struct {
	event   relay.Event
	attempt int
	body    []byte
}

// fields are what a log line about the event has.
func (t try) fields(more ...zap.Field) []zap.Field {
	e := t.event
	return append([]zap.Field{
		zap.String("eventId", e.ID), zap.String("im", e.Account), zap.String("sender", e.Note.Sender),
		zap.String("conversationId", e.Conversation),
	}, more...)
}

// header is what the event's requests carry.
func (t try) header(key string) http.Header {
	h := agent.Header(t.event, t.attempt)
	h["Content-Type"] = []string{"application/json"}
	h["Authorization"] = []string{"Bearer " + key}
	return h
}

// body is the plugin's message. The id is the event's: the plugin knows repeats by it. Who speaks has a field of his own, so
// that commands stay what they are; the plugin knows no groups, so a conversation is what it takes for a sender. An image
// has words too, for a message without is refused.
func body(e relay.Event, v relay.Envelope, session string) ([]byte, error) {
	name := v.Nickname
	if name == "" {
		name = v.Sender
	}
	m := map[string]string{
		"msg_id": e.ID, "query": agent.Words(v), "type": "text", "sender_id": session, "sender_nickname": name,
	}
	for _, media := range v.Media {
		if media.Type == itemImage && agent.Link(media.URL) {
			m["type"], m["url"] = itemImage, media.URL
			break
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return b, nil
}

// reading is what an answer of the plugin means.
type reading struct {
	outcome relay.Outcome
	// pending says that the agent is at work; taken, that it answered. Neither: it failed.
	pending, taken bool
	items          []item
}

// post posts the attempt's message. The key's remaining time is noted.
func (a *Agent) post(ctx context.Context, t try, timeout time.Duration, ready func() error) (reading, error) {
	key, err := a.keys.current(ctx)
	if err != nil {
		return reading{}, err
	}
	answer, err := a.wire.Doer.Do(ctx, egress.Call{
		Method: http.MethodPost, URL: a.url, Header: t.header(key), Body: t.body,
		Timeout: timeout, MaxAnswer: agent.MaxAnswer, Ready: ready,
	})
	if err != nil {
		return reading{}, err //nolint:wrapcheck // the callers say what it means for the attempt
	}
	a.keys.answered(answer.Status)
	r := read(answer, t.event.ID)
	if r.pending || r.taken {
		if left := gjson.GetBytes(answer.Body, "api_key_ttl"); left.Type == gjson.Number {
			a.keys.left(time.Duration(min(max(left.Num, 0), maxLeft)) * time.Second)
		}
	}
	return r, nil
}

// read says what the answer to the event means. AstrBot answers a path that nobody registered with 200 and an error of
// another form, so an answer counts only when it names the event and a code.
func read(answer egress.Answer, eventID string) reading {
	r := reading{outcome: outcomeOf(answer)}
	if answer.Status < 200 || answer.Status > 299 {
		return r
	}
	failed := func(status int, reason string) reading {
		r.outcome.Status, r.outcome.Reason = status, reason
		return r
	}
	if answer.Truncated || !json.Valid(answer.Body) {
		return failed(http.StatusInternalServerError, "the answer is no JSON or too long")
	}
	doc := gjson.ParseBytes(answer.Body)
	code, id := doc.Get("code"), doc.Get("msg_id")
	switch {
	case code.Type != gjson.Number || id.Type != gjson.String || id.Str != eventID:
		return failed(http.StatusInternalServerError,
			"the answer is not the HTTP adapter's: its plugin is not loaded, or url is not its endpoint")
	case code.Num >= 400 && code.Num <= 599:
		return failed(int(code.Num), "the answer names a failure by its code")
	case code.Num != 0:
		return failed(http.StatusInternalServerError, "the answer names a failure by its code")
	}
	r.pending = answer.Status == http.StatusAccepted
	r.taken = !r.pending
	r.items = itemsOf(doc.Get("data"), mostItems)
	return r
}

// outcomeOf is the answer as it stands.
func outcomeOf(answer egress.Answer) relay.Outcome {
	out := relay.Outcome{
		Status:     answer.Status,
		RetryAfter: egress.RetryAfter(answer.Header.Get("Retry-After"), time.Now()),
	}
	if !answer.Truncated && len(answer.Body) <= egress.MaxAnswer {
		out.ContentType, out.Body = answer.Header.Get("Content-Type"), answer.Body
	}
	return out
}
