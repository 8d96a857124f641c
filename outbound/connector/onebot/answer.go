package onebot

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
)

// trouble is a reason that is safe to show.
type trouble string

// Error implements error.
func (t trouble) Error() string { return string(t) }

// errToken says that the token was not accepted.
const errToken = trouble("the token is not accepted")

// What an answer says of itself.
const (
	statusOK     = "ok"
	statusAsync  = "async"
	statusFailed = "failed"
)

// judge says what an answer means for a send; nil: sent.
func judge(answer []byte, hide []string) error {
	if !json.Valid(answer) {
		return stranger()
	}
	said := gjson.GetBytes(answer, "status").Str
	code := connector.First(answer, "retcode")
	switch {
	case said == statusFailed:
		return failure(answer, code, hide)
	case said == statusAsync, code == "1":
		return nil
	case code == "0", said == statusOK && code == "":
		return nil
	case code != "":
		return failure(answer, code, hide)
	}
	return stranger()
}

// stranger is what an answer that is none of OneBot's means: nobody knows who took the message.
func stranger() error {
	return &outbound.SendError{Reason: outbound.Uncertain, Code: "answer", Detail: "the answer is not that of a OneBot implementation"}
}

// failure is what a failed answer means.
func failure(answer []byte, code string, hide []string) error {
	e := connector.Words(answer, hide...)
	e.Code, e.Reason = connector.Clean(code, longestCode, hide...), outbound.Rejected
	switch {
	case code == "1401", code == "1403":
		e.Err = errToken
	case code == "100", speaksOfTime(answer):
		e.Reason = outbound.Uncertain
	}
	return e
}

const longestCode = 64

// speaksOfTime says that the implementation gave up waiting.
func speaksOfTime(answer []byte) bool {
	for _, v := range gjson.GetManyBytes(answer, "message", "msg", "wording") {
		words := strings.ToLower(v.Str)
		for _, w := range []string{"timeout", "timed out", "time out", "超时"} {
			if strings.Contains(words, w) {
				return true
			}
		}
	}
	return false
}

// idOf is the id of a sent message; empty: there is none.
func idOf(answer []byte) string {
	if id := connector.ID(answer, "data.message_id"); id != "0" {
		return id
	}
	return ""
}
