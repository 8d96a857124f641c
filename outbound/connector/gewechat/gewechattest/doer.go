package gewechattest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"

	"github.com/imrelay/imrelay/relay/egress"
)

var (
	errNoRequest = errors.New("no request")
	errHungUp    = errors.New("hung up")
)

var _ egress.Doer = (*Fake)(nil)

// Do implements [egress.Doer]: it makes the call without any socket, so that it may be made in a synctest bubble. The host
// of the URL is not looked at.
func (f *Fake) Do(ctx context.Context, c egress.Call) (egress.Answer, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = egress.DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, c.Method, c.URL, bytes.NewReader(c.Body))
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && c.Ready != nil {
		err = c.Ready()
	}
	if err != nil {
		return egress.Answer{}, &egress.Error{Reason: errNoRequest.Error(), Err: err}
	}
	r.Header = c.Header.Clone()
	w := httptest.NewRecorder()
	if err := f.serve(w, r); err != nil {
		return egress.Answer{}, &egress.Error{
			Written: true, Timeout: ctx.Err() != nil, Reason: "connection closed before an answer", Err: err,
		}
	}
	return egress.Answer{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}, nil
}

// serve turns a hang-up into an error.
func (f *Fake) serve(w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = errHungUp
		default:
			panic(p)
		}
	}()
	f.ServeHTTP(w, r)
	return nil
}
