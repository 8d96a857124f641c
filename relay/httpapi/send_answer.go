package httpapi

import "github.com/imrelay/imrelay/outbound"

// sentJSON is the answer to a message that was sent.
type sentJSON struct {
	MessageID  string   `json:"messageId"`
	MessageIDs []string `json:"messageIds,omitempty"`
}

// sentAnswer shows the first id, and all of them when the text was sent in parts. An IM that gives no id leaves it
// empty, but there.
func sentAnswer(ids []string) sentJSON {
	var out sentJSON
	if len(ids) > 0 {
		out.MessageID = ids[0]
	}
	if len(ids) > 1 {
		out.MessageIDs = ids
	}
	return out
}

// queuedAnswer is the answer to a message that will be sent in the background. It is the same for every repeat: where
// the message stands by now is what GET /api/messages/{id} is for.
type queuedAnswer struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// reportJSON tells where a message stands.
type reportJSON struct {
	ID         string             `json:"id"`
	Status     string             `json:"status"`
	MessageID  *string            `json:"messageId,omitempty"`
	MessageIDs []string           `json:"messageIds,omitempty"`
	Error      *errorWords        `json:"error,omitempty"`
	RetryAfter int                `json:"retry_after,omitempty"`
	Upstream   *outbound.Upstream `json:"upstream,omitempty"`
	Part       int                `json:"part,omitempty"`
}

// reportAnswer shows a report: a sent message has its messageId, even an empty one, any other has those of its parts
// that were sent.
func reportAnswer(r outbound.Report) reportJSON {
	out := reportJSON{ID: r.ID, Status: r.Status}
	sent := sentAnswer(r.MessageIDs)
	if r.Status == "sent" || len(r.MessageIDs) > 0 {
		out.MessageID, out.MessageIDs = &sent.MessageID, sent.MessageIDs
	}
	if r.Err == nil {
		return out
	}
	e := asError(r.Err)
	out.Error = &errorWords{Code: e.Code, Message: e.Message}
	out.Upstream, out.Part = e.Upstream, e.Part
	if e.RetryAfter > 0 {
		out.RetryAfter = e.retryAfter()
	}
	return out
}
