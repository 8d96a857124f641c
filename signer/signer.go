// Package signer signs requests and checks their signatures, the way each counterpart wants it: hex HMAC headers
// (OpenClaw, GitHub, OneBot), Standard Webhooks, WeChatPadPro's dated signature, static and Bearer tokens.
//
// Call [NewVerifier] or [NewScheme] with a kind from the configuration, or a constructor such as [NewDigest] where
// header or tolerance are to be chosen. Every scheme holds a key ring: the first secret signs, any of them verifies, so
// that a secret can be changed without a refused request. A ring without secrets verifies nothing.
//
// The package signs bytes as they stand and never parses them. It reads no configuration, writes no log, and keeps no
// memory of what it has seen: a repeat within a scheme's tolerance is the caller's to notice.
package signer

import (
	"errors"
	"net/http"
	"time"
)

// Tolerance is how far a signed time may be from now, either way, where nothing else is asked for.
const Tolerance = 5 * time.Minute

// Why a request is refused. No error of this package holds a secret, a signature or a body.
var (
	// ErrUnsigned says that a header of the signature is missing.
	ErrUnsigned = errors.New("not signed")
	// ErrStale says that the signed time is too far from now.
	ErrStale = errors.New("signature too old or too new")
	// ErrMismatch says that the signature, or the token, is of another secret or another body, or is malformed.
	ErrMismatch = errors.New("signature does not match")
)

// Errors of the constructors.
var (
	// ErrNoSecret says that a ring has no secret, or an empty one.
	ErrNoSecret = errors.New("secret is empty")
	// ErrBadSecret says that a secret does not have the form that it claims to have.
	ErrBadSecret = errors.New("secret after whsec_ is not base64")
	// ErrNoHeader says that a scheme has no header to put its signature in.
	ErrNoHeader = errors.New("signature header is empty")
)

// Scheme signs requests. It is safe for concurrent use.
type Scheme interface {
	// Sign sets the headers of the signature. id and at are the message's id and the time of the attempt; schemes that
	// sign neither ignore them. It neither changes nor keeps body.
	Sign(h http.Header, id string, at time.Time, body []byte)
}

// Verifier checks signed requests. It is safe for concurrent use.
type Verifier interface {
	// Verify returns nil if the headers sign the body with a secret of the ring, else an error that wraps [ErrUnsigned],
	// [ErrStale] or [ErrMismatch]. It takes the same time whatever part of a signature is wrong.
	Verify(h http.Header, body []byte, now time.Time) error
}

// SchemeVerifier does both. All schemes of this package do.
type SchemeVerifier interface {
	Scheme
	Verifier
	// Headers names the headers of the signature in their canonical form. They must not be passed on or logged.
	Headers() []string
}
