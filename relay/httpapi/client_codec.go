package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

// understand reads an answer.
func understand(resp *http.Response, reply []byte, out any) error {
	var failed error
	if resp.StatusCode >= http.StatusBadRequest {
		failed = readError(resp, reply)
	}
	if out == nil {
		return failed
	}
	if err := json.Unmarshal(reply, out); err != nil && failed == nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return failed
}

// readError gives back the error that the server raised, with the sentinel that its code stands for. What is not in
// the API's shape came from somebody else.
func readError(resp *http.Response, reply []byte) error {
	var in errorBody
	if json.Unmarshal(reply, &in) != nil || in.Error == nil {
		return &Error{
			Code:      CodeInternal,
			Message:   fmt.Sprintf("an answer with status %d that is not the relay's", resp.StatusCode),
			RequestID: resp.Header.Get(headerRequestID),
		}
	}
	return &Error{
		Code: in.Error.Code, Message: in.Error.Message, RequestID: in.RequestID,
		RetryAfter: time.Duration(in.RetryAfter) * time.Second, Upstream: in.Upstream, Part: in.Part,
		MessageIDs: in.MessageIDs, Err: meanings[in.Error.Code].sentinel,
	}
}

// job is the inverse of showEvent, but for the parts of the job that the API does not show.
func (e eventJSON) job() (queue.Job, error) {
	seq, err := strconv.ParseUint(e.Seq, 10, 64)
	if err != nil {
		return queue.Job{}, fmt.Errorf("read event: %w", err)
	}
	meta, err := json.Marshal(e.Note)
	if err != nil {
		return queue.Job{}, fmt.Errorf("read event: %w", err)
	}
	j := queue.Job{
		ID: e.ID, Seq: seq, Meta: meta, Attempts: e.Attempts,
		Lane:     queue.Lane{Agent: e.Agent, Account: e.IM, Conversation: e.Conversation},
		Accepted: e.Accepted.Time, Since: e.Since.Time, Due: e.Due.Time, FirstFailure: e.FirstFailure.Time,
		Updated: e.Updated.Time, Status: e.Status, LastError: e.LastError,
	}
	if e.State == stateDelivering {
		// Whether it is a queued or a parked one the API does not tell.
		j.State, j.Leased = queue.Queued, true
		return j, nil
	}
	if j.State, err = queue.ParseState(e.State); err != nil {
		return queue.Job{}, fmt.Errorf("read event: %w", err)
	}
	return j, nil
}

// filterQuery is the query that readFilter and readStates read.
func filterQuery(f queue.Filter) url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Add(name, value)
		}
	}
	for _, s := range f.States {
		set("state", s.String())
	}
	if f.Leased {
		q["state"] = []string{stateDelivering}
	}
	set("agent", f.Agent)
	set("im", f.Account)
	set("conversation", f.Conversation)
	set("since", sinceOf(f))
	if f.Before > 0 {
		set("before", strconv.FormatUint(f.Before, 10))
	}
	if f.Limit > 0 {
		set("limit", strconv.Itoa(min(f.Limit, maxPage)))
	}
	return q
}

// allOf is the selection of all that the filter lets through.
func allOf(f queue.Filter) selection {
	return selection{All: true, IM: f.Account, Agent: f.Agent, Conversation: f.Conversation, Since: sinceOf(f)}
}

// sinceOf is the filter's Since as the API reads it.
func sinceOf(f queue.Filter) string {
	if f.Since.IsZero() {
		return ""
	}
	return f.Since.UTC().Format(time.RFC3339Nano)
}

// rateOf is the gap as readRate reads it.
func rateOf(gap time.Duration) string {
	if gap <= 0 {
		return ""
	}
	return "1/" + gap.String()
}

// count is *n, or 0.
func count(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}
