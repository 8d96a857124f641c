package redisconn

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable says that Redis cannot do it now: out of reach, loading, full, read-only, or the connection is closed.
// It may have been done all the same.
var ErrUnavailable = errors.New("redis unavailable")

// ErrClosed says that the connection was closed on our side. It comes with [ErrUnavailable].
var ErrClosed = errors.New("connection closed")

var (
	errWaited   = errors.New("no answer in time")
	errReplicas = errors.New("too few replicas have it")
)

// ScriptError is an error that a script returned or ran into: Redis is there, and the same call would fail again.
type ScriptError struct {
	// Reply is what Redis said, such as "WRONGTYPE …", or what the script gave to redis.error_reply.
	Reply string
}

// Error implements error.
func (e *ScriptError) Error() string { return "script failed: " + e.Reply }

// unavailable makes err one that callers know.
func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// fate is what the reply to a call means for it.
type fate uint8

const (
	// done: there is a reply, or the script failed.
	done fate = iota
	// unknown: the server does not have the script.
	unknown
	// elsewhere: the shard is not here, or not whole.
	elsewhere
	// away: the server cannot do it now, or did not answer.
	away
	// replica: the server is no master any more.
	replica
)

// refusals are how Redis says that it cannot do it now, whatever it is. Being refused for a wrong password or a missing
// permission is among them: no call can succeed before somebody mends it.
var refusals = []string{
	"LOADING ", "MASTERDOWN ", "NOREPLICAS ", "MISCONF ", "OOM ", "CLUSTERDOWN ", "BUSY ", "UNKILLABLE ",
	"NOAUTH ", "WRONGPASS ", "NOPERM ", "ERR The user executing the script", "ERR max number of clients",
}

// fateOf reads an error of go-redis.
func fateOf(err error) fate {
	if err == nil || errors.Is(err, redis.Nil) {
		return done
	}
	if _, ok := errors.AsType[redis.Error](err); !ok {
		return away
	}
	text := err.Error()
	switch {
	case redis.HasErrorPrefix(err, "NOSCRIPT"):
		return unknown
	case redis.IsReadOnlyError(err), strings.HasPrefix(text, "READONLY "):
		return replica
	case strings.HasPrefix(text, "MOVED "), strings.HasPrefix(text, "ASK "), strings.HasPrefix(text, "TRYAGAIN "),
		strings.Contains(text, "attempted to access a non local key"):
		return elsewhere
	}
	for _, prefix := range refusals {
		if strings.HasPrefix(text, prefix) {
			return away
		}
	}
	return done
}
