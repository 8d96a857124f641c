// Package astrbot delivers to an AstrBot, in one of three ways.
//
// # poll
//
// The endpoint of the HTTP adapter plugin (astrbot_plugin_http_adapter) is posted to, and the same message is posted again
// until its answer is there and has been complete for a quiet period. An event is taken when the plugin answers it with
// 200 and code 0; what it answered with goes out as replies, each once, known by its item_id. An answer of nothing that
// can be sent is taken too, without replies: asking again would start another run.
//
// The plugin waits 30 s for the agent's first words, answers 202, and forgets that it was asked: who asks again before the
// agent has said something starts a second run. So after a 202 nothing is posted for 30 s, and longer each time it proves
// too short, as far as the attempt's time allows; what is left of the wait is the next attempt's, which is told in
// Retry-After. When a run may have begun is remembered before each post, so that an attempt after one that was killed or
// timed out looks only while the first is surely known, or waits as well. An agent that needs more than a minute can run
// twice all the same: nothing in the plugin's interface could tell. Such agents want callback or api. So can one whose relay
// was away for longer than the plugin keeps answers, five minutes, between an answer and its acknowledgement.
//
// The plugin knows no groups: a conversation is one sender to it, and the speaker his nickname. A message with a picture
// that can be fetched goes as one, with its words beside it; version 1.1.1 looks at the picture only.
//
// # callback
//
// The same endpoint, whose plugin is set to post everything that the agent says to an address of the relay. 200 and 202 are
// taken. An event that the agent has begun to answer is not posted again. The plugin posts twice, a second or so apart, and
// then drops: what it says while the relay is away for longer is lost. It may speak by itself in every conversation that it
// was given an event of; words without an item_id that come again within a minute are taken for the same post.
//
// # api
//
// AstrBot's own interface, from 4.18 on: one streamed answer, taken when it came to its end. It knows no repeats, so an
// event whose answer was cut off runs again; its replies are known by their number, and go out once.
//
// The plugin's key is a login token of AstrBot that expires. What is left of it is in every answer; when that is low a new
// key is asked for, and kept across restarts. See keys.go for the rule.
package astrbot

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/secret"
)

// The modes.
const (
	modePoll     = "poll"
	modeCallback = "callback"
	modeAPI      = "api"
)

// chatPath is where AstrBot's own interface is, under its base.
const chatPath = "/api/v1/chat"

// shortestPath is how short a callback's path may be: it is all that protects the address.
const shortestPath = 16

// Config is the kind's own configuration.
type Config struct {
	// URL is the plugin's whole endpoint, …/api/plug/v1/chat, or AstrBot's base in mode api.
	URL string `yaml:"url"`
	// Token is the plugin's hep_api_key, or an API key with the scope chat in mode api.
	Token secret.Text `yaml:"token"`
	// Mode is poll (default), callback or api.
	Mode string `yaml:"mode"`
	// CallbackPath is the secret last part of the address that the plugin posts to, at least 16 letters, digits and -_.~;
	// mode callback only.
	CallbackPath secret.Text `yaml:"callback_path"`
}

// times are how long things take and are waited for.
type times struct {
	// hold is how long the plugin waits for first words.
	hold time.Duration
	// window is how long after a post the plugin surely still knows it, with a margin for clocks and ways.
	window time.Duration
	// patience is the wait after a 202. It doubles; longest bounds the time between two posts, for the plugin keeps answers
	// for five minutes.
	patience, longest time.Duration
	// look is the time between two looks for more of an answer, looks how many have to find nothing, looking how long one
	// may take.
	look    time.Duration
	looks   int
	looking time.Duration
	// refresh bounds a refresh of the key, again is how long none follows, reread how long a key is believed to be the
	// newest.
	refresh, again, reread time.Duration
	// idle is how long a stream may be silent. AstrBot sends a heartbeat each second.
	idle time.Duration
}

func usual() times {
	return times{
		hold: 30 * time.Second, window: 20 * time.Second, patience: 30 * time.Second, longest: 4 * time.Minute,
		look: 2 * time.Second, looks: 2, looking: 5 * time.Second,
		refresh: 5 * time.Second, again: 15 * time.Minute, reread: 30 * time.Second,
		idle: time.Minute,
	}
}

// Agent is one AstrBot.
type Agent struct {
	mode  string
	url   string
	path  secret.Text
	wire  agent.Wire
	chats *agent.Chats
	keys  *keys
	times times
}

var (
	_ relay.Agent      = (*Agent)(nil)
	_ agent.CalledBack = (*Agent)(nil)
)

// New checks the configuration. It calls nothing.
func New(c Config, w agent.Wire) (*Agent, error) {
	if c.Mode == "" {
		c.Mode = modePoll
	}
	if err := errors.Join(c.checkWhere(), c.checkToken(w), c.checkPath()); err != nil {
		return nil, err
	}
	a := &Agent{
		mode: c.Mode, url: c.URL, path: c.CallbackPath, wire: w, chats: agent.NewChats(w.Memory), times: usual(),
	}
	if c.Mode == modeAPI {
		a.url = strings.TrimRight(c.URL, "/") + chatPath
	}
	a.keys = newKeys(a, c.Token)
	return a, nil
}

func (c Config) checkWhere() error {
	var errs []error
	switch c.Mode {
	case modePoll, modeCallback, modeAPI:
	default:
		errs = append(errs, errors.New("mode is none of poll, callback, api"))
	}
	_, err := agent.Address(c.URL)
	if c.Mode == modeAPI {
		_, err = agent.Base(c.URL, chatPath)
	}
	return errors.Join(append(errs, err)...)
}

func (c Config) checkToken(w agent.Wire) error {
	switch {
	case w.StandardWebhooks:
		return errors.New("standard_webhooks is nothing that astrbot can verify")
	case c.Token.IsZero():
		return errors.New("token is missing")
	case !agent.IsToken(c.Token.Reveal()):
		return errors.New("token holds what cannot stand in a header")
	}
	return nil
}

func (c Config) checkPath() error {
	path := c.CallbackPath.Reveal()
	switch {
	case c.Mode != modeCallback && path != "":
		return errors.New("callback_path is for mode callback only")
	case c.Mode == modeCallback && (len(path) < shortestPath || strings.ContainsFunc(path, notUnreserved)):
		return errors.New("callback_path needs at least 16 letters, digits, or characters of -_.~")
	}
	return nil
}

// notUnreserved says that the character does not stand for itself in every URL.
func notUnreserved(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-_.~", r):
		return false
	}
	return true
}

// Path implements agent.CalledBack. It is zero in the modes that are not called back.
func (a *Agent) Path() secret.Text { return a.path }

// Deliver makes one attempt.
func (a *Agent) Deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	out, err := a.deliver(ctx, e, attempt)
	return agent.Hide(out, a.keys.all()...), err
}

func (a *Agent) deliver(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	v, err := a.wire.Reader.Read(e)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	if !agent.Spoken(v) {
		return agent.Unspoken(), nil
	}
	ctx, cancel := a.wire.Within(ctx)
	defer cancel()
	if a.mode == modeAPI {
		return a.chat(ctx, e, v, attempt)
	}
	session, err := a.chats.Note(ctx, relay.Chat{Account: e.Account, Conversation: e.Conversation})
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	message, err := body(e, v, session)
	if err != nil {
		return relay.Outcome{}, agent.AttemptError(err)
	}
	t := try{event: e, attempt: attempt, body: message}
	defer a.keys.tend(ctx)
	if a.mode == modeCallback {
		return a.hand(ctx, t)
	}
	return a.poll(ctx, t)
}
