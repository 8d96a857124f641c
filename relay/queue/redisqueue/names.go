package redisqueue

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

var (
	escaper   = strings.NewReplacer("%", "%25", "/", "%2F", "\x00", "%00")
	unescaper = strings.NewReplacer("%2F", "/", "%00", "\x00", "%25", "%")
)

// escape makes a name of which a part of a lane's can be made.
func escape(name string) string {
	if strings.ContainsAny(name, "%/\x00") {
		return escaper.Replace(name)
	}
	return name
}

// unescape is the inverse of escape.
func unescape(name string) string {
	if strings.Contains(name, "%") {
		return unescaper.Replace(name)
	}
	return name
}

func laneName(l queue.Lane) string {
	return escape(l.Agent) + "/" + escape(l.Account) + "/" + l.Conversation
}

// laneOf is the inverse of laneName.
func laneOf(name string) queue.Lane {
	agent, rest, _ := strings.Cut(name, "/")
	account, conversation, _ := strings.Cut(rest, "/")
	return queue.Lane{Agent: unescape(agent), Account: unescape(account), Conversation: conversation}
}

func scopeName(s queue.Scope) string {
	if s.Agent != "" {
		return "a/" + escape(s.Agent)
	}
	return "c/" + escape(s.Account) + "/" + s.Conversation
}

// scopeOf is the inverse of scopeName.
func scopeOf(name string) queue.Scope {
	kind, rest, _ := strings.Cut(name, "/")
	if kind == "a" {
		return queue.Scope{Agent: unescape(rest)}
	}
	account, conversation, _ := strings.Cut(rest, "/")
	return queue.Scope{Account: unescape(account), Conversation: conversation}
}

// sumName is how a key's sum stands in the name of a key of Redis; empty for no key.
func sumName(k queue.Key) string {
	if k.IsZero() {
		return ""
	}
	return textOf(k.Sum())
}

func textOf(s queue.KeySum) string { return base64.RawURLEncoding.EncodeToString(s[:]) }

// parse reads a whole number.
func parse(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// wall is a time of Redis; zero for none.
func wall(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// micros is the inverse of wall.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// bit is how a truth is told to a script.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// numbered makes a number of a shard one that no other shard gives. They rise with time in all shards together.
func numbered(n int64, shard int) uint64 {
	return uint64(n)<<8 | uint64(shard) //nolint:gosec // a time in µs, and at most 256 shards
}

// numberOf is the inverse of numbered.
func numberOf(n uint64) (number int64, shard int) {
	return int64(n >> 8), int(n & 0xff)
}
