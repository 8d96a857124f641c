package wechat

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay/format"
)

// The kinds that decide something here. The others are only shown and filtered by.
const (
	kindQuote  = "quote"
	kindSystem = "system"
	kindRecall = "recall"
	kindStatus = "status"
)

// The MsgTypes whose content is read.
const (
	typeText   = "1"
	typeApp    = "49"
	typeSystem = "10000"
	typeSysmsg = "10002"
)

// readable says that the content matters, not only the type.
func readable(msgType string) bool {
	return msgType == typeText || msgType == typeApp || msgType == typeSysmsg
}

// kindOf names a MsgType. content has no prefix any more.
func kindOf(msgType, content string) string {
	switch msgType {
	case typeText:
		return format.KindText
	case "3":
		return "image"
	case "34":
		return "voice"
	case "37":
		return "friend_request"
	case "42", "66": // 66: a card of an enterprise contact
		return "card"
	case "43", "62":
		return "video"
	case "47":
		return "sticker"
	case "48":
		return "location"
	case typeApp:
		return appKind(child(content, "appmsg", "type"))
	case "50", "52", "53":
		return "call"
	case "51":
		return kindStatus
	case typeSystem, "9999":
		return kindSystem
	case typeSysmsg:
		return sysKind(content)
	}
	return format.KindOther
}

func appKind(subtype string) string {
	switch subtype {
	case "3", "4", "5": // music and video links are links
		return "link"
	case "6", "74": // 74: the same file, still on its way
		return "file"
	case "33", "36":
		return "mini_program"
	case "51", "63":
		return "channels"
	case "57":
		return kindQuote
	case "2000":
		return "transfer"
	case "2001":
		return "red_packet"
	}
	return "app"
}

func sysKind(content string) string {
	_, tag, _ := strings.Cut(content, "<sysmsg")
	tag, _, _ = strings.Cut(tag, ">")
	if strings.Contains(tag, "revokemsg") {
		return kindRecall
	}
	return kindSystem
}

// newsOf names a TypeName without a message in it. That the account is logged in again is told by nobody.
func newsOf(typeName string) string {
	if strings.EqualFold(typeName, "Offline") {
		return format.KindOffline
	}
	return format.KindMeta
}

// textOf is the part of the content that somebody wrote.
func textOf(kind, content string) string {
	switch kind {
	case format.KindText:
		return content
	case kindQuote:
		return child(content, "appmsg", "title")
	}
	return ""
}

// idOf returns an id as text, empty if there is none, and whether it is a whole number.
func idOf(v gjson.Result) (id string, whole bool) {
	if text, ok := format.Integer(v); ok {
		if text == "0" {
			return "", false
		}
		return text, true
	}
	return strings.TrimSpace(plain(v)), false
}
