// Package agent has what the agent kinds below it have in common: one signed POST, what its answer means, and what the
// daemon does for them. It decides nothing about retries; each kind says for itself what a success is.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/signer"
)

// defaultContentType is what a body is called that came without a type.
const defaultContentType = "application/json"

// Poster posts an event's bytes as they stand.
type Poster struct {
	wire    Wire
	url     string
	schemes []signer.Scheme
	// secrets are what no answer may show.
	secrets []secret.Text
}

// Post makes one attempt. Errors are [*relay.AttemptError].
func (p *Poster) Post(ctx context.Context, e relay.Event, attempt int) (relay.Outcome, error) {
	h := Header(e, attempt)
	contentType := e.Note.ContentType
	if contentType == "" {
		contentType = defaultContentType
	}
	h["Content-Type"] = []string{contentType}
	now := time.Now()
	for _, s := range p.schemes {
		s.Sign(h, e.ID, now, e.Body)
	}
	answer, err := p.wire.Doer.Do(ctx, egress.Call{
		Method: http.MethodPost, URL: p.url, Header: h, Body: e.Body, Timeout: p.wire.Timeout, Ready: e.Ready,
	})
	if err != nil {
		return relay.Outcome{}, AttemptError(err)
	}
	out := relay.Outcome{
		Status: meant(answer), RetryAfter: egress.RetryAfter(answer.Header.Get("Retry-After"), now),
	}
	out.ContentType, out.Body = Shown(answer, Secrets(secret.Text{}, p.secrets)...)
	return out, nil
}

// meant is the status that the answer means. Handlers in Python that return a body and a status as a pair, to a framework
// that does not know that form, answer 200 with [body, status].
func meant(a egress.Answer) int {
	if a.Status < 200 || a.Status > 299 || len(a.Body) == 0 || a.Body[0] != '[' || !json.Valid(a.Body) {
		return a.Status
	}
	pair := gjson.ParseBytes(a.Body).Array()
	if len(pair) != 2 || pair[1].Type != gjson.Number {
		return a.Status
	}
	if status := int(pair[1].Int()); status >= 400 && status <= 599 && pair[1].Raw == strconv.Itoa(status) {
		return status
	}
	return a.Status
}

// AttemptError says of a failed call what it means for an attempt.
func AttemptError(err error) *relay.AttemptError {
	if ae, ok := errors.AsType[*relay.AttemptError](err); ok {
		return ae
	}
	if errors.Is(err, memo.ErrUnavailable) {
		return &relay.AttemptError{Ours: true, Reason: "the store does not do its work", Err: err}
	}
	if ee, ok := errors.AsType[*egress.Error](err); ok {
		return &relay.AttemptError{Unreachable: !ee.Written, Timeout: ee.Timeout, Reason: ee.Reason, Err: err}
	}
	return &relay.AttemptError{Reason: "attempt failed", Err: err}
}

// Secrets joins the two ways to configure secrets, one or a list of which the first signs, into what a scheme takes.
func Secrets(one secret.Text, list []secret.Text) []string {
	var out []string
	if !one.IsZero() {
		out = append(out, one.Reveal())
	}
	for _, s := range list {
		out = append(out, s.Reveal())
	}
	return out
}

// Schemes are the digest under the header and, if the wire asks for it, Standard Webhooks, with the same secrets.
func Schemes(w Wire, header string, secrets []string) ([]signer.Scheme, error) {
	digest, err := signer.NewDigest(header, secrets...)
	if err != nil {
		return nil, err
	}
	out := []signer.Scheme{digest}
	if !w.StandardWebhooks {
		return out, nil
	}
	standard, err := signer.NewStandard(0, secrets...)
	if err != nil {
		return nil, err
	}
	return append(out, standard), nil
}
