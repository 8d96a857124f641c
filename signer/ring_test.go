package signer_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/signer"
)

var now = time.Unix(1767002400, 0)

// all makes every scheme of the package, the ones without a kind included.
func all(tb testing.TB, secrets ...string) map[string]signer.SchemeVerifier {
	tb.Helper()
	made := map[string]signer.SchemeVerifier{}
	add := func(name string, s signer.SchemeVerifier, err error) {
		tb.Helper()
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		made[name] = s
	}
	for _, kind := range signer.Kinds() {
		s, err := signer.NewScheme(kind, secrets...)
		sv, ok := s.(signer.SchemeVerifier)
		if !ok {
			tb.Fatalf("%s: got %T, want a SchemeVerifier", kind, s)
		}
		add(kind, sv, err)
	}
	digest, err := signer.NewDigest("x-acme-signature", secrets...)
	add("own digest header", digest, err)
	token, err := signer.NewToken("x-acme-token", secrets...)
	add("own token header", token, err)
	return made
}

func TestFirstSignsAnyVerifies(t *testing.T) {
	t.Parallel()
	body := []byte(`{"a":1}`)
	before, during, after := all(t, "old secret"), all(t, "new secret", "old secret"), all(t, "new secret")
	for name := range before {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, row := range []struct {
				by   string
				sign signer.Scheme
				with signer.Verifier
				want error
			}{
				{"old signs, ring of both verifies", before[name], during[name], nil},
				{"new signs, ring of both verifies", after[name], during[name], nil},
				{"ring of both signs, new verifies", during[name], after[name], nil},
				{"ring of both signs, old does not verify", during[name], before[name], signer.ErrMismatch},
			} {
				h := http.Header{}
				row.sign.Sign(h, "evt_1", now, body)
				if got := row.with.Verify(h, body, now); !errors.Is(got, row.want) {
					t.Errorf("%s: got %v, want %v", row.by, got, row.want)
				}
			}
		})
	}
}

func TestEmptyRingVerifiesNothing(t *testing.T) {
	t.Parallel()
	signed := all(t, "s")
	for name, zero := range map[string]signer.SchemeVerifier{
		"openclaw": &signer.Digest{}, "standard": &signer.Standard{}, "wechatpad": &signer.WeChatPad{},
		"telegram": &signer.Token{},
	} {
		h := http.Header{}
		zero.Sign(h, "id", now, nil)
		if len(h) != 0 {
			t.Errorf("%s: signed without a key: %v", name, h)
		}
		signed[name].Sign(h, "id", now, nil)
		if v := h[signed[name].Headers()[0]]; len(v) == 1 {
			h[""] = v // the header of the zero Digest and Token
		}
		if err := zero.Verify(h, nil, now); err == nil {
			t.Errorf("%s: the zero value verified", name)
		}
	}
}

func TestConstructorsRefuse(t *testing.T) {
	t.Parallel()
	for _, kind := range signer.Kinds() {
		for name, secrets := range map[string][]string{
			"none": nil, "an empty one": {""}, "an empty one beside a good one": {"good", ""},
		} {
			v, err := signer.NewVerifier(kind, secrets...)
			if v != nil || !errors.Is(err, signer.ErrNoSecret) {
				t.Errorf("%s with %s: got %v, %v, want ErrNoSecret", kind, name, v, err)
			}
			s, err := signer.NewScheme(kind, secrets...)
			if s != nil || !errors.Is(err, signer.ErrNoSecret) {
				t.Errorf("%s scheme with %s: got %v, %v, want ErrNoSecret", kind, name, s, err)
			}
		}
	}
	if _, err := signer.NewVerifier("sha3", "s"); !errors.Is(err, signer.ErrUnknownKind) {
		t.Errorf("unknown kind: got %v, want ErrUnknownKind", err)
	}
	if _, err := signer.NewVerifier("", "s"); !errors.Is(err, signer.ErrUnknownKind) {
		t.Errorf("empty kind: got %v, want ErrUnknownKind", err)
	}
	if _, err := signer.NewDigest("", "s"); !errors.Is(err, signer.ErrNoHeader) {
		t.Errorf("digest without header: got %v, want ErrNoHeader", err)
	}
	if _, err := signer.NewToken("", "s"); !errors.Is(err, signer.ErrNoHeader) {
		t.Errorf("token without header: got %v, want ErrNoHeader", err)
	}
	for secret, want := range map[string]error{
		"whsec_": signer.ErrNoSecret, "whsec_not base64": signer.ErrBadSecret, "whsec_c2VjcmV0MQ": signer.ErrBadSecret,
	} {
		_, err := signer.NewStandard(0, secret)
		if !errors.Is(err, want) {
			t.Errorf("standard with %q: got %v, want %v", secret, err, want)
		}
	}
}

func TestHeadersAreTheOnesThatAreSet(t *testing.T) {
	t.Parallel()
	known := signer.Headers()
	if !slices.IsSorted(known) {
		t.Errorf("got %v, want them sorted", known)
	}
	for name, s := range all(t, "s") {
		h := http.Header{}
		s.Sign(h, "id", now, nil)
		got := s.Headers()
		for _, k := range got {
			if h.Get(k) == "" || k != http.CanonicalHeaderKey(k) {
				t.Errorf("%s: %q is not set, or not canonical", name, k)
			}
			if _, own := strings.CutPrefix(name, "own "); !own && !slices.Contains(known, k) {
				t.Errorf("%s: %q is missing from Headers", name, k)
			}
		}
		if len(got) != len(h) {
			t.Errorf("%s: got names %v for headers %v", name, got, h)
		}
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	for name, s := range all(t, secret, secret) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			got := fmt.Sprintf(verb, s)
			if strings.Contains(got, secret) || strings.Contains(got, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s: %s shows the secret: %s", name, verb, got)
			}
		}
	}
	if _, err := signer.NewStandard(0, "whsec_"+secret); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got error %v, want one without the secret", err)
	}
}

func TestSchemesAreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	for name, s := range all(t, "first", "second") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					body := []byte(strings.Repeat("x", i*100))
					for range 50 {
						h := http.Header{}
						s.Sign(h, fmt.Sprint("id", i), now, body)
						if err := s.Verify(h, body, now); err != nil {
							t.Errorf("body of %d bytes: %v", len(body), err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
