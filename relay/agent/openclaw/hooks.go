package openclaw

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

const (
	// hooksPath is where a gateway has its hook by default.
	hooksPath = "/hooks/agent"
	// maxHook is how much a gateway's hook takes.
	maxHook = 256 << 10
	// reasonFailed says of an answer that the run is over, and was no success.
	reasonFailed = "the agent's run did not end well"
)

// hooks is a gateway's built-in hook.
type hooks struct {
	wire    agent.Wire
	token   secret.Text
	url     string
	bearer  *signer.Token
	channel string
}

// hookBody is what the hook takes. It is the same on every attempt, else the gateway would not know it again. It has no
// session: one has to be allowed by the gateway's configuration, and is refused where it is not.
type hookBody struct {
	Message string `json:"message"`
	Name    string `json:"name"`
	Channel string `json:"channel"`
	To      string `json:"to"`
	Deliver bool   `json:"deliver"`
	// Wait asks for the answer when the run is over. A run that was only admitted is lost when the gateway restarts, and
	// two of one conversation would go on side by side.
	Wait bool `json:"waitForCompletion"`
}

func newHooks(c Config, w agent.Wire) (*Agent, error) {
	var errs []error
	if len(agent.Secrets(c.Secret, c.Secrets)) > 0 {
		errs = append(errs, errors.New("secret is for mode: webhook; mode: hooks takes token"))
	}
	if w.StandardWebhooks {
		errs = append(errs, errors.New("standard_webhooks is for mode: webhook; a gateway's hooks verify no signature"))
	}
	if c.Token.IsZero() {
		errs = append(errs, errors.New("token is missing: mode: hooks takes the gateway's hooks.token"))
	}
	if c.Channel == "" {
		errs = append(errs, errors.New("channel is missing: mode: hooks needs the gateway's channel that sends the answers"))
	}
	at, err := hookURL(c.URL)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	bearer, err := agent.Bearer(c.Token)
	if err != nil {
		return nil, fmt.Errorf("use token: %w", err)
	}
	return &Agent{mode: &hooks{wire: w, url: at, token: c.Token, bearer: bearer, channel: c.Channel}}, nil
}

// hookURL is the hook's address, of that of the gateway or its own. Errors do not show it.
func hookURL(raw string) (string, error) {
	u, err := agent.Address(raw)
	if err != nil {
		return "", err
	}
	if u.Query().Has("token") {
		return "", errors.New("url holds a token, which a gateway refuses there: give it as token")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = hooksPath
	}
	return u.String(), nil
}

// Deliver implements relay.Agent.
func (h *hooks) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	v, err := h.wire.Reader.Read(e)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if !agent.Spoken(v) {
		return agent.Unspoken(), nil
	}
	body, err := json.Marshal(hookBody{
		Message: said(e, v), Name: "relay", Channel: h.channel, To: e.Conversation, Deliver: true, Wait: true,
	})
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if len(body) > maxHook {
		return relay.Outcome{
			Status: http.StatusRequestEntityTooLarge, Reason: "the message is over the 256 KiB that a gateway's hook takes",
		}, nil
	}
	failures, err := h.failures(ctx, e.ID)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	header := h.header(e, attempt)
	header["Idempotency-Key"] = []string{runKey(e.ID, failures)}
	now := time.Now()
	answer, err := h.wire.Doer.Do(ctx, egress.Call{
		Method: http.MethodPost, URL: h.url, Header: header, Body: body, Timeout: h.wire.Timeout, Ready: e.Ready,
	})
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	out := relay.Outcome{
		Status: answer.Status, ContentType: answer.Header.Get("Content-Type"), Body: answer.Body,
		RetryAfter: egress.RetryAfter(answer.Header.Get("Retry-After"), now),
	}
	if reason := failure(answer); reason != "" {
		out.Status, out.Reason = http.StatusInternalServerError, reason
		if reason == reasonFailed {
			h.failed(ctx, e, failures+1)
		}
	}
	return agent.Hide(out, h.token.Reveal()), nil
}

// header is that of one attempt, but for its key.
func (h *hooks) header(e relay.Event, attempt int) http.Header {
	header := agent.Header(e, attempt)
	header["Content-Type"] = []string{"application/json"}
	h.bearer.Sign(header, "", time.Time{}, nil)
	return header
}

// failure says what is wrong inside a 2xx; empty: nothing. A gateway answers what it does not know with a page, and 200.
func failure(a egress.Answer) string {
	switch {
	case a.Status < 200 || a.Status > 299:
		return ""
	case !json.Valid(a.Body) || gjson.GetBytes(a.Body, "ok").Type != gjson.True:
		return "the gateway's answer does not say that the run was admitted"
	}
	if status := gjson.GetBytes(a.Body, "completion.status"); status.Exists() && status.Str != "ok" {
		return reasonFailed
	}
	return ""
}

// said is what the agent reads: where, who, and what.
func said(e relay.Event, v relay.Envelope) string {
	where := "private"
	if v.Group {
		where = "group"
	}
	room := strings.TrimSuffix(e.Conversation, "@chatroom")
	return fmt.Sprintf("[%s %s %s] %s: %s", e.Account, where, agent.Label(room), agent.Speaker(v), agent.Words(v))
}
