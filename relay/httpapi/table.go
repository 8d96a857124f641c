package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

// Account is how one IM account is received.
type Account struct {
	// Name is the configured name, the one in /im/{name}/inbound.
	Name string
	// Networks are the source networks; empty: any.
	Networks []netip.Prefix
	// Tokens are the accepted tokens, as a Bearer or as ?token=; empty: none is needed.
	Tokens []secret.Text
	// Verifier checks signatures; nil: none is needed.
	Verifier signer.Verifier
	// Plain answers 200 {} in place of every 2xx, for IMs to which an answer's body is a command.
	Plain bool
	// Probe answers HEAD with 200, for IM servers that look whether the address lives.
	Probe bool
	// Socket serves the WebSockets that the IM opens by itself, once source and token were checked; nil: there are none.
	Socket http.Handler
}

// APIClient is who may send.
type APIClient struct {
	outbound.Client
	// Tokens are the client's tokens, at least one.
	Tokens []secret.Text
}

// Callback is an address that an agent posts to by itself.
type Callback struct {
	// Agent is its name.
	Agent string
	// Path is the secret last part of the address.
	Path secret.Text
	// Take makes what was posted durable. Errors to show are [*relay.Refusal]; any other is a 503.
	Take func(ctx context.Context, body []byte) error
}

// Admin is who may look and mend.
type Admin struct {
	// Token is the admin token; zero: nobody gets in.
	Token secret.Text
	// LoopbackOnly refuses the token from everywhere but the loopback networks: it was made at random.
	LoopbackOnly bool
}

// Table is the part of the configuration that may change while the server runs.
type Table struct {
	Accounts []Account
	Clients  []APIClient
	Admin    Admin
	// Callbacks are the agents' addresses.
	Callbacks []Callback
	// TrustedProxies are the networks whose X-Forwarded-For is believed; empty: nobody's.
	TrustedProxies []netip.Prefix
	// Wait is how long an inbound post waits for the agent, where the caller prefers nothing else.
	Wait time.Duration
	// MaxInbound and MaxSend bound the bodies, in bytes; 0: 1 MiB and 256 KiB.
	MaxInbound, MaxSend int64
}

// Default bounds of bodies.
const (
	defaultMaxInbound = 1 << 20
	defaultMaxSend    = 256 << 10
)

// table is a Table made ready for requests: looked up by name, secrets as digests. It is never changed.
type table struct {
	accounts            map[string]*account
	only                *account
	clients             ring[outbound.Client]
	admin               ring[struct{}]
	callbacks           map[string]*ring[Callback] // by agent
	loopbackOnly        bool
	proxies             []netip.Prefix
	wait                time.Duration
	maxInbound, maxSend int64
}

// account is an Account with its tokens as digests.
type account struct {
	Account

	tokens ring[struct{}]
}

// compile makes a Table ready, or says what is wrong with it.
func compile(t Table) (*table, error) {
	c := &table{
		accounts: make(map[string]*account, len(t.Accounts)), loopbackOnly: t.Admin.LoopbackOnly,
		callbacks: map[string]*ring[Callback]{},
		proxies:   t.TrustedProxies, wait: t.Wait, maxInbound: t.MaxInbound, maxSend: t.MaxSend,
	}
	if c.maxInbound <= 0 {
		c.maxInbound = defaultMaxInbound
	}
	if c.maxSend <= 0 {
		c.maxSend = defaultMaxSend
	}
	c.admin.add(t.Admin.Token, struct{}{})
	for _, cb := range t.Callbacks {
		in := &ring[Callback]{}
		if c.callbacks[cb.Agent] != nil || !in.add(cb.Path, cb) {
			return nil, fmt.Errorf("agent %q: its callback is given twice or has no path", cb.Agent)
		}
		c.callbacks[cb.Agent] = in
	}
	for _, a := range t.Accounts {
		if err := c.addAccount(a); err != nil {
			return nil, err
		}
	}
	for _, client := range t.Clients {
		if err := c.addClient(client); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// addAccount adds one account, and remembers it as the only one while it is.
func (t *table) addAccount(a Account) error {
	if a.Name == "" || t.accounts[a.Name] != nil {
		return fmt.Errorf("account %q: name is empty or used twice", a.Name)
	}
	entry := &account{Account: a}
	for _, token := range a.Tokens {
		if !entry.tokens.add(token, struct{}{}) {
			return fmt.Errorf("account %q: a token is empty or given twice", a.Name)
		}
	}
	t.accounts[a.Name] = entry
	t.only = nil
	if len(t.accounts) == 1 {
		t.only = entry
	}
	return nil
}

// addClient adds one client's tokens. A token that two clients share would make both look like the first.
func (t *table) addClient(client APIClient) error {
	if len(client.Tokens) == 0 {
		return fmt.Errorf("client %q: has no token", client.Name)
	}
	for _, token := range client.Tokens {
		if !t.clients.add(token, client.Client) {
			return fmt.Errorf("client %q: a token is empty or used twice", client.Name)
		}
	}
	return nil
}
