package xopcbot

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	// runKept is how long a run is noted: longer than one lasts. After its end the gateway knows it for five minutes.
	runKept = 24 * time.Hour
	// noteWithin bounds noting and forgetting a run, which an attempt does even when its own time is over.
	noteWithin = 5 * time.Second
	// longestRun is how long a runId may be. Gateways give UUIDs.
	longestRun = 128
)

// agentBody is what POST /api/agent takes. Of the channels only webchat runs the agent and answers with what it said.
type agentBody struct {
	Message string `json:"message"`
	Channel string `json:"channel"`
	ChatID  string `json:"chatId"`
}

// resumeBody is what POST /api/agent/resume takes.
type resumeBody struct {
	RunID string `json:"runId"`
}

// tellReal makes one attempt: it goes on with the event's run, or begins one.
func (a *Agent) tellReal(ctx context.Context, t turn) (relay.Outcome, error) {
	run, err := a.wire.Memory.Load(ctx, runName(t.event))
	if err != nil {
		return relay.Outcome{}, fmt.Errorf("look for the run: %w", err)
	}
	if len(run) > 0 {
		out, known, err := a.resume(ctx, t, string(run))
		if known || err != nil {
			return out, err
		}
	}
	return a.begin(ctx, t)
}

// begin begins a run.
func (a *Agent) begin(ctx context.Context, t turn) (relay.Outcome, error) {
	s, err := a.open(ctx, t, agentPath, agentBody{Message: t.message, Channel: "webchat", ChatID: t.chat})
	if err != nil {
		return relay.Outcome{}, fmt.Errorf("begin run: %w", err)
	}
	defer func() { _ = s.Close() }()
	return a.listen(ctx, t, s, "")
}

// resume goes on with a run. known is false if the gateway has forgotten it; then nothing has begun.
func (a *Agent) resume(ctx context.Context, t turn, run string) (out relay.Outcome, known bool, err error) {
	s, err := a.open(ctx, t, resumePath, resumeBody{RunID: run})
	if err != nil {
		return relay.Outcome{}, true, fmt.Errorf("resume run: %w", err)
	}
	defer func() { _ = s.Close() }()
	if s.Status == http.StatusNotFound {
		return relay.Outcome{}, false, nil
	}
	out, err = a.listen(ctx, t, s, run)
	return out, true, err
}

// open posts the body, and asks for a stream. The second call of an attempt asks as well whether the relay may still make
// it: that is the one that begins a run.
func (a *Agent) open(ctx context.Context, t turn, path string, body any) (*egress.Stream, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode body: %w", err)
	}
	h := a.header(t)
	h["Accept"] = []string{"text/event-stream"}
	s, err := a.wire.Streamer.Open(ctx, egress.Call{
		Method: http.MethodPost, URL: a.base + path, Header: h, Body: raw, Timeout: a.wire.Timeout, Ready: t.event.Ready,
	})
	if err != nil {
		return nil, err
	}
	a.heard(s.Status)
	return s, nil
}

// listen reads an answer: a stream, or JSON where a gateway or what is before it knows no other.
func (a *Agent) listen(ctx context.Context, t turn, s *egress.Stream, run string) (relay.Outcome, error) {
	media, _, err := mime.ParseMediaType(s.Header.Get("Content-Type"))
	if success(s.Status) && err == nil && media == "text/event-stream" {
		return a.follow(ctx, t, s, run)
	}
	body, err := io.ReadAll(io.LimitReader(s, agent.MaxAnswer))
	if err != nil {
		return relay.Outcome{}, fmt.Errorf("read answer: %w", err)
	}
	return outcome(t, egress.Answer{Status: s.Status, Header: s.Header, Body: body}, meansReal), nil
}

// runName is under what the event's run is noted. It stays there when the event was taken: one that comes again, since
// the relay fell before it was settled, is answered by the same run.
func runName(e relay.Event) string { return "run/" + e.ID }

// note notes the event's run, durably. If the store cannot, the attempt goes on: the run has begun, and giving it up
// would make a second one certain.
func (a *Agent) note(ctx context.Context, e relay.Event, run string) {
	a.save(ctx, e, []byte(run), runKept)
}

// forget forgets the event's run.
func (a *Agent) forget(ctx context.Context, e relay.Event) { a.save(ctx, e, nil, 0) }

func (a *Agent) save(ctx context.Context, e relay.Event, run []byte, keep time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
	defer cancel()
	if a.wire.Memory.Save(ctx, runName(e), run, keep) != nil {
		a.wire.Log.Warn("what became of the event's run is not remembered: it may be made again",
			zap.String("agent", a.wire.Name), zap.String("eventId", e.ID), zap.String("im", e.Account),
			zap.String("conversationId", e.Conversation), zap.String("sender", e.Note.Sender))
	}
}
