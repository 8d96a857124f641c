package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
)

const (
	// stateDelivering is what the API calls an event with an attempt under way.
	stateDelivering = "delivering"
	defaultPage     = 100
	maxPage         = 1000
)

// eventJSON is an event as the admin API shows it.
type eventJSON struct {
	ID           string `json:"id"`
	Seq          string `json:"seq"`
	State        string `json:"state"`
	Agent        string `json:"agent"`
	IM           string `json:"im"`
	Conversation string `json:"conversation"`
	relay.Note

	Attempts     int    `json:"attempts"`
	Accepted     Time   `json:"accepted"`
	Since        Time   `json:"since,omitzero"`
	Due          Time   `json:"due,omitzero"`
	FirstFailure Time   `json:"firstFailure,omitzero"`
	Updated      Time   `json:"updated,omitzero"`
	Status       int    `json:"status,omitempty"`
	LastError    string `json:"lastError,omitempty"`
}

// eventBodyJSON is one event with its body.
type eventBodyJSON struct {
	eventJSON

	// Body is the bytes in base64, null where the retention has removed them.
	Body []byte `json:"body"`
	// Text is the body where it is UTF-8.
	Text *string `json:"text,omitempty"`
	Size int     `json:"size"`
}

// pageJSON is a page of events, newest first.
type pageJSON struct {
	Events []eventJSON `json:"events"`
	// Next goes into ?before= for the following page.
	Next string `json:"next,omitempty"`
}

// showEvent shows a job. An unreadable note leaves its fields empty: the job is no less worth seeing.
func showEvent(j queue.Job) eventJSON {
	note, _ := relay.ReadNote(j.Meta)
	out := eventJSON{
		ID: j.ID, Seq: strconv.FormatUint(j.Seq, 10), State: shownState(j), Agent: j.Lane.Agent, IM: j.Lane.Account,
		Conversation: j.Lane.Conversation, Note: note, Attempts: j.Attempts, Accepted: Time{j.Accepted},
		Since: Time{j.Since}, FirstFailure: Time{j.FirstFailure}, Updated: Time{j.Updated}, Status: j.Status,
		LastError: j.LastError,
	}
	if j.State == queue.Queued || j.State == queue.Parked {
		out.Due = Time{j.Due}
	}
	return out
}

// shownState is the state in the API's words.
func shownState(j queue.Job) string {
	if j.Leased {
		return stateDelivering
	}
	return j.State.String()
}

// listEvents serves GET /api/admin/events.
func listEvents(c *call) error {
	query := c.r.URL.Query()
	f, err := readFilter(query)
	if err != nil {
		return err
	}
	if err := readStates(query["state"], &f); err != nil {
		return err
	}
	return c.listJobs(f)
}

// listJobs answers with one page. An event under way is shown only to who asks for all states, or for such ones.
func (c *call) listJobs(f queue.Filter) error {
	page, err := c.s.o.Store.List(c.r.Context(), f)
	if err != nil {
		return fmt.Errorf("list events: %w", err)
	}
	out := pageJSON{Events: make([]eventJSON, 0, len(page.Jobs))}
	for _, j := range page.Jobs {
		if j.Leased && len(f.States) > 0 && !f.Leased {
			continue
		}
		out.Events = append(out.Events, showEvent(j))
	}
	if page.Next > 0 {
		out.Next = strconv.FormatUint(page.Next, 10)
	}
	return c.encodeJSON(http.StatusOK, out)
}

// readFilter reads everything but the states.
func readFilter(query url.Values) (queue.Filter, error) {
	f := queue.Filter{
		Agent: query.Get("agent"), Account: query.Get("im"), Conversation: query.Get("conversation"), Limit: defaultPage,
	}
	var err error
	if v := query.Get("since"); v != "" {
		if f.Since, err = readSince(v, time.Now()); err != nil {
			return f, err
		}
	}
	if v := query.Get("limit"); v != "" {
		if f.Limit, err = strconv.Atoi(v); err != nil || f.Limit < 1 || f.Limit > maxPage {
			return f, invalid("limit", fmt.Sprintf("must be a number from 1 to %d", maxPage))
		}
	}
	if v := query.Get("before"); v != "" {
		if f.Before, err = strconv.ParseUint(v, 10, 64); err != nil {
			return f, invalid("before", "must be the next of an earlier page")
		}
	}
	return f, nil
}

// readSince reads a time, or how long ago it was.
func readSince(v string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, v); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, invalid("since", "must be a time such as 2026-01-02T15:04:05Z, or a duration such as 24h")
}

// readStates reads the states, several of which may be given. An attempt under way is no state of the store, so
// "delivering" stands alone.
func readStates(names []string, f *queue.Filter) error {
	if slices.Contains(names, stateDelivering) {
		if len(names) > 1 {
			return invalid("state", "delivering cannot be combined with other states")
		}
		f.Leased = true
		return nil
	}
	for _, name := range names {
		s, err := queue.ParseState(name)
		if err != nil {
			return invalid("state", "must be queued, delivering, parked, delivered or dead")
		}
		f.States = append(f.States, s)
	}
	return nil
}

// getEvent serves GET /api/admin/events/{id}.
func getEvent(c *call) error {
	j, err := c.s.o.Store.Get(c.r.Context(), c.vars["id"])
	if err != nil {
		return fmt.Errorf("get event: %w", err)
	}
	out := eventBodyJSON{eventJSON: showEvent(j), Body: j.Body, Size: len(j.Body)}
	if j.Body != nil && utf8.Valid(j.Body) {
		text := string(j.Body)
		out.Text = &text
	}
	return c.encodeJSON(http.StatusOK, out)
}
