package config_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/secret"
)

// kind is an adapter's configuration with a field of every sort.
type kind struct {
	config.Keys `yaml:",inline"`
	URL         string            `yaml:"url"`
	Token       secret.Text       `yaml:"token"`
	Mode        string            `yaml:"mode" oneof:"webhook hooks"`
	Window      int               `yaml:"window"`
	Every       time.Duration     `yaml:"every"`
	Strict      bool              `yaml:"strict"`
	Paths       map[string]string `yaml:"paths"`
	Nested      struct {
		Deep []string `yaml:"deep"`
	} `yaml:"nested"`
}

// agent parses a file whose agent has the given keys of its kind.
func agent(t *testing.T, keys string, lookup config.Lookup) config.Section {
	t.Helper()
	c, err := config.Parse("c.yaml", []byte("ims: {a: {format: generic}}\nagents:\n  b:\n    kind: k\n"+keys), lookup)
	if err != nil {
		t.Fatal(err)
	}
	return c.Agents["b"].Own
}

func TestSectionDecodes(t *testing.T) {
	t.Parallel()
	section := agent(t, `
    url: http://127.0.0.1/${P}
    secrets: [one, "${S}"]
    token: 12345
    window: ${W}
    every: 2d
    strict: ${B}
    paths: {id: data.id, text: data.text}
    nested: {deep: [x, 7]}
    timeout: 3s
`, env("P", "p", "S", "two", "W", "12", "B", "true"))
	got := kind{Mode: "webhook"}
	if err := section.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := kind{
		Keys: config.Keys{Secrets: []secret.Text{secret.New("one"), secret.New("two")}},
		URL:  "http://127.0.0.1/p", Token: secret.New("12345"), Mode: "webhook", Window: 12, Every: 48 * time.Hour,
		Strict: true, Paths: map[string]string{"id": "data.id", "text": "data.text"},
	}
	want.Nested.Deep = []string{"x", "7"}
	if diff := cmp.Diff(want, got, compare()...); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSectionTellsEveryMistake(t *testing.T) {
	t.Parallel()
	section := agent(t, `
    ulr: http://127.0.0.1/
    concurency: 5
    journal: x
    mode: pull
    window: "3"
    paths: {id: [x]}
    nested: {dep: [x]}
    tokens: []
`, env())
	err := section.Decode(&kind{})
	want := `c.yaml:6: agents.b.ulr: unknown key; did you mean url?
c.yaml:7: agents.b.concurency: unknown key; did you mean concurrency?
c.yaml:8: agents.b.journal: unknown key
c.yaml:9: agents.b.mode: want one of webhook, hooks
c.yaml:10: agents.b.window: want a whole number, 0 or more
c.yaml:11: agents.b.paths.id: want a text, got a list
c.yaml:12: agents.b.nested.dep: unknown key; did you mean deep?
c.yaml:13: agents.b.tokens: unknown key; did you mean token?`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestSectionDecodeWantsAStruct(t *testing.T) {
	t.Parallel()
	var section config.Section
	if err := section.Decode(kind{}); err == nil {
		t.Error("a struct by value: got no error")
	}
	if err := section.Decode(new(int)); err == nil {
		t.Error("a number: got no error")
	}
	got := kind{URL: "kept"}
	if err := section.Decode(&got); err != nil || got.URL != "kept" {
		t.Errorf("the zero section: got %q, %v", got.URL, err)
	}
}

const hidden = "s3cr3t-of-the-file"

// TestNothingPrintsASecret prints a configuration in every way that comes to mind.
func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	file := strings.NewReplacer("SECRET", hidden).Replace(`
redis: redis://:SECRET@127.0.0.1
ims: {a: {format: generic, token: SECRET, signature: {kind: github, secret: SECRET}, send: {kind: x, webhook: "http://h/SECRET"}}}
agents: {b: {kind: k, url: "http://u:SECRET@h/?t=SECRET", secrets: [SECRET], odd: {deep: SECRET}}}
clients: {c: {token: SECRET}}
admin: {token: SECRET-2}
`)
	c, err := config.Parse("c.yaml", []byte(file), env())
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, v := range []any{c, &c, c.Agents, c.Agents["b"].Own, c.IMs["a"].Send} {
			fmt.Fprintf(&printed, verb+"\n", v)
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	printed.Write(b)
	line, err := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()).EncodeEntry(
		zapcore.Entry{}, []zapcore.Field{zap.Any("config", c), zap.Any("own", c.Agents["b"].Own)})
	if err != nil {
		t.Fatal(err)
	}
	printed.WriteString(line.String())
	if err := c.Print(&printed); err != nil {
		t.Fatal(err)
	}
	for got := range strings.Lines(printed.String()) {
		if strings.Contains(got, hidden) || strings.Contains(got, fmt.Sprintf("%x", hidden)) {
			t.Errorf("a secret is in %s", got)
		}
	}
	if got, want := c.Agents["b"].Own.Keys(), []string{"url", "secrets", "odd"}; !slices.Equal(got, want) {
		t.Errorf("keys: got %v, want %v", got, want)
	}
}

func TestExposed(t *testing.T) {
	t.Parallel()
	const accounts = `
agents: {b: {kind: k}}
ims:
  open: {format: generic}
  token: {format: generic, token: t}
  signed: {format: generic, signature: {kind: github, secret: s}}
  allowed: {format: generic, allow: [192.0.2.1]}
listen: `
	rows := []struct {
		listen   string
		loopback bool
		want     []string
	}{
		{"127.0.0.1:8088", true, nil},
		{"127.9.9.9:1", true, nil},
		{"localhost:8088", true, nil},
		{"[::1]:8088", true, nil},
		{":8088", false, []string{"open"}},
		{"0.0.0.0:8088", false, []string{"open"}},
		{"[::]:8088", false, []string{"open"}},
		{"relay.example:8088", false, []string{"open"}},
	}
	for _, row := range rows {
		t.Run(row.listen, func(t *testing.T) {
			t.Parallel()
			c, err := config.Parse("", []byte(accounts+`"`+row.listen+`"`), env())
			if err != nil {
				t.Fatal(err)
			}
			if c.Loopback() != row.loopback || !slices.Equal(c.Exposed(), row.want) {
				t.Errorf("got %t, %v, want %t, %v", c.Loopback(), c.Exposed(), row.loopback, row.want)
			}
		})
	}
}
