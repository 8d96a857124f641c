package ipad

import (
	"slices"
	"strings"

	"github.com/imrelay/imrelay/outbound"
)

// Cause is what an answer's words mean.
type Cause struct {
	Words []string
	Means outbound.SendError
}

// causes are looked up in order: the first that has one of the words counts. What may have been sent comes first, for a
// send must not be repeated because some other word happens to stand in the same answer; and no word of the others is one
// that a program has for trouble of its own, such as "invalid" alone.
var causes = []Cause{
	// A crash, or an answer that the server could not read: WeChat may have taken the message before.
	{
		Words: []string{
			"runtime error", "panic", "nil pointer", "nullpointer", "空指针", "out of range", "traceback", "unmarshal",
			"looking for", "json", "proto", "decode", "parse", "parsing", "response", "解析", "响应", "返回",
		},
		Means: outbound.SendError{Reason: outbound.Uncertain},
	},
	{
		Words: []string{
			"超时", "timeout", "timed out", "time out", "deadline", "eof", "broken pipe", "connection reset",
			"connection closed", "连接断开", "retries",
		},
		Means: outbound.SendError{Reason: outbound.Uncertain},
	},
	{
		Words: []string{
			"离线", "offline", "未登录", "未登陆", "掉线", "不在线", "重新登录", "重新登陆", "退出登录", "退出登陆", "已退出",
			"not logged in", "not online", "not login", "logged out",
		},
		Means: LoggedOut(),
	},
	{
		Words: []string{"频繁", "频率", "限流", "too frequent", "too often", "too fast", "too many", "rate limit", "freq"},
		Means: Throttled(),
	},
	{
		Words: []string{
			"不是好友", "非好友", "好友关系", "not friend", "not a friend", "拉黑", "黑名单", "被对方删除", "不在群",
			"参数错误", "参数不", "参数有误", "参数无效", "参数非法", "参数格式", "请求参数", "缺少参数", "无效参数", "无效的参数", "非法参数",
			"无效用户", "无效的用户", "无效的wxid", "非法用户", "内容非法", "非法内容", "不能为空", "不可为空", "过长", "过大",
			"invalid param", "invalid argument", "invalid wxid", "invalid user", "illegal param", "illegal argument",
			"illegal user", "too long", "too large", "权限", "permission", "forbidden", "不支持", "not support",
		},
		Means: outbound.SendError{Reason: outbound.Rejected},
	},
}

// Meaning is what follows from the words of an answer that is no success; false: they say nothing. The server's own causes
// are looked up behind those that all have.
func Meaning(words string, own ...Cause) (outbound.SendError, bool) {
	words = strings.ToLower(words)
	for _, c := range slices.Concat(causes, own) {
		if slices.ContainsFunc(c.Words, func(w string) bool { return strings.Contains(words, w) }) {
			return c.Means, true
		}
	}
	return outbound.SendError{}, false
}

// Throttled is an account that was too fast.
func Throttled() outbound.SendError {
	return outbound.SendError{Reason: outbound.Throttled, After: cooling}
}

// LoggedOut is an account that nobody is logged in to.
func LoggedOut() outbound.SendError {
	return outbound.SendError{Reason: outbound.NotSent, Offline: true}
}
