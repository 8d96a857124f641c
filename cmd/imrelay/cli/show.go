package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/term"
	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/queue"
)

// stateDelivering is an event with an attempt under way.
const stateDelivering = "delivering"

// The widest columns of a listing.
const (
	maxName  = 28
	maxError = 60
)

// eventView is an event as the commands show it. The names are those of the admin API.
type eventView struct {
	ID           string `json:"id"`
	State        string `json:"state"`
	IM           string `json:"im"`
	Conversation string `json:"conversation"`
	Agent        string `json:"agent"`
	relay.Note

	Attempts     int       `json:"attempts"`
	Status       int       `json:"status,omitempty"`
	LastError    string    `json:"lastError,omitempty"`
	Accepted     time.Time `json:"accepted,omitzero"`
	Since        time.Time `json:"since,omitzero"`
	Due          time.Time `json:"due,omitzero"`
	FirstFailure time.Time `json:"firstFailure,omitzero"`
	Updated      time.Time `json:"updated,omitzero"`
}

// viewOf shows a job. An unreadable note leaves its fields empty.
func viewOf(j queue.Job) eventView {
	note, _ := relay.ReadNote(j.Meta)
	v := eventView{
		ID: j.ID, State: j.State.String(), IM: j.Lane.Account, Conversation: j.Lane.Conversation, Agent: j.Lane.Agent,
		Note: note, Attempts: j.Attempts, Status: j.Status, LastError: j.LastError, Accepted: j.Accepted, Since: j.Since,
		FirstFailure: j.FirstFailure, Updated: j.Updated,
	}
	if j.State == queue.Queued || j.State == queue.Parked {
		v.Due = j.Due
	}
	if j.Leased {
		v.State = stateDelivering
	}
	return v
}

// stateDress colours a state: what needs somebody is red, what may is yellow.
func stateDress(s term.Style, state string) func(string) string {
	switch state {
	case queue.Dead.String():
		return s.Red
	case queue.Parked.String():
		return s.Yellow
	case queue.Delivered.String():
		return s.Green
	}
	return s.Cyan
}

// printEvents prints a listing as a table.
func (a *app) printEvents(views []eventView) error {
	t := term.NewTable("ID", "STATE", "ACCEPTED", "IM", "CONVERSATION", "SENDER", "KIND", "AGENT", "FAILED", "LAST ERROR")
	for _, v := range views {
		t.Row(
			term.Cell{Text: v.ID}, term.Cell{Text: v.State, Dress: stateDress(a.style, v.State)},
			term.Cell{Text: clock(v.Accepted)}, term.Cell{Text: v.IM}, term.Cell{Text: term.Cut(v.Conversation, maxName)},
			term.Cell{Text: term.Cut(who(v), maxName)}, term.Cell{Text: v.Kind}, term.Cell{Text: v.Agent},
			term.Cell{Text: strconv.Itoa(v.Attempts)}, term.Cell{Text: term.Cut(v.LastError, maxError)},
		)
	}
	return t.Print(a.Stdout, a.style)
}

// who is the sender as a reader knows him.
func who(v eventView) string {
	if v.Nickname != "" {
		return v.Nickname
	}
	return v.Sender
}

// clock is a time in the local zone; empty for none.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// exactly is a time with its milliseconds and its zone; empty for none.
func exactly(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05.000 -07:00")
}

// printEvent prints all fields of an event that are set, one a line.
func printEvent(w io.Writer, s term.Style, v eventView, size string) {
	yes := map[bool]string{true: "yes"}
	fields := []struct{ name, value string }{
		{"id", v.ID},
		{"state", v.State},
		{"im", v.IM},
		{"conversation", v.Conversation},
		{"agent", v.Agent},
		{"messageId", v.MessageID},
		{"sender", v.Sender},
		{"nickname", v.Nickname},
		{"kind", v.Kind},
		{"group", yes[v.Group]},
		{"mentioned", yes[v.Mentioned]},
		{"contentType", v.ContentType},
		{"traceparent", v.Traceparent},
		{"attempts", strconv.Itoa(v.Attempts)},
		{"status", positive(v.Status)},
		{"lastError", v.LastError},
		{"accepted", exactly(v.Accepted)},
		{"since", exactly(v.Since)},
		{"due", exactly(v.Due)},
		{"firstFailure", exactly(v.FirstFailure)},
		{"updated", exactly(v.Updated)},
		{"body", size},
	}
	var b strings.Builder
	for _, f := range fields {
		if f.value == "" {
			continue
		}
		value := term.Clean(f.value)
		if f.name == "state" {
			value = stateDress(s, v.State)(value)
		}
		fmt.Fprintf(&b, "%s %s\n", s.Dim(term.Pad(f.name, 12)), value)
	}
	fmt.Fprint(w, b.String())
}

func positive(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
