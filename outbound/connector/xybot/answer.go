package xybot

import (
	"encoding/json"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/ipad"
	"github.com/imrelay/imrelay/relay/egress"
)

// The servers' codes.
const codeTooFrequent = "-12"

var (
	codesOffline  = []string{"-7", "-8", "-11"}
	codesRejected = []string{"-1", "-13"}
)

// judge is the id of a sent message, or says why it was not, or need not have been, sent.
func judge(a egress.Answer, hide ...string) (string, *outbound.SendError) {
	if e := connector.Status(a, hide...); e != nil {
		return "", e
	}
	if a.Truncated || !json.Valid(a.Body) {
		return "", &outbound.SendError{Reason: outbound.Uncertain, Code: "no_json"}
	}
	root := gjson.ParseBytes(a.Body)
	success, code := ipad.Get(root, "success"), connector.Text(ipad.Get(root, "code"))
	if ipad.IsFalse(success) || code != "" && code != "0" {
		said := ipad.Said(connector.Text(ipad.Get(root, "message")), hide...)
		return "", ipad.Fail(meaning(code, said), code, said, hide...)
	}
	out := ipad.Read(ipad.Get(root, "data"), hide...)
	if out.Failure == nil && !out.Sent && success.Type != gjson.True {
		return "", &outbound.SendError{Reason: outbound.Uncertain, Code: "no_result"}
	}
	return out.ID, out.Failure
}

// meaning is what follows from the code and the words of an answer that is no success.
func meaning(code, said string) outbound.SendError {
	switch {
	case slices.Contains(codesOffline, code):
		return ipad.LoggedOut()
	case code == codeTooFrequent:
		return ipad.Throttled()
	}
	e, ok := ipad.Meaning(said)
	switch {
	case ok && e.Reason == outbound.Uncertain:
	case slices.Contains(codesRejected, code):
		return outbound.SendError{Reason: outbound.Rejected}
	case ok:
		return e
	}
	return outbound.SendError{Reason: outbound.Uncertain}
}
