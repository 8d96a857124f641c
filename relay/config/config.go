package config

import (
	"net/netip"
	"time"

	"github.com/imrelay/imrelay/relay/secret"
)

// Config is everything that can be said. A field's comment gives its meaning, unit, default and special values.
type Config struct {
	// Listen is the address of the API, host:port. Port 0 takes a free one. Default 127.0.0.1:8088.
	Listen string `yaml:"listen"`
	// Data is the folder of the embedded store, of run.json and of logs. Default ./imrelay-data.
	Data string `yaml:"data"`
	// Redis is the URL of the Redis that keeps everything in place of the embedded store; it may hold a password, hence
	// the type. Default empty: the embedded store.
	Redis secret.Text `yaml:"redis"`
	// Log says what is logged, how and where.
	Log Log `yaml:"log"`
	// Inbound is about the IM servers' pushes.
	Inbound Inbound `yaml:"inbound"`
	// Outbound is about the agents' sends.
	Outbound Outbound `yaml:"outbound"`
	// Dedupe says for how long repeats are known.
	Dedupe Dedupe `yaml:"dedupe"`
	// Retention says how long what is over is kept.
	Retention Retention `yaml:"retention"`
	// Loop is the brake on conversations in which two machines talk to each other.
	Loop Loop `yaml:"loop"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed. Default none: the peer's address counts.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`
	// IMs are the IM accounts by name. At least one is needed.
	IMs map[string]IM `yaml:"ims"`
	// Agents are where events go, by name. At least one is needed.
	Agents map[string]Agent `yaml:"agents"`
	// Routes say which account's events go to which agent; the first that matches wins. None: all go to the only agent.
	Routes []Route `yaml:"routes"`
	// Clients are who may send, by name. Default none: nobody may.
	Clients map[string]Client `yaml:"clients"`
	// Admin is about the console and the admin API.
	Admin Admin `yaml:"admin"`
	// Metrics is about GET /metrics.
	Metrics Metrics `yaml:"metrics"`

	journal *journal
}

// Log says what is logged, how and where.
type Log struct {
	// Level is the least level that is logged: debug, info, warn or error. Default info.
	Level string `yaml:"level" oneof:"debug info warn error"`
	// Format is json, console, or auto: console on a terminal and json elsewhere. Default auto.
	Format string `yaml:"format" oneof:"auto json console"`
	// File is a file that is written, and rotated, in place of standard error. Default empty: standard error.
	File string `yaml:"file"`
}

// Inbound is about the IM servers' pushes.
type Inbound struct {
	// Wait is how long an IM server is kept waiting for the agent's outcome. At most 30s; 0: not at all. Default 2s.
	Wait time.Duration `yaml:"wait"`
	// MaxBody is the largest body that is taken. Default 1MiB.
	MaxBody Size `yaml:"max_body"`
}

// Outbound is about the agents' sends.
type Outbound struct {
	// Hold is how long a send is kept waiting for a limit before it is refused. Default 3s; 0: not at all.
	Hold time.Duration `yaml:"hold"`
	// MaxBody is the largest request that is taken. Default 256KiB.
	MaxBody Size `yaml:"max_body"`
	// MediaAllow are the networks, beside the Internet, from which a picture or a voice message is fetched for an IM that
	// does not fetch by itself: its address comes from a client or an agent. Default none: nothing private is called.
	MediaAllow []netip.Prefix `yaml:"media_allow"`
}

// Dedupe says for how long repeats are known.
type Dedupe struct {
	// Window is how long message ids and idempotency keys are remembered. At least every max_age. Default 48h.
	Window time.Duration `yaml:"window"`
}

// Retention says how long what is over is kept.
type Retention struct {
	// Delivered is how long delivered events are kept. Default 48h; 0: not at all.
	Delivered time.Duration `yaml:"delivered"`
	// MaxBytes bounds the bodies of delivered events together; the oldest go first. Default 1GiB; 0: no bound.
	MaxBytes Size `yaml:"max_bytes"`
	// Dead is how long dead letters are kept. Default 30d; 0: until they are replayed or dropped.
	Dead time.Duration `yaml:"dead"`
}

// Loop is the brake on conversations in which two machines talk to each other. A turn is an event and then a send.
type Loop struct {
	// Turns is how many turns within Window pause a conversation. Default 20; 0: off.
	Turns int `yaml:"turns"`
	// Window is the time in which turns are counted. Default 60s.
	Window time.Duration `yaml:"window"`
	// Pause is how long the conversation stays paused. Default 10m.
	Pause time.Duration `yaml:"pause"`
}

// IM is one IM account.
type IM struct {
	// Format is how the IM server's pushes are read: wechat, onebot, telegram, generic, … It must be given.
	Format string `yaml:"format"`
	// Self is the account's own id, for knowing its own messages and mentions of it. Default empty: not known.
	Self string `yaml:"self"`
	// Token must come with every push, as a Bearer token or as ?token=. Default empty: none is asked for.
	Token secret.Text `yaml:"token"`
	// Signature must come with every push. Default none.
	Signature Signature `yaml:"signature"`
	// Allow are the networks that pushes may come from. Default none: from everywhere.
	Allow []netip.Prefix `yaml:"allow"`
	// Filter is an expression; messages for which it is false are left out. Default empty: all go through.
	Filter string `yaml:"filter"`
	// MaxAge leaves out messages that are older than this when they arrive. Default 0: no limit.
	MaxAge time.Duration `yaml:"max_age"`
	// Send is how messages are sent. Default none: sends are answered 501.
	Send Send `yaml:"send"`
	// Limits bound the sends.
	Limits Limits `yaml:"limits"`
	// Own are the keys that belong to the format.
	Own Section `yaml:",rest"`
}

// Checked says that something about a push is checked: its token, its signature or its source.
func (im IM) Checked() bool {
	return !im.Token.IsZero() || im.Signature.Kind != "" || len(im.Allow) > 0
}

// Signature is how an IM server signs its pushes.
type Signature struct {
	// Kind is onebot, wechatpad, telegram, github or standard. Default empty: it signs nothing.
	Kind string `yaml:"kind" oneof:"onebot wechatpad telegram github standard"`
	// Keys are the secrets that are good, one or, while changing it, two.
	Keys `yaml:",inline"`
}

// Keys are one secret, or several of which the first is the new one.
type Keys struct {
	// Secret is the only one.
	Secret secret.Text `yaml:"secret"`
	// Secrets are several: the first is used for signing, all are good for verifying.
	Secrets []secret.Text `yaml:"secrets"`
}

// All returns the secrets, the one to sign with first; none: nil.
func (k Keys) All() []secret.Text {
	if len(k.Secrets) > 0 {
		return k.Secrets
	}
	if k.Secret.IsZero() {
		return nil
	}
	return []secret.Text{k.Secret}
}

// Send is how an account's messages are sent.
type Send struct {
	// Kind is the connector: http, gewechat, wechatpad, xybot, onebot, telegram, … Empty: there is none.
	Kind string `yaml:"kind"`
	// Timeout bounds one call to the IM. Default 10s.
	Timeout time.Duration `yaml:"timeout"`
	// Own are the keys that belong to the connector.
	Own Section `yaml:",rest"`
}

// Limits bound an account's sends. What is not given is the connector's own limit, or none.
type Limits struct {
	// Rate bounds the account's sends together.
	Rate Rate `yaml:"rate"`
	// Burst is how many may go at once. Default 0: the connector's own, else as many as the rate's number.
	Burst int `yaml:"burst"`
	// PerRecipient bounds the sends to each recipient.
	PerRecipient Rate `yaml:"per_recipient"`
	// MaxText is the longest text in characters; longer ones are sent in parts. Default 0: the connector's own.
	MaxText int `yaml:"max_text"`
	// Jitter is the most that is added, at random, to the pause after a send of the account. Default 0: the connector's own.
	Jitter time.Duration `yaml:"jitter"`
	// Ramp is how long after a login the account goes slower than its rate, a quarter of it at first. Default 0: the
	// connector's own.
	Ramp time.Duration `yaml:"ramp"`
	// Quiet is when nothing is sent, such as 23:00-07:00 or 23:00-07:00 Asia/Shanghai. Default empty: the connector's own.
	Quiet Quiet `yaml:"quiet"`
}

// Agent is where events go.
type Agent struct {
	// Kind is openclaw, webhook, nekro, astrbot, xopcbot or openai. It must be given.
	Kind string `yaml:"kind"`
	// Timeout bounds one attempt. Default 5s; 20s for openclaw's hooks, 10s for nekro and for astrbot's callback mode, 30s
	// for nekro's mode sse, 3m for the kinds that answer when their turn is over: astrbot, xopcbot and openai.
	Timeout time.Duration `yaml:"timeout"`
	// Concurrency is how many conversations are attempted at a time. Default 64.
	Concurrency int `yaml:"concurrency"`
	// OnStuck says what becomes of an event that keeps failing while others get through: park lets its conversation go
	// on and retries it beside, block lets its conversation wait, bury makes it a dead letter. Default park.
	OnStuck string `yaml:"on_stuck" oneof:"park block bury"`
	// StandardWebhooks adds the headers of Standard Webhooks, the guard against replay. Default false.
	StandardWebhooks bool `yaml:"standard_webhooks"`
	// Retry says when a failed attempt is made again.
	Retry Retry `yaml:"retry"`
	// Own are the keys that belong to the kind.
	Own Section `yaml:",rest"`
}

// Retry says when a failed attempt is made again.
type Retry struct {
	// Base is the wait after the first failure; it doubles from there. Default 1s.
	Base time.Duration `yaml:"base"`
	// Cap is the longest wait. At least Base. Default 5m.
	Cap time.Duration `yaml:"cap"`
	// ParkAfter is how long an event that fails by itself keeps its place. At most MaxAge. Default 1m.
	ParkAfter time.Duration `yaml:"park_after"`
	// MaxAttempts makes an event a dead letter after so many counted attempts. Default 0: no limit.
	MaxAttempts int `yaml:"max_attempts"`
	// MaxAge makes an event a dead letter so long after it was accepted. At most the dedupe window. Default 24h.
	MaxAge time.Duration `yaml:"max_age"`
}

// Route sends an account's events to an agent.
type Route struct {
	// IM is the account's name. Empty: every account.
	IM string `yaml:"im"`
	// When is an expression that must be true. Empty: always.
	When string `yaml:"when"`
	// Agent is the agent's name. It must be given.
	Agent string `yaml:"agent"`
}

// Client is who may send.
type Client struct {
	// Token is its Bearer token. It must be given, and no other client may have the same.
	Token secret.Text `yaml:"token"`
	// IMs are the accounts that it may use. Empty: all.
	IMs []string `yaml:"ims"`
	// Recipients are whom it may send to, with * for any run of characters. Empty: all.
	Recipients []string `yaml:"recipients"`
}

// Admin is about the console and the admin API.
type Admin struct {
	// Token opens them. Default empty: a random one at each start, good from loopback only.
	Token secret.Text `yaml:"token"`
}

// Metrics is about GET /metrics.
type Metrics struct {
	// Listen is an address of its own for it, host:port. Default empty: it is on the API's.
	Listen string `yaml:"listen"`
}

// Default returns what holds where nothing is said. It has no account and no agent.
func Default() Config {
	return Config{
		Listen:    "127.0.0.1:8088",
		Data:      "./imrelay-data",
		Log:       Log{Level: "info", Format: "auto"},
		Inbound:   Inbound{Wait: 2 * time.Second, MaxBody: 1 << 20},
		Outbound:  Outbound{Hold: 3 * time.Second, MaxBody: 256 << 10},
		Dedupe:    Dedupe{Window: 48 * time.Hour},
		Retention: Retention{Delivered: 48 * time.Hour, MaxBytes: 1 << 30, Dead: 30 * day},
		Loop:      Loop{Turns: 20, Window: time.Minute, Pause: 10 * time.Minute},
	}
}

// DefaultAgent returns what holds for an agent where nothing is said.
func DefaultAgent() Agent {
	return Agent{
		Timeout:     5 * time.Second,
		Concurrency: 64,
		OnStuck:     "park",
		Retry: Retry{
			Base:      time.Second,
			Cap:       5 * time.Minute,
			ParkAfter: time.Minute,
			MaxAge:    24 * time.Hour,
		},
	}
}

// DefaultIM returns what holds for an account where nothing is said.
func DefaultIM() IM { return IM{Send: Send{Timeout: 10 * time.Second}} }

// kindTimeout stands for a time-out that is not given.
const kindTimeout = -1

func (a *Agent) setDefaults() {
	*a = DefaultAgent()
	a.Timeout = kindTimeout
}

// complete sets the time-out of the kind, where none is given.
func (a *Agent) complete() {
	if a.Timeout != kindTimeout {
		return
	}
	mode := ""
	if v := a.Own.find("mode"); v != nil {
		mode = v.text
	}
	switch a.Timeout = DefaultAgent().Timeout; {
	case a.Kind == "openclaw" && mode == "hooks":
		a.Timeout = 20 * time.Second
	case a.Kind == "nekro" && mode == "sse":
		a.Timeout = 30 * time.Second
	case a.Kind == "nekro", a.Kind == "astrbot" && mode == "callback":
		a.Timeout = 10 * time.Second
	case a.Kind == "astrbot", a.Kind == "xopcbot", a.Kind == "openai":
		a.Timeout = 3 * time.Minute
	}
}

func (im *IM) setDefaults() { *im = DefaultIM() }
