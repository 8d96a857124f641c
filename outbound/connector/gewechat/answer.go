package gewechat

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/ipad"
	"github.com/imrelay/imrelay/relay/egress"
)

// codeOffline is the API's code of an account that is not logged in.
const codeOffline = "-2"

// causes are the API's own, behind those that all servers have.
var causes = []ipad.Cause{
	{Words: []string{"设备不存在"}, Means: ipad.LoggedOut()},
	{
		Words: []string{
			"用户不存在", "好友不存在", "联系人不存在", "群不存在", "群聊不存在", "接口不存在", "文件不存在", "user not found", "friend not found",
			"contact not found", "user not exist", "user does not exist", "no such user", "no such friend", "no such contact",
			"超过长度", "长度超", "下载失败", "下载文件失败", "download failed", "failed to download", "x-gewe-token", "invalid token",
			"token无效", "token 无效",
		},
		Means: outbound.SendError{Reason: outbound.Rejected},
	},
	{Words: []string{"limit"}, Means: ipad.Throttled()},
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
	code := connector.First(a.Body, "data.code", "code")
	outer := ipad.Said(connector.First(a.Body, "msg"), hide...)
	detail := ipad.Said(connector.First(a.Body, "data.msg", "data"), hide...)
	means := meaning(ret, code, outer+" "+detail)
	return ipad.Fail(means, cmp.Or(code, ret), cmp.Or(detail, outer), hide...)
}

// meaning is what follows from the words of an answer that is no success.
func meaning(ret, code, words string) outbound.SendError {
	if e, ok := ipad.Meaning(words, causes...); ok {
		return e
	}
	n, err := strconv.Atoi(ret)
	switch {
	case code == codeOffline:
		return ipad.LoggedOut()
	case err != nil, n >= http.StatusInternalServerError, n <= 0:
		return outbound.SendError{Reason: outbound.Uncertain}
	}
	return outbound.SendError{Reason: outbound.Rejected}
}

// messageID is the id of a sent message; empty: the answer has none.
func messageID(body []byte) string { return ipad.ID(gjson.GetBytes(body, "data.newMsgId")) }

// yes is what loggedIn says of an account that is logged in.
const yes = "true"

// loggedIn reads the answer of login/checkOnline.
func loggedIn(body []byte) (string, *outbound.SendError) {
	v := gjson.GetBytes(body, "data")
	if !v.IsBool() {
		return "", &outbound.SendError{Reason: outbound.Uncertain, Code: "no_data"}
	}
	return v.Raw, nil
}
