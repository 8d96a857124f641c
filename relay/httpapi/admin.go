package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// maxAdminBody bounds what the admin API reads: room for a long list of ids.
const maxAdminBody = 1 << 20

// admin puts a handler behind the admin token.
func admin(h handler) handler {
	return func(c *call) error {
		token, given := bearer(c.r.Header)
		if err := c.s.checkAdmin(c.r, token, given); err != nil {
			return err
		}
		c.Header()["Cache-Control"] = noStore
		return h(c)
	}
}

// CheckAdmin returns nil if the token is the admin token and r comes from where that is accepted, else an [*Error] to
// show. It counts wrong tokens, and turns an address with too many of them away for a while, whatever it sends then.
func (s *Server) CheckAdmin(r *http.Request, token string) error {
	given := credentialGiven
	if token == "" {
		given = credentialMissing
	}
	return s.checkAdmin(r, token, given)
}

func (s *Server) checkAdmin(r *http.Request, token string, given credential) error {
	t, now := s.table.Load(), time.Now()
	addr := clientAddr(r, t.proxies)
	if wait := s.guesses.block(addr, now); wait > 0 {
		return &Error{
			Code: CodeRateLimited, Message: "too many wrong admin tokens came from this address; wait", RetryAfter: wait,
		}
	}
	const whose = "admin.token of the relay's configuration, or the one in the relay's run.json"
	if given != credentialGiven {
		return unauthorized(given, whose)
	}
	if t.loopbackOnly && !addr.IsLoopback() {
		return &Error{
			Code:    CodeSourceNotAllowed,
			Message: "no admin token is configured, so only this machine may ask; set admin.token to ask from elsewhere",
		}
	}
	if _, ok := t.admin.find(token); !ok {
		s.guesses.wrong(addr, now)
		return unauthorized(given, whose)
	}
	return nil
}

// decode reads a JSON body strictly: the fields are ours, so an unknown one is a mistake.
func (c *call) decode(into any) error {
	body, err := c.readBody(maxAdminBody)
	if err != nil {
		return err
	}
	if _, err := parseObject(body); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err = dec.Decode(into)
	if err == nil {
		return nil
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return invalid(t.Field[strings.LastIndexByte(t.Field, '.')+1:], "has the wrong type")
	}
	return invalid("body", "has a field that is not known here, or a value of the wrong form")
}
