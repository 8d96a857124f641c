package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"

	"github.com/imrelay/imrelay/relay/secret"
)

// ring knows secrets by their digests and says whose a given one is. How long that takes tells nothing of the secrets:
// digests have one length, and every one is compared.
type ring[T any] struct {
	digests [][sha256.Size]byte
	owners  []T
}

// add takes a secret in, and is false, changing nothing, when it is empty or known.
func (r *ring[T]) add(token secret.Text, owner T) bool {
	if token.IsZero() {
		return false
	}
	if _, known := r.find(token.Reveal()); known {
		return false
	}
	r.digests = append(r.digests, sha256.Sum256([]byte(token.Reveal())))
	r.owners = append(r.owners, owner)
	return true
}

// empty says that there is nothing to match.
func (r *ring[T]) empty() bool { return len(r.digests) == 0 }

// find returns whose the given token is.
func (r *ring[T]) find(given string) (owner T, ok bool) {
	digest := sha256.Sum256([]byte(given))
	found := -1
	for i := range r.digests {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(r.digests[i][:], digest[:]), i, found)
	}
	if found < 0 {
		return owner, false
	}
	return r.owners[found], true
}

// credential says what an Authorization header holds.
type credential uint8

const (
	credentialMissing   credential = iota // there is no header
	credentialMalformed                   // it is no Bearer token
	credentialGiven
)

// bearer reads the Authorization header.
func bearer(h http.Header) (token string, c credential) {
	value := h.Get("Authorization")
	if value == "" {
		return "", credentialMissing
	}
	scheme, token, _ := strings.Cut(value, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", credentialMalformed
	}
	return token, credentialGiven
}

// queryTokens are the tokens that stand in the query, for IM servers that can send no header: token, or OneBot's
// access_token.
func queryTokens(u *url.URL) []string {
	if !strings.Contains(u.RawQuery, "token=") {
		return nil
	}
	var out []string
	q := u.Query()
	for _, name := range []string{"token", "access_token"} {
		if token := q.Get(name); token != "" {
			out = append(out, token)
		}
	}
	return out
}

// unauthorized is a 401 that says what to mend, and never repeats what was given.
func unauthorized(c credential, whose string) *Error {
	message := "the token is not valid: check it against " + whose
	switch c {
	case credentialMissing:
		message = "no token was given: send Authorization: Bearer with " + whose
	case credentialMalformed:
		message = "the Authorization header holds no Bearer token: send Authorization: Bearer with " + whose
	}
	return &Error{Code: CodeUnauthorized, Message: message}
}
