package xopcbot

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
)

const (
	// longestChat is how much of a chat's id a gateway keeps.
	longestChat = 64
	// digestBytes are those of the digest at its end.
	digestBytes = 8
)

// chatID is the conversation's chatId. A gateway makes ids lower-case, puts a dash for what is not a letter, a digit, _
// or -, and cuts them: two conversations would share what the agent remembers. So it gets what it leaves alone, with a
// digest of the whole name at its end.
func chatID(c relay.Chat) string {
	session := agent.Session(c)
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '-'
	}, strings.ToLower(session))
	sum := sha256.Sum256([]byte(session))
	digest := hex.EncodeToString(sum[:digestBytes])
	return plain[:min(len(plain), longestChat-len(digest)-1)] + "-" + digest
}
