package httpapi_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/httpapi"
	"github.com/imrelay/imrelay/relay/queue"
	"github.com/imrelay/imrelay/relay/secret"
)

// newClient returns a client for the rig's server.
func (r *rig) newClient(token string) *httpapi.Client {
	return httpapi.NewClient(r.url+"/", secret.New(token), r.client)
}

// TestClientReads gives back what the store has, but for what the API does not show.
func TestClientReads(t *testing.T) {
	t.Parallel()
	q := newStore(t)
	bury(t, q, "evt_1", "evt_2", "evt_3")
	put(t, q, "evt_4")
	c := newRig(t, withStore(q)).newClient(adminToken)
	for _, f := range []queue.Filter{
		{},
		{Limit: 2},
		{States: []queue.State{queue.Dead}},
		{States: []queue.State{queue.Dead, queue.Queued}, Limit: 2},
		{Account: "wechat", Conversation: "room-evt_2"},
		{Agent: "other"},
		{Since: time.Now().Add(time.Hour)},
		{Leased: true},
	} {
		got, err := c.List(t.Context(), f)
		if err != nil {
			t.Fatalf("List(%+v): %v", f, err)
		}
		want, err := q.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if got.Next != want.Next || !slices.EqualFunc(got.Jobs, want.Jobs, sameJob) {
			t.Errorf("List(%+v): got %+v, want %+v", f, got, want)
		}
	}
	first, err := c.List(t.Context(), queue.Filter{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := c.List(t.Context(), queue.Filter{Before: first.Next})
	if err != nil || len(rest.Jobs) != 1 || rest.Jobs[0].ID != "evt_1" {
		t.Errorf("second page: got %+v, %v, want evt_1", rest, err)
	}
	got, err := c.Get(t.Context(), "evt_2")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	want, err := q.Get(t.Context(), "evt_2")
	if err != nil {
		t.Fatal(err)
	}
	if !sameJob(got, want) || string(got.Body) != string(want.Body) {
		t.Errorf("Get: got %+v, want %+v", got, want)
	}
	take(t, q)
	busy, err := c.List(t.Context(), queue.Filter{Leased: true})
	if err != nil || len(busy.Jobs) != 1 || !busy.Jobs[0].Leased {
		t.Errorf("leased: got %+v, %v, want evt_4", busy, err)
	}
}

// sameJob compares what the API shows, with times to the millisecond.
func sameJob(a, b queue.Job) bool {
	plain := func(j queue.Job) queue.Job {
		for _, at := range []*time.Time{&j.Accepted, &j.Since, &j.Due, &j.FirstFailure, &j.Updated} {
			*at = at.UTC().Truncate(time.Millisecond)
		}
		j.Key, j.Aliases, j.Body, j.NotBefore, j.Answered = queue.Key{}, nil, nil, time.Time{}, false
		if j.State == queue.Dead || j.State == queue.Delivered {
			j.Due = time.Time{}
		}
		return j
	}
	return reflect.DeepEqual(plain(a), plain(b))
}

// TestClientActs does what the store would do.
func TestClientActs(t *testing.T) {
	t.Parallel()
	q := newStore(t)
	bury(t, q, "evt_1", "evt_2", "evt_3", "evt_4", "evt_5")
	r := newRig(t, withStore(q))
	c := r.newClient(adminToken)
	if n, err := c.Revive(t.Context(), []string{"evt_1", "evt_2", "evt_none"}, 250*time.Millisecond); n != 2 || err != nil {
		t.Errorf("Revive: got %d, %v, want 2", n, err)
	}
	one, _ := q.Get(t.Context(), "evt_1")
	two, _ := q.Get(t.Context(), "evt_2")
	if gap := two.Due.Sub(one.Due); gap != 250*time.Millisecond {
		t.Errorf("Revive: got the second due %v after the first, want 250ms", gap)
	}
	if n, more, err := c.ReviveAll(t.Context(), queue.Filter{Conversation: "room-evt_3"}, 0); n != 1 || more || err != nil {
		t.Errorf("ReviveAll: got %d, %v, %v, want 1", n, more, err)
	}
	if n, err := c.Drop(t.Context(), []string{"evt_1", "evt_4"}); n != 2 || err != nil {
		t.Errorf("Drop: got %d, %v, want 2", n, err)
	}
	if n, more, err := c.DropAll(t.Context(), queue.Filter{Account: "wechat"}); n != 1 || more || err != nil {
		t.Errorf("DropAll: got %d, %v, %v, want 1", n, more, err)
	}
	room := queue.Scope{Account: "wechat", Conversation: "room"}
	if err := errors.Join(c.Pause(t.Context(), room, time.Hour, "loop"), c.Pause(t.Context(), queue.Scope{Agent: "openclaw"}, 0, "")); err != nil {
		t.Errorf("Pause: %v", err)
	}
	if err := c.Resume(t.Context(), queue.Scope{Agent: "openclaw"}); err != nil {
		t.Errorf("Resume: %v", err)
	}
	pauses, err := c.Pauses(t.Context())
	if err != nil || len(pauses) != 1 || pauses[0].Scope != room || pauses[0].Reason != "loop" || pauses[0].Until.IsZero() {
		t.Errorf("Pauses: got %+v, %v", pauses, err)
	}
}

// TestClientOverview reads agents, accounts and readiness.
func TestClientOverview(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	at := httpapi.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	r.overview.agents = []httpapi.AgentState{{Name: "openclaw", Kind: "openclaw", LastSuccess: at}}
	r.overview.accounts = []httpapi.AccountState{{Name: "wechat", Format: "wechat", LastSent: at}}
	r.health.lines = []httpapi.HealthLine{{Name: "store", State: httpapi.StateOK}}
	c := r.newClient(adminToken)
	if got, err := c.Agents(t.Context()); err != nil || !reflect.DeepEqual(got, r.overview.agents) {
		t.Errorf("Agents: got %+v, %v, want %+v", got, err, r.overview.agents)
	}
	if got, err := c.Accounts(t.Context()); err != nil || !reflect.DeepEqual(got, r.overview.accounts) {
		t.Errorf("Accounts: got %+v, %v, want %+v", got, err, r.overview.accounts)
	}
	if lines, ready, err := c.Ready(t.Context()); err != nil || !ready || !reflect.DeepEqual(lines, r.health.lines) {
		t.Errorf("Ready: got %v, %v, %v", lines, ready, err)
	}
	r.server.Stopping()
	if lines, ready, err := c.Ready(t.Context()); err != nil || ready || len(lines) != 2 {
		t.Errorf("Ready while stopping: got %v, %v, %v", lines, ready, err)
	}
}

// TestClientErrors are those that the server raised.
func TestClientErrors(t *testing.T) {
	t.Parallel()
	q := newStore(t)
	r := newRig(t, withStore(q))
	c := r.newClient(adminToken)
	_, err := c.Get(t.Context(), "evt_none")
	wantError(t, err, httpapi.CodeNotFound, queue.ErrNotFound)
	_, err = c.List(t.Context(), queue.Filter{States: []queue.State{queue.Dead}, Leased: true})
	if err != nil {
		t.Errorf("List: %v", err)
	}
	err = c.Pause(t.Context(), queue.Scope{}, 0, "")
	wantError(t, err, httpapi.CodeInvalidRequest, nil)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = c.Drop(t.Context(), []string{"evt_1"})
	wantError(t, err, httpapi.CodeStoreUnavailable, queue.ErrUnavailable)
	if e, ok := errors.AsType[*httpapi.Error](err); !ok || e.RetryAfter != time.Second || e.RequestID == "" {
		t.Errorf("got %+v, want a second to wait and a request id", e)
	}
	_, err = r.newClient("wrong").Agents(t.Context())
	wantError(t, err, httpapi.CodeUnauthorized, nil)
}

// wantError fails the test unless the error is the API's, with the code and the sentinel.
func wantError(t *testing.T, err error, code httpapi.Code, sentinel error) {
	t.Helper()
	e, ok := errors.AsType[*httpapi.Error](err)
	if !ok {
		t.Fatalf("got %v, want an error of the API", err)
	}
	if e.Code != code || sentinel != nil && !errors.Is(err, sentinel) {
		t.Errorf("got %v, want %s wrapping %v", err, code, sentinel)
	}
}

// TestClientElsewhere tells what is no relay, and what is not there, from an error of the relay.
func TestClientElsewhere(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/admin/agents" {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = w.Write([]byte("<html>"))
	}))
	defer other.Close()
	c := httpapi.NewClient(other.URL, secret.New("x"), other.Client())
	_, err := c.Agents(t.Context())
	wantError(t, err, httpapi.CodeInternal, nil)
	if _, err := c.Accounts(t.Context()); err == nil {
		t.Error("an answer that is no JSON: got no error")
	}
	other.Close()
	_, err = c.Agents(t.Context())
	if _, ok := errors.AsType[*net.OpError](err); !ok {
		t.Errorf("nobody there: got %v, want the connection's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Agents(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want %v", err, context.Canceled)
	}
}
