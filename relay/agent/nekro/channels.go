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
	state  channelState
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
	if value != nil {
		if err := json.Unmarshal(value, &state); err != nil {
			return fmt.Errorf("load channels: %w", err)
		}
	}
	c.state, c.loaded = state, true
	return nil
}

// add remembers a channel, durably.
func (c *channels) add(ctx context.Context, m agent.Memory, channel string) error {
	c.mu.Lock()
	known := slices.Contains(c.state.Names, channel)
	if !known {
		c.state.Names = append(c.state.Names, channel)
		c.state.Names = slices.Clone(c.state.Names[max(len(c.state.Names)-mostChannels, 0):])
	}
	c.mu.Unlock()
	if known {
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
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode channels: %w", err)
	}
	if err := m.Save(ctx, memoryName, value, memoryFor); err != nil {
		return fmt.Errorf("remember channels: %w", err)
	}
	return nil
}

// became says as which client the channels are subscribed now, and returns as which they were.
func (c *channels) became(client string) (before string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.state.Client = c.state.Client, client
	return before
}

func (c *channels) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.state.Names)
}

// people are who spoke.
type people struct {
	mu   sync.Mutex
	byID map[string]person
}

type person struct{ name, account string }

func (p *people) met(v relay.Envelope, account string) {
	if v.Sender == "" || v.Nickname == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID == nil || len(p.byID) >= mostPeople {
		p.byID = map[string]person{}
	}
	p.byID[v.Sender] = person{name: v.Nickname, account: account}
}

func (p *people) find(id string) (person, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.byID[id]
	return known, ok
}
