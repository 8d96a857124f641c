package daemon

import (
	"sync"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/metrics"
)

// activity remembers when each account last worked, beside counting for Prometheus.
type activity struct {
	*metrics.Registry

	mu       sync.Mutex
	accounts map[string]accountActivity
}

// outboundSent is how the sender calls a call that worked.
const outboundSent = "sent"

// accountActivity is one account's; times are zero for "not since the start".
type accountActivity struct {
	received, sent time.Time
	failed         string // why the last send failed; empty: it did not
}

var (
	_ relay.Meter       = (*activity)(nil)
	_ outbound.Observer = (*activity)(nil)
)

func newActivity(r *metrics.Registry) *activity {
	return &activity{Registry: r, accounts: map[string]accountActivity{}}
}

// Inbound implements relay.Meter.
func (a *activity) Inbound(account, result string) {
	a.Registry.Inbound(account, result)
	a.note(account, func(x *accountActivity) { x.received = time.Now() })
}

// Called implements outbound.Observer.
func (a *activity) Called(account, outcome string, took time.Duration) {
	a.Registry.Called(account, outcome, took)
	a.note(account, func(x *accountActivity) {
		if x.failed = ""; outcome == outboundSent {
			x.sent = time.Now()
		} else {
			x.failed = outcome
		}
	})
}

// note changes what is known of an account.
func (a *activity) note(account string, change func(*accountActivity)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := a.accounts[account]
	change(&x)
	a.accounts[account] = x
}

// of returns what is known of an account.
func (a *activity) of(account string) accountActivity {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.accounts[account]
}
