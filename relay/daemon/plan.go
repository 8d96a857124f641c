package daemon

import (
	"errors"
	"fmt"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/signer"
)

// plan is a configuration made ready: every expression compiled, every adapter made, nothing opened. A reload makes a
// new one and hands its parts out.
type plan struct {
	router  *relay.Router
	targets map[string]relay.Target
	senders outbound.Table
	api     httpapi.Table

	cfg      config.Config
	made     map[string]*made // the agents
	lines    map[string]*line // the connectors
	d        *Daemon          // nil: nothing will be run
	mistakes []error
}

// newPlan makes the plan of a configuration for the daemon, or returns every mistake in it. Without a daemon it is only
// looked at.
func newPlan(cfg config.Config, d *Daemon, insecure bool) (*plan, error) {
	p := &plan{
		cfg: cfg, d: d, made: map[string]*made{}, lines: map[string]*line{},
		router:  &relay.Router{Accounts: map[string]*relay.Account{}},
		targets: map[string]relay.Target{}, senders: outbound.Table{},
		api: httpapi.Table{
			Admin:          httpapi.Admin{Token: cfg.Admin.Token},
			TrustedProxies: cfg.TrustedProxies, Wait: cfg.Inbound.Wait,
			MaxInbound: int64(cfg.Inbound.MaxBody), MaxSend: int64(cfg.Outbound.MaxBody),
		},
	}
	if !cfg.Redis.IsZero() {
		_, err := redisconn.Parse(cfg.Redis)
		p.mistake("redis", err)
	}
	for _, name := range names(cfg.IMs) {
		p.account(name, cfg.IMs[name])
	}
	for _, name := range names(cfg.Agents) {
		p.agent(name, cfg.Agents[name])
	}
	p.routes()
	for _, name := range names(cfg.Clients) {
		c := cfg.Clients[name]
		p.api.Clients = append(p.api.Clients, httpapi.APIClient{
			Client: outbound.Client{Name: name, Accounts: c.IMs, Recipients: c.Recipients},
			Tokens: []secret.Text{c.Token},
		})
	}
	if !insecure {
		p.exposure()
	}
	if err := config.Merge(p.mistakes...); err != nil {
		return nil, err
	}
	return p, nil
}

// Check says everything that New would refuse a configuration for, without opening anything.
func Check(cfg config.Config, o Options) error {
	_, err := newPlan(cfg, nil, o.Insecure)
	return err
}

// mistake notes what is wrong with a key, each part of a joined error by itself. An adapter's own mistakes have their keys
// already.
func (p *plan) mistake(key string, err error) {
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*config.Error](err); !ok {
		all := &config.Error{}
		for _, part := range parts(err) {
			if e, ok := errors.AsType[*config.Error](p.cfg.Mistake(key, part.Error())); ok {
				all.Path, all.Mistakes, all.Hint = e.Path, append(all.Mistakes, e.Mistakes...), e.Hint
			}
		}
		err = all
	}
	p.mistakes = append(p.mistakes, err)
}

// parts are the errors that err was joined of.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, parts(e)...)
	}
	return all
}

// account plans one IM account: how it is read, guarded and sent through.
func (p *plan) account(name string, im config.IM) {
	key := "ims." + name
	kind, err := pick(formats, im.Format)
	p.mistake(key+".format", err)
	filter, err := relay.NewFilter(im.Filter)
	p.mistake(key+".filter", err)
	verifier, err := verifierOf(im.Signature)
	p.mistake(key+".signature", err)
	var format relay.Format
	if kind.make != nil {
		format, err = kind.make(im.Own)
		p.mistake(key, err)
	}
	p.router.Accounts[name] = &relay.Account{
		Name: name, Self: im.Self, Format: format, Filter: filter, MaxAge: im.MaxAge,
	}
	p.sender(name, im)
	a := httpapi.Account{Name: name, Networks: im.Allow, Verifier: verifier, Plain: kind.plain, Probe: kind.probe}
	if !im.Token.IsZero() {
		a.Tokens = []secret.Text{im.Token}
	}
	if h := p.hosted(name); h != nil {
		a.Socket = h
	}
	p.api.Accounts = append(p.api.Accounts, a)
}

// hosted is the account's connector if its IM connects to us by itself; nil: it does not.
func (p *plan) hosted(name string) connector.Hosted {
	in := p.lines[name]
	if in == nil {
		return nil
	}
	if h, ok := in.connector.(connector.Hosted); ok && h.Hosts() {
		return h
	}
	return nil
}

// residents are the agents that have a connection of their own.
func (p *plan) residents() map[string]tenant {
	out := map[string]tenant{}
	for name, in := range p.made {
		if a, ok := in.agent.(relay.Resident); ok {
			out[name] = tenant{resident: a, made: in, alone: true}
		}
	}
	return out
}

// links are the accounts whose connector keeps a connection. One that the IM opens is at whichever relay it was led to.
func (p *plan) links() map[string]tenant {
	out := map[string]tenant{}
	for name, in := range p.lines {
		if c, ok := in.connector.(outbound.Resident); ok {
			out[name] = tenant{resident: c, made: in, alone: p.hosted(name) == nil}
		}
	}
	return out
}

// sender plans how an account sends; without a connector it cannot.
func (p *plan) sender(name string, im config.IM) {
	out := outbound.Account{Limits: limitsOf(im.Limits)}
	if im.Send.Kind != "" {
		key := "ims." + name + ".send"
		make, err := pick(connectors, im.Send.Kind)
		p.mistake(key+".kind", err)
		if err == nil {
			in, err := make(im, p.d.connectorWire(name, im), p.d.line(name))
			p.mistake(key, err)
			if in != nil {
				out.Connector, p.lines[name] = in.connector, in
				p.mistake("ims."+name+".limits", out.Limits.Idle(in.connector))
			}
		}
	}
	p.senders[name] = out
}

// limitsOf are the configured limits in the sender's words.
func limitsOf(l config.Limits) outbound.Limits {
	return outbound.Limits{
		Account:   outbound.Rate{N: l.Rate.N, Per: l.Rate.Per, Burst: l.Burst},
		Recipient: outbound.Rate{N: l.PerRecipient.N, Per: l.PerRecipient.Per},
		MaxText:   l.MaxText, Jitter: l.Jitter, Ramp: l.Ramp,
		Quiet: outbound.Quiet{From: l.Quiet.From, To: l.Quiet.To, In: l.Quiet.Location()},
	}
}

// verifierOf is what checks an account's signatures; nil: nothing.
func verifierOf(s config.Signature) (signer.Verifier, error) {
	if s.Kind == "" {
		return nil, nil //nolint:nilnil // no signature is no error
	}
	var secrets []string
	for _, t := range s.All() {
		secrets = append(secrets, t.Reveal())
	}
	return signer.NewVerifier(s.Kind, secrets...)
}

// agent plans one agent.
func (p *plan) agent(name string, a config.Agent) {
	key := "agents." + name
	make, err := pick(agents, a.Kind)
	p.mistake(key+".kind", err)
	if err != nil {
		return
	}
	in, err := make(a.Own, p.d.wire(name, a), p.d.agent(name))
	p.mistake(key, err)
	if err != nil {
		return
	}
	p.made[name] = in
	target := relay.Target{
		Agent: in.agent, Concurrency: a.Concurrency,
		Policy: relay.Policy{
			Base: a.Retry.Base, Cap: a.Retry.Cap, ParkAfter: a.Retry.ParkAfter, MaxAge: a.Retry.MaxAge,
			MaxAttempts: a.Retry.MaxAttempts, OnStuck: stuck[a.OnStuck],
		},
	}
	if _, ok := in.agent.(relay.Resident); ok && p.d != nil {
		target.Away = func() bool { return p.d.residents.away(name) }
	}
	p.targets[name] = target
	if in, ok := in.agent.(agent.CalledBack); ok && !in.Path().IsZero() {
		p.api.Callbacks = append(p.api.Callbacks, httpapi.Callback{Agent: name, Path: in.Path(), Take: in.Callback})
	}
}

// stuck are the words of on_stuck.
var stuck = map[string]relay.Stuck{"park": relay.StuckPark, "block": relay.StuckBlock, "bury": relay.StuckBury}

// routes plans the routes; without any, everything goes to the only agent.
func (p *plan) routes() {
	for i, r := range p.cfg.Routes {
		when, err := relay.NewFilter(r.When)
		p.mistake(fmt.Sprintf("routes[%d].when", i), err)
		p.router.Routes = append(p.router.Routes, relay.Route{Account: r.IM, When: when, Agent: r.Agent})
	}
	if len(p.cfg.Routes) > 0 {
		return
	}
	for name := range p.cfg.Agents {
		p.router.Routes = []relay.Route{{Agent: name}}
	}
}

// exposure refuses a listener beyond loopback with an account that everybody could post to.
func (p *plan) exposure() {
	for _, name := range p.cfg.Exposed() {
		p.mistake("ims."+name, errors.New("the listener is open beyond this machine, and this account has neither token, "+
			"signature nor allow; give it one, or start with --insecure"))
	}
}

// accountStates are the accounts as far as the configuration knows them.
func (p *plan) accountStates() []httpapi.AccountState {
	var out []httpapi.AccountState
	for _, name := range names(p.cfg.IMs) {
		im := p.cfg.IMs[name]
		out = append(out, httpapi.AccountState{Name: name, Format: im.Format, Connector: im.Send.Kind})
	}
	return out
}

// agentStates are the agents as far as the configuration knows them.
func (p *plan) agentStates() []httpapi.AgentState {
	var out []httpapi.AgentState
	for _, name := range names(p.cfg.Agents) {
		out = append(out, httpapi.AgentState{Name: name, Kind: p.cfg.Agents[name].Kind})
	}
	return out
}
