package httpapi

import (
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/queue"
)

// maxReason bounds the reason of a pause, which everybody sees who looks.
const maxReason = 256

// scopeJSON names what a pause holds: an agent, or one conversation of an account.
type scopeJSON struct {
	Agent        string `json:"agent,omitempty"`
	IM           string `json:"im,omitempty"`
	Conversation string `json:"conversation,omitempty"`
}

// pauseJSON is the body of a pause.
type pauseJSON struct {
	scopeJSON

	// For is how long, "10m"; empty: until it is resumed.
	For string `json:"for,omitempty"`
	// Reason says why, to whoever looks.
	Reason string `json:"reason,omitempty"`
}

// pausedJSON is one pause in force.
type pausedJSON struct {
	scopeJSON

	Until  Time   `json:"until,omitzero"`
	Reason string `json:"reason,omitempty"`
}

// pausesJSON is the answer of every path about pauses: those in force.
type pausesJSON struct {
	Pauses []pausedJSON `json:"pauses"`
}

// scope checks and returns what is meant.
func (s scopeJSON) scope() (queue.Scope, error) {
	switch {
	case s.Agent != "" && s.IM == "" && s.Conversation == "":
		return queue.Scope{Agent: s.Agent}, nil
	case s.Agent == "" && s.IM != "" && s.Conversation != "":
		return queue.Scope{Account: s.IM, Conversation: s.Conversation}, nil
	}
	return queue.Scope{}, invalid("agent", "is missing: name an agent, or an im and a conversation, and not both")
}

// showScope is the inverse of scope.
func showScope(s queue.Scope) scopeJSON {
	return scopeJSON{Agent: s.Agent, IM: s.Account, Conversation: s.Conversation}
}

// listPauses serves GET /api/admin/pauses.
func listPauses(c *call) error {
	pauses, err := c.s.o.Store.Pauses(c.r.Context())
	if err != nil {
		return fmt.Errorf("list pauses: %w", err)
	}
	out := pausesJSON{Pauses: make([]pausedJSON, 0, len(pauses))}
	for _, p := range pauses {
		out.Pauses = append(out.Pauses, pausedJSON{
			scopeJSON: showScope(p.Scope), Until: Time{p.Until}, Reason: p.Reason,
		})
	}
	return c.encodeJSON(http.StatusOK, out)
}

// pause serves POST /api/admin/pause.
func pause(c *call) error {
	var in pauseJSON
	if err := c.decode(&in); err != nil {
		return err
	}
	scope, err := in.scope()
	if err != nil {
		return err
	}
	var d time.Duration
	if in.For != "" {
		if d, err = time.ParseDuration(in.For); err != nil || d <= 0 {
			return invalid("for", "must be a duration such as 10m")
		}
	}
	if len(in.Reason) > maxReason {
		return invalid("reason", fmt.Sprintf("is longer than %d bytes", maxReason))
	}
	if err := c.s.o.Store.Pause(c.r.Context(), scope, d, in.Reason); err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	c.logAction("admin.paused", scopeFields(scope)...)
	return listPauses(c)
}

// resume serves POST /api/admin/resume.
func resume(c *call) error {
	var in scopeJSON
	if err := c.decode(&in); err != nil {
		return err
	}
	scope, err := in.scope()
	if err != nil {
		return err
	}
	if err := c.s.o.Store.Resume(c.r.Context(), scope); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	c.logAction("admin.resumed", scopeFields(scope)...)
	return listPauses(c)
}

// scopeFields names a scope in a log line.
func scopeFields(s queue.Scope) []zap.Field {
	if s.Agent != "" {
		return []zap.Field{zap.String("agent", s.Agent)}
	}
	return []zap.Field{zap.String("im", s.Account), zap.String("conversationId", s.Conversation)}
}
