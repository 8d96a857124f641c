package agent_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/secret"
)

// No secret is shown, in whatever form the server repeats it.
func TestShown(t *testing.T) {
	t.Parallel()
	pad := strings.Repeat("a", egress.MaxAnswer)
	for _, tc := range []struct {
		name, given string
		cut         bool
		secrets     []string
		want        string
	}{
		{"nothing to hide", `{"a":"\u0061\n"}`, false, []string{"hush", ""}, `{"a":"\u0061\n"}`},
		{"no secret", "hush", false, nil, "hush"},
		{"plain", "Bearer hush, hush", false, []string{"hush"}, "Bearer ******, ******"},
		{"the longer first", "hush-2 hush", false, []string{"hush", "hush-2"}, "****** ******"},
		{"escaped for HTML", `{"a":"\u003chush\u0026\u003E"}`, false, []string{"<hush&>"}, `{"a":"******"}`},
		{"escaped throughout", `"\u0068\u0075\u0073\u0068"`, false, []string{"hush"}, `"******"`},
		{"slash", `"sk\/a+b\/="`, false, []string{"sk/a+b/="}, `"******"`},
		{"quote and backslash", `"a\"b\\c"`, false, []string{`a"b\c`}, `"******"`},
		{"backslash as it stands", `a\bc`, false, []string{`a\b`}, `******c`},
		{"other writing", `"\u4f60\ud83d\ude00!"`, false, []string{"你😀"}, `"******!"`},
		{"behind a broken escape", `\u00 \ud83d \ hu\u0073h \`, false, []string{"hush"}, `\u00 \ud83d \ ****** \`},
		{"cut in it", "no: hus", true, []string{"hush"}, "no: "},
		{"cut in an escape of it", `no: hu\u007`, true, []string{"hush"}, "no: "},
		{"cut behind it", "no: hush", true, []string{"hush"}, "no: ******"},
		{"not cut", "no: hus", false, []string{"hush"}, "no: hus"},
		{"at most", pad, false, []string{"hush"}, pad},
		{"cut by us in it", pad[2:] + "hush", false, []string{"hush"}, pad[2:]},
		{"cut by us in a character", pad[1:] + "你", false, []string{"hush"}, pad[1:]},
		{"longer when hidden", "x" + pad[1:], false, []string{"x"}, "******" + pad[6:]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			given := []byte(tc.given)
			_, got := agent.Shown(egress.Answer{Body: given, Truncated: tc.cut}, tc.secrets...)
			if string(got) != tc.want {
				t.Errorf("got %d bytes %.60q, want %d bytes %.60q", len(got), got, len(tc.want), tc.want)
			}
			if string(given) != tc.given {
				t.Error("the answer itself was changed")
			}
		})
	}
}

// The type is the server's, without a secret and bounded.
func TestShownType(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"application/json":                 "application/json",
		"text/hush":                        "text/******",
		"text/" + strings.Repeat("a", 300): "",
	} {
		if got, _ := agent.Shown(egress.Answer{Header: http.Header{"Content-Type": {given}}}, "hush"); got != want {
			t.Errorf("%.20s: got %q, want %q", given, got, want)
		}
	}
}

// An outcome is shown without secrets too, and without a part of one where its body was cut.
func TestHide(t *testing.T) {
	t.Parallel()
	pad := strings.Repeat("a", egress.MaxAnswer-3)
	for given, want := range map[string]string{"": "", "hush": "******", "hus": "hus", pad + "hus": pad} {
		out := agent.Hide(relay.Outcome{Status: 401, Reason: "no", ContentType: "text/hush", Body: []byte(given)}, "hush")
		if string(out.Body) != want || out.ContentType != "text/******" || out.Status != 401 || out.Reason != "no" {
			t.Errorf("%d bytes: got %d, %.60q, want %d", len(given), len(out.Body), out.Body, len(want))
		}
	}
}

func FuzzShown(f *testing.F) {
	f.Add(`{"a":"\u0068ush"}`, "hush", true)
	f.Add(`\\\u`, `\`, false)
	f.Fuzz(func(t *testing.T, text, hush string, cut bool) {
		if hush == "" || strings.Contains("******", hush) || strings.Contains(hush, "*") {
			return
		}
		_, got := agent.Shown(egress.Answer{Body: []byte(text), Truncated: cut}, hush)
		if len(got) > egress.MaxAnswer || utf8.ValidString(text) && utf8.ValidString(hush) && strings.Contains(string(got), hush) {
			t.Errorf("got %q", got)
		}
	})
}

// A poster's answers are shown without what was configured to prove where events come from.
func TestPosterShowsNoSecret(t *testing.T) {
	t.Parallel()
	d := &doer{answer: egress.Answer{Status: 401, Body: []byte(`no: tok\u0065n-1, hush-1, hush-2, hush-3`)}}
	p, err := agent.Endpoint{
		URL: "http://127.0.0.1:1", Token: secret.New("token-1"), Secret: secret.New("hush-1"),
		Secrets: []secret.Text{secret.New("hush-2"), secret.New("hush-3")},
	}.Poster(agent.Wire{Doer: d})
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Post(t.Context(), relay.Event{ID: "evt_1"}, 1)
	if want := "no: ******, ******, ******, ******"; err != nil || string(out.Body) != want {
		t.Errorf("got %q, %v, want %q", out.Body, err, want)
	}
}
