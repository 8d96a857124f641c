package fleettest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/tidwall/gjson"
)

// Answer is what a relay said; the zero Status: nothing.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Took is how long it took.
	Took time.Duration
}

// Get is a field of the body.
func (a Answer) Get(path string) gjson.Result { return gjson.GetBytes(a.Body, path) }

// Code is the code of an error's answer.
func (a Answer) Code() string { return a.Get("error.code").Str }

// String is the status and the body.
func (a Answer) String() string { return fmt.Sprint(a.Status, " ", string(a.Body)) }

// caller keeps connections: a dead relay's are closed by the system, a frozen one's are given up with their context.
var caller = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// Ask makes one call, within Patience unless ctx says less.
func (r *Relay) Ask(ctx context.Context, method, path string, h http.Header, body []byte) Answer {
	began := time.Now()
	url, _ := r.where()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url+path, bytes.NewReader(body))
	if err != nil {
		return Answer{}
	}
	maps.Copy(req.Header, h)
	resp, err := caller.Do(req)
	if err != nil {
		return Answer{Took: time.Since(began)}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{Took: time.Since(began)}
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: b, Took: time.Since(began)}
}

// header makes a header of names and values in turn.
func header(pairs []string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

// Push brings what an IM pushes. Headers are names and values in turn.
func (r *Relay) Push(ctx context.Context, body []byte, headers ...string) Answer {
	return r.Ask(ctx, http.MethodPost, "/im/inbound", header(headers), body)
}

// Message is what a client sends.
type Message struct {
	Key, To, Text string
}

// Send sends as a client. Headers are names and values in turn.
func (r *Relay) Send(ctx context.Context, m Message, headers ...string) Answer {
	body, err := json.Marshal(map[string]string{"to": m.To, "text": m.Text})
	if err != nil {
		return Answer{}
	}
	h := header(headers)
	h.Set("Authorization", "Bearer "+r.botToken())
	h.Set("Idempotency-Key", m.Key)
	return r.Ask(ctx, http.MethodPost, "/api/messages/send", h, body)
}

// Outcome waits for the outcome of a background send; empty: there was none.
func (r *Relay) Outcome(ctx context.Context, id string) string {
	h := http.Header{"Authorization": {"Bearer " + r.botToken()}}
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); {
		a := r.Ask(ctx, http.MethodGet, "/api/messages/"+id, h, nil)
		if status := a.Get("status").Str; status != "" && status != "queued" {
			return status
		}
		<-time.After(10 * time.Millisecond)
	}
	return ""
}

// Ready says whether the relay can take messages.
func (r *Relay) Ready() bool {
	return r.Ask(context.Background(), http.MethodGet, "/readyz", nil, nil).Status == http.StatusOK
}

// Admin makes a call of the admin API.
func (r *Relay) Admin(ctx context.Context, method, path string, body []byte) Answer {
	_, token := r.where()
	return r.Ask(ctx, method, path, http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}, body)
}

// Event is an event as the relay has it in its books.
type Event struct {
	ID, State string
}

// Events are all events that the relay knows.
func (r *Relay) Events(ctx context.Context) ([]Event, error) {
	var all []Event
	for before := ""; ; {
		a := r.Admin(ctx, http.MethodGet, "/api/admin/events?limit=1000"+before, nil)
		if a.Status != http.StatusOK {
			return nil, fmt.Errorf("list events of relay %q: %s", r.Name, a)
		}
		for _, e := range a.Get("events").Array() {
			all = append(all, Event{ID: e.Get("id").Str, State: e.Get("state").Str})
		}
		next := a.Get("next").Str
		if next == "" {
			return all, nil
		}
		before = "&before=" + next
	}
}

// Drained waits until nothing waits for the agent and nothing is on its way there.
func (r *Relay) Drained(ctx context.Context, within time.Duration) error {
	var a Answer
	for deadline := time.Now().Add(within); time.Now().Before(deadline); {
		a = r.Admin(ctx, http.MethodGet, "/api/admin/agents", nil)
		counts := a.Get("agents.0.counts")
		if counts.Exists() && counts.Get("queued").Int()+counts.Get("delivering").Int() == 0 {
			return nil
		}
		<-time.After(20 * time.Millisecond)
	}
	return errors.New("the backlog was never drained: " + a.String())
}
