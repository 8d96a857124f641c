package relay

import (
	"time"
)

// Account is how one IM account's messages are read.
type Account struct {
	// Name is the configured name.
	Name string
	// Self is the account's own id; empty: not configured.
	Self string
	// Format reads its bodies.
	Format Format
	// Filter leaves messages out; nil: none.
	Filter *Filter
	// MaxAge leaves out messages that are older by the IM's own time; 0: no limit.
	MaxAge time.Duration
}

// Route sends an account's messages to an agent.
type Route struct {
	// Account is the account it is for; empty: every one.
	Account string
	// When narrows it; nil: every message.
	When *Filter
	// Agent is where they go.
	Agent string
}

// Router is one configuration of accounts and routes. It does not change; a new configuration is a new Router.
type Router struct {
	// Accounts by name.
	Accounts map[string]*Account
	// Routes in order; the first that matches wins.
	Routes []Route
}

// agent returns the agent that the message goes to; empty: none.
func (r *Router) agent(account string, e Envelope) string {
	for _, route := range r.Routes {
		if (route.Account == "" || route.Account == account) && route.When.Match(account, e) {
			return route.Agent
		}
	}
	return ""
}

// screen says why a message is left out before it is queued; empty: it is not.
func (a *Account) screen(e Envelope, now time.Time) Ignored {
	switch {
	case e.Meta:
		return IgnoredMeta
	case e.Self:
		return IgnoredSelf
	case a.MaxAge > 0 && !e.At.IsZero() && now.Sub(e.At) > a.MaxAge:
		return IgnoredTooOld
	case !a.Filter.Match(a.Name, e):
		return a.Filter.why(a.Name, e)
	default:
		return ""
	}
}
