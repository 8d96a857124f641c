package outbound

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imrelay/imrelay/dedupe"
)

// record is what the ledger keeps of a send. Its JSON form is stored, so names stay.
type record struct {
	// IDs are the IM's ids of the parts that were sent.
	IDs []string `json:"ids,omitempty"`
	// At and Fence say where in the text the next part begins: it is cut with the limits of then.
	At    int    `json:"at,omitempty"`
	Fence string `json:"fence,omitempty"`
	// Media is how many media were sent.
	Media int `json:"media,omitempty"`
	// Text is how the IM shows the text, where that is another than the text and goes in parts.
	Text string `json:"text,omitempty"`
	// AsIs says that the text goes in parts as it is.
	AsIs bool `json:"asIs,omitempty"`
	// Long says that the message goes in parts.
	Long bool `json:"long,omitempty"`
	// Fail is how it ended, where it did not end well.
	Fail *failure `json:"fail,omitempty"`
}

type failure struct {
	Code     Code      `json:"code"`
	Message  string    `json:"message"`
	Upstream *Upstream `json:"upstream,omitempty"`
}

func (r record) encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return b, nil
}

func decodeRecord(b []byte) (record, error) {
	var r record
	if len(b) == 0 {
		return r, nil
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("decode record: %w", err)
	}
	return r, nil
}

// at adds to the error which part failed and what was sent before.
func (r record) at(e *Error) *Error {
	if !r.Long || e == nil {
		return e
	}
	out := *e
	out.Part, out.MessageIDs = len(r.IDs)+1, slices.Clone(r.IDs)
	return &out
}

// ended is the error that the record tells of.
func (r record) ended(s dedupe.Status) *Error {
	switch {
	case s == dedupe.Unknown:
		return r.at(errUnknown())
	case r.Fail == nil:
		return r.at(errUnavailable(unavailableFor))
	}
	return r.at(&Error{Code: r.Fail.Code, Message: r.Fail.Message, Upstream: r.Fail.Upstream})
}

// payload is a queued message. Its JSON form is stored, so names stay.
type payload struct {
	Client    string  `json:"client"`
	RequestID string  `json:"requestId,omitempty"`
	EventID   string  `json:"eventId,omitempty"`
	Account   string  `json:"account"`
	To        string  `json:"to"`
	Text      string  `json:"text,omitempty"`
	ReplyTo   string  `json:"replyTo,omitempty"`
	Media     []Media `json:"media,omitempty"`
	// Mentions and Rendered are newer: what lacks them has none, and is not.
	Mentions []Mention `json:"mentions,omitempty"`
	Rendered bool      `json:"rendered,omitempty"`
	// Queued is when it was queued: a day from then it is given up.
	Queued time.Time `json:"queued"`
}

func payloadOf(r Request, queued time.Time) ([]byte, error) {
	b, err := json.Marshal(payload{
		Client: r.Client.Name, RequestID: r.RequestID, EventID: r.EventID, Account: r.Account, To: r.To, Text: r.Text,
		ReplyTo: r.ReplyTo, Media: r.Media, Mentions: r.Mentions, Rendered: r.rendered, Queued: queued,
	})
	if err != nil {
		return nil, fmt.Errorf("encode payload: %w", err)
	}
	return b, nil
}

// requestOf reads a queued message back.
func requestOf(b []byte) (r Request, queued time.Time, err error) {
	var p payload
	if err := json.Unmarshal(b, &p); err != nil {
		return Request{}, time.Time{}, fmt.Errorf("decode payload: %w", err)
	}
	r = Request{
		Client: Client{Name: p.Client}, RequestID: p.RequestID, EventID: p.EventID, Account: p.Account, To: p.To,
		Text: p.Text, ReplyTo: p.ReplyTo, Media: p.Media, Mentions: p.Mentions, rendered: p.Rendered,
	}
	return r, p.Queued, nil
}

// laneOf names the order in which background sends go. An account's name holds no slash.
func laneOf(account, to string) string { return account + "/" + to }

// recipientOf is the other way round.
func recipientOf(lane string) (account, to string) {
	account, to, _ = strings.Cut(lane, "/")
	return account, to
}
