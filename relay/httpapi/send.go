package httpapi

import (
	"context"
	"net/http"

	"github.com/imrelay/imrelay/outbound"
)

// Sender sends messages. Errors to show are [*outbound.Error]; any other is a 500.
type Sender interface {
	// Send sends now and returns when the outcome is known, or when holding it longer would not help.
	Send(ctx context.Context, r outbound.Request) (outbound.Result, error)
	// Enqueue makes the message durable, to be sent in the background.
	Enqueue(ctx context.Context, r outbound.Request) (outbound.Report, error)
	// Lookup tells where a message of the client stands.
	Lookup(ctx context.Context, client, id string) (outbound.Report, error)
}

// send serves POST /api/messages/send.
func send(c *call) error {
	req, err := c.sendRequest()
	if err != nil {
		// What the sender refuses, it logs itself, since it knows more of the message.
		c.logRefusal("outbound.refused", err, "client", req.Client.Name)
		return err
	}
	prefer := parsePrefer(c.r.Header["Prefer"])
	if prefer.async {
		report, err := c.s.o.Sender.Enqueue(c.r.Context(), req)
		if err != nil {
			return err //nolint:wrapcheck // endpoint wants the error as it is
		}
		c.honour(preference{async: true}.applied())
		c.replayed(report.Replayed)
		return c.encodeJSON(http.StatusAccepted, queuedAnswer{ID: report.ID, Status: "queued"})
	}
	result, err := c.s.o.Sender.Send(c.r.Context(), req)
	if err != nil {
		return err //nolint:wrapcheck // endpoint wants the error as it is
	}
	c.replayed(result.Replayed)
	return c.encodeJSON(http.StatusOK, sentAnswer(result.MessageIDs))
}

// sendRequest authenticates the request and reads it. What it found before an error is in the request.
func (c *call) sendRequest() (outbound.Request, error) {
	req := outbound.Request{RequestID: c.id}
	if c.s.isStopping() {
		return req, shuttingDown()
	}
	client, err := c.client()
	if err != nil {
		return req, err
	}
	req.Client = client
	if given := c.r.Header.Get("Content-Type"); given != "" && !isJSON(given) {
		return req, &Error{Code: CodeUnsupportedType, Message: "Content-Type must be application/json"}
	}
	body, err := c.readBody(c.t.maxSend)
	if err != nil {
		return req, err
	}
	m, err := parseSend(body)
	if err != nil {
		return req, err
	}
	key, err := idempotencyKey(c.r.Header, m)
	if err != nil {
		return req, err
	}
	req.Key, req.Account, req.To, req.Text, req.ReplyTo = key, m.im, m.to, m.text, m.replyTo
	req.Media, req.Mentions, req.Resend = m.media, m.mentions, m.resend
	if id := c.r.Header.Get("X-Relay-Event-Id"); saneID(id) {
		req.EventID = id
	}
	return req, nil
}

// client returns who asks.
func (c *call) client() (outbound.Client, error) {
	const whose = "the token of a client in the relay's configuration"
	token, given := bearer(c.r.Header)
	if given != credentialGiven {
		return outbound.Client{}, unauthorized(given, whose)
	}
	client, ok := c.t.clients.find(token)
	if !ok {
		return outbound.Client{}, unauthorized(given, whose)
	}
	return client, nil
}

// idempotencyKey is the header's, else the first of the body's.
func idempotencyKey(h http.Header, m sendBody) (string, error) {
	if key := h.Get("Idempotency-Key"); key != "" {
		return key, checkID("Idempotency-Key", key)
	}
	for _, key := range []string{m.requestID, m.msgID, m.messageID} {
		if key != "" {
			return key, nil
		}
	}
	return "", nil
}

// replayed marks an answer that an earlier request with the same key has got.
func (c *call) replayed(yes bool) {
	if yes {
		c.Header()["Idempotent-Replayed"] = []string{"true"}
	}
}

// lookup serves GET /api/messages/{id}.
func lookup(c *call) error {
	client, err := c.client()
	if err != nil {
		c.logRefusal("outbound.refused", err, "client", "")
		return err
	}
	report, err := c.s.o.Sender.Lookup(c.r.Context(), client.Name, c.vars["id"])
	if err != nil {
		return err //nolint:wrapcheck // endpoint wants the error as it is
	}
	return c.encodeJSON(http.StatusOK, reportAnswer(report))
}
