// Package secret holds values that must not be shown: a [Text] prints, logs and marshals as a placeholder. It does not
// read files or the environment; configuration does.
package secret

import (
	"crypto/subtle"
	"unique"
)

// placeholder is what a secret looks like from outside.
const placeholder = "******"

// Text is a secret string. The zero value is "no secret" and prints as the empty string. Texts of the same secret are
// equal by ==, which is for telling whether a configuration changed; use [Text.Equal] on what a stranger sent.
//
// The string sits behind a handle because methods do not protect it everywhere: fmt calls none for verbs such as %d,
// nor for a Text in an unexported field, and prints what it finds there. What it finds is an address.
type Text struct{ h unique.Handle[string] }

// New wraps s.
func New(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{h: unique.Make(s)}
}

// Reveal returns the secret. Every call is a place to look at.
func (t Text) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return t.h.Value()
}

// IsZero says that there is no secret.
func (t Text) IsZero() bool { return t == Text{} }

// Equal compares in constant time, and is false when t is no secret.
func (t Text) Equal(given string) bool {
	return !t.IsZero() && subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(given)) == 1
}

// String returns a placeholder.
func (t Text) String() string {
	if t.IsZero() {
		return ""
	}
	return placeholder
}

// GoString returns a placeholder.
func (t Text) GoString() string { return `secret.Text("` + t.String() + `")` }

// MarshalText returns a placeholder, so that JSON, YAML and loggers show no secret.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes the secret as it stands.
func (t *Text) UnmarshalText(b []byte) error { *t = New(string(b)); return nil }
