package config_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay/config"
)

// base makes a whole file of what a row is about.
const base = "ims: {a: {format: generic}}\nagents: {b: {kind: webhook}}\n"

func TestMistakes(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, file, want string }{
		{"empty file", "# nothing\n", "agents: at least one agent is needed\nims: at least one IM account is needed"},
		{"not a mapping", "- a\n- b\n", "want keys with values, got a list\n" +
			"agents: at least one agent is needed\nims: at least one IM account is needed"},
		{
			"unknown keys, with and without a likeness", base + "lisen: x\nzzz: 1\ninbound: {max_boddy: 1MiB}\n",
			"line 3: lisen: unknown key; did you mean listen?\nline 4: zzz: unknown key\n" +
				"line 5: inbound.max_boddy: unknown key; did you mean max_body?",
		},
		{"duplicate key", base + "data: a\ndata: b\n", "line 4: data: this key is already on line 3"},
		{
			"duplicate key inside", base + "log: {level: info, file: x, level: warn}\n",
			"line 3: log.level: this key is already on line 3",
		},
		{"wrong types", base + `
listen: [a]
data: {a: b}
log: info
inbound: {wait: 5, max_body: 10}
loop: {turns: "5", window: true}
trusted_proxies: 10.0.0.0/8
clients: [x]
redis: true
`, `line 4: listen: want a text, got a list
line 5: data: want a text, got keys with values
line 6: log: want keys with values, got a text
line 7: inbound.max_body: want a size such as 64KiB, 1MiB or 2GiB
line 7: inbound.wait: want a duration such as 500ms, 5s, 10m, 24h or 30d
line 8: loop.turns: want a whole number, 0 or more
line 8: loop.window: want a duration such as 500ms, 5s, 10m, 24h or 30d
line 9: trusted_proxies: want a list, got a text
line 10: clients: want keys with values, got a list
line 11: redis: want a text, got true or false; quote it if it is meant as text`},
		{
			"addresses", base + "listen: 8088\nmetrics: {listen: \"1.2.3.4:99999\"}\ntrusted_proxies: [10.0.0.0/8, home]\n",
			"line 3: listen: want host:port such as 127.0.0.1:8088\n" +
				"line 4: metrics.listen: want host:port such as 127.0.0.1:8088\n" +
				"line 5: trusted_proxies[1]: want a network such as 10.0.0.0/8 or an address",
		},
		{
			"one address twice", base + "listen: \"127.0.0.1:80\"\nmetrics: {listen: \"127.0.0.1:80\"}\n",
			"line 4: metrics.listen: is the same as listen; leave it empty for that",
		},
		{
			"bounds of the server", base + "data: \"\"\ninbound: {wait: 31s, max_body: 0}\noutbound: {max_body: 0}\n" +
				"dedupe: {window: 0}\nloop: {turns: 1, window: 0s, pause: 0s}\n",
			`line 2: agents.b.retry.max_age: is more than dedupe.window, 0s: a message could come again after it was forgotten
line 3: data: is missing
line 4: inbound.max_body: must be more than 0
line 4: inbound.wait: is more than 30s
line 5: outbound.max_body: must be more than 0
line 6: dedupe.window: must be more than 0
line 7: loop.pause: must be more than 0; loop.turns: 0 turns the brake off
line 7: loop.window: must be more than 0; loop.turns: 0 turns the brake off`,
		},
		{
			"words", base + "log: {level: loud, format: xml}\n",
			"line 3: log.format: want one of auto, json, console\nline 3: log.level: want one of debug, info, warn, error",
		},
		{"an account", `
agents: {b: {kind: webhook}}
ims:
  Bad Name: {}
  a:
    format: wechat
    signature: {kind: rot13}
    max_age: 49h
    send: {url: "ftp://x", timeout: 0}
    limits: {burst: 3, rate: 5/w, quiet: 23:00-7:00, jitter: 2}
  c:
    format: wechat
    signature: {secret: s1, secrets: [s2]}
`, `line 4: ims."Bad Name": a name has 1 to 64 of a-z, 0-9, _ and -
line 4: ims."Bad Name".format: is missing
line 7: ims.a.signature.kind: want one of onebot, wechatpad, telegram, github, standard
line 7: ims.a.signature.secret: is missing
line 8: ims.a.max_age: is more than dedupe.window, 48h: a message could come again after it was forgotten
line 9: ims.a.send.kind: is missing
line 9: ims.a.send.timeout: must be more than 0
line 9: ims.a.send.url: want a whole URL such as http://127.0.0.1:9000/send
line 10: ims.a.limits.jitter: want a duration such as 500ms, 5s, 10m, 24h or 30d
line 10: ims.a.limits.quiet: want quiet hours such as 23:00-07:00, or with a zone 23:00-07:00 Asia/Shanghai
line 10: ims.a.limits.rate: want a rate such as 1/s, 20/m, 500/h or 1000/d
line 13: ims.c.signature.kind: is missing
line 13: ims.c.signature.secrets: give either secret or secrets`},
		{"an agent", `
ims: {a: {format: generic}}
agents:
  b:
    url: 127.0.0.1:80
    timeout: 0s
    concurrency: 0
    on_stuck: ""
    retry: {base: 2m, cap: 1m, park_after: 3d, max_attempts: -1, max_age: 49h}
`, `line 4: agents.b.kind: is missing
line 5: agents.b.url: want a whole URL such as http://127.0.0.1:9000/send
line 6: agents.b.timeout: must be more than 0
line 7: agents.b.concurrency: must be at least 1
line 8: agents.b.on_stuck: want one of park, block, bury
line 9: agents.b.retry.cap: is less than retry.base
line 9: agents.b.retry.max_age: is more than dedupe.window, 48h: a message could come again after it was forgotten
line 9: agents.b.retry.max_attempts: want a whole number, 0 or more
line 9: agents.b.retry.park_after: is more than retry.max_age`},
		{
			"several agents and no routes", "ims: {a: {format: generic}}\nagents: {b: {kind: webhook}, c: {kind: webhook}}\n",
			"routes: are needed to choose between several agents",
		},
		{
			"routes", base + "routes:\n- {im: x, agent: b}\n- {when: group}\n- {agent: B, wen: x}\n-\n",
			`line 4: routes[0].im: names nothing that is configured; there is a
line 5: routes[1].agent: is missing
line 6: routes[2].agent: names nothing that is configured; there is b
line 6: routes[2].wen: unknown key; did you mean when?
line 7: routes[3]: want a value, got nothing
line 7: routes[3].agent: is missing`,
		},
		{"clients", base + `clients:
  x: {ims: [a, nope]}
  y: {token: same, recipients: [""]}
  z: {token: same}
`, `line 4: clients.x.ims[1]: names nothing that is configured; there is a
line 4: clients.x.token: is missing
line 5: clients.y.recipients[0]: is empty
line 6: clients.z.token: is also the token of clients.y`},
		{"placeholders", `
redis: <url>
admin: {token: "******"}
ims: {a: {format: generic, token: CHANGE-ME, signature: {kind: github, secrets: [good, replace_me]}}}
agents: {b: {kind: openclaw, secret: your_secret, token: "…", model: xxx}}
clients: {c: {token: "${T}"}}
`, `line 2: redis: is a placeholder, not a secret
line 3: admin.token: is a placeholder, not a secret
line 4: ims.a.signature.secrets[1]: is a placeholder, not a secret
line 4: ims.a.token: is a placeholder, not a secret
line 5: agents.b.secret: is a placeholder, not a secret
line 5: agents.b.token: is a placeholder, not a secret
line 6: clients.c.token: is a placeholder, not a secret (it comes from T)`},
		{
			"unset variables", "ims: {a: {format: generic, token: \"${NO}\", self: \"${NO2}\"}}\n" +
				"agents: {b: {kind: webhook, secret: \"${NO3}\"}}\nclients: {c: {token: \"${NO4}\"}}\n",
			`line 1: ims.a.self: environment variable NO2 is not set
line 1: ims.a.token: environment variable NO is not set
line 2: agents.b.secret: environment variable NO3 is not set
line 3: clients.c.token: environment variable NO4 is not set`,
		},
		{
			"secret files", "ims: {a: {format: generic, token: \"file:/no/such\"}}\n" +
				"agents: {b: {kind: webhook, secrets: [\"file:/dev/null\", ok]}}\n",
			`line 1: ims.a.token: the secret's file cannot be read: no such file or directory
line 2: agents.b.secrets[0]: the secret's file is not a file of at most 64KiB`,
		},
		{"an alias without an anchor", base + "data: *x\n", "line 3: data: the alias names no anchor before it"},
		{"an alias inside its anchor", base + "log: &x {file: *x}\n", "line 3: log.file: the alias names no anchor before it"},
		{"a tag", base + "data: !!binary aGk=\n", "line 3: data: tags (!…) are not used here"},
		{"two documents", base + "---\ndata: x\n", "more than one YAML document"},
		{"not a text file", "\xff\xfe", "not a text file in UTF-8"},
		{"not YAML", base + "data: {a: b\n", "line 3: not valid YAML: could not find flow mapping end token '}'"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse("", []byte(row.file), env("T", "changeme"))
			if err == nil {
				t.Fatal("got no error")
			}
			if diff := cmp.Diff(row.want, err.Error()); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNotAPlaceholder(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"secret", "test-token", "xx", "exchange_me", "0", "yourself", "a.b.c"} {
		if _, err := config.Load("", env("OPENCLAW_WEBHOOK_SECRET", token, "IM_BOT_TOKEN", token)); err != nil {
			t.Errorf("%q: got %v, want it taken", token, err)
		}
	}
}

func TestMistakeHasTheLineOfItsKey(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("c.yaml", []byte(base+"routes:\n\n- when: x >\n  agent: b\n"), env())
	if err != nil {
		t.Fatal(err)
	}
	got := c.Mistake("routes[0].when", "unexpected end").Error()
	if want := "c.yaml:5: routes[0].when: unexpected end"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	first := &config.Error{Path: "c.yaml", Hint: "h", Mistakes: []config.Mistake{{Line: 7, Key: "b", Message: "one"}}}
	second := &config.Error{Mistakes: []config.Mistake{
		{Line: 7, Key: "b", Message: "the same again"}, {Line: 2, Key: "a", Message: "two"},
	}}
	got := config.Merge(nil, first, second, errors.New("three"))
	if want := "c.yaml: three\nc.yaml:2: a: two\nc.yaml:7: b: one"; got == nil || got.Error() != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if got := config.Merge(nil, nil); got != nil {
		t.Errorf("nothing merged: got %v, want nil", got)
	}
}
