// Package secret holds values that must not be shown: a [Text] prints, logs and marshals as a placeholder. It does not
// read files or the environment; configuration does.
package secret

import "crypto/subtle"

// placeholder is what a secret looks like from outside.
const placeholder = "******"

// Text is a secret string. The zero value is "no secret" and prints as the empty string.
type Text struct{ s string }

// New wraps s.
func New(s string) Text { return Text{s: s} }

// Reveal returns the secret. Every call is a place to look at.
func (t Text) Reveal() string { return t.s }

// IsZero says that there is no secret.
func (t Text) IsZero() bool { return t.s == "" }

// Equal compares in constant time, and is false when t is no secret.
func (t Text) Equal(given string) bool {
	return t.s != "" && subtle.ConstantTimeCompare([]byte(t.s), []byte(given)) == 1
}

// String returns a placeholder.
func (t Text) String() string {
	if t.s == "" {
		return ""
	}
	return placeholder
}

// GoString returns a placeholder.
func (t Text) GoString() string { return `secret.Text("` + t.String() + `")` }

// MarshalText returns a placeholder, so that JSON, YAML and loggers show no secret.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes the secret as it stands.
func (t *Text) UnmarshalText(b []byte) error { t.s = string(b); return nil }
