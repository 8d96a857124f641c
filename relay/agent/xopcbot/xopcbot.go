// Package xopcbot delivers to an xopcbot gateway: what was said, as text, by POST /api/agent. The answer to the event is
// in the answer to the call, and goes to the event's conversation.
//
// With api: real, the default, it speaks what a gateway serves (0.2.2). The run's answer is a stream, and its runId is
// noted durably as soon as it is seen. An attempt after a time-out, a hang-up or a crash of the relay asks
// POST /api/agent/resume for that run, which goes on when nobody listens, and so begins no second one. The event is taken
// when the run's result says that its status is ok and no error came before: a gateway tells of failed runs under a 200,
// and of some under a result that says ok. A run that ended in an error is forgotten, and the next attempt is a new one.
//
// An event may run twice all the same: if the connection or the relay ends after the request was written and before the
// runId was noted, if the gateway restarts, which forgets its runs, or if the next attempt comes later than five minutes
// after the run's end, when the gateway forgets it too. A gateway keeps 8000 pieces of a run: what it drops of a longer
// one is missing where that was resumed.
//
// With api: page it speaks what the gateway's documentation shows, which no known version serves: one JSON answer, and
// nothing to resume. There every attempt is a run of its own.
//
// Conversations have sessions of their own at the gateway. Recalls and notices are not told, and of pictures and files
// only that they came.
package xopcbot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

// The interfaces.
const (
	apiReal = "real"
	apiPage = "page"
)

// Where a gateway is asked.
const (
	agentPath  = "/api/agent"
	resumePath = "/api/agent/resume"
)

// tokenRefused is the alarm of a wrong token.
const tokenRefused = "token_refused"

// Config is the kind's own configuration.
type Config struct {
	// URL is the gateway's base address, http://127.0.0.1:18790.
	URL string `yaml:"url"`
	// Token is the gateway's gateway.auth.token, sent as a Bearer. Empty: none is sent, for a gateway without one.
	Token secret.Text `yaml:"token"`
	// API is real, what gateways serve, or page, what their documentation shows. Default real.
	API string `yaml:"api"`
}

// Agent is one gateway.
type Agent struct {
	wire   agent.Wire
	base   string
	bearer *signer.Token // nil: no token
	token  secret.Text
	tell   func(context.Context, turn) (relay.Outcome, error)
}

var _ relay.Agent = (*Agent)(nil)

// turn is one attempt to tell the agent one event.
type turn struct {
	event   relay.Event
	attempt int
	chat    string
	message string
}

// New checks the configuration.
func New(c Config, w agent.Wire) (*Agent, error) {
	base, err := agent.Base(c.URL, agentPath)
	errs := []error{err}
	if w.StandardWebhooks {
		errs = append(errs, errors.New("standard_webhooks is given, and xopcbot verifies no signature"))
	}
	a := &Agent{wire: w, token: c.Token}
	if !c.Token.IsZero() {
		a.bearer, err = agent.Bearer(c.Token)
		errs = append(errs, err)
	}
	switch c.API {
	case "", apiReal:
		a.tell = a.tellReal
	case apiPage:
		a.tell = a.tellPage
	default:
		errs = append(errs, fmt.Errorf("api %q is neither %s nor %s", c.API, apiReal, apiPage))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	a.base = base.String()
	return a, nil
}

// Deliver makes one attempt.
func (a *Agent) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	v, err := a.wire.Reader.Read(e)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if !agent.Spoken(v) {
		return agent.Unspoken(), nil
	}
	ctx, cancel := a.wire.Within(ctx)
	defer cancel()
	chat := chatID(relay.Chat{Account: e.Account, Conversation: e.Conversation})
	out, err := a.tell(ctx, turn{event: e, attempt: attempt, chat: chat, message: agent.Speech(v)})
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	return agent.Hide(out, a.token.Reveal()), nil
}

// header is that of every call of an attempt.
func (a *Agent) header(t turn) http.Header {
	h := agent.Header(t.event, t.attempt)
	h["Content-Type"] = []string{"application/json"}
	if a.bearer != nil {
		a.bearer.Sign(h, "", time.Time{}, nil)
	}
	return h
}

// heard looks at the first line of an answer for what it says about the token. A gateway blocks whoever shows it five
// wrong ones, so the alarm stands until a right one was shown.
func (a *Agent) heard(status int) {
	switch {
	case status == http.StatusUnauthorized:
		a.wire.Alarm.Raise(tokenRefused, "xopcbot refuses the token: give its gateway.auth.token as token")
	case success(status):
		a.wire.Alarm.Clear(tokenRefused)
	}
}

func success(status int) bool { return status >= 200 && status <= 299 }
