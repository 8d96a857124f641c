// Package openai has a bare model, or another gateway, answer: anything that speaks OpenAI's chat completions. Each
// event is one POST to {url}/chat/completions with a system text, the last messages of the conversation and the event's
// own, and the answer, read as a stream or in one piece, is one reply.
//
// # What counts as taken
//
// An answer that came to its end: a finish_reason, whatever it is, or [DONE] after some text. An error inside a 2xx counts
// as the status that it names, else as 500. A stream that ends without either has hung up: nothing of it is said. The
// server's reasoning and tool calls are not shown, nor a <think> block that an answer begins with, which is how servers
// without a reasoning parser give the same thing.
//
// # What is remembered
//
// The relay keeps the last messages of a conversation, since the server keeps none. A turn is saved with its event's id
// before the attempt is over, so that an attempt that a crash makes come again gives the same answer without asking the
// model. 64 KiB of a conversation are kept, for seven days after its last turn; one of the last two answers that has no
// place in that is kept by itself for a day. Turns without an answer are not shown to the model again: many models insist
// that user and assistant alternate.
//
// # What it cannot promise
//
// The API has no idempotency. The model runs again for the same event when an attempt timed out or broke off, when the
// relay died before the turn was saved, and when the memory could not be written for some seconds; the answer to an event
// is sent once all the same. A request that the server refuses as too long for the model's context is made once more with
// half of the turns, and one that it refuses and that had images, without them.
package openai

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

// mostWindow is the largest window that can be configured, in messages.
const mostWindow = 1000

// Config is the kind's own configuration. Start from [Default].
type Config struct {
	// URL is the API's base, such as http://127.0.0.1:11434/v1. It must be given.
	URL string `yaml:"url"`
	// Token is sent as a Bearer. Empty: none is.
	Token secret.Text `yaml:"token"`
	// Model is the model's name. It must be given.
	Model string `yaml:"model"`
	// System is what the model is told first. Empty: nothing.
	System string `yaml:"system"`
	// Window is how many messages of a conversation the model is shown beside the new one. They are taken in pairs of a
	// message and its answer, and bounded by 64 KiB. Default 20; 0: none.
	Window int `yaml:"window"`
}

// Default returns what holds where nothing is said.
func Default() Config { return Config{Window: 20} }

// times are how long things take at most.
type times struct {
	// save is how long saving a turn is tried, again after each pause of again. It comes on top of the attempt's time: the
	// answer is there, and running the model again costs more.
	save, again time.Duration
}

// Agent is one model.
type Agent struct {
	wire   agent.Wire
	config Config
	url    string
	bearer signer.Scheme // nil: none
	turns  int
	times  times
}

var _ relay.Agent = (*Agent)(nil)

// New checks the configuration.
func New(c Config, w agent.Wire) (*Agent, error) {
	endpoint, err := endpointOf(c.URL)
	if err := errors.Join(append(c.check(w), err)...); err != nil {
		return nil, err
	}
	a := &Agent{
		wire: w, config: c, url: endpoint, turns: c.Window / 2,
		times: times{save: 5 * time.Second, again: 250 * time.Millisecond},
	}
	if !c.Token.IsZero() {
		if a.bearer, err = signer.NewBearer(c.Token.Reveal()); err != nil {
			return nil, fmt.Errorf("use token: %w", err)
		}
	}
	return a, nil
}

// check finds every mistake but the address's.
func (c Config) check(w agent.Wire) (errs []error) {
	if strings.TrimSpace(c.Model) == "" {
		errs = append(errs, errors.New("model is missing"))
	}
	if c.Window < 0 || c.Window > mostWindow {
		errs = append(errs, fmt.Errorf("window must be 0 to %d messages", mostWindow))
	}
	if !c.Token.IsZero() && !agent.IsToken(c.Token.Reveal()) {
		errs = append(errs, errors.New("token holds what a header cannot"))
	}
	if w.StandardWebhooks {
		errs = append(errs, errors.New("standard_webhooks is not for this kind, which signs nothing"))
	}
	return errs
}

// endpointOf is where completions are asked for, under the base.
func endpointOf(base string) (string, error) {
	u, err := agent.Address(base)
	if err != nil {
		return "", err
	}
	if strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/chat/completions") {
		return "", errors.New("url must be the base, such as https://host/v1, without /chat/completions")
	}
	return u.JoinPath("chat", "completions").String(), nil
}

// Deliver asks the model, unless it has answered the event before.
func (a *Agent) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	v, err := a.wire.Reader.Read(e)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if !agent.Spoken(v) {
		return agent.Unspoken(), nil
	}
	within, cancel := a.wire.Within(ctx)
	defer cancel()
	session := agent.Session(relay.Chat{Account: e.Account, Conversation: e.Conversation})
	past, err := a.load(within, session)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	answer, known, err := a.answered(within, past, e.ID)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if known {
		out := agent.Hide(said(e, answer), a.config.Token.Reveal())
		out.Unasked = true
		return out, nil
	}
	q := question{event: e, attempt: attempt, asked: agent.Speech(v), images: images(v), history: past.history(a.turns)}
	got, err := a.ask(within, &q)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if got.status != 0 {
		return a.refused(got), nil
	}
	answer = speakable(got.text)
	a.remember(ctx, session, e, past.with(q.history, turn{Event: e.ID, Asked: q.asked, Answer: answer}))
	return agent.Hide(said(e, answer), a.config.Token.Reveal()), nil
}
