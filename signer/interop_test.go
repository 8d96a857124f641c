package signer_test

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/imrelay/imrelay/signer"
)

// TestRFC4231 runs the HMAC-SHA256 test cases of RFC 4231 that have a whole output (case 5 truncates it).
func TestRFC4231(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, key, data, want string }{
		{"case 1", strings.Repeat("\x0b", 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"case 2", "Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{
			"case 3", strings.Repeat("\xaa", 20), strings.Repeat("\xdd", 50),
			"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
		},
		{
			"case 4", "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19",
			strings.Repeat("\xcd", 50), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
		},
		{
			"case 6", strings.Repeat("\xaa", 131), "Test Using Larger Than Block-Size Key - Hash Key First",
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
		},
		{
			"case 7", strings.Repeat("\xaa", 131),
			"This is a test using a larger than block-size key and a larger than block-size data. " +
				"The key needs to be hashed before being used by the HMAC algorithm.",
			"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, err := signer.NewDigest("X-Test", row.key)
			if err != nil {
				t.Fatal(err)
			}
			h := http.Header{}
			s.Sign(h, "", time.Time{}, []byte(row.data))
			if got, want := h.Get("X-Test"), "sha256="+row.want; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestStandardWebhooksLibrary lets the reference library verify ours, and ours the library's. The library reads the
// clock itself, so this is the one test with the real time.
func TestStandardWebhooksLibrary(t *testing.T) {
	t.Parallel()
	raw := make([]byte, 24)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(raw)
	for _, secret := range []string{encoded, "whsec_" + encoded, "0123456789abcdef0123456789abcdef", "test"} {
		theirs, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := signer.NewStandard(0, secret)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{"", "{}", strings.Repeat("今天", 500), "\x00\xff%s%d"} {
			at := time.Now()
			h := http.Header{}
			ours.Sign(h, "evt_1", at, []byte(body))
			if err := theirs.Verify([]byte(body), h); err != nil {
				t.Errorf("%d bytes: the library refuses ours: %v", len(body), err)
			}
			sig, err := theirs.Sign("evt_1", at, []byte(body))
			if err != nil {
				t.Fatal(err)
			}
			h.Set(standardwebhooks.HeaderWebhookSignature, sig)
			if err := ours.Verify(h, []byte(body), at); err != nil {
				t.Errorf("%d bytes: we refuse the library's: %v", len(body), err)
			}
		}
	}
}
