package telegram

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
)

// place is where a message goes.
type place struct {
	// chat is a number, or @name.
	chat string
	// topic is one of a group, direct one of a channel's direct messages; 0: none.
	topic, direct int
	// business is the connection on whose behalf the bot writes; empty: it writes as itself.
	business string
}

var errPlace = errors.New("want <chat>, <chat>/<topic>, <chat>/direct/<topic> or <chat>/business/<connection>")

// placeOf reads a conversation's name.
func placeOf(to string) (p place, err error) {
	chat, rest, more := strings.Cut(to, "/")
	p.chat = chat
	if topic, ok := strings.CutPrefix(rest, "direct/"); ok {
		p.direct, err = number(topic)
	} else if p.business, ok = strings.CutPrefix(rest, "business/"); ok {
		if p.business == "" {
			err = errPlace
		}
	} else if p.business = ""; more {
		p.topic, err = number(rest)
	}
	if chat == "" {
		err = errPlace
	}
	return p, err
}

func number(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return 0, errPlace
	}
	return n, nil
}

// id is the chat as the API takes it: a number, or a name.
func (p place) id() any {
	if n, err := strconv.ParseInt(p.chat, 10, 64); err == nil {
		return n
	}
	return p.chat
}

// maxMoves bounds the chats that are known to have moved. They are few.
const maxMoves = 1024

// moves are the chats that have a new id.
type moves struct {
	mu sync.Mutex
	to map[string]string
}

// of is where the chat is now, and whether that is another place.
func (m *moves) of(chat string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	to, ok := m.to[chat]
	if !ok {
		return chat, false
	}
	return to, true
}

// note remembers a new id.
func (m *moves) note(chat, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for old := range m.to {
		if len(m.to) < maxMoves {
			break
		}
		delete(m.to, old)
	}
	m.to[chat] = to
}

// stormy is how near to each other the refusals of two chats mean that it is the account.
const stormy = 10 * time.Second

// calm remembers the last chat for which there were too many messages.
type calm struct {
	mu   sync.Mutex
	chat string
	at   time.Time
}

// alone says whether a refusal is the chat's own matter, and remembers it.
func (c *calm) alone(chat string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	other := c.chat != "" && c.chat != chat && now.Sub(c.at) < stormy
	c.chat, c.at = chat, now
	return !other && grouped(chat)
}
