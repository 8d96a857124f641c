// Package daemon puts a relay together and runs it: the only package that names stores, formats, agents and connectors.
// It decides nothing about messages. A command gives it a configuration and a context; everything else hangs on them.
package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/metrics"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/secret"
)

// Times of starting and stopping.
const (
	// drainTime is how long attempts under way may go on after a stop.
	drainTime = 20 * time.Second
	// sendTime is how much longer sends may, which are ended after the attempts.
	sendTime = 2 * time.Second
	// answerTime is how long answers under way may take once nothing new is accepted.
	answerTime = 5 * time.Second
	// sweepEvery is how often what is over is removed.
	sweepEvery = time.Minute
)

// Bounds of open connections: half of the files that the process may open are for the store and the agents.
const (
	mostConnections = 10_000
	fewestFiles     = 256
)

// Options are what does not stand in the configuration.
type Options struct {
	// Log gets every line.
	Log *zap.Logger
	// Level is the logger's, so that a reload can change it; the zero value: it cannot.
	Level zap.AtomicLevel
	// Version is shown by /healthz and in the metrics.
	Version string
	// Insecure lets a listener beyond loopback be open to everybody.
	Insecure bool
	// Drain is how long attempts under way may go on after a stop; 0: 20 s.
	Drain time.Duration

	// visit opens a shared store for a command, not for a relay.
	visit bool
}

// Daemon is one relay process.
type Daemon struct {
	o        Options
	log      *zap.Logger
	undo     teardown
	store    *store
	doer     *egress.Client
	strange  *egress.Client // for addresses that strangers name
	media    *connector.Bounded
	acceptor *relay.Acceptor
	disp     *relay.Dispatcher
	brake    *relay.Brake
	sender   *outbound.Sender
	api      *httpapi.Server
	servers  []server
	overview *overview
	alarms   alarms
	random   httpapi.Admin // for this machine, while none is configured
	url      string
	started  time.Time

	cfg       config.Config // of the start; a reload hands a new one out and does not keep it
	reloading sync.Mutex
	plan      atomic.Pointer[plan] // in force
	residents residents            // the agents'
	links     residents            // the accounts'
	// running is the context of what Run started; a reload begins connections in it.
	running context.Context //nolint:containedctx // Reload has none of its own, and what it begins outlives it
}

// server is one listener and what serves it.
type server struct {
	name     string
	http     *http.Server
	listener net.Listener
}

// New checks the configuration, opens the store and binds the listeners; nothing is served before Run. Whatever it
// opened is closed again if it fails, and by Close.
func New(ctx context.Context, cfg config.Config, o Options) (*Daemon, error) {
	if o.Drain <= 0 {
		o.Drain = drainTime
	}
	d := &Daemon{o: o, cfg: cfg, doer: egress.New(egress.Options{Proxy: egress.ProxyFromEnvironment})}
	d.strange = egress.New(egress.Options{
		Proxy: egress.ProxyFromEnvironment, Public: true, Allow: cfg.Outbound.MediaAllow,
	})
	d.media = connector.Bound(d.strange, connector.MediaRoom)
	if err := d.build(ctx); err != nil {
		return nil, errors.Join(err, d.undo.run())
	}
	return d, nil
}

// build does New's steps; each registers how it is undone.
func (d *Daemon) build(ctx context.Context) error {
	events := newStream()
	d.log = d.o.Log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return zapcore.NewTee(c, events) }))
	p, err := newPlan(d.cfg, d, d.o.Insecure)
	if err != nil {
		return err
	}
	d.undo.add("connections", func() error { d.doer.Close(); d.strange.Close(); return nil })
	if err := d.open(ctx); err != nil {
		return err
	}
	registry := metrics.New(d.o.Version)
	seen := newActivity(registry)
	d.relay(p, seen)
	if d.sender, err = d.newSender(p, seen); err != nil {
		return err
	}
	d.overview = &overview{d: d, seen: seen}
	registry.Sampled(d.sample)
	if err := d.edge(p, registry, events); err != nil {
		return err
	}
	d.plan.Store(p)
	return d.announce()
}

// open opens the store. The embedded one guards its folder itself.
func (d *Daemon) open(ctx context.Context) (err error) {
	if !d.cfg.Redis.IsZero() {
		if err := folder(d.cfg.Data); err != nil {
			return err
		}
		if err := alone(ctx, d.cfg.Data); err != nil {
			return err
		}
	}
	o := d.o
	o.Log = d.log
	if d.store, err = openStore(ctx, d.cfg, o); err != nil {
		return err
	}
	d.undo.add("store", d.store.Close)
	d.residents.kind, d.residents.seats = "agent", d.store.seats
	d.links.kind, d.links.seats = "im", d.store.seats
	return nil
}

// relay makes the inbound half.
func (d *Daemon) relay(p *plan, seen *activity) {
	o := relay.DispatcherOptions{
		Source: d.store.queue, Targets: p.targets, Outbox: outbox{d}, Drain: d.o.Drain, Meter: seen, Log: d.log,
	}
	if d.store.conn != nil {
		o.Herald = herald{d.store.conn}
	}
	d.disp = relay.NewDispatcher(o)
	d.brake = relay.NewBrake(d.store.queue, brakeOptions(d.cfg.Loop), d.log)
	d.acceptor = relay.NewAcceptor(relay.AcceptorOptions{
		Queue: d.store.queue, Dispatcher: d.disp, Brake: d.brake, Router: p.router, Presence: d.presence,
		Heard: func(account string) { d.sender.Hint(account) },
		Meter: seen, Log: d.log,
	})
}

// presence tells the sender what the IM says of an account.
func (d *Daemon) presence(account string, online bool) {
	if online {
		d.sender.Online(account)
		return
	}
	d.sender.Offline(account)
}

func brakeOptions(l config.Loop) relay.BrakeOptions {
	return relay.BrakeOptions{Turns: l.Turns, Window: l.Window, Pause: l.Pause}
}

// newSender makes the outbound half.
func (d *Daemon) newSender(p *plan, seen *activity) (*outbound.Sender, error) {
	return outbound.New(outbound.Options{
		Store: d.store.ledger, Limiter: d.store.limiter, Accounts: p.senders, Hold: d.cfg.Outbound.Hold,
		Lease: d.store.lease, Sent: d.sent, Known: d.store.queue.Accounts, Alarm: accountAlarms{d},
		Observer: seen, Log: d.log,
	})
}

// sent remembers what we sent, so that its echo is known, and tells the brake.
func (d *Daemon) sent(ctx context.Context, account, to, id string) error {
	err := d.brake.Sent(ctx, account, to)
	if id == "" {
		return err
	}
	if e := d.store.queue.Remember(ctx, queue.Key{Account: account, Conversation: to, Identity: id}); e != nil {
		err = errors.Join(err, fmt.Errorf("remember a sent message: %w", e))
	}
	return err
}

// edge makes the HTTP side and binds its listeners.
func (d *Daemon) edge(p *plan, registry *metrics.Registry, events *stream) error {
	d.random = httpapi.Admin{Token: secret.New(rand.Text()), LoopbackOnly: true}
	if p.api.Admin.Token.IsZero() {
		p.api.Admin = d.random
	}
	o := httpapi.Options{
		Acceptor: d.acceptor, Sender: d.sender, Store: d.store.queue, Overview: d.overview, Stream: events,
		Health: d.overview, Table: p.api, Version: d.o.Version, Log: d.log,
	}
	if d.cfg.Metrics.Listen == "" {
		o.Metrics = registry.Handler()
	}
	var err error
	if d.api, err = httpapi.New(o); err != nil {
		return fmt.Errorf("make the API: %w", err)
	}
	main := &http.Server{} //nolint:gosec // Configure sets the time-outs
	d.api.Configure(main)
	if err := d.listen("API", d.cfg.Listen, main); err != nil {
		return err
	}
	d.url = "http://" + reachable(d.servers[0].listener.Addr())
	if d.cfg.Metrics.Listen == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", registry.Handler())
	return d.listen("metrics", d.cfg.Metrics.Listen, &http.Server{Handler: mux, ReadHeaderTimeout: answerTime})
}

// listen binds an address now, so that one in use is an error of New.
func (d *Daemon) listen(name, address string, s *http.Server) error {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", name, err)
	}
	d.undo.add(name+" listener", func() error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	l = httpapi.Ceiling(l, int(max(min(openFiles(), 2*mostConnections), fewestFiles)/2))
	d.servers = append(d.servers, server{name: name, http: s, listener: l})
	return nil
}

// reachable is an address of ours as this machine reaches it.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(tcp.Port))
}

// announce leaves the run file for the commands of this machine.
func (d *Daemon) announce() error {
	d.started = time.Now()
	if err := d.runFile(d.plan.Load().api.Admin).write(d.cfg.Data); err != nil {
		return err
	}
	d.undo.add("run file", func() error { return removeRunFile(d.cfg.Data) })
	return nil
}

// runFile is what the run file says.
func (d *Daemon) runFile(admin httpapi.Admin) RunFile {
	return RunFile{PID: os.Getpid(), Started: d.started, URL: d.url, AdminToken: admin.Token.Reveal()}
}

// URL is where the API is, with the port that was really taken.
func (d *Daemon) URL() string { return d.url }

// Close undoes what New did. It must not be called while Run runs; calling it again does nothing.
func (d *Daemon) Close() error { return d.undo.run() }
