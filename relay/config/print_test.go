package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay/config"
)

func TestPrint(t *testing.T) {
	t.Parallel()
	const file = `inbound:
  wait: 5s
ims:
  a:
    format: generic
    token: ${T}
    self: 12
    filter: 'text != "$${x}"'
    send: {kind: http, url: "http://h/", mode: "on"}
    limits: {rate: 20/m}
agents: {b: {kind: k, url: "https://u:p@h:1/hook?t=x", paths: {id: x.y}, callback_path: hush}}
routes:
  - {im: a, agent: b}
`
	c, err := config.Parse("c.yaml", []byte(file), env("T", "tt", "IMRELAY_DATA", "/d"),
		config.Flag{Name: "--log-level", Key: "log.level", Value: "debug"})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	if err := c.Print(&got); err != nil {
		t.Fatal(err)
	}
	want := `listen: "127.0.0.1:8088"  # default
data: /d  # IMRELAY_DATA
redis: ""  # default
log:
  level: debug  # --log-level
  format: auto  # default
  file: ""  # default
inbound:
  wait: 5s  # line 2
  max_body: 1MiB  # default
outbound:
  hold: 3s  # default
  max_body: 256KiB  # default
  media_allow: []  # default
dedupe:
  window: 48h  # default
retention:
  delivered: 48h  # default
  max_bytes: 1GiB  # default
  dead: 30d  # default
loop:
  turns: 20  # default
  window: 1m  # default
  pause: 10m  # default
trusted_proxies: []  # default
ims:
  a:
    format: generic  # line 5
    self: "12"  # line 7
    token: "******"  # line 6, T
    signature:
      kind: ""  # default
      secret: ""  # default
      secrets: []  # default
    allow: []  # default
    filter: "text != \"$${x}\""  # line 8
    max_age: 0s  # default
    send:
      kind: http  # line 9
      timeout: 10s  # default
      url: http://h  # line 9
      mode: "on"  # line 9
    limits:
      rate: "20/m"  # line 10
      burst: 0  # default
      per_recipient: ""  # default
      max_text: 0  # default
      jitter: 0s  # default
      ramp: 0s  # default
      quiet: ""  # default
agents:
  b:
    kind: k  # line 11
    timeout: 5s  # default
    concurrency: 64  # default
    on_stuck: park  # default
    standard_webhooks: false  # default
    retry:
      base: 1s  # default
      cap: 5m  # default
      park_after: 1m  # default
      max_attempts: 0  # default
      max_age: 24h  # default
    url: "https://h:1/******"  # line 11
    paths:
      id: x.y  # line 11
    callback_path: "******"  # line 11
routes:
  - im: a  # line 13
    when: ""  # default
    agent: b  # line 13
clients: {}  # default
admin:
  token: ""  # default
metrics:
  listen: ""  # default
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPrintCanBeRead puts the secrets back into what Print wrote and reads it: the same is printed again.
func TestPrintCanBeRead(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("", []byte(whole), wholeEnv())
	if err != nil {
		t.Fatal(err)
	}
	first := printed(t, c)
	again, err := config.Parse("", []byte(strings.ReplaceAll(first, "******", "http://put-back")), env())
	if e, ok := errors.AsType[*config.Error](err); ok {
		t.Fatalf("%v\n%s", e, first)
	}
	if diff := cmp.Diff(bare(first), bare(printed(t, again))); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
}

func printed(t *testing.T, c config.Config) string {
	t.Helper()
	var b strings.Builder
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// bare takes the sources off.
func bare(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		head, _, _ := strings.Cut(line, "  # ")
		b.WriteString(strings.TrimSuffix(head, "\n") + "\n")
	}
	return b.String()
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("closed") }

func TestPrintTellsOfABrokenWriter(t *testing.T) {
	t.Parallel()
	if err := config.Default().Print(brokenWriter{}); err == nil {
		t.Error("got no error")
	}
}
