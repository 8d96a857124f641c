package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/imrelay/imrelay/relay"
)

// ErrNotServed says that the agent was never given anything of the conversation, so that it may not speak there.
var ErrNotServed = errors.New("the agent does not serve this conversation")

const (
	// servedFor is how long after its last event an agent may speak in a conversation by itself.
	servedFor = 30 * 24 * time.Hour
	// servedAgain is how long a conversation's entry is not renewed.
	servedAgain = 24 * time.Hour
	// mostServed bounds what is known without asking.
	mostServed = 10_000
	// longestSession is how much of a conversation's name an agent is shown.
	longestSession = 96
)

// hashed is the end of a session whose conversation has a name that cannot be shown as it is. One that looks like that by
// itself is no exception, so that nobody can take another's session by his name.
var hashed = regexp.MustCompile(`-[0-9a-f]{16}$`)

// Session is a conversation's name towards an agent: the same for all its messages, another for every other
// conversation, and of letters, digits and _@.- only, for agents put it into paths and keys. The account's name, which
// has no dot in it, comes first.
func Session(c relay.Chat) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '@', r == '.', r == '-':
			return r
		}
		return '_'
	}, c.Conversation)
	if plain != c.Conversation || len(plain) > longestSession || plain == "" || hashed.MatchString(plain) {
		sum := sha256.Sum256([]byte(c.Conversation))
		plain = plain[:min(len(plain), longestSession)] + "-" + hex.EncodeToString(sum[:8])
	}
	return c.Account + "." + plain
}

// Chats remembers which conversations an agent serves, by their session.
type Chats struct {
	memory Memory

	mu    sync.Mutex
	noted map[string]time.Time
}

// NewChats returns the agent's.
func NewChats(m Memory) *Chats { return &Chats{memory: m, noted: map[string]time.Time{}} }

// Note remembers that the agent serves the conversation, and returns its session. It costs a write now and then.
func (c *Chats) Note(ctx context.Context, chat relay.Chat) (string, error) {
	session := Session(chat)
	c.mu.Lock()
	at, ok := c.noted[session]
	c.mu.Unlock()
	if ok && time.Since(at) < servedAgain {
		return session, nil
	}
	value, err := json.Marshal(chat)
	if err != nil {
		return "", fmt.Errorf("encode conversation: %w", err)
	}
	if err := c.memory.Save(ctx, "chat/"+session, value, servedFor); err != nil {
		return "", fmt.Errorf("note conversation: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.noted) >= mostServed {
		clear(c.noted)
	}
	c.noted[session] = time.Now()
	return session, nil
}

// Find returns the conversation of a session, or [ErrNotServed].
func (c *Chats) Find(ctx context.Context, session string) (relay.Chat, error) {
	value, err := c.memory.Load(ctx, "chat/"+session)
	if err != nil {
		return relay.Chat{}, fmt.Errorf("find conversation: %w", err)
	}
	if value == nil {
		return relay.Chat{}, ErrNotServed
	}
	var chat relay.Chat
	if err := json.Unmarshal(value, &chat); err != nil {
		return relay.Chat{}, fmt.Errorf("find conversation: %w", err)
	}
	return chat, nil
}
