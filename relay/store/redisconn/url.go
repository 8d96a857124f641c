package redisconn

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/imrelay/imrelay/relay/secret"
)

// MaxShards is the largest number of shards: tokens and sequence numbers keep the shard's number in their lowest byte.
const MaxShards = 256

const (
	defaultShards    = 16
	maxWaitReplicas  = 16
	maxDatabase      = 1 << 20
	portOfServers    = "6379"
	portOfSentinels  = "26379"
	schemeForms      = "redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, redis+cluster:// or rediss+cluster://"
	escapePasswords  = "special characters of a user or password are written as %40 for @, %3A for :, %2F for /, %3F for ?, %25 for %"
	knownOptionNames = "shards, wait_replicas, db (unix), sentinel_username and sentinel_password (Sentinel), " +
		"ca_file, cert_file, key_file and server_name (TLS)"
)

// URLError says what is wrong with a URL of Redis. It shows neither the URL nor anything that could be a secret of it.
type URLError struct {
	// Problem is what is wrong and what to write instead.
	Problem string
}

// Error implements error.
func (e *URLError) Error() string { return "the URL of Redis " + e.Problem }

// Mode is how Redis is run.
type Mode uint8

// The modes.
const (
	// Single is one server, or a name behind which there is one.
	Single Mode = iota
	// Sentinel is one master that Sentinels know and replace.
	Sentinel
	// Cluster is several masters that share the data.
	Cluster
)

// String names the mode as logs and doctor do.
func (m Mode) String() string {
	switch m {
	case Sentinel:
		return "sentinel"
	case Cluster:
		return "cluster"
	}
	return "single"
}

// Target is what a URL says. It prints no secret.
type Target struct {
	// Mode is how Redis is run.
	Mode Mode
	// Shards is the number of parts the data is spread over.
	Shards int
	// WaitReplicas is how many replicas must have a call that is marked so before it counts as done.
	WaitReplicas int

	network          string
	addrs            []string
	master           string
	db               int
	username         string
	password         secret.Text
	sentinelUsername string
	sentinelPassword secret.Text
	tls              *tls.Config
}

// Parse reads a URL without connecting. An error is an [*URLError].
func Parse(u secret.Text) (Target, error) {
	p := parser{t: Target{Shards: defaultShards, network: "tcp"}}
	scheme, rest, ok := strings.Cut(u.Reveal(), "://")
	if !ok {
		return Target{}, &URLError{"does not begin with " + schemeForms}
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	for _, step := range []func() string{
		func() string { return p.scheme(scheme) },
		func() string { return p.options(query) },
		func() string { return p.user(&authority) },
		func() string { return p.place(authority, path) },
		p.transport,
	} {
		if problem := step(); problem != "" {
			return Target{}, &URLError{problem}
		}
	}
	return p.t, nil
}

// parser is the target so far. Its steps return what is wrong, or nothing.
type parser struct {
	t      Target
	secure bool
	given  url.Values
}

func (p *parser) scheme(s string) string {
	base, kind, plus := strings.Cut(s, "+")
	p.secure = base == "rediss"
	switch {
	case s == "unix":
		p.t.network = "unix"
	case base != "redis" && base != "rediss", plus && kind != "sentinel" && kind != "cluster":
		return "does not begin with " + schemeForms
	case kind == "sentinel":
		p.t.Mode = Sentinel
	case kind == "cluster":
		p.t.Mode = Cluster
	}
	return ""
}

// allowed are the options that mean something here. One that does not would be a mistake that nobody sees.
func (p *parser) allowed() []string {
	names := []string{"shards", "wait_replicas"}
	if p.t.network == "unix" {
		names = append(names, "db")
	}
	if p.t.Mode == Sentinel {
		names = append(names, "sentinel_username", "sentinel_password")
	}
	if p.secure {
		names = append(names, "ca_file", "cert_file", "key_file", "server_name")
	}
	return names
}

// options reads what follows the ?. A name that is not known is not shown: it may be the rest of a password.
func (p *parser) options(query string) string {
	given, err := url.ParseQuery(query)
	if err != nil {
		return "has options that cannot be read; " + escapePasswords
	}
	p.given = given
	for name, values := range given {
		switch {
		case !slices.Contains(p.allowed(), name):
			return "has an option that is unknown or has no meaning with this scheme; there are " + knownOptionNames +
				"; " + escapePasswords
		case len(values) > 1:
			return "has the option " + name + " twice"
		case values[0] == "":
			return "has the option " + name + " without a value"
		}
	}
	p.t.sentinelUsername = given.Get("sentinel_username")
	p.t.sentinelPassword = secret.New(given.Get("sentinel_password"))
	for _, n := range []struct {
		name     string
		to       *int
		from, up int
	}{
		{"shards", &p.t.Shards, 1, MaxShards},
		{"wait_replicas", &p.t.WaitReplicas, 0, maxWaitReplicas},
		{"db", &p.t.db, 0, maxDatabase},
	} {
		if !given.Has(n.name) {
			continue
		}
		v, err := strconv.Atoi(given.Get(n.name))
		if err != nil || v < n.from || v > n.up {
			return "has the option " + n.name + " with something other than a number from " + strconv.Itoa(n.from) + " to " +
				strconv.Itoa(n.up)
		}
		*n.to = v
	}
	return ""
}

// user takes user and password off the authority.
func (p *parser) user(authority *string) string {
	at := strings.LastIndexByte(*authority, '@')
	if at < 0 {
		return ""
	}
	name, password, _ := strings.Cut((*authority)[:at], ":")
	*authority = (*authority)[at+1:]
	var err error
	if p.t.username, err = url.PathUnescape(name); err != nil {
		return "has a user that cannot be read; " + escapePasswords
	}
	if password, err = url.PathUnescape(password); err != nil {
		return "has a password that cannot be read; " + escapePasswords
	}
	p.t.password = secret.New(password)
	if p.t.username != "" && password == "" {
		return "has a user without a password; a password alone is written :password@"
	}
	return ""
}

// place reads where the servers are, and which database or master of theirs it is.
func (p *parser) place(authority, path string) string {
	if p.t.network == "unix" {
		if authority != "" || path == "" || path == "/" {
			return "names no socket; a socket is written unix:///run/redis/redis.sock"
		}
		p.t.addrs = []string{path}
		return ""
	}
	port := portOfServers
	if p.t.Mode == Sentinel {
		port = portOfSentinels
	}
	for host := range strings.SplitSeq(authority, ",") {
		addr, ok := address(host, port)
		if !ok {
			return "has a host that cannot be read; hosts are written host:port; " + escapePasswords
		}
		p.t.addrs = append(p.t.addrs, addr)
	}
	if p.t.Mode == Single && len(p.t.addrs) > 1 {
		return "names several hosts; that takes redis+sentinel:// or redis+cluster://"
	}
	return p.path(strings.Split(strings.TrimPrefix(path, "/"), "/"))
}

func (p *parser) path(parts []string) string {
	if p.t.Mode == Sentinel {
		name, err := url.PathUnescape(parts[0])
		if err != nil || name == "" {
			return "names no master; with Sentinel it ends in /master or /master/db"
		}
		p.t.master, parts = name, parts[1:]
	}
	if len(parts) == 0 || (len(parts) == 1 && parts[0] == "") {
		return ""
	}
	db, err := strconv.Atoi(parts[0])
	switch {
	case err != nil || db < 0 || db > maxDatabase || len(parts) > 1:
		return "has a database that is not a number; it is written after the host, such as /0; " + escapePasswords
	case p.t.Mode == Cluster && db != 0:
		return "names a database; a Cluster has only number 0"
	}
	p.t.db = db
	return ""
}

// address checks one host:port; the port may be missing.
func address(s, port string) (string, bool) {
	host := strings.Trim(s, "[]")
	if strings.Contains(s, ":") && !strings.HasSuffix(s, "]") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", false
		}
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 || host == "" || strings.ContainsFunc(host, notInHost) {
		return "", false
	}
	return net.JoinHostPort(host, port), true
}

func notInHost(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-._:%", r)
}

// transport reads what TLS needs.
func (p *parser) transport() string {
	if !p.secure {
		return ""
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: p.given.Get("server_name")}
	if file := p.given.Get("ca_file"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return "has a ca_file that cannot be read: " + err.Error()
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return "has a ca_file without a certificate in PEM form"
		}
	}
	cert, key := p.given.Get("cert_file"), p.given.Get("key_file")
	if (cert == "") != (key == "") {
		return "has one of cert_file and key_file; both are needed"
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return "has a cert_file and key_file that cannot be used: " + err.Error()
		}
		c.Certificates = []tls.Certificate{pair}
	}
	p.t.tls = c
	return ""
}
