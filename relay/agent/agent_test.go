package agent_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/egress"
	"github.com/imrelay/imrelay/relay/memo"
)

// poster posts without proving anything.
func poster(t *testing.T, d *doer) *agent.Poster {
	t.Helper()
	p, err := agent.Endpoint{URL: "http://127.0.0.1:1"}.Poster(agent.Wire{Doer: d})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A 2xx may hold another status inside, in one form only.
func TestPostMeans(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   int
	}{
		{"pair", 200, `[{"error":"no"}, 400]`, 400},
		{"pair of text", 201, `["busy",503]`, 503},
		{"pair with space", 200, "[ {} ,\n 404 ] \n", 404},
		{"the highest", 200, `[null,599]`, 599},
		{"no failure", 200, `[{},201]`, 200},
		{"redirect", 200, `[{},302]`, 200},
		{"out of range", 200, `[{},600]`, 200},
		{"three", 200, `[{},400,1]`, 200},
		{"one", 200, `[400]`, 200},
		{"text", 200, `[{},"400"]`, 200},
		{"another spelling", 200, `[{},4e2]`, 200},
		{"fraction", 200, `[{},400.5]`, 200},
		{"overflow", 200, `[{},18446744073709552016]`, 200},
		{"object", 200, `{"a":[{},400]}`, 200},
		{"not closed", 200, `[{},400`, 200},
		{"more behind it", 200, `[{},400]]`, 200},
		{"not JSON", 200, `[oops,400]`, 200},
		{"deep", 200, strings.Repeat("[", 60_000), 200},
		{"deep and closed", 200, strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000), 200},
		{"empty", 204, ``, 204},
		{"a failure already", 500, `[{},400]`, 500},
		{"a redirect already", 302, `[{},400]`, 302},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := &doer{answer: egress.Answer{Status: tc.status, Body: []byte(tc.body)}}
			out, err := poster(t, d).Post(t.Context(), relay.Event{ID: "evt_1"}, 1)
			if err != nil || out.Status != tc.want || string(out.Body) != tc.body {
				t.Errorf("got %d, %v, want %d", out.Status, err, tc.want)
			}
		})
	}
}

// What a failed call means for the attempt: not counted only if nothing was written.
func TestAttemptError(t *testing.T) {
	t.Parallel()
	own := &relay.AttemptError{Timeout: true, Reason: "its own"}
	for _, tc := range []struct {
		name string
		err  error
		want relay.AttemptError
	}{
		{"refused", &egress.Error{Reason: "connection refused"}, relay.AttemptError{Unreachable: true, Reason: "connection refused"}},
		{
			"no connection in time", &egress.Error{Timeout: true, Reason: "no connection within 5s"},
			relay.AttemptError{Unreachable: true, Timeout: true, Reason: "no connection within 5s"},
		},
		{
			"no answer", &egress.Error{Written: true, Timeout: true, Reason: "no answer within 5s"},
			relay.AttemptError{Timeout: true, Reason: "no answer within 5s"},
		},
		{"wrapped", fmt.Errorf("ask agent: %w", &egress.Error{Written: true, Reason: "connection reset"}), relay.AttemptError{Reason: "connection reset"}},
		{
			"memory", fmt.Errorf("note conversation: %w", memo.ErrUnavailable),
			relay.AttemptError{Ours: true, Reason: "the store does not do its work"},
		},
		{"its own", fmt.Errorf("again: %w", own), *own},
		{"anything", errors.New("http://127.0.0.1/secret-path"), relay.AttemptError{Reason: "attempt failed"}},
		{"too large for memory", memo.ErrTooLarge, relay.AttemptError{Reason: "attempt failed"}},
		{"cancelled", context.Canceled, relay.AttemptError{Reason: "attempt failed"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := agent.AttemptError(tc.err)
			if got.Ours != tc.want.Ours || got.Unreachable != tc.want.Unreachable || got.Timeout != tc.want.Timeout || got.Reason != tc.want.Reason {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if !errors.Is(tc.err, got) && !errors.Is(got, tc.err) {
				t.Errorf("the cause is lost: %v", got.Err)
			}
			if strings.Contains(got.Error(), "secret-path") {
				t.Errorf("shows too much: %v", got)
			}
		})
	}
}
