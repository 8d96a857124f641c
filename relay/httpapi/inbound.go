package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/imrelay/imrelay/relay"
)

// Acceptor takes authenticated inbound posts.
type Acceptor interface {
	// Accept makes the post durable and waits for its outcome, at most p.Wait. Errors to show are [*relay.Refusal];
	// any other is a 500. It keeps the post's body.
	Accept(ctx context.Context, p relay.Post) (relay.Acceptance, error)
}

// inbound serves both inbound paths.
func inbound(c *call) error {
	name := c.vars["name"]
	if c.r.Method == http.MethodHead && c.probed(name) {
		c.WriteHeader(http.StatusOK)
		return nil
	}
	if err := c.take(name); err != nil {
		c.logRefusal("inbound.refused", err, "im", c.t.label(name))
		return err
	}
	return nil
}

// label is the account's name for a log line: a name that is none, in a path that anybody may choose, is cut short.
func (t *table) label(name string) string {
	const longest = 64
	if name == "" && t.only != nil {
		return t.only.Name
	}
	return name[:min(len(name), longest)]
}

// probed says that the account is one whose IM server asks with HEAD whether the address lives.
func (c *call) probed(name string) bool {
	a, err := c.t.account(name)
	return err == nil && a.Probe
}

// take takes in what came to the account's path: a post, or a connection of the IM's own.
func (c *call) take(name string) error {
	a, err := c.t.account(name)
	if err == nil && a.Socket != nil && c.r.Method == http.MethodGet {
		return c.socket(a)
	}
	switch {
	case err != nil && strings.EqualFold(c.r.Header.Get("Upgrade"), "websocket"):
		return err
	case c.r.Method != http.MethodPost:
		return wrongMethod(a.methods())
	case c.s.isStopping():
		return shuttingDown()
	case err != nil:
		return err
	}
	return c.receive(a)
}

// methods are those that the account's path takes; a nil account is none.
func (a *account) methods() string {
	methods := []string{http.MethodPost}
	if a != nil && a.Probe {
		methods = append([]string{http.MethodHead}, methods...)
	}
	if a != nil && a.Socket != nil {
		methods = append([]string{http.MethodGet}, methods...)
	}
	return strings.Join(methods, ", ")
}

// receive takes one post in.
func (c *call) receive(a *account) error {
	body, err := c.authentic(a)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return &Error{Code: Code(relay.CodeEmptyBody), Message: "the body is empty; send the IM's message as JSON"}
	}
	prefer := parsePrefer(c.r.Header["Prefer"])
	accepted, err := c.s.o.Acceptor.Accept(c.r.Context(), relay.Post{
		Account: a.Name, Body: body, ContentType: c.r.Header.Get("Content-Type"),
		Traceparent: c.r.Header.Get("Traceparent"), RequestID: c.id, Wait: prefer.waitOr(c.t.wait),
	})
	if err != nil {
		return err //nolint:wrapcheck // endpoint wants the refusal as it is
	}
	c.honour(prefer.applied())
	if a.Plain {
		return c.writeJSON(http.StatusOK, plainAnswer)
	}
	status, answer := appendAcceptance(make([]byte, 0, 192+len(accepted.Answer)), &accepted)
	return c.writeJSON(status, answer)
}

// authentic reads the body and returns it if the post comes from where it should, from whom it should.
func (c *call) authentic(a *account) ([]byte, error) {
	if len(a.Networks) > 0 && !contains(a.Networks, clientAddr(c.r, c.t.proxies)) {
		return nil, notAllowed()
	}
	if err := a.checkToken(c.r); err != nil {
		return nil, err
	}
	body, err := c.readBody(c.t.maxInbound)
	if err != nil {
		return nil, err
	}
	if a.Verifier != nil {
		if err := a.Verifier.Verify(c.r.Header, body, time.Now()); err != nil {
			return nil, badSignature(err)
		}
	}
	return body, nil
}

// honour says which preferences the answer took up.
func (c *call) honour(applied string) {
	switch applied {
	case "":
	case preferAsync:
		c.Header()["Preference-Applied"] = async
	default:
		c.Header()["Preference-Applied"] = []string{applied}
	}
}

// account finds the account of a path; an empty name is the path without one.
func (t *table) account(name string) (*account, error) {
	switch a := t.accounts[name]; {
	case a != nil:
		return a, nil
	case name == "" && t.only != nil:
		return t.only, nil
	case name == "" && len(t.accounts) > 1:
		return nil, &Error{
			Code: Code(relay.CodeAccountAmbiguous), Message: "several IM accounts are configured: post to /im/{name}/inbound",
		}
	}
	return nil, &Error{
		Code: CodeNotFound, Message: "no IM account of this name is configured; check the path against ims of the configuration",
	}
}

// checkToken refuses a post without one of the account's tokens, in the header or in the query.
func (a *account) checkToken(r *http.Request) error {
	if a.tokens.empty() {
		return nil
	}
	token, given := bearer(r.Header)
	if given == credentialGiven {
		if _, ok := a.tokens.find(token); ok {
			return nil
		}
	}
	for _, token := range queryTokens(r.URL) {
		if _, ok := a.tokens.find(token); ok {
			return nil
		}
		given = credentialGiven
	}
	return unauthorized(given, "the token of this IM account, or append ?token=")
}

// notAllowed is the answer to a network that may not post.
func notAllowed() *Error {
	return &Error{
		Code:    CodeSourceNotAllowed,
		Message: "posts from this network address are not allowed; add it to the account's allow list",
	}
}

// shuttingDown is the answer to new work while the relay stops.
func shuttingDown() *Error {
	return &Error{Code: CodeShuttingDown, Message: "the relay is stopping; send it again in a moment"}
}
