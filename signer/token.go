package signer

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"
)

// Headers of the token schemes, in canonical form.
const (
	HeaderTelegram      = "X-Telegram-Bot-Api-Secret-Token"
	HeaderGitLab        = "X-Gitlab-Token"
	HeaderAuthorization = "Authorization"
)

// bearer is the name of the Authorization scheme, with the space after it.
const bearer = "Bearer "

// Token puts a secret itself into a header. It proves who calls, not what is said, and needs TLS to be worth anything
// on a network.
type Token struct {
	header string
	bearer bool
	// tokens are functions because fmt prints what any struct or pointer holds, but not what a closure does.
	tokens []func() string
}

var _ SchemeVerifier = (*Token)(nil)

// NewToken makes a static token in the given header: [HeaderTelegram], [HeaderGitLab] or another one.
func NewToken(header string, secrets ...string) (*Token, error) {
	if header == "" {
		return nil, ErrNoHeader
	}
	return newToken(Token{header: http.CanonicalHeaderKey(header)}, secrets)
}

// NewBearer makes a Bearer token in [HeaderAuthorization].
func NewBearer(secrets ...string) (*Token, error) {
	return newToken(Token{header: HeaderAuthorization, bearer: true}, secrets)
}

func newToken(t Token, secrets []string) (*Token, error) {
	if len(secrets) == 0 {
		return nil, ErrNoSecret
	}
	for _, s := range secrets {
		if s == "" {
			return nil, ErrNoSecret
		}
		t.tokens = append(t.tokens, func() string { return s })
	}
	return &t, nil
}

// Sign implements [Scheme]. Nothing of the message is signed.
func (t *Token) Sign(h http.Header, _ string, _ time.Time, _ []byte) {
	if len(t.tokens) == 0 {
		return
	}
	value := t.tokens[0]()
	if t.bearer {
		value = bearer + value
	}
	h[t.header] = []string{value}
}

// Verify implements [Verifier]. It never returns ErrStale. Digests are compared, so that the time taken does not tell
// the length of a secret either.
func (t *Token) Verify(h http.Header, _ []byte, _ time.Time) error {
	given, ok := t.given(h)
	if !ok {
		return ErrUnsigned
	}
	sum, match := sha256.Sum256([]byte(given)), 0
	for _, secret := range t.tokens {
		want := sha256.Sum256([]byte(secret()))
		match |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	if match != 1 {
		return ErrMismatch
	}
	return nil
}

// given reads the token of a request. The scheme's name is Bearer in any case of letters (RFC 9110, 11.1).
func (t *Token) given(h http.Header) (string, bool) {
	v := first(h, t.header)
	if !t.bearer {
		return v, v != ""
	}
	if len(v) <= len(bearer) || !strings.EqualFold(v[:len(bearer)], bearer) {
		return "", false
	}
	return v[len(bearer):], true
}

// Headers implements [SchemeVerifier].
func (t *Token) Headers() []string { return []string{t.header} }
