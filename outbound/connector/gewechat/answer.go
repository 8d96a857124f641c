package gewechat

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

const (
	longestCode   = 64
	longestDetail = 200
	// cooling is how long an account is left alone that was too fast. The API says nothing of it.
	cooling = 3 * time.Minute
	// codeOffline is the API's code of an account that is not logged in.
	codeOffline = "-2"
)

// cause is what an answer's words mean.
type cause struct {
	words []string
	means outbound.SendError
}

// causes are looked up in order: the first that has one of the words counts. What may have been sent comes first, for a
// send must not be repeated because some other word happens to stand in the same answer.
var causes = []cause{
	{
		words: []string{
			"超时", "timeout", "timed out", "time out", "deadline", "eof", "broken pipe", "connection reset",
			"connection closed", "连接断开", "retries",
		},
		means: outbound.SendError{Reason: outbound.Uncertain},
	},
	{
		words: []string{
			"离线", "offline", "未登录", "未登陆", "掉线", "不在线", "重新登录", "重新登陆", "设备不存在", "not logged in",
			"not online", "not login", "logged out",
		},
		means: outbound.SendError{Reason: outbound.NotSent, Offline: true},
	},
	{
		words: []string{"频繁", "频率", "限流", "too frequent", "too often", "too fast", "too many", "rate limit", "freq"},
		means: outbound.SendError{Reason: outbound.Throttled, After: cooling},
	},
	{
		words: []string{
			"不存在", "不是好友", "非好友", "好友关系", "not friend", "not a friend", "拉黑", "黑名单", "被对方删除", "不在群",
			"not found", "not exist", "no such", "参数", "不能为空", "不可为空", "格式", "无效", "非法", "invalid", "illegal",
			"过长", "过大", "长度", "too long", "too large", "下载", "download", "权限", "permission", "forbidden", "token",
			"不支持", "not support",
		},
		means: outbound.SendError{Reason: outbound.Rejected},
	},
	{
		words: []string{"limit"},
		means: outbound.SendError{Reason: outbound.Throttled, After: cooling},
	},
}

// judge says what an answer means; nil: the message was sent.
func judge(a egress.Answer, hide ...string) *outbound.SendError {
	if e := connector.Status(a, hide...); e != nil {
		return e
	}
	if !json.Valid(a.Body) {
		return &outbound.SendError{Reason: outbound.Uncertain, Code: "no_json"}
	}
	ret := connector.First(a.Body, "ret")
	if ret == "200" {
		return nil
	}
	code := connector.Clean(connector.First(a.Body, "data.code", "code"), longestCode, hide...)
	outer := connector.Clean(connector.First(a.Body, "msg"), longestDetail, hide...)
	detail := connector.Clean(connector.First(a.Body, "data.msg", "data"), longestDetail, hide...)
	out := meaning(ret, code, strings.ToLower(outer+" "+detail))
	if out.Code, out.Detail = code, detail; code == "" {
		out.Code = connector.Clean(ret, longestCode, hide...)
	}
	if out.Detail == "" {
		out.Detail = outer
	}
	return &out
}

// meaning is what follows from the words of an answer that is no success.
func meaning(ret, code, words string) outbound.SendError {
	for _, c := range causes {
		for _, w := range c.words {
			if strings.Contains(words, w) {
				return c.means
			}
		}
	}
	n, err := strconv.Atoi(ret)
	switch {
	case code == codeOffline:
		return outbound.SendError{Reason: outbound.NotSent, Offline: true}
	case err != nil, n >= http.StatusInternalServerError, n <= 0:
		return outbound.SendError{Reason: outbound.Uncertain}
	}
	return outbound.SendError{Reason: outbound.Rejected}
}

// messageID is the id of a sent message; empty: the answer has none.
func messageID(body []byte) string {
	v := gjson.GetBytes(body, "data.newMsgId")
	if v.IsObject() {
		high, ok := half(v.Get("high"))
		low, alsoOK := half(v.Get("low"))
		if n := uint64(high)<<32 | uint64(low); ok && alsoOK && n > 0 {
			return strconv.FormatUint(n, 10)
		}
		return ""
	}
	if n, err := strconv.ParseUint(connector.Text(v), 10, 64); err == nil && n > 0 {
		return strconv.FormatUint(n, 10)
	}
	return ""
}

// half is one half of an id: with a sign or without, the 32 bits are the same, and one that is left out is 0.
func half(v gjson.Result) (uint32, bool) {
	if !v.Exists() {
		return 0, true
	}
	n, err := strconv.ParseInt(connector.Text(v), 10, 64)
	if err != nil || n < math.MinInt32 || n > math.MaxUint32 {
		return 0, false
	}
	return uint32(n & math.MaxUint32), true
}

// loggedIn reads the answer of login/checkOnline.
func loggedIn(body []byte) (bool, error) {
	switch gjson.GetBytes(body, "data").Type {
	case gjson.True:
		return true, nil
	case gjson.False:
		return false, nil
	}
	return false, &outbound.SendError{Reason: outbound.Uncertain, Code: "no_data"}
}
