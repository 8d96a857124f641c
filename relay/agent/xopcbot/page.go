package xopcbot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
)

// pageBody is what the documentation's POST /api/agent takes.
type pageBody struct {
	Message string `json:"message"`
	Session string `json:"session"`
}

// tellPage makes one attempt as the documentation shows.
func (a *Agent) tellPage(ctx context.Context, t turn) (relay.Outcome, error) {
	body, err := json.Marshal(pageBody{Message: t.message, Session: t.chat})
	if err != nil {
		return relay.Outcome{}, fmt.Errorf("encode message: %w", err)
	}
	answer, err := a.wire.Doer.Do(ctx, egress.Call{
		Method: http.MethodPost, URL: a.base + agentPath, Header: a.header(t), Body: body,
		Timeout: a.wire.Timeout, MaxAnswer: agent.MaxAnswer, Ready: t.event.Ready,
	})
	if err != nil {
		return relay.Outcome{}, fmt.Errorf("post message: %w", err)
	}
	a.heard(answer.Status)
	return outcome(t, answer, meansPage), nil
}
