package agent_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/secret"
)

// What is no address of a web server goes to nobody as one.
func TestLink(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		given string
		want  bool
	}{
		"https":       {"https://a.example/1?x=你", true},
		"http":        {"HTTP://127.0.0.1:1", true},
		"at most":     {"http://a/" + strings.Repeat("b", 4096-len("http://a/")), true},
		"over it":     {"http://a/" + strings.Repeat("b", 4097-len("http://a/")), false},
		"empty":       {"", false},
		"no host":     {"http:///a", false},
		"no scheme":   {"//a.example/1", false},
		"file":        {"file://a/etc/passwd", false},
		"script":      {"javascript:alert(1)", false},
		"data":        {"data:image/png;base64,AA==", false},
		"name only":   {"https", false},
		"line":        {"https://a.example/1\nHost: b", false},
		"control":     {"https://a.example/\u0085", false},
		"not UTF-8":   {"https://a.example/\xff", false},
		"not an URL":  {"https://a b.example/%zz", false},
		"space first": {" https://a.example/1", false},
	} {
		if got := agent.Link(tc.given); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

// A base is read as it was meant, and its errors do not show it.
func TestBase(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"http://a.example":                     "http://a.example",
		"https://a.example/b//":                "https://a.example/b",
		"":                                     "error: url is missing",
		"a.example/hush":                       "error: url is not an http:// or https:// address",
		"http://[hush":                         "error: url is not an http:// or https:// address",
		"http://a.example/?token=hush":         "error: url has a ? or a #",
		"http://a.example/#hush":               "error: url has a ? or a #",
		"http://a.example/hush/api/chat/":      "error: url ends in /api/chat",
		"http://a.example/api/chat/completion": "http://a.example/api/chat/completion",
	} {
		u, err := agent.Base(given, "/api/chat")
		got := ""
		if err != nil {
			got = "error: " + err.Error()
		} else {
			got = u.String()
		}
		if !strings.HasPrefix(got, want) || err == nil && got != want || err != nil && strings.Contains(got, "hush") {
			t.Errorf("%q: got %q, want %q", given, got, want)
		}
	}
}

// A token stands in a header.
func TestBearer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ given, want string }{
		"usual":      {"sk-a+b/c=", ""},
		"none":       {"", "token is missing"},
		"line":       {"hush\n", "token holds what"},
		"space":      {"hush hush", "token holds what"},
		"not ASCII":  {"hush你", "token holds what"},
		"too long":   {strings.Repeat("a", 4097), "token holds what"},
		"at longest": {strings.Repeat("a", 4096), ""},
	} {
		_, err := agent.Bearer(secret.New(tc.given))
		if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}

// What every attempt carries.
func TestHeader(t *testing.T) {
	t.Parallel()
	e := relay.Event{ID: "evt_1"}
	want := map[string][]string{"X-Relay-Event-Id": {"evt_1"}, "X-Relay-Attempt": {"3"}}
	if diff := cmp.Diff(want, map[string][]string(agent.Header(e, 3))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	e.Note.Traceparent = "00-aa-bb-01"
	want["Traceparent"] = []string{"00-aa-bb-01"}
	if diff := cmp.Diff(want, map[string][]string(agent.Header(e, 3))); diff != "" {
		t.Errorf("with a trace (-want +got):\n%s", diff)
	}
}
