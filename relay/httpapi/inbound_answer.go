package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/signer"
)

// plainAnswer is what accounts get whose IM would take more for a command.
var plainAnswer = []byte("{}")

// appendAcceptance appends the answer to an accepted post. It is on the hot path and builds the text in place; what is
// not known to be plain goes through encoding/json.
func appendAcceptance(b []byte, a *relay.Acceptance) (status int, answer []byte) {
	switch {
	case a.Ignored != "":
		b = append(b, `{"ok":true,"ignored":`...)
		return http.StatusOK, append(appendString(b, string(a.Ignored)), '}')
	case a.Duplicate:
		b = append(b, `{"ok":true,"duplicate":true`...)
		return http.StatusOK, append(appendIDs(b, a.EventIDs), '}')
	case a.Answered || a.Dead:
		return http.StatusOK, appendOutcome(b, a)
	}
	b = append(b, `{"ok":true,"queued":true`...)
	b = appendIDs(b, a.EventIDs)
	b = append(b, `,"attempts":`...)
	b = strconv.AppendInt(b, int64(a.Attempts), 10)
	if a.LastError != "" {
		b = append(b, `,"lastError":`...)
		b = appendString(b, a.LastError)
	}
	return http.StatusAccepted, append(b, '}')
}

// appendOutcome appends the answer for an event that the agent took or refused for good. Its status is 0 where the
// event died without an answer.
func appendOutcome(b []byte, a *relay.Acceptance) []byte {
	b = append(b, `{"ok":`...)
	b = strconv.AppendBool(b, !a.Dead)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	b = append(b, `,"body":`...)
	b = appendAgentBody(b, a.ContentType, a.Answer)
	b = appendIDs(b, a.EventIDs)
	if a.Dead {
		b = append(b, `,"dead":true`...)
		if a.LastError != "" {
			b = append(b, `,"lastError":`...)
			b = appendString(b, a.LastError)
		}
	}
	return append(b, '}')
}

// appendIDs appends the first id, and all of them where there are several.
func appendIDs(b []byte, ids []string) []byte {
	if len(ids) == 0 {
		return b
	}
	b = append(b, `,"eventId":`...)
	b = appendString(b, ids[0])
	if len(ids) == 1 {
		return b
	}
	for i, id := range ids {
		if i == 0 {
			b = append(b, `,"eventIds":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, id)
	}
	return append(b, ']')
}

// appendAgentBody appends an agent's answer: as it stands where it is JSON, else its text as a string. Many agents
// leave the type to their server's guess, so an object or an array counts as JSON under any text type but HTML.
func appendAgentBody(b []byte, contentType string, answer []byte) []byte {
	trimmed := bytes.TrimSpace(answer)
	if looksJSON(contentType, trimmed) && utf8.Valid(trimmed) && json.Valid(trimmed) {
		return append(b, trimmed...)
	}
	return appendString(b, string(answer))
}

// looksJSON says whether an answer may be meant as JSON.
func looksJSON(contentType string, body []byte) bool {
	if len(body) == 0 {
		return false
	}
	if isJSON(contentType) {
		return true
	}
	return (body[0] == '{' || body[0] == '[') && !strings.HasPrefix(contentType, "text/html")
}

// isJSON says that a Content-Type names JSON.
func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendEscaped(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendEscaped appends a string that needs more than quotes. What is not UTF-8 is replaced.
func appendEscaped(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return append(b, `""`...)
	}
	return append(b, quoted...)
}

// badSignature is a 401 that says what is wrong with a signature, which is no secret: the sender has made it.
func badSignature(err error) *Error {
	message := "the signature does not match: check the account's signature kind and secret"
	switch {
	case errors.Is(err, signer.ErrUnsigned):
		message = "the post is not signed: check the account's signature kind and the sender's secret"
	case errors.Is(err, signer.ErrStale):
		message = "the signature is too old or too new: check the clocks of both machines"
	}
	return &Error{Code: CodeUnauthorized, Message: message, Err: err}
}
