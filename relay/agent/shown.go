package agent

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	// hidden stands where a secret stood.
	hidden = "******"
	// longestType is how long a content type may be.
	longestType = 256
	// longestEscape is how long a character's escape is, in bytes.
	longestEscape = 6
)

// Shown is what of an answer may be shown to the IM's server: at most [egress.MaxAnswer] bytes, and none of the secrets in
// it, be they as they stand or escaped as JSON escapes. Servers repeat the header that they were sent in what they answer,
// and some name a wrong token in their refusals.
func Shown(answer egress.Answer, secrets ...string) (contentType string, body []byte) {
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return s == "" })
	// One secret may be a part of another.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	contentType = answer.Header.Get("Content-Type")
	if len(contentType) > longestType {
		contentType = ""
	}
	contentType = string(hide([]byte(contentType), secrets))
	body = first(answer.Body, egress.MaxAnswer)
	cut := answer.Truncated || len(body) < len(answer.Body)
	body = hide(body, secrets)
	if cut {
		body = body[:len(body)-begun(body, secrets)]
	}
	return contentType, first(body, egress.MaxAnswer)
}

// first is as much of the text as fits, without half a character at its end.
func first(text []byte, most int) []byte {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// hide takes the secrets out of the text, the longest first. It does not change the text's own bytes.
func hide(text []byte, secrets []string) []byte {
	for _, s := range secrets {
		if bytes.Contains(text, []byte(s)) {
			text = bytes.ReplaceAll(text, []byte(s), []byte(hidden))
		}
		if bytes.IndexByte(text, '\\') >= 0 {
			text = hideEscaped(text, s)
		}
	}
	return text
}

// hideEscaped takes out the secret where some of its characters are escaped.
func hideEscaped(text []byte, secret string) []byte {
	var out []byte
	from := 0
	for i := 0; i < len(text); {
		n, whole := escaped(text[i:], secret)
		if !whole {
			_, width := character(text[i:])
			i += width
			continue
		}
		out = append(append(out, text[from:i]...), hidden...)
		i += n
		from = i
	}
	if from == 0 {
		return text
	}
	return append(out, text[from:]...)
}

// escaped is how many bytes at the text's beginning are the beginning of the secret, and whether they are all of it.
func escaped(text []byte, secret string) (n int, whole bool) {
	for secret != "" && n < len(text) {
		plain, width := character(text[n:])
		rest, ok := strings.CutPrefix(secret, plain)
		if !ok {
			break
		}
		secret, n = rest, n+width
	}
	return n, secret == ""
}

// character is what the text begins with, without its escape, and how many bytes of the text that is.
func character(text []byte) (plain string, width int) {
	if text[0] != '\\' || len(text) < 2 {
		return string(text[:1]), 1
	}
	switch text[1] {
	case '"', '\\', '/':
		return string(text[1:2]), 2
	case 'u':
		if s, ok := unquoted(text, longestEscape); ok && s != "\uFFFD" {
			return s, longestEscape
		}
		if s, ok := unquoted(text, 2*longestEscape); ok { // a character outside the basic plane is two escapes
			return s, 2 * longestEscape
		}
	}
	return string(text[:1]), 1
}

// unquoted is what the first bytes of the text say in a JSON string.
func unquoted(text []byte, width int) (s string, ok bool) {
	if len(text) < width {
		return "", false
	}
	err := json.Unmarshal(slices.Concat([]byte{'"'}, text[:width], []byte{'"'}), &s)
	return s, err == nil
}

// begun is how many bytes at the end of a text that was cut may be the beginning of a secret.
func begun(text []byte, secrets []string) int {
	for _, s := range secrets {
		for from := max(0, len(text)-longestEscape*len(s)); from < len(text); from++ {
			n, _ := escaped(text[from:], s)
			left := text[from+n:]
			plain := strings.HasPrefix(s, string(text[from:]))
			if plain || len(left) == 0 || left[0] == '\\' && len(left) < longestEscape {
				return len(text) - from
			}
		}
	}
	return 0
}

// Hide is the outcome with none of the secrets in what the IM's server is shown of it.
func Hide(out relay.Outcome, secrets ...string) relay.Outcome {
	if len(out.Body) == 0 && out.ContentType == "" {
		return out
	}
	out.ContentType, out.Body = Shown(egress.Answer{
		Header: http.Header{"Content-Type": {out.ContentType}}, Body: out.Body,
		Truncated: len(out.Body) >= egress.MaxAnswer, // it may have been cut where it was read
	}, secrets...)
	return out
}
