package nekro

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

// registration, subscription, message and response are Nekro's commands.
type registration struct {
	Cmd           string `json:"cmd"`
	Platform      string `json:"platform"`
	ClientName    string `json:"client_name"`
	ClientVersion string `json:"client_version"`
}

type subscription struct {
	Cmd      string   `json:"cmd"`
	Channels []string `json:"channel_ids"`
}

type message struct {
	Cmd     string  `json:"cmd"`
	Channel string  `json:"channel_id"`
	Message content `json:"message"`
}

type content struct {
	ID          string    `json:"msg_id"`
	From        string    `json:"from_id"`
	FromName    string    `json:"from_name"`
	ToMe        bool      `json:"is_to_me"`
	Self        bool      `json:"is_self"`
	Raw         string    `json:"raw_content"`
	Channel     string    `json:"channel_id"`
	ChannelName string    `json:"channel_name"`
	Platform    string    `json:"platform_name"`
	Timestamp   int64     `json:"timestamp"`
	Segments    []segment `json:"segments"`
}

type segment struct {
	Type     string `json:"type"`
	Content  string `json:"content,omitempty"`
	UserID   string `json:"user_id,omitempty"`
	Nickname string `json:"nickname,omitempty"`
	URL      string `json:"url,omitempty"`
	Name     string `json:"name,omitempty"`
}

// Deliver implements relay.Agent.
func (s *Stream) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	v, err := s.wire.Reader.Read(e)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if !agent.Spoken(v) {
		return agent.Unspoken(), nil
	}
	ctx, cancel := s.wire.Within(ctx)
	defer cancel()
	l := s.connected(ctx)
	if l == nil {
		return relay.Outcome{}, absent(nil)
	}
	session, err := s.chats.Note(ctx, relay.Chat{Account: e.Account, Conversation: e.Conversation})
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	channel := channelOf(session, v.Group)
	if err := s.subscribed(ctx, l, e, channel); err != nil {
		return relay.Outcome{}, err
	}
	s.people.met(v, e.Account)
	call, err := telling(e, attempt, command(e, v, channel, s.wire.Name))
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	call.Timeout = s.wire.Timeout
	return l.tell(ctx, call)
}

// connected is the connection; nil: there is none. Nobody was away where a relay has just begun: the first connection is
// waited for, for half of the attempt's time at most.
func (s *Stream) connected(ctx context.Context) *link {
	if l := s.link.Load(); l != nil {
		return l
	}
	s.arrival.wait(ctx, min(s.times.arrive, s.wire.Timeout/2))
	return s.link.Load()
}

// absent is the error of an event that nothing of was begun.
func absent(err error) *relay.AttemptError {
	return &relay.AttemptError{Unreachable: true, Reason: "not connected", Err: err}
}

// subscribed makes sure that Nekro's answers to the channel come here. Whatever becomes of that, Nekro has not been told
// of the event.
func (s *Stream) subscribed(ctx context.Context, l *link, e relay.Event, channel string) error {
	if err := s.channels.add(ctx, s.wire.Memory, channel); err != nil {
		return agent.AttemptError(err)
	}
	if l.has(channel) {
		return nil
	}
	err := l.subscribe(ctx, e.Ready, channel)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errForgotten):
		l.drop(err)
		return absent(err)
	}
	return &relay.AttemptError{Unreachable: true, Reason: reason(err), Err: err}
}

// command tells Nekro of the event.
func command(e relay.Event, v relay.Envelope, channel, self string) message {
	from, at := v.Sender, v.At
	if from == "" {
		from = e.Conversation
	}
	name := agent.Label(v.Nickname)
	if name == "" {
		name = from
	}
	if at.IsZero() {
		at = e.Accepted
	}
	id := v.MessageID
	if id == "" {
		id = e.ID
	}
	c := content{
		ID: id, From: from, FromName: name, ToMe: v.Mentioned || !v.Group, Self: v.Self, Raw: agent.Words(v),
		Channel: channel, ChannelName: e.Conversation, Platform: e.Account, Timestamp: at.Unix(),
	}
	if v.Group && v.Mentioned {
		c.Segments = append(c.Segments, segment{Type: "at", UserID: self, Nickname: self})
	}
	if strings.TrimSpace(v.Text) != "" || len(v.Media) == 0 {
		c.Segments = append(c.Segments, segment{Type: "text", Content: c.Raw})
	}
	for _, m := range v.Media {
		kind := "file"
		if m.Type == "image" {
			kind = "image"
		}
		c.Segments = append(c.Segments, segment{Type: kind, URL: m.URL, Name: m.Name})
	}
	if !v.Group {
		c.ChannelName = name
	}
	return message{Cmd: "message", Channel: channel, Message: c}
}

// telling is the call of the message command.
func telling(e relay.Event, attempt int, m message) (egress.Call, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return egress.Call{}, fmt.Errorf("encode command: %w", err)
	}
	h := http.Header{agent.HeaderEventID: {e.ID}, agent.HeaderAttempt: {strconv.Itoa(attempt)}}
	if e.Note.Traceparent != "" {
		h["Traceparent"] = []string{e.Note.Traceparent}
	}
	return egress.Call{Header: h, Body: body, Ready: e.Ready}, nil
}

// tell makes the call.
func (l *link) tell(ctx context.Context, c egress.Call) (relay.Outcome, error) {
	answer, err := l.post(ctx, c, l.id)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if l.forgotten(answer) {
		l.drop(errForgotten)
		return relay.Outcome{}, absent(errForgotten)
	}
	out := relay.Outcome{
		Status: answer.Status, RetryAfter: egress.RetryAfter(answer.Header.Get("Retry-After"), time.Now()),
	}
	out.ContentType, out.Body = agent.Shown(answer, l.stream.key)
	if succeeded(out.Status) && (!json.Valid(answer.Body) || !gjson.ParseBytes(answer.Body).IsObject()) {
		out.Status, out.Reason = http.StatusInternalServerError, errNotNekro.Error()
	}
	return out, nil
}

// forgotten says that Nekro does not know the client, which it then names; another 404 may be of anything.
func (l *link) forgotten(a egress.Answer) bool {
	return a.Status == http.StatusNotFound && bytes.Contains(a.Body, []byte(l.id))
}
