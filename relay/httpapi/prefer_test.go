package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestInboundPrefer reads RFC 7240 as it is written, takes the caller's preference over the configured wait of 2s, and
// says so.
func TestInboundPrefer(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, tt := range []struct {
		name    string
		values  []string
		applied string
		wait    int
	}{
		{"none", nil, "", 2},
		{"async", []string{"respond-async"}, "respond-async", 0},
		{"other case", []string{"Respond-Async"}, "respond-async", 0},
		{"empty value", []string{`respond-async=""`}, "respond-async", 0},
		{"another value", []string{"respond-async=no"}, "", 2},
		{"wait", []string{"wait=5"}, "wait=5", 5},
		{"zero", []string{"wait=0"}, "wait=0", 0},
		{"spaces", []string{" wait = 5 "}, "wait=5", 5},
		{"quoted", []string{`wait="5"`}, "wait=5", 5},
		{"parameters", []string{"wait=5; foo=bar; wait=6"}, "wait=5", 5},
		{"longest", []string{"wait=30"}, "wait=30", 30},
		{"too long", []string{"wait=31"}, "wait=30", 30},
		{"much too long", []string{"wait=99999999999999999999999"}, "wait=30", 30},
		{"negative", []string{"wait=-1"}, "", 2},
		{"fraction", []string{"wait=1.5"}, "", 2},
		{"word", []string{"wait=soon"}, "", 2},
		{"no value", []string{"wait"}, "", 2},
		{"both", []string{"respond-async, wait=5"}, "respond-async, wait=5", 5},
		{"two headers", []string{"wait=5", "respond-async"}, "respond-async, wait=5", 5},
		{"first counts", []string{"wait=5, wait=6", "wait=7"}, "wait=5", 5},
		{"comma in a string", []string{`foo="a, wait=9", wait=5`}, "wait=5", 5},
		{"quote in a string", []string{`foo="a\", wait=9", wait=5`}, "wait=5", 5},
		{"unknown ones", []string{"handling=lenient, return=minimal,, ;x, respond-async"}, "respond-async", 0},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/im/open/inbound", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Prefer"] = tt.values
		resp, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if a := resp.Header.Get("Preference-Applied"); a != tt.applied {
			t.Errorf("%s: got Preference-Applied %q, want %q", tt.name, a, tt.applied)
		}
		posts := r.acceptor.taken()
		if w := posts[len(posts)-1].Wait; w != time.Duration(tt.wait)*time.Second {
			t.Errorf("%s: got wait %v, want %ds", tt.name, w, tt.wait)
		}
	}
}
