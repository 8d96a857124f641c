package daemon

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/gewechat"
	httpconnector "github.com/imrelay/imrelay/outbound/connector/http"
	onebotconnector "github.com/imrelay/imrelay/outbound/connector/onebot"
	telegramconnector "github.com/imrelay/imrelay/outbound/connector/telegram"
	"github.com/imrelay/imrelay/outbound/connector/wechatpad"
	"github.com/imrelay/imrelay/outbound/connector/xybot"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/astrbot"
	"github.com/imrelay/imrelay/relay/agent/nekro"
	"github.com/imrelay/imrelay/relay/agent/openai"
	"github.com/imrelay/imrelay/relay/agent/openclaw"
	"github.com/imrelay/imrelay/relay/agent/webhook"
	"github.com/imrelay/imrelay/relay/agent/xopcbot"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/format/generic"
	"github.com/imrelay/imrelay/relay/format/onebot"
	"github.com/imrelay/imrelay/relay/format/telegram"
	"github.com/imrelay/imrelay/relay/format/wechat"
	"github.com/imrelay/imrelay/relay/secret"
)

// formatKind is one way to read pushes. A new format is a folder, and one line in formats.
type formatKind struct {
	// make reads the format's own keys.
	make func(own config.Section) (relay.Format, error)
	// plain: its IM takes the answer's body for commands, so it gets 200 {}.
	plain bool
	// probe: its IM asks with HEAD whether the address lives.
	probe bool
}

var formats = map[string]formatKind{
	"wechat":   {make: keyless(wechat.Format{}), probe: true},
	"onebot":   {make: keyless(onebot.Format{}), plain: true},
	"telegram": {make: keyless(telegram.Format{}), plain: true},
	"generic":  {make: newGeneric},
}

// keyless makes a format that has no keys of its own.
func keyless(f relay.Format) func(config.Section) (relay.Format, error) {
	return func(own config.Section) (relay.Format, error) { return f, own.Decode(&struct{}{}) }
}

func newGeneric(own config.Section) (relay.Format, error) {
	var keys struct {
		Paths generic.Config `yaml:"paths"`
	}
	if err := own.Decode(&keys); err != nil {
		return nil, err
	}
	return generic.New(keys.Paths)
}

// agentKind makes one kind of agent of its own keys. A new kind is a folder, and one line in agents.
type agentKind func(own config.Section, w agent.Wire, old *made) (*made, error)

// made is an agent and what it was made of. Two are the same if they are one: what adapters are like inside is theirs.
type made struct {
	agent relay.Agent
	of    settings
}

// settings are all that an agent's making depends on.
type settings struct {
	own      any
	timeout  time.Duration
	standard bool
}

var agents = map[string]agentKind{
	"astrbot":  kindOf(astrbot.New),
	"nekro":    kindOf(nekro.New),
	"openai":   kindFrom(openai.Default(), openai.New),
	"openclaw": kindOf(openclaw.New),
	"webhook":  kindOf(webhook.New),
	"xopcbot":  kindOf(xopcbot.New),
}

// kindOf makes an agentKind of a kind's New.
func kindOf[C any, A relay.Agent](make func(C, agent.Wire) (A, error)) agentKind {
	var zero C
	return kindFrom(zero, make)
}

// kindFrom is kindOf for a kind of which some keys have a default. An agent whose settings are the old one's is the old
// one: it may have a connection, or know what it would have to find out again.
func kindFrom[C any, A relay.Agent](defaults C, make func(C, agent.Wire) (A, error)) agentKind {
	return func(own config.Section, w agent.Wire, old *made) (*made, error) {
		c := defaults
		if err := own.Decode(&c); err != nil {
			return nil, err
		}
		of := settings{own: c, timeout: w.Timeout, standard: w.StandardWebhooks}
		if old != nil && reflect.DeepEqual(of, old.of) {
			return old, nil
		}
		a, err := make(c, w)
		if err != nil {
			return nil, err
		}
		return &made{agent: a, of: of}, nil
	}
}

// connectorKind makes one kind of connector of its own keys. A new kind is a folder, and one line in connectors.
type connectorKind func(im config.IM, w connector.Wire, old *line) (*line, error)

// line is a connector and what it was made of, compared as made is.
type line struct {
	connector outbound.Connector
	of        lineSettings
}

// lineSettings are all that a connector's making depends on, and what its IM has to show to connect to it: who could not
// come in any more must not stay.
type lineSettings struct {
	own     any
	self    string
	timeout time.Duration
	door    door
}

// door is what is asked of who comes in.
type door struct {
	token secret.Text
	allow []netip.Prefix
}

var connectors = map[string]connectorKind{
	"gewechat":  lineOf(gewechat.New),
	"http":      lineOf(httpconnector.New),
	"onebot":    lineOf(onebotconnector.New),
	"telegram":  lineOf(telegramconnector.New),
	"wechatpad": lineOf(wechatpad.New),
	"xybot":     lineOf(xybot.New),
}

// lineOf makes a connectorKind of a kind's New. A connector whose settings are the old one's is the old one: it may have a
// connection.
func lineOf[C any, T outbound.Connector](make func(C, connector.Wire) (T, error)) connectorKind {
	return func(im config.IM, w connector.Wire, old *line) (*line, error) {
		var c C
		if err := im.Send.Own.Decode(&c); err != nil {
			return nil, err
		}
		of := lineSettings{own: c, self: w.Self, timeout: w.Timeout, door: door{token: im.Token, allow: im.Allow}}
		if old != nil && reflect.DeepEqual(of, old.of) {
			return old, nil
		}
		made, err := make(c, w)
		if err != nil {
			return nil, err
		}
		return &line{connector: made, of: of}, nil
	}
}

// pick finds a kind, or says which there are.
func pick[K any](kinds map[string]K, name string) (K, error) {
	k, ok := kinds[name]
	if !ok {
		return k, fmt.Errorf("unknown kind %q; this build has: %s", name, strings.Join(names(kinds), ", "))
	}
	return k, nil
}
