package agenttest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

// World is what a daemon gives an agent, in memory, and what the agent did with it.
type World struct {
	// Wire is for the agent. Its calls go through real sockets; its timeout is 2 s.
	Wire agent.Wire

	logs *observer.ObservedLogs

	mu     sync.Mutex
	said   []relay.Saying
	ids    int
	err    error
	values map[string][]byte
	raised map[string]string
	served map[string]relay.Chat
}

// NewWorld makes one for a test.
func NewWorld(tb testing.TB) *World {
	tb.Helper()
	client := egress.New(egress.Options{})
	tb.Cleanup(client.Close)
	core, logs := observer.New(zap.DebugLevel)
	w := &World{
		logs: logs, values: map[string][]byte{}, raised: map[string]string{}, served: map[string]relay.Chat{},
	}
	w.Wire = agent.Wire{
		Name: "tested", Doer: client, Streamer: client, Timeout: 2 * time.Second,
		Reader: w, Memory: w, Outbox: w, Events: w, Alarm: w, Log: zap.New(core),
	}
	return w
}

// Fail makes the memory and the outbox fail with err from now on; nil: work again.
func (w *World) Fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// Said returns what went through the outbox.
func (w *World) Said() []relay.Saying {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.said)
}

// Raised returns the alarms that are raised, with their texts.
func (w *World) Raised() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.raised)
}

// Logged returns all that was logged, in one text.
func (w *World) Logged() string {
	var out strings.Builder
	for _, e := range w.logs.All() {
		fmt.Fprintln(&out, e.Message, e.ContextMap())
	}
	return out.String()
}

// Serve makes the event known as one of the agent's.
func (w *World) Serve(eventID string, c relay.Chat) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.served[eventID] = c
}

// Read implements agent.Reader: the body's text and image, and the rest from the event.
func (w *World) Read(e relay.Event) (relay.Envelope, error) {
	out := relay.Envelope{
		MessageID: e.Note.MessageID, Conversation: e.Conversation, Sender: e.Note.Sender, Nickname: e.Note.Nickname,
		Kind: e.Note.Kind, Group: e.Note.Group, Mentioned: e.Note.Mentioned, Raw: e.Body,
		Text: gjson.GetBytes(e.Body, "text").Str,
	}
	if url := gjson.GetBytes(e.Body, "image").Str; url != "" {
		out.Media = []relay.Media{{Type: "image", URL: url}}
	}
	return out, nil
}

// Load implements agent.Memory.
func (w *World) Load(_ context.Context, name string) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.values[name]), w.err
}

// Save implements agent.Memory.
func (w *World) Save(_ context.Context, name string, value []byte, _ time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if value == nil {
		delete(w.values, name)
		return nil
	}
	w.values[name] = slices.Clone(value)
	return nil
}

// Queue implements relay.Outbox.
func (w *World) Queue(_ context.Context, s relay.Saying) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.said = append(w.said, s)
	}
	return w.err
}

// Send implements relay.Outbox. The ids are im_1, im_2, ….
func (w *World) Send(_ context.Context, s relay.Saying) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	w.said = append(w.said, s)
	var ids []string
	for range s.Replies {
		w.ids++
		ids = append(ids, fmt.Sprintf("im_%d", w.ids))
	}
	return ids, nil
}

// Chat implements agent.Events.
func (w *World) Chat(_ context.Context, eventID string) (relay.Chat, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return relay.Chat{}, w.err
	}
	c, ok := w.served[eventID]
	if !ok {
		return relay.Chat{}, agent.ErrNotServed
	}
	return c, nil
}

// Raise implements agent.Alarm.
func (w *World) Raise(what, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raised[what] = text
}

// Clear implements agent.Alarm.
func (w *World) Clear(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.raised, what)
}
