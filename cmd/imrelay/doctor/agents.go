package doctor

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/imrelay/imrelay/relay/config"
)

// maxSkew is how far another clock may be from ours before somebody should know: signatures are good for 5 minutes.
const maxSkew = time.Minute

// sources looks at who may push. A start with an exposed account is refused, so this is for those who insist.
func (e *examination) sources() {
	for _, name := range e.Config.Exposed() {
		e.warn("im "+name, "give it a token, a signature or allow:", "anybody who reaches %s may push to it, so a start without --insecure is refused",
			e.Config.Listen)
	}
}

func (e *examination) agents(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(e.Config.Agents)) {
		e.agent(ctx, name, e.Config.Agents[name])
	}
}

// healthPaths are where the kinds that have one tell of their health.
var healthPaths = map[string]string{"openclaw": "/healthz", "xopcbot": "/health"}

// agent looks whether an agent can be reached: a connection for all kinds, and for some its health as well. What takes
// events is left alone: its answer to a GET would mean nothing.
func (e *examination) agent(ctx context.Context, name string, a config.Agent) {
	label := "agent " + name
	u, err := url.Parse(AgentURL(a))
	if err != nil || u.Host == "" {
		e.warn(label, "look at its url", "its address is not known")
		return
	}
	if err := dial(ctx, u); err != nil {
		fix := "start it, or look at its url; until then its events wait"
		if e.Container && loopback(u.Hostname()) {
			fix = "inside a container " + u.Hostname() + " is the container itself: write the other container's name, " +
				"or host.docker.internal for the host"
		}
		e.fail(label, fix, "%s cannot be reached: %s", u.Host, reason(err))
		return
	}
	path, ok := healthPaths[a.Kind]
	if !ok {
		e.ok(label, "%s takes connections", u.Host)
		return
	}
	e.health(ctx, label, u.ResolveReference(&url.URL{Path: path}))
}

func (e *examination) health(ctx context.Context, label string, probe *url.URL) {
	asked := time.Now()
	status, date, err := e.get(ctx, probe.String())
	switch {
	case err != nil:
		e.fail(label, "look at its log", "%s takes connections, but %s is not answered", probe.Host, probe.Path)
		return
	case status != http.StatusOK:
		e.warn(label, "it may still be starting; look at its log", "%s answers %d", probe.Path, status)
		return
	}
	e.ok(label, "%s answers 200 in %d ms", probe.Path, time.Since(asked).Milliseconds())
	if theirs, err := http.ParseTime(date); err == nil {
		if skew := time.Since(theirs).Abs(); skew > maxSkew {
			e.warn(label, "keep both clocks with NTP", "its clock is %s away from ours", skew.Round(time.Second))
		}
	}
}

// AgentURL is the address of an agent of whatever kind; empty: it has none. The other keys are the kind's own business,
// and were checked by it.
func AgentURL(a config.Agent) string {
	var keys struct {
		URL string `yaml:"url"`
	}
	// Decode fills what it knows, and what it does not know is an error that does not matter here.
	_ = a.Own.Decode(&keys)
	return keys.URL
}

func dial(ctx context.Context, u *url.URL) error {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// reason says why a connection failed, in words without an address.
func reason(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "no such host"
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "no answer within " + dialTimeout.String()
	}
	return "connection failed"
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
