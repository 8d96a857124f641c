package onebot

import (
	"context"
	"net/http"
	"net/url"

	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

// poster calls the HTTP API.
type poster struct {
	wire   connector.Wire
	base   *url.URL
	header http.Header
}

var _ caller = (*poster)(nil)

func newPoster(base *url.URL, header http.Header, w connector.Wire) *poster {
	header.Set("Content-Type", "application/json")
	return &poster{wire: w, base: base, header: header}
}

// call implements caller.
func (p *poster) call(ctx context.Context, a action) ([]byte, error) {
	answer, err := connector.Call(ctx, p.wire.Doer, egress.Call{
		Method: http.MethodPost, URL: p.base.JoinPath(a.name).String(), Header: p.header, Body: a.params,
		Timeout: p.wire.Bound(), Ready: a.ready,
	})
	if err != nil {
		return nil, err
	}
	if e := connector.Status(answer, a.hide...); e != nil {
		if answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden {
			e.Err = errToken
		}
		return nil, e
	}
	if answer.Truncated {
		return nil, stranger()
	}
	return answer.Body, nil
}
