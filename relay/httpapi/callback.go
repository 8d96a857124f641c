package httpapi

import (
	"errors"
	"net/http"

	"github.com/imrelay/imrelay/relay"
)

// callback serves POST /agents/{name}/callback/{path}. The path is the proof of who posts: to who does not know it,
// there is nothing here.
func callback(c *call) error {
	if err := c.calledBack(c.vars["name"], c.vars["path"]); err != nil {
		c.logRefusal("callback.refused", err, "agent", c.t.agentLabel(c.vars["name"]))
		return err
	}
	return c.writeJSON(http.StatusOK, taken)
}

// taken is the answer to a callback that is durable.
var taken = []byte(`{"ok":true}`)

// agentLabel is the agent's name for a log line; none, if there is no such agent.
func (t *table) agentLabel(name string) string {
	if t.callbacks[name] == nil {
		return ""
	}
	return name
}

// calledBack takes one callback in.
func (c *call) calledBack(name, path string) error {
	ring := c.t.callbacks[name]
	if ring == nil {
		return notFound(c)
	}
	cb, ok := ring.find(path)
	if !ok {
		return notFound(c)
	}
	if c.s.isStopping() {
		return shuttingDown()
	}
	body, err := c.readBody(c.t.maxInbound)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return &Error{Code: Code(relay.CodeEmptyBody), Message: "the body is empty"}
	}
	err = cb.Take(c.r.Context(), body)
	if _, shown := errors.AsType[*relay.Refusal](err); err == nil || shown {
		return err
	}
	return &Error{Code: CodeStoreUnavailable, Message: "the store cannot take it now; post it again", Err: err}
}
