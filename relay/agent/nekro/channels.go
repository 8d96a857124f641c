package nekro

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
)

const (
	// memoryName is under what the channels are remembered, and memoryFor for how long.
	memoryName = "sse"
	memoryFor  = 30 * 24 * time.Hour
	// mostChannels is how many are remembered.
	mostChannels = 500
	// mostPeople is how many people's names are known.
	mostPeople = 10_000
)

// What a channel's id begins with. Nekro tells groups by it.
const (
	groupPrefix   = "group_"
	privatePrefix = "private_"
)

func channelOf(session string, group bool) string {
	if group {
		return groupPrefix + session
	}
	return privatePrefix + session
}

// sessionOf is the session of a channel; empty: it is none of ours.
func sessionOf(channel string) string {
	if len(channel) > maxID {
		return ""
	}
	if session, ok := strings.CutPrefix(channel, groupPrefix); ok {
		return session
	}
	session, _ := strings.CutPrefix(channel, privatePrefix)
	if session == channel {
		return ""
	}
	return session
}

// channels are those that Nekro may speak in, and the client that it knows them of.
type channels struct {
	// saving makes what is saved last the latest.
	saving sync.Mutex

	mu     sync.Mutex
	loaded bool
	// unsaved says that the state is not what is remembered.
	unsaved bool
	state   channelState
}

// channelState is what is remembered.
type channelState struct {
	Client string `json:"client,omitempty"`
	// Names are the channels, the one that was added last at the end.
	Names []string `json:"names,omitempty"`
}

// forget makes the next load ask the memory: another relay may have been connected.
func (c *channels) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded = false
}

func (c *channels) load(ctx context.Context, m agent.Memory) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded {
		return nil
	}
	value, err := m.Load(ctx, memoryName)
	if err != nil {
		return fmt.Errorf("load channels: %w", err)
	}
	var state channelState
	// What cannot be read is of no use tomorrow either: the channels come again with their messages.
	if value != nil && json.Unmarshal(value, &state) != nil {
		state = channelState{}
	}
	c.state, c.loaded, c.unsaved = state, true, false
	return nil
}

// add remembers a channel, durably while there are few. Where more are in use than can be remembered, nearly every event
// adds one: they are saved from time to time.
func (c *channels) add(ctx context.Context, m agent.Memory, channel string) error {
	c.mu.Lock()
	known := slices.Contains(c.state.Names, channel)
	full := len(c.state.Names) >= mostChannels
	if !known {
		c.unsaved = true
		c.state.Names = append(c.state.Names, channel)
		c.state.Names = slices.Clone(c.state.Names[max(len(c.state.Names)-mostChannels, 0):])
	}
	c.mu.Unlock()
	if known || full {
		return nil
	}
	err := c.save(ctx, m)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.state.Names = slices.DeleteFunc(slices.Clone(c.state.Names), func(name string) bool { return name == channel })
	}
	return err
}

func (c *channels) save(ctx context.Context, m agent.Memory) error {
	c.saving.Lock()
	defer c.saving.Unlock()
	c.mu.Lock()
	value, err := json.Marshal(c.state)
	c.unsaved = false
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode channels: %w", err)
	}
	if err := m.Save(ctx, memoryName, value, memoryFor); err != nil {
		c.mu.Lock()
		c.unsaved = true
		c.mu.Unlock()
		return fmt.Errorf("remember channels: %w", err)
	}
	return nil
}

// became says as which client the channels are subscribed now, and returns as which they were.
func (c *channels) became(client string) (before string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.state.Client = c.state.Client, client
	c.unsaved = true
	return before
}

func (c *channels) changed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unsaved
}

func (c *channels) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.state.Names)
}

// people are who spoke.
type people struct {
	mu    sync.Mutex
	known int
	byID  map[string][]person
}

// person is what somebody was called last at an account. Accounts of different IMs may have the same id for two people.
type person struct{ account, name string }

func (p *people) met(v relay.Envelope, account string) {
	name := agent.Label(v.Nickname)
	if v.Sender == "" || len(v.Sender) > maxID || name == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID == nil || p.known >= mostPeople {
		p.byID, p.known = map[string][]person{}, 0
	}
	same := p.byID[v.Sender]
	if i := slices.IndexFunc(same, func(who person) bool { return who.account == account }); i >= 0 {
		same[i].name = name
		return
	}
	p.byID[v.Sender] = append(same, person{account: account, name: name})
	p.known++
}

// name is what somebody is called at an account; empty: it is not known.
func (p *people) name(account, id string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, who := range p.byID[id] {
		if who.account == account {
			return who.name
		}
	}
	return ""
}

// find is who has the id, where Nekro does not say at which account; empty: nobody, or several who are called differently.
func (p *people) find(id string) (account, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, who := range p.byID[id] {
		if name != "" && who.name != name {
			return "", ""
		}
		account, name = who.account, who.name
	}
	return account, name
}
