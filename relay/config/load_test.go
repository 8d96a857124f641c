package config_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/secret"
)

// env makes a Lookup of names and values in turn.
func env(pairs ...string) config.Lookup {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// whole is a file that says something of everything.
const whole = `
listen: 127.0.0.1:9099
data: /var/lib/imrelay
redis: ""
log: {level: debug, format: json, file: ""}
inbound: {wait: 1500ms, max_body: 2MiB}
outbound: {hold: 4s, max_body: 64KiB, media_allow: [10.0.5.9/24]}
dedupe: {window: 3d}
retention: {delivered: 24h, max_bytes: 512MiB, dead: 60d}
loop: {turns: 30, window: 90s, pause: 5m}
trusted_proxies: [10.1.2.3/8, 192.0.2.7, "2001:db8::/32"]
ims:
  wechat:
    format: wechat
    self: wxid_robot
    token: ${INBOUND}             # a flow mapping with a reference is below
    signature: {kind: github, secret: "pre-${SIGN}"}
    allow: [127.0.0.1/32]
    filter: 'kind == "text" && (!group || mentioned)'
    max_age: 1h
    send: {kind: http, url: "http://127.0.0.1:9000/send", token: "out-token", timeout: 7s}
    limits: {rate: 60/m, burst: 10, per_recipient: 1/s, max_text: 2000, jitter: 2s, ramp: 1d, quiet: "23:00-07:00 Asia/Shanghai"}
  qq:
    format: onebot
    self: 10001
    paths: {id: data.id}
agents:
  openclaw:
    kind: openclaw
    url: http://127.0.0.1:18789/wechat_abot/webhook
    secrets: [new-one, old-one]
    timeout: 6s
    concurrency: 8
    on_stuck: block
    standard_webhooks: true
    retry: {base: 2s, cap: 4m, park_after: 2m, max_attempts: 9, max_age: 2d}
  other: {kind: webhook, url: "http://127.0.0.1:1/x"}
routes:
  - {im: wechat, when: 'group', agent: openclaw}
  - agent: other
clients:
  openclaw: {token: ${BOT}, ims: [wechat], recipients: ["wxid_*"]}
admin: {token: console-token}
metrics: {listen: "127.0.0.1:0"}
`

func wholeEnv() config.Lookup { return env("INBOUND", "in-token", "SIGN", "sign", "BOT", "bot-token") }

func TestParseReadsEveryKey(t *testing.T) {
	t.Parallel()
	got, err := config.Parse("whole.yaml", []byte(whole), wholeEnv())
	if err != nil {
		t.Fatal(err)
	}
	wechat := got.IMs["wechat"]
	wantWechat := config.IM{
		Format: "wechat", Self: "wxid_robot", Token: secret.New("in-token"),
		Signature: config.Signature{Kind: "github", Keys: config.Keys{Secret: secret.New("pre-sign")}},
		Allow:     []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
		Filter:    `kind == "text" && (!group || mentioned)`, MaxAge: time.Hour,
		Send: config.Send{Kind: "http", Timeout: 7 * time.Second, Own: wechat.Send.Own},
		Limits: config.Limits{
			Rate: config.Rate{N: 60, Per: time.Minute}, Burst: 10,
			PerRecipient: config.Rate{N: 1, Per: time.Second}, MaxText: 2000,
			Jitter: 2 * time.Second, Ramp: 24 * time.Hour,
			Quiet: config.Quiet{From: 23 * time.Hour, To: 7 * time.Hour, Zone: "Asia/Shanghai"},
		},
		Own: wechat.Own,
	}
	openclaw := got.Agents["openclaw"]
	want := config.Default()
	want.Listen, want.Data = "127.0.0.1:9099", "/var/lib/imrelay"
	want.Log = config.Log{Level: "debug", Format: "json"}
	want.Inbound = config.Inbound{Wait: 1500 * time.Millisecond, MaxBody: 2 << 20}
	want.Outbound = config.Outbound{
		Hold: 4 * time.Second, MaxBody: 64 << 10, MediaAllow: []netip.Prefix{netip.MustParsePrefix("10.0.5.0/24")},
	}
	want.Dedupe.Window = 72 * time.Hour
	want.Retention = config.Retention{Delivered: 24 * time.Hour, MaxBytes: 512 << 20, Dead: 60 * 24 * time.Hour}
	want.Loop = config.Loop{Turns: 30, Window: 90 * time.Second, Pause: 5 * time.Minute}
	want.TrustedProxies = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"),
	}
	qq := config.DefaultIM()
	qq.Format, qq.Self, qq.Own = "onebot", "10001", got.IMs["qq"].Own
	qq.Send.Own = got.IMs["qq"].Send.Own
	want.IMs = map[string]config.IM{"wechat": wantWechat, "qq": qq}
	other := config.DefaultAgent()
	other.Kind, other.Own = "webhook", got.Agents["other"].Own
	want.Agents = map[string]config.Agent{"openclaw": {
		Kind: "openclaw", Timeout: 6 * time.Second, Concurrency: 8, OnStuck: "block", StandardWebhooks: true,
		Retry: config.Retry{
			Base: 2 * time.Second, Cap: 4 * time.Minute, ParkAfter: 2 * time.Minute, MaxAttempts: 9, MaxAge: 48 * time.Hour,
		},
		Own: openclaw.Own,
	}, "other": other}
	want.Routes = []config.Route{{IM: "wechat", When: "group", Agent: "openclaw"}, {Agent: "other"}}
	want.Clients = map[string]config.Client{
		"openclaw": {Token: secret.New("bot-token"), IMs: []string{"wechat"}, Recipients: []string{"wxid_*"}},
	}
	want.Admin.Token = secret.New("console-token")
	want.Metrics.Listen = "127.0.0.1:0"
	if diff := cmp.Diff(want, got, compare()...); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if got, want := openclaw.Own.String(), "[url secrets]"; got != want {
		t.Errorf("keys of the agent's kind: got %s, want %s", got, want)
	}
}

// compare compares secrets by what they hide, networks by value, and leaves out what a Config remembers of its file.
func compare() []cmp.Option {
	return []cmp.Option{
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".journal" }, cmp.Ignore()),
		cmp.AllowUnexported(config.Config{}),
		cmp.Comparer(func(a, b secret.Text) bool { return a.Reveal() == b.Reveal() }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b config.Section) bool { return a == b }),
	}
}

func TestParseReadsJSON(t *testing.T) {
	t.Parallel()
	const file = `{"listen":"127.0.0.1:1","ims":{"a":{"format":"generic","token":"${T}"}},"agents":{"b":{"kind":"webhook"}}}`
	got, err := config.Parse("c.json", []byte(file), env("T", `q"uo: {te`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := got.IMs["a"].Token.Reveal(), `q"uo: {te`; got != want {
		t.Errorf("token: got %q, want %q", got, want)
	}
}

func TestValuesOfTheEnvironment(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, self, want string }{
		{"whole", `${A}`, "aa"},
		{"inside a text", `"x-${A}-${B}"`, "x-aa-b: [b"},
		{"escaped", `$${A}`, "${A}"},
		{"not a reference", `"$A ${1} $ {A}"`, "$A ${1} $ {A}"},
		{"empty", `"${EMPTY}"`, ""},
		{"not read again", `${LOOP}`, "${A}"},
		{"block text", "|-\n      ${A}\n      ${B}", "aa\nb: [b"},
		{"by alias", "&s ${A}\n    filter: *s", "aa"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			file := "ims:\n  a:\n    format: generic\n    self: " + row.self + "\nagents: {b: {kind: webhook}}\n"
			c, err := config.Parse("c.yaml", []byte(file), env("A", "aa", "B", "b: [b", "EMPTY", "", "LOOP", "${A}"))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.IMs["a"].Self; got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestMergeKeysGiveDefaults(t *testing.T) {
	t.Parallel()
	const file = `
ims: {a: {format: generic}}
agents:
  x: &base {kind: webhook, timeout: 9s, concurrency: ${N}}
  y: {<<: *base, timeout: 3s}
  z: {timeout: 3s, <<: [*base]}
routes: [{agent: x}]
`
	c, err := config.Parse("c.yaml", []byte(file), env("N", "7"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"y", "z"} {
		if a := c.Agents[name]; a.Kind != "webhook" || a.Timeout != 3*time.Second || a.Concurrency != 7 {
			t.Errorf("%s: got kind %s, timeout %s, concurrency %d, want webhook, 3s, 7", name, a.Kind, a.Timeout, a.Concurrency)
		}
	}
}

func TestEnvironmentAlone(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", env(
		"OPENCLAW_WEBHOOK_SECRET", "hook-secret", "IM_BOT_TOKEN", "bot", "IM_SEND_URL", "http://127.0.0.1:9/s",
		"IM_SEND_TOKEN", "send", "IM_SELF", "12345", "IM_INBOUND_TOKEN", "in", "IM_ALLOW", "127.0.0.1, 10.0.0.0/8",
		"IMRELAY_DATA", "/data", "IMRELAY_LOG_LEVEL", "warn", "IMRELAY_REDIS", "",
	), config.Flag{Name: "--listen", Key: "listen", Value: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	im := c.IMs["wechat"]
	got := []string{
		c.Listen, c.Data, c.Log.Level, c.Redis.Reveal(), im.Format, im.Self, im.Token.Reveal(), im.Send.Kind,
		im.Allow[0].String(), im.Allow[1].String(), c.Agents["openclaw"].Kind, c.Clients["openclaw"].Token.Reveal(),
	}
	want := []string{
		"127.0.0.1:0", "/data", "warn", "", "wechat", "12345", "in", "http",
		"127.0.0.1/32", "10.0.0.0/8", "openclaw", "bot",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var own struct {
		URL    string      `yaml:"url"`
		Secret secret.Text `yaml:"secret"`
	}
	if err := c.Agents["openclaw"].Own.Decode(&own); err != nil {
		t.Fatal(err)
	}
	if own.URL != "http://127.0.0.1:18789/wechat_abot/webhook" || own.Secret.Reveal() != "hook-secret" {
		t.Errorf("agent: got %s and %q", own.URL, own.Secret.Reveal())
	}
}

func TestEnvironmentAloneWithMistakes(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		env  config.Lookup
		want string
	}{
		{"nothing", env(), "IM_BOT_TOKEN: is not set\nOPENCLAW_WEBHOOK_SECRET: is not set"},
		{"one empty", env("IM_BOT_TOKEN", "", "OPENCLAW_WEBHOOK_SECRET", "s3"), "IM_BOT_TOKEN: is not set"},
		{
			"one missing, one a placeholder", env("IM_BOT_TOKEN", "change_me"),
			"IM_BOT_TOKEN: is a placeholder, not a secret\nOPENCLAW_WEBHOOK_SECRET: is not set",
		},
		{
			"everything wrong",
			env("IM_BOT_TOKEN", "your-token", "OPENCLAW_WEBHOOK_SECRET", "xxxx", "OPENCLAW_WEBHOOK_URL", "127.0.0.1:1",
				"IM_SEND_TOKEN", "t", "IM_ALLOW", "home", "IM_INBOUND_TOKEN", "…", "IMRELAY_LOG_LEVEL", "loud",
				"IMRELAY_LISTEN", "8088"),
			`IMRELAY_LISTEN: want host:port such as 127.0.0.1:8088
IMRELAY_LOG_LEVEL: want one of debug, info, warn, error
IM_ALLOW: want a network such as 10.0.0.0/8 or an address
IM_BOT_TOKEN: is a placeholder, not a secret
IM_INBOUND_TOKEN: is a placeholder, not a secret
IM_SEND_TOKEN: is of no use without IM_SEND_URL
OPENCLAW_WEBHOOK_SECRET: is a placeholder, not a secret
OPENCLAW_WEBHOOK_URL: want a whole URL such as http://127.0.0.1:9000/send`,
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load("", row.env)
			e, ok := errors.AsType[*config.Error](err)
			if !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			if diff := cmp.Diff(row.want, e.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !strings.Contains(e.Hint, "imrelay demo") || !strings.Contains(e.Hint, "imrelay config init") {
				t.Errorf("the hint shows no way on: %s", e.Hint)
			}
		})
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "listen: 127.0.0.1:3\nims: {a: {format: generic}}\nagents: {b: {kind: webhook}}\n")
	flag := config.Flag{Name: "--listen", Key: "listen", Value: "127.0.0.1:1"}
	rows := []struct {
		name, want string
		env        config.Lookup
		flags      []config.Flag
	}{
		{"file over default", "127.0.0.1:3", env(), nil},
		{"environment over file", "127.0.0.1:2", env("IMRELAY_LISTEN", "127.0.0.1:2"), nil},
		{"an empty variable is none", "127.0.0.1:3", env("IMRELAY_LISTEN", ""), nil},
		{"flag over environment", "127.0.0.1:1", env("IMRELAY_LISTEN", "127.0.0.1:2"), []config.Flag{flag}},
		{"other variables are not for files", "127.0.0.1:3", env("IM_SELF", "x", "IM_SEND_TOKEN", "y"), nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(file, row.env, row.flags...)
			if err != nil {
				t.Fatal(err)
			}
			if c.Listen != row.want || c.IMs["a"].Self != "" {
				t.Errorf("got listen %s and self %q, want %s and none", c.Listen, c.IMs["a"].Self, row.want)
			}
		})
	}
	t.Run("IMRELAY_CONFIG names the file", func(t *testing.T) {
		t.Parallel()
		c, err := config.Load("", env("IMRELAY_CONFIG", file))
		if err != nil || c.Listen != "127.0.0.1:3" {
			t.Errorf("got %s, %v", c.Listen, err)
		}
	})
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	path := write(t, "from-file\r\n")
	file := `
ims: {a: {format: generic, token: "file:` + path + `", signature: {kind: standard, secrets: ["file:` + path + `", second]}}}
agents: {b: {kind: webhook, secret: "file:${DIR}/` + filepath.Base(path) + `", url: "http://h/file:x"}}
`
	c, err := config.Parse("c.yaml", []byte(file), env("DIR", filepath.Dir(path)))
	if err != nil {
		t.Fatal(err)
	}
	var own struct {
		config.Keys `yaml:",inline"`
		URL         string `yaml:"url"`
	}
	if err := c.Agents["b"].Own.Decode(&own); err != nil {
		t.Fatal(err)
	}
	keys := c.IMs["a"].Signature.All()
	got := []string{c.IMs["a"].Token.Reveal(), keys[0].Reveal(), keys[1].Reveal(), own.All()[0].Reveal()}
	if diff := cmp.Diff([]string{"from-file", "from-file", "second", "from-file"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadRefusesAFileThatItCannotRead(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none.yaml")
	rows := []struct{ name, path, want string }{
		{"missing", missing, missing + ": the file cannot be read: no such file or directory"},
		{"a folder", filepath.Dir(missing), filepath.Dir(missing) + ": the file cannot be read: is a directory"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(row.path, env())
			if _, ok := errors.AsType[*config.Error](err); !ok || err.Error() != row.want {
				t.Errorf("got %v, want the *Error %s", err, row.want)
			}
		})
	}
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A kind that answers when its turn is over gets the time for one, unless it is told otherwise.
func TestAgentTimeout(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]time.Duration{
		"kind: openclaw, url: 'http://127.0.0.1:1'":                5 * time.Second,
		"kind: openclaw, mode: hooks, url: 'http://127.0.0.1:1'":   20 * time.Second,
		"kind: webhook, url: 'http://127.0.0.1:1'":                 5 * time.Second,
		"kind: nekro, url: 'http://127.0.0.1:1'":                   10 * time.Second,
		"kind: nekro, mode: sse, url: 'http://127.0.0.1:1'":        30 * time.Second,
		"kind: astrbot, url: 'http://127.0.0.1:1'":                 3 * time.Minute,
		"kind: astrbot, mode: callback, url: 'http://127.0.0.1:1'": 10 * time.Second,
		"kind: xopcbot, url: 'http://127.0.0.1:1'":                 3 * time.Minute,
		"kind: openai, timeout: 7s, url: 'http://127.0.0.1:1'":     7 * time.Second,
	} {
		c, err := config.Parse("relay.yaml", []byte("ims: {a: {format: wechat}}\nagents: {b: {"+agent+"}}\n"), env())
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Agents["b"].Timeout; got != want {
			t.Errorf("%s: got %v, want %v", agent, got, want)
		}
	}
}
