package httpapi

import (
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest wait that a caller may prefer.
const maxWait = 30 * time.Second

// preferAsync asks not to wait for an outcome.
const preferAsync = "respond-async"

// preference is what a caller prefers by RFC 7240, of the two preferences that the API knows.
type preference struct {
	// async is respond-async.
	async bool
	// waits says that wait was given, and wait is its value, at most maxWait.
	waits bool
	wait  time.Duration
}

// parsePrefer reads all Prefer headers of a request. What it does not know, or cannot read, it passes over, as the RFC
// demands; of a preference that is given twice the first counts.
func parsePrefer(values []string) preference {
	var p preference
	var seen struct{ async, wait bool }
	for _, value := range values {
		for value != "" {
			var one string
			one, value = cutElement(value, ',')
			// Parameters, after a semicolon, belong to no preference that we know.
			one, _ = cutElement(one, ';')
			name, word, _ := strings.Cut(one, "=")
			name, word = strings.TrimSpace(name), unquote(strings.TrimSpace(word))
			switch {
			case !seen.async && strings.EqualFold(name, preferAsync):
				// An empty value is as good as none; any other makes it another preference.
				seen.async, p.async = true, word == ""
			case !seen.wait && strings.EqualFold(name, "wait"):
				seen.wait = true
				p.wait, p.waits = deltaSeconds(word)
			}
		}
	}
	return p
}

// waitOr returns how long to wait, where fallback is what is configured. Both preferences together mean "answer after
// that time at the latest", so wait decides.
func (p preference) waitOr(fallback time.Duration) time.Duration {
	switch {
	case p.waits:
		return p.wait
	case p.async:
		return 0
	}
	return fallback
}

// applied is the Preference-Applied header of an answer that honours p; empty: nothing was preferred.
func (p preference) applied() string {
	wait := ""
	if p.waits {
		wait = "wait=" + strconv.Itoa(int(p.wait/time.Second))
	}
	switch {
	case p.async && p.waits:
		return preferAsync + ", " + wait
	case p.async:
		return preferAsync
	}
	return wait
}

// cutElement cuts s at the first sep that stands in no quoted string.
func cutElement(s string, sep byte) (element, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// unquote returns the content of a quoted string, or a token as it stands. Escapes are left alone: no value that the
// API knows has any.
func unquote(word string) string {
	if len(word) >= 2 && word[0] == '"' && word[len(word)-1] == '"' {
		return word[1 : len(word)-1]
	}
	return word
}

// deltaSeconds reads a whole number of seconds, and bounds it by maxWait.
func deltaSeconds(word string) (time.Duration, bool) {
	if word == "" {
		return 0, false
	}
	limit := int64(maxWait / time.Second)
	var n int64
	for i := range len(word) {
		if word[i] < '0' || word[i] > '9' {
			return 0, false
		}
		n = min(n*10+int64(word[i]-'0'), limit)
	}
	return time.Duration(n) * time.Second, true
}
