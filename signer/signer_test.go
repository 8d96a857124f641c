package signer_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/imrelay/imrelay/signer"
)

// vector is one row of testdata/vectors.json, made with another implementation of HMAC. A row with sign is what the
// scheme must produce, too.
type vector struct {
	Name    string            `json:"name"`
	Kind    string            `json:"kind"`
	Secrets []string          `json:"secrets"`
	Body    string            `json:"body"`
	Headers map[string]string `json:"headers"`
	Now     int64             `json:"now"`
	Want    string            `json:"want"`
	Sign    *struct {
		ID string `json:"id"`
		At int64  `json:"at"`
	} `json:"sign"`
}

func (v vector) header() http.Header {
	h := http.Header{}
	for k, val := range v.Headers {
		h.Set(k, val)
	}
	return h
}

func vectors(tb testing.TB) []vector {
	tb.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		tb.Fatal(err)
	}
	var vs []vector
	if err := json.Unmarshal(b, &vs); err != nil {
		tb.Fatal(err)
	}
	if len(vs) < 50 {
		tb.Fatalf("got %d vectors, want all of them", len(vs))
	}
	return vs
}

var outcomes = map[string]error{
	"ok": nil, "unsigned": signer.ErrUnsigned, "stale": signer.ErrStale, "mismatch": signer.ErrMismatch,
}

func TestVectorsVerify(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			want, known := outcomes[v.Want]
			if !known {
				t.Fatalf("unknown outcome %q", v.Want)
			}
			verifier, err := signer.NewVerifier(v.Kind, v.Secrets...)
			if err != nil {
				t.Fatal(err)
			}
			// Twice: the second time runs on a reused hash state.
			for range 2 {
				if got := verifier.Verify(v.header(), []byte(v.Body), time.Unix(v.Now, 0)); !errors.Is(got, want) {
					t.Fatalf("got %v, want %v", got, want)
				}
			}
		})
	}
}

func TestVectorsSign(t *testing.T) {
	t.Parallel()
	kinds := map[string]bool{}
	for _, v := range vectors(t) {
		if v.Sign == nil {
			continue
		}
		kinds[v.Kind] = true
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			scheme, err := signer.NewScheme(v.Kind, v.Secrets...)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got := http.Header{}
				scheme.Sign(got, v.Sign.ID, time.Unix(v.Sign.At, 0), []byte(v.Body))
				if want := v.header(); !maps.EqualFunc(got, want, slices.Equal) {
					t.Fatalf("got %v, want %v", got, want)
				}
			}
		})
	}
	if got, want := slices.Sorted(maps.Keys(kinds)), signer.Kinds(); !slices.Equal(got, want) {
		t.Errorf("kinds with a signing vector: got %v, want %v", got, want)
	}
}

func TestToleranceIsAParameter(t *testing.T) {
	t.Parallel()
	at := time.Unix(1767002400, 0)
	made := map[string]func(time.Duration) (signer.SchemeVerifier, error){
		"standard": func(d time.Duration) (signer.SchemeVerifier, error) { return signer.NewStandard(d, "pass phrase") },
		"wechatpad": func(d time.Duration) (signer.SchemeVerifier, error) {
			return signer.NewWeChatPad(d, "pass phrase")
		},
	}
	for name, make := range made {
		for _, row := range []struct {
			tolerance, age time.Duration
			want           error
		}{
			{0, signer.Tolerance, nil},
			{0, signer.Tolerance + 1, signer.ErrStale},
			{-1, signer.Tolerance, nil},
			{time.Second, time.Second, nil},
			{time.Second, time.Second + 1, signer.ErrStale},
			{time.Second, -time.Second - 1, signer.ErrStale},
			{24 * time.Hour, 23 * time.Hour, nil},
		} {
			s, err := make(row.tolerance)
			if err != nil {
				t.Fatal(err)
			}
			h := http.Header{}
			s.Sign(h, "id", at, nil)
			if got := s.Verify(h, nil, at.Add(row.age)); !errors.Is(got, row.want) {
				t.Errorf("%s, tolerance %v, age %v: got %v, want %v", name, row.tolerance, row.age, got, row.want)
			}
		}
	}
}
