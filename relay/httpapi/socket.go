package httpapi

import (
	"strings"
)

// socket hands a connection of the IM's own to the account's connector.
func (c *call) socket(a *account) error {
	switch {
	case c.s.isStopping():
		return shuttingDown()
	case len(a.Networks) > 0 && !contains(a.Networks, clientAddr(c.r, c.t.proxies)):
		return notAllowed()
	}
	if err := a.checkToken(c.r); err != nil {
		return err
	}
	if a.tokens.empty() && a.Verifier != nil {
		// Nothing signs a connection, and it must not be the open door beside the closed one.
		return unauthorized(credentialMissing, "a token of this IM account, which a connection needs beside the signature")
	}
	if !strings.EqualFold(c.r.Header.Get("Upgrade"), "websocket") {
		return invalid("Upgrade", "must ask for a WebSocket: this path is for the IM's own connection, and for posts")
	}
	c.wrote = true
	a.Socket.ServeHTTP(c.ResponseWriter, c.r)
	return nil
}
