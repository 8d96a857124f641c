package redisconn

import (
	"crypto/sha1" //nolint:gosec // Redis names scripts by their SHA-1
	"encoding/hex"
)

// prelude is what every script begins with. It sets now, in microseconds: ARGV[1], which only the suites give, or the
// time of Redis, which is the one clock of all relays. micros prints such a number whole: Lua's own printing would round
// it.
const prelude = `local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local function micros(n) return string.format('%.0f', n) end
`

// Script is a Lua script. It sees the time as now, and its own arguments from ARGV[2] on.
type Script struct {
	name, source, sha string
}

// NewScript makes a script. Its name is for errors and logs.
func NewScript(name, source string) *Script { return newScript(name, prelude+source) }

func newScript(name, source string) *Script {
	s := &Script{name: name, source: source}
	sum := sha1.Sum([]byte(s.source)) //nolint:gosec // as above
	s.sha = hex.EncodeToString(sum[:])
	return s
}

// NewRelief makes a script that runs although the memory of Redis is full: what takes no more in has to go on, or what is
// there could never leave.
func NewRelief(name, source string) *Script {
	return newScript(name, "#!lua flags=allow-oom\n"+prelude+source)
}

// Name returns the script's name.
func (s *Script) Name() string { return s.name }
