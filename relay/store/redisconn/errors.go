package redisconn

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable says that Redis cannot do it now: out of reach, loading, full, read-only, or the connection is closed.
// It may have been done all the same.
var ErrUnavailable = errors.New("redis unavailable")

// ErrClosed says that the connection was closed on our side. It comes with [ErrUnavailable].
var ErrClosed = errors.New("connection closed")

// maxShown is how much of a server's words is shown.
const maxShown = 200

// Who may refuse.
const (
	server   = "Redis"
	sentinel = "Sentinel"
)

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

// RefusedError says that a server is there and does not let us in: the password is wrong or missing, or the user may not
// do what the relay needs. It comes with [ErrUnavailable], for it ends as soon as somebody mends it.
type RefusedError struct {
	// Server is who refuses: Redis or Sentinel.
	Server string
	// Code is what the refusal begins with: WRONGPASS, NOAUTH or NOPERM.
	Code string
	// Command is what the user may not do, where the server told.
	Command string
}

// Error implements error. It shows nothing of the URL, and of the server's words only those that cannot be a secret.
func (e *RefusedError) Error() string {
	user, password := "user", "password"
	if e.Server == sentinel {
		user, password = "sentinel_username", "sentinel_password"
	}
	what := "does not take the " + user + " and " + password + " of the URL"
	switch {
	case e.Code == "NOAUTH":
		what = "wants a password, and the URL gives no " + password
	case e.Code == "NOPERM" && e.Command != "":
		what = "does not allow the user of the URL the command " + e.Command
	case e.Code == "NOPERM":
		what = "does not allow the user of the URL what the relay does"
	}
	return e.Server + " " + what + " (" + e.Code + ")"
}

// forbidden finds the command in a NOPERM.
var forbidden = regexp.MustCompile(`the '([a-z|-]{1,40})' command`)

// refusalIn reads a reply as a refusal; nil: it is none.
func refusalIn(who, reply string) *RefusedError {
	for _, code := range []string{"WRONGPASS", "NOAUTH", "NOPERM"} {
		if !strings.HasPrefix(reply, code+" ") {
			continue
		}
		e := &RefusedError{Server: who, Code: code}
		if m := forbidden.FindStringSubmatch(reply); m != nil && code == "NOPERM" {
			e.Command = m[1]
		}
		return e
	}
	return nil
}

// repliesIn are the replies of a server that an error was made of: that of several Sentinels has several.
func repliesIn(err error) []redis.Error {
	if reply, ok := err.(redis.Error); ok { //nolint:errorlint // the tree is walked here
		return []redis.Error{reply}
	}
	switch e := err.(type) { //nolint:errorlint // the tree is walked here
	case interface{ Unwrap() []error }:
		var all []redis.Error
		for _, one := range e.Unwrap() {
			all = append(all, repliesIn(one)...)
		}
		return all
	case interface{ Unwrap() error }:
		return repliesIn(e.Unwrap())
	}
	return nil
}

// heard makes of an error what may be told: a refusal, or one without what a server repeats of our AUTH.
func heard(who string, err error) error {
	inner := err
	if e, ok := err.(connError); ok { //nolint:errorlint // it is ours, and never wrapped
		inner = e.error
	}
	replies := repliesIn(inner)
	for _, reply := range replies {
		if e := refusalIn(who, reply.Error()); e != nil {
			return e
		}
	}
	for _, reply := range replies {
		if !familiar(reply.Error()) {
			return saidError{who: who, reply: reply.Error()}
		}
	}
	return err
}

// phrases are what a server says that helps whoever reads it, and that repeats nothing of ours.
var phrases = append([]string{
	"READONLY ", "ERR DB index is out of range", "ERR This instance has cluster support disabled",
	"DENIED Redis is running in protected mode",
}, refusals...)

// familiar says that a reply is known and holds no secret. Some servers repeat a command that they do not know with its
// arguments, and AUTH is one.
func familiar(reply string) bool {
	return slices.ContainsFunc(phrases, func(p string) bool { return strings.HasPrefix(reply, p) })
}

// saidError is what a server said instead of letting us in.
type saidError struct{ who, reply string }

// Error implements error. Of what is not familiar only the code is shown.
func (e saidError) Error() string {
	if e.reply == redis.Nil.Error() {
		return "connect: no " + e.who + " knows the master"
	}
	if familiar(e.reply) {
		return "connect: " + e.who + " refuses: " + e.reply[:min(len(e.reply), maxShown)]
	}
	code, _, _ := strings.Cut(e.reply, " ")
	if code == "" || len(code) > 20 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		code = "an error"
	}
	return "connect: " + e.who + " refuses: " + code
}

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
