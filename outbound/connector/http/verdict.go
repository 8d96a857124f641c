package http

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

// ids are where the IM's id of a sent message may stand, in this order.
var ids = []string{
	"messageId", "messageID", "message_id", "data.messageId", "data.messageID", "data.message_id", "id", "data.id",
	"newMsgId", "data.newMsgId",
}

// idOf is the id in an answer; 0 is none.
func idOf(body []byte) string {
	for _, path := range ids {
		if id := connector.ID(body, path); id != "" && id != "0" {
			return id
		}
	}
	return ""
}

// verdict is what a 2xx says of the message.
type verdict uint8

const (
	sent verdict = iota
	refused
	doubtful
)

// judge reads what a 2xx says. The package's comment has the rule.
func judge(body []byte) verdict {
	v := gjson.GetManyBytes(body, "ok", "success", "Success", "status", "errcode", "retcode", "ret", "code", "Code", "error")
	switch {
	case isFalse(v[0]), isFalse(v[1]), isFalse(v[2]), failedStatus(v[3]), nonzero(v[4]), nonzero(v[5]):
		return refused
	}
	worst := sent
	for i, code := range []gjson.Result{v[3], v[6], v[7], v[8]} {
		worst = max(worst, byCode(code, i == 1))
	}
	if worst != sent || !holds(v[9]) || isTrue(v[0]) || isTrue(v[1]) || isTrue(v[2]) {
		return worst
	}
	return refused
}

// isFalse says that a flag is down, in any of its spellings.
func isFalse(r gjson.Result) bool {
	return r.Type == gjson.False || r.Type == gjson.Number && r.Num == 0 || strings.EqualFold(r.Str, "false")
}

func isTrue(r gjson.Result) bool {
	return r.Type == gjson.True || r.Type == gjson.Number && r.Num == 1 || strings.EqualFold(r.Str, "true")
}

func failedStatus(r gjson.Result) bool {
	switch strings.ToLower(r.Str) {
	case "failed", "fail", "failure", "error":
		return true
	}
	return false
}

// nonzero says that a code says something other than "all is well".
func nonzero(r gjson.Result) bool {
	s := connector.Text(r)
	return s != "" && s != "0"
}

// byCode judges a number that is like an HTTP status: 0, 1 and 2xx are well, as are words; from 500 on it is something that
// went wrong on the way. Where strict, 1 is not well either.
func byCode(r gjson.Result, strict bool) verdict {
	n, err := strconv.Atoi(connector.Text(r))
	switch {
	case err != nil, n == 0, n == 1 && !strict, n >= 200 && n < 300:
		return sent
	case n >= 500:
		return doubtful
	}
	return refused
}

// holds says that an error is one, and no empty place for one.
func holds(r gjson.Result) bool {
	switch strings.ToLower(connector.Text(r)) {
	case "", "0", "ok", "none", "null", "nil", "success":
		return r.Type == gjson.True || r.IsObject() && len(r.Map()) > 0
	}
	return true
}

// timeWords say that nobody waited for the end of it.
var timeWords = []string{"timeout", "timed out", "time out", "deadline", "超时"}

// denial is the error of a 2xx that says no.
func denial(a egress.Answer, v verdict, hide []string) *outbound.SendError {
	e := connector.Words(a.Body, hide...)
	e.Reason = outbound.Rejected
	if e.After = connector.Wait(a); e.After > 0 {
		e.Reason = outbound.Throttled
		return e
	}
	words := strings.ToLower(e.Detail)
	for _, w := range timeWords {
		if strings.Contains(words, w) {
			v = doubtful
		}
	}
	if v == doubtful {
		e.Reason = outbound.Uncertain
	}
	return e
}
