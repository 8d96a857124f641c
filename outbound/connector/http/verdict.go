package http

import (
	"slices"
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

// hasMessageID says that there is an id that only a message has: a bare "id" may be that of the call.
func hasMessageID(body []byte) bool {
	for _, path := range ids {
		if id := connector.ID(body, path); id != "" && id != "0" && path != "id" {
			return true
		}
	}
	return false
}

// verdict is what a 2xx says of the message. Of several that an answer gives the last one here counts.
type verdict uint8

const (
	sent   verdict = iota
	failed         // its words say whether it may have been sent
	refused
	doubtful
)

// judge reads what a 2xx says. The package's comment has the rule.
func judge(body []byte) verdict {
	v := gjson.GetManyBytes(body, "ok", "success", "Success", "status", "errcode", "retcode", "error",
		"code", "Code", "errno", "status", "ret")
	flags, codes, fault := v[:3], v[7:], v[6]
	well := slices.ContainsFunc(flags, isTrue)
	switch {
	case slices.ContainsFunc(flags, isFalse), saysNo(v[3]):
		return refused
	case well && idOf(body) != "":
		return sent
	case nonzero(v[4]), nonzero(v[5]):
		return refused
	}
	wrong := !well && holds(fault)
	if hasMessageID(body) {
		if wrong {
			return doubtful
		}
		return sent
	}
	worst := sent
	if wrong {
		worst = refused
	}
	for i, code := range codes {
		worst = max(worst, byCode(code, i == len(codes)-1))
	}
	return worst
}

// isFalse says that a flag is down, in any of its spellings.
func isFalse(r gjson.Result) bool {
	return r.Type == gjson.Number && r.Num == 0 || saysNo(r)
}

func isTrue(r gjson.Result) bool {
	return r.Type == gjson.True || r.Type == gjson.Number && r.Num == 1 || strings.EqualFold(r.Str, "true")
}

// saysNo says that a flag or a status is one of the words for a failure.
func saysNo(r gjson.Result) bool {
	switch strings.ToLower(r.Str) {
	case "false", "failed", "fail", "failure", "error":
		return true
	}
	return r.Type == gjson.False
}

// nonzero says that a code says something other than "all is well".
func nonzero(r gjson.Result) bool {
	s := connector.Text(r)
	return s != "" && s != "0"
}

// byCode judges a number that is like an HTTP status: 0, 1 and 2xx are well, as are words; 3xx and 4xx are refusals; from
// 500 on it is something that went wrong on the way, and of the others only the bridge knows what they are. Where strict,
// 1 is not well either.
func byCode(r gjson.Result, strict bool) verdict {
	n, err := strconv.Atoi(connector.Text(r))
	switch {
	case err != nil, n == 0, n == 1 && !strict, n >= 200 && n < 300:
		return sent
	case n >= 500:
		return doubtful
	case n >= 300:
		return refused
	}
	return failed
}

// holds says that an error is one, and no empty place for one.
func holds(r gjson.Result) bool {
	if r.Type == gjson.JSON {
		found := false
		r.ForEach(func(_, v gjson.Result) bool {
			found = v.Type == gjson.JSON && len(v.Raw) > len("{}") || v.Type != gjson.JSON && holds(v)
			return !found
		})
		return found
	}
	switch strings.ToLower(connector.Text(r)) {
	case "", "0", "ok", "none", "null", "nil", "false", "success":
		return r.Type == gjson.True
	}
	return true
}

// openWords say that nobody waited for the end of it, or that the bridge broke down over it, and clearWords that the
// message went nowhere.
var (
	openWords = []string{
		"timeout", "timed out", "time out", "deadline", "超时", "runtime error", "panic", "nil pointer", "空指针", "traceback",
		"unmarshal", "looking for", "internal", "eof", "broken pipe", "connection reset",
	}
	clearWords = []string{
		"not logged in", "not login", "logged out", "not online", "offline", "未登录", "不在线", "掉线", "离线", "no such",
		"not exist", "不存在", "not friend", "not a friend", "不是好友", "invalid param", "invalid argument", "参数错误", "denied",
		"forbidden", "unauthorized", "not allowed", "permission", "权限", "blocked", "黑名单", "too frequent", "too many", "频繁",
		"not support", "不支持", "too long", "过长",
	}
)

// denial is the error of a 2xx that says no.
func denial(a egress.Answer, v verdict, hide []string) *outbound.SendError {
	e := connector.Words(a.Body, hide...)
	if e.After = connector.Wait(a); e.After > 0 {
		e.Reason = outbound.Throttled
		return e
	}
	words := strings.ToLower(e.Detail)
	says := func(w string) bool { return strings.Contains(words, w) }
	if v == doubtful || slices.ContainsFunc(openWords, says) || v == failed && !slices.ContainsFunc(clearWords, says) {
		e.Reason = outbound.Uncertain
		return e
	}
	e.Reason = outbound.Rejected
	return e
}
