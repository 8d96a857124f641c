package agent

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

// Headers that every attempt carries.
const (
	HeaderEventID = "X-Relay-Event-Id"
	HeaderAttempt = "X-Relay-Attempt"
)

const (
	// longestLink is how long an address may be, longestToken a token, in bytes.
	longestLink  = 4096
	longestToken = 4096
)

// Header is what every attempt carries, for the kind to add to.
func Header(e relay.Event, attempt int) http.Header {
	h := make(http.Header, 8)
	h[HeaderEventID] = []string{e.ID}
	h[HeaderAttempt] = []string{strconv.Itoa(attempt)}
	if e.Note.Traceparent != "" {
		h["Traceparent"] = []string{e.Note.Traceparent}
	}
	return h
}

// Address reads an address of the configuration. Its errors do not show it.
func Address(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("url is missing")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("url is not an http:// or https:// address")
	}
	return u, nil
}

// Base reads an address below which the kind has endpoints, and returns it without a slash at its end. People paste the
// endpoint's own address: that is refused, since nothing would be found below it.
func Base(raw, endpoint string) (*url.URL, error) {
	u, err := Address(raw)
	if err != nil {
		return nil, err
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("url has a ? or a #: it is the base address, and a token is given as token")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	if strings.HasSuffix(u.Path, endpoint) {
		return nil, errors.New("url ends in " + endpoint + ": it is the base address, without that")
	}
	return u, nil
}

// IsToken says that the text can be a token: it stands in a header.
func IsToken(s string) bool {
	return s != "" && len(s) <= longestToken &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Bearer is the scheme that sends the configured token, or says what is wrong with it.
func Bearer(token secret.Text) (*signer.Token, error) {
	switch {
	case token.IsZero():
		return nil, errors.New("token is missing")
	case !IsToken(token.Reveal()):
		return nil, errors.New("token holds what a header cannot")
	}
	return signer.NewBearer(token.Reveal())
}

// Link says that others can fetch what is there.
func Link(address string) bool {
	if len(address) > longestLink || !utf8.ValidString(address) || strings.ContainsFunc(address, unicode.IsControl) {
		return false
	}
	_, err := Address(address)
	return err == nil
}
