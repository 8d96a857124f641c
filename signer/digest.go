package signer

import (
	"crypto/sha1" //nolint:gosec // OneBot v11 signs with HMAC-SHA1, which is not broken as a MAC
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"time"
)

// Headers of the digest schemes, in canonical form.
const (
	HeaderOpenClaw = "X-Wechat-Abot-Signature"
	HeaderGitHub   = "X-Hub-Signature-256"
	HeaderOneBot   = "X-Signature"
)

// Digest puts the lower-case hex HMAC of the body, after a prefix, into one header. It signs no time, so a recorded
// request stays valid as long as the secret.
type Digest struct {
	header string
	ring   macRing
}

var _ SchemeVerifier = (*Digest)(nil)

// NewDigest makes the scheme sha256=hex(HMAC-SHA256(secret, body)) in the given header: [HeaderOpenClaw],
// [HeaderGitHub] or another one.
func NewDigest(header string, secrets ...string) (*Digest, error) {
	return newDigest(header, "sha256=", sha256.New, secrets)
}

// NewOneBot makes OneBot v11's scheme: sha1=hex(HMAC-SHA1(secret, body)) in [HeaderOneBot].
func NewOneBot(secrets ...string) (*Digest, error) {
	return newDigest(HeaderOneBot, "sha1=", sha1.New, secrets)
}

func newDigest(header, prefix string, newHash func() hash.Hash, secrets []string) (*Digest, error) {
	if header == "" {
		return nil, ErrNoHeader
	}
	keys, err := newKeys(newHash, secrets, rawSecret)
	if err != nil {
		return nil, err
	}
	ring := macRing{keys: keys, prefix: prefix, encode: hex.AppendEncode}
	return &Digest{header: http.CanonicalHeaderKey(header), ring: ring}, nil
}

// Sign implements [Scheme]. The id and the time are not signed.
func (d *Digest) Sign(h http.Header, _ string, _ time.Time, body []byte) {
	if sig, ok := d.ring.sign(body); ok {
		h[d.header] = []string{sig}
	}
}

// Verify implements [Verifier]. It never returns ErrStale. Upper-case hex is a mismatch.
func (d *Digest) Verify(h http.Header, body []byte, _ time.Time) error {
	claimed := first(h, d.header)
	if claimed == "" {
		return ErrUnsigned
	}
	if !d.ring.verify(claimed, body) {
		return ErrMismatch
	}
	return nil
}

// Headers implements [SchemeVerifier].
func (d *Digest) Headers() []string { return []string{d.header} }

// first is h.Get for a key that is canonical already.
func first(h http.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// rawSecret takes a secret's bytes as they stand.
func rawSecret(s string) ([]byte, error) { return []byte(s), nil }

// newKeys makes the keys of a ring. A ring with no secret, or with an empty one, is refused: it would verify what
// anybody can sign.
func newKeys(newHash func() hash.Hash, secrets []string, decode func(string) ([]byte, error)) ([]*macKey, error) {
	if len(secrets) == 0 {
		return nil, ErrNoSecret
	}
	keys := make([]*macKey, 0, len(secrets))
	for _, s := range secrets {
		b, err := decode(s)
		if err != nil {
			return nil, err
		}
		if len(b) == 0 {
			return nil, ErrNoSecret
		}
		keys = append(keys, newMACKey(newHash, b))
	}
	return keys, nil
}
