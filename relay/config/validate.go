package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay/secret"
)

// maxWait is the longest that an IM server is kept waiting.
const maxWait = 30 * time.Second

var name = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

// placeholder matches what people leave where a secret should be, and what this package prints in place of one.
var placeholder = regexp.MustCompile(`(?i)^(change[-_ ]?(me|this|it).*|replace[-_ ]?(me|this|it|with).*|your[-_ ].*|` +
	`x{3,}|\*+|\.{3,}|…|<.*>|\[.*\]|placeholder|todo|fixme|example|secret[-_ ]?here|token[-_ ]?here|insert[-_ ].*)$`)

// checker checks the parts against each other. A key that has a mistake already is left alone.
type checker struct {
	Config
	*journal
}

func (c Config) validate(j *journal) {
	k := checker{c, j}
	k.server()
	for _, name := range slices.Sorted(maps.Keys(c.IMs)) {
		k.im(join("ims", name), name, c.IMs[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Agents)) {
		k.agent(join("agents", name), name, c.Agents[name])
	}
	k.routes()
	k.clients()
}

// check adds a mistake unless ok.
func (k checker) check(ok bool, key, message string) {
	if ok || slices.ContainsFunc(k.mistakes, func(m Mistake) bool { return m.Key == k.mistake(key, "").Key }) {
		return
	}
	k.at(key, message)
}

func (k checker) server() {
	k.address("listen", k.Listen)
	if k.Metrics.Listen != "" {
		k.address("metrics.listen", k.Metrics.Listen)
		_, port, _ := net.SplitHostPort(k.Listen)
		k.check(k.Metrics.Listen != k.Listen || port == "0", "metrics.listen", "is the same as listen; leave it empty for that")
	}
	k.check(k.Data != "" || !k.Redis.IsZero(), "data", "is missing")
	k.check(k.Inbound.Wait <= maxWait, "inbound.wait", "is more than "+FormatDuration(maxWait))
	k.check(k.Inbound.MaxBody > 0, "inbound.max_body", "must be more than 0")
	k.check(k.Outbound.MaxBody > 0, "outbound.max_body", "must be more than 0")
	k.check(k.Dedupe.Window > 0, "dedupe.window", "must be more than 0")
	if k.Loop.Turns > 0 {
		k.check(k.Loop.Window > 0, "loop.window", "must be more than 0; loop.turns: 0 turns the brake off")
		k.check(k.Loop.Pause > 0, "loop.pause", "must be more than 0; loop.turns: 0 turns the brake off")
	}
	k.check(len(k.IMs) > 0, "ims", "at least one IM account is needed")
	k.check(len(k.Agents) > 0, "agents", "at least one agent is needed")
	k.secret("redis", k.Redis.Reveal())
	k.secret("admin.token", k.Admin.Token.Reveal())
}

func (k checker) address(key, address string) {
	host, port, err := net.SplitHostPort(address)
	_, bad := strconv.ParseUint(port, 10, 16)
	k.check(err == nil && bad == nil && !strings.ContainsAny(host, "/ @"), key,
		"want host:port such as 127.0.0.1:8088")
}

func (k checker) name(key, given string) {
	k.check(name.MatchString(given), key, "a name has 1 to 64 of a-z, 0-9, _ and -")
}

func (k checker) im(key, name string, im IM) {
	k.name(key, name)
	k.check(im.Format != "", key+".format", "is missing")
	k.secret(key+".token", im.Token.Reveal())
	keys := im.Signature.All()
	k.check(im.Signature.Kind != "" || len(keys) == 0, key+".signature.kind", "is missing")
	k.check(im.Signature.Kind == "" || len(keys) > 0, key+".signature.secret", "is missing")
	k.keys(key+".signature", im.Signature.Keys)
	k.age(key+".max_age", im.MaxAge)
	k.check(im.Send.Kind != "" || len(im.Send.Own.Keys()) == 0, key+".send.kind", "is missing")
	k.check(im.Send.Timeout > 0, key+".send.timeout", "must be more than 0")
	k.section(im.Own)
	k.section(im.Send.Own)
}

func (k checker) agent(key, name string, a Agent) {
	k.name(key, name)
	k.check(a.Kind != "", key+".kind", "is missing")
	k.check(a.Timeout > 0, key+".timeout", "must be more than 0")
	k.check(a.Concurrency >= 1, key+".concurrency", "must be at least 1")
	k.check(a.OnStuck != "", key+".on_stuck", "want one of park, block, bury")
	r := a.Retry
	k.check(r.Base > 0, key+".retry.base", "must be more than 0")
	k.check(r.Cap >= r.Base, key+".retry.cap", "is less than retry.base")
	k.check(r.MaxAge > 0, key+".retry.max_age", "must be more than 0")
	k.check(r.ParkAfter <= r.MaxAge, key+".retry.park_after", "is more than retry.max_age")
	k.age(key+".retry.max_age", r.MaxAge)
	k.section(a.Own)
}

// age checks a max_age: what may still come must still be known as a repeat.
func (k checker) age(key string, age time.Duration) {
	k.check(age <= k.Dedupe.Window, key, "is more than dedupe.window, "+FormatDuration(k.Dedupe.Window)+
		": a message could come again after it was forgotten")
}

func (k checker) keys(key string, keys Keys) {
	k.check(keys.Secret.IsZero() || len(keys.Secrets) == 0, key+".secrets", "give either secret or secrets")
	k.secret(key+".secret", keys.Secret.Reveal())
	for i, s := range keys.Secrets {
		at := fmt.Sprintf("%s.secrets[%d]", key, i)
		k.check(!s.IsZero(), at, "is empty")
		k.secret(at, s.Reveal())
	}
}

// secret checks that a secret, where there is one, is none that a thousand others have.
func (k checker) secret(key, s string) {
	k.check(!placeholder.MatchString(strings.TrimSpace(s)), key, "is a placeholder, not a secret")
}

// section checks what can be known of the keys that belong to a kind.
func (k checker) section(s Section) {
	for _, key := range slices.Sorted(maps.Keys(s.secrets())) {
		content, err := openSecret(s.secrets()[key])
		if err != nil {
			k.check(false, key, err.Error())
			continue
		}
		k.secret(key, content)
	}
	for _, key := range []string{"url", "webhook"} {
		v := s.find(key)
		if v == nil || v.form != text || strings.HasPrefix(v.text, secretFile) {
			continue
		}
		u, err := url.Parse(v.text)
		k.check(err == nil && u.Host != "" && slices.Contains([]string{"http", "https", "ws", "wss"}, u.Scheme),
			join(s.s.key, key), "want a whole URL such as http://127.0.0.1:9000/send")
	}
}

func (k checker) routes() {
	k.check(len(k.Routes) > 0 || len(k.Agents) < 2, "routes", "are needed to choose between several agents")
	for i, r := range k.Routes {
		key := fmt.Sprintf("routes[%d]", i)
		k.check(r.Agent != "", key+".agent", "is missing")
		if r.Agent != "" {
			known(k, key+".agent", r.Agent, k.Agents)
		}
		if r.IM != "" {
			known(k, key+".im", r.IM, k.IMs)
		}
	}
}

func (k checker) clients() {
	owners := map[secret.Text]string{}
	for _, name := range slices.Sorted(maps.Keys(k.Clients)) {
		client, key := k.Clients[name], join("clients", name)
		k.name(key, name)
		k.check(!client.Token.IsZero(), key+".token", "is missing")
		k.secret(key+".token", client.Token.Reveal())
		if owner, taken := owners[client.Token]; taken && !client.Token.IsZero() {
			k.check(false, key+".token", "is also the token of "+join("clients", owner))
		}
		owners[client.Token] = name
		for i, im := range client.IMs {
			known(k, fmt.Sprintf("%s.ims[%d]", key, i), im, k.IMs)
		}
		for i, to := range client.Recipients {
			k.check(to != "", fmt.Sprintf("%s.recipients[%d]", key, i), "is empty")
		}
	}
}

// known checks that a name is one of those that are configured.
func known[T any](k checker, key, name string, all map[string]T) {
	_, ok := all[name]
	names := slices.Sorted(maps.Keys(all))
	k.check(ok, key, "names nothing that is configured; there is "+strings.Join(names, ", "))
}

// Loopback says that the API listens on loopback only.
func (c Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Exposed returns the accounts that anybody who reaches the listener could push to: it is not on loopback only, and
// they have neither token nor signature nor allow. A start with any is refused unless the operator insists.
func (c Config) Exposed() []string {
	if c.Loopback() {
		return nil
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.IMs)) {
		if !c.IMs[name].Checked() {
			names = append(names, name)
		}
	}
	return names
}
