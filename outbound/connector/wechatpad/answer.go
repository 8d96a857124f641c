package wechatpad

import (
	"encoding/json"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/ipad"
	"github.com/imrelay/imrelay/relay/egress"
)

// The outer codes.
const (
	codeSent     = "200"
	codeSentToo  = "0" // in the builds that write it in lower case
	codeNoLogin  = "300"
	codeNoKey    = "-2"
	codeUnclear  = "no_result"
	codeNoAnswer = "no_json"
)

// judge is the id of a sent message, or says why it was not, or need not have been, sent.
func judge(a egress.Answer, hide ...string) (string, *outbound.SendError) {
	data, e := open(a, hide...)
	if e != nil {
		return "", e
	}
	out := ipad.Read(data, hide...)
	if out.Failure == nil && !out.Sent {
		return "", &outbound.SendError{Reason: outbound.Uncertain, Code: codeUnclear}
	}
	return out.ID, out.Failure
}

// loginState reads the answer of login/GetLoginStatus.
func loginState(a egress.Answer, hide ...string) (string, *outbound.SendError) {
	data, e := open(a, hide...)
	if e != nil {
		return "", e
	}
	state := connector.Text(ipad.Get(data, "loginstate"))
	if state == "" {
		return "", &outbound.SendError{Reason: outbound.Uncertain, Code: codeUnclear}
	}
	return state, nil
}

// open is what an answer holds whose outer code is one of success.
func open(a egress.Answer, hide ...string) (gjson.Result, *outbound.SendError) {
	if e := connector.Status(a, hide...); e != nil {
		return gjson.Result{}, e
	}
	if a.Truncated || !json.Valid(a.Body) {
		return gjson.Result{}, &outbound.SendError{Reason: outbound.Uncertain, Code: codeNoAnswer}
	}
	root := gjson.ParseBytes(a.Body)
	code, said := connector.Text(ipad.Get(root, "code")), ipad.Said(connector.Text(ipad.Get(root, "text")), hide...)
	if code == codeSent || code == codeSentToo {
		return ipad.Get(root, "data"), nil
	}
	means, ok := ipad.Meaning(said)
	switch {
	case ok:
	case code == codeNoLogin:
		means = ipad.LoggedOut()
	case code == codeNoKey:
		means = outbound.SendError{Reason: outbound.Rejected}
	default:
		means = outbound.SendError{Reason: outbound.Uncertain}
	}
	return gjson.Result{}, ipad.Fail(means, code, said, hide...)
}
