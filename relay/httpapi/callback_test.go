package httpapi_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay"
)

const callbackPath = "callback-path-of-the-tests"

// takeCallback does what the body says.
func takeCallback(_ context.Context, body []byte) error {
	switch string(body) {
	case "unknown":
		return &relay.Refusal{Code: relay.CodeNotFound, Message: "this agent was given no such event"}
	case "bad":
		return &relay.Refusal{Code: relay.CodeInvalidRequest, Message: "data is missing"}
	case "down":
		return errors.New("disk on fire at /secret/place")
	}
	return nil
}

// An agent's callback is answered with 2xx when it is durable, and is not there for who does not know its path.
func TestCallback(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	const good = "/agents/back/callback/" + callbackPath
	for _, tc := range []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"taken", good, `{"msg_id":"evt_1"}`, 200, ""},
		{"unknown event", good, "unknown", 404, "not_found"},
		{"bad body", good, "bad", 400, "invalid_request"},
		{"store away", good, "down", 503, "store_unavailable"},
		{"empty", good, "", 400, "empty_body"},
		{"too large", good, strings.Repeat("x", 5000), 413, "body_too_large"},
		{"wrong path", "/agents/back/callback/guess", "{}", 404, "not_found"},
		{"wrong agent", "/agents/other/callback/" + callbackPath, "{}", 404, "not_found"},
		{"path longer", good + "/more", "{}", 404, "not_found"},
	} {
		got := r.do(ask{path: tc.path, body: tc.body})
		got.want(t, tc.status, tc.code)
		if strings.Contains(string(got.body), "fire") {
			t.Errorf("%s: shows the cause: %s", tc.name, got.body)
		}
	}
	for _, e := range r.logs.All() {
		for _, v := range e.ContextMap() {
			if s, ok := v.(string); ok && strings.Contains(s, callbackPath) {
				t.Errorf("the path is logged: %v", e)
			}
		}
	}
}

// A relay that stops takes no callback: the agent posts it again.
func TestCallbackStopping(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.server.Stopping()
	r.do(ask{path: "/agents/back/callback/" + callbackPath, body: "{}"}).want(t, 503, "shutting_down")
	r.do(ask{path: "/agents/back/callback/guess", body: "{}"}).want(t, 404, "not_found")
}
