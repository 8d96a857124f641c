package signer_test

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/imrelay/imrelay/signer"
)

// FuzzVerify checks three things of every scheme: headers from anybody make it neither panic nor succeed, what it
// signed verifies, and a flipped bit in the body or in a header of the signature does not.
func FuzzVerify(f *testing.F) {
	for _, v := range vectors(f) {
		for k, val := range v.Headers {
			f.Add(v.Secrets[0], []byte(v.Body), k, val, uint16(len(val)/2))
		}
	}
	f.Add("s", []byte{}, "Webhook-Timestamp", "-9223372036854775808", uint16(0))
	f.Add("s", []byte("0"), "X-Webhook-Timestamp", "9223372036854775807", uint16(9))
	f.Fuzz(func(t *testing.T, secret string, body []byte, key, value string, at uint16) {
		for _, kind := range signer.Kinds() {
			v, err := signer.NewVerifier(kind, secret)
			if err != nil {
				continue
			}
			s := v.(signer.SchemeVerifier)
			checkForged(t, kind, s, secret, http.Header{http.CanonicalHeaderKey(key): {value}})
			checkFlips(t, kind, s, body, at)
		}
	})
}

// checkForged gives s a header that nobody signed. Only a token scheme may take it, and only if it is the token.
func checkForged(t *testing.T, kind string, s signer.SchemeVerifier, secret string, h http.Header) {
	t.Helper()
	signed := http.Header{}
	s.Sign(signed, "id", now, []byte("another body"))
	maps.Copy(signed, h)
	body := []byte("yet another body")
	if err := s.Verify(signed, body, now); err == nil && !isToken(kind) {
		t.Fatalf("%s with secret %q took %v for a signature", kind, secret, h)
	}
	if err := s.Verify(h, body, time.Time{}); err == nil && !isToken(kind) {
		t.Fatalf("%s with secret %q took %v for a signature at no time", kind, secret, h)
	}
}

// checkFlips signs body and flips one bit after the other of the byte at a place that the fuzzer chooses.
func checkFlips(t *testing.T, kind string, s signer.SchemeVerifier, body []byte, at uint16) {
	t.Helper()
	h := http.Header{}
	s.Sign(h, "evt_1", now, body)
	if err := s.Verify(h, body, now); err != nil {
		t.Fatalf("%s: signed, then verified: %v", kind, err)
	}
	for bit := range 8 {
		if len(body) > 0 && !isToken(kind) {
			flipped := flip(body, at, bit)
			if s.Verify(h, flipped, now) == nil {
				t.Fatalf("%s: body %q verified as %q", kind, flipped, body)
			}
		}
		for _, name := range s.Headers() {
			forged := h.Clone()
			forged.Set(name, string(flip([]byte(h.Get(name)), at, bit)))
			if kind == signer.KindBearer && int(at)%len(h.Get(name)) < len("Bearer") {
				continue // the scheme's name is the same in lower case
			}
			if s.Verify(forged, body, now) == nil {
				t.Fatalf("%s: verified with %s %q instead of %q", kind, name, forged.Get(name), h.Get(name))
			}
		}
	}
}

func flip(b []byte, at uint16, bit int) []byte {
	c := append([]byte(nil), b...)
	c[int(at)%len(c)] ^= 1 << bit
	return c
}

func isToken(kind string) bool {
	return kind == signer.KindTelegram || kind == signer.KindGitLab || kind == signer.KindBearer
}
