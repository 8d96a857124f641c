package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/imrelay/imrelay/relay/queue"
)

// Overview knows the configured agents and accounts.
type Overview interface {
	// Agents returns the agents in the order of the configuration.
	Agents(ctx context.Context) ([]AgentState, error)
	// Accounts returns the IM accounts in the order of the configuration.
	Accounts(ctx context.Context) ([]AccountState, error)
}

// AgentState is one configured agent, as it stands. What the store counts is added by the server.
type AgentState struct {
	Name string `json:"name"`
	// Kind is the configured kind; empty for an agent that is configured no more but still has events.
	Kind string `json:"kind,omitempty"`
	// Circuit is closed (all is well), open (it is down; one attempt a second) or empty where there is none.
	Circuit string `json:"circuit,omitempty"`
	// LastSuccess and LastFailure are when the last attempts ended; zero: none since the start.
	LastSuccess Time `json:"lastSuccess,omitzero"`
	LastFailure Time `json:"lastFailure,omitzero"`
	// LastError says why the last failed attempt failed.
	LastError string `json:"lastError,omitempty"`
	// Alarms are what an operator has to mend, each with its text.
	Alarms map[string]string `json:"alarms,omitempty"`
	// Paused says that the agent as a whole is paused. Counts are of its events. The server sets both.
	Paused bool        `json:"paused"`
	Counts AgentCounts `json:"counts"`
}

// AgentCounts are the numbers of an agent's events by state.
type AgentCounts struct {
	Queued        int  `json:"queued"`
	Delivering    int  `json:"delivering"`
	Parked        int  `json:"parked"`
	Delivered     int  `json:"delivered"`
	Dead          int  `json:"dead"`
	Conversations int  `json:"conversations"`
	Oldest        Time `json:"oldest,omitzero"`
}

// AccountState is one configured IM account, as it stands.
type AccountState struct {
	Name string `json:"name"`
	// Format is how its posts are read, Connector how it is called; empty: it cannot send.
	Format    string `json:"format"`
	Connector string `json:"connector,omitempty"`
	// State is ok, degraded or failed, by its last call; empty: nothing is known yet.
	State string `json:"state,omitempty"`
	// LastReceived and LastSent are when it last worked in each direction; zero: not since the start.
	LastReceived Time `json:"lastReceived,omitzero"`
	LastSent     Time `json:"lastSent,omitzero"`
	// LastError says why its last failed call failed.
	LastError string `json:"lastError,omitempty"`
	// Alarms are what an operator has to mend, each with its text.
	Alarms map[string]string `json:"alarms,omitempty"`
}

// listAgents serves GET /api/admin/agents.
func listAgents(c *call) error {
	ctx := c.r.Context()
	agents, err := c.s.o.Overview.Agents(ctx)
	if err != nil {
		return fmt.Errorf("list agents: %w", err)
	}
	counts, err := c.s.o.Store.Stats(ctx)
	if err != nil {
		return fmt.Errorf("count events: %w", err)
	}
	pauses, err := c.s.o.Store.Pauses(ctx)
	if err != nil {
		return fmt.Errorf("list pauses: %w", err)
	}
	return c.encodeJSON(http.StatusOK, agentsJSON{Agents: withCounts(agents, counts, pauses)})
}

// agentsJSON and accountsJSON are the answers of the overview.
type (
	agentsJSON struct {
		Agents []AgentState `json:"agents"`
	}
	accountsJSON struct {
		Accounts []AccountState `json:"accounts"`
	}
)

// withCounts adds what the store knows, and the agents that only the store still knows.
func withCounts(agents []AgentState, counts map[string]queue.Counts, pauses []queue.Pause) []AgentState {
	out := slices.Clone(agents)
	for name := range counts {
		if !slices.ContainsFunc(agents, func(a AgentState) bool { return a.Name == name }) {
			out = append(out, AgentState{Name: name})
		}
	}
	slices.SortFunc(out[len(agents):], func(a, b AgentState) int { return strings.Compare(a.Name, b.Name) })
	for i := range out {
		n := counts[out[i].Name]
		out[i].Counts = AgentCounts{
			Queued: n.Queued, Delivering: n.Leased, Parked: n.Parked, Delivered: n.Delivered, Dead: n.Dead,
			Conversations: n.Lanes, Oldest: Time{n.Oldest},
		}
		out[i].Paused = slices.ContainsFunc(pauses, func(p queue.Pause) bool {
			return p.Scope == queue.Scope{Agent: out[i].Name}
		})
	}
	return orEmpty(out)
}

// orEmpty makes an empty list of none, which JSON shows as [].
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// listAccounts serves GET /api/admin/accounts.
func listAccounts(c *call) error {
	accounts, err := c.s.o.Overview.Accounts(c.r.Context())
	if err != nil {
		return fmt.Errorf("list accounts: %w", err)
	}
	return c.encodeJSON(http.StatusOK, accountsJSON{Accounts: orEmpty(accounts)})
}
