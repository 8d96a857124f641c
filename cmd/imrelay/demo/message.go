package demo

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The people of the play.
const (
	self  = "wxid_relaybot7c1"
	alice = "wxid_alice9f27k"
	bob   = "wxid_bob4d81m"
	room  = "39120475518@chatroom"
)

// message is what somebody writes.
type message struct {
	id   uint64
	from string
	// in is the room; empty: a private chat.
	in        string
	text      string
	mentioned bool
	created   int64
}

// body is the push as an iPad-protocol server makes it. The odd spaces and the escape are there on purpose: who decodes
// and encodes it again on the way changes its bytes, and the signature with them.
func (m message) body() []byte {
	from, content, source := m.from, m.text, "<msgsource></msgsource>\n"
	if m.in != "" {
		from, content = m.in, m.from+":\n"+m.text
	}
	if m.mentioned {
		source = "<msgsource><atuserlist><![CDATA[," + self + "]]></atuserlist></msgsource>\n"
	}
	return fmt.Appendf(nil, `{"TypeName":"AddMsg", "Appid":"wx_demo","Wxid":%[1]s,"Data":{"MsgId":%[2]d,`+
		`"FromUserName":{"string":%[3]s},"ToUserName":{"string":%[1]s},"MsgType":1,"Content":{"string":%[4]s},"Status":3,`+
		`"ImgStatus":1,"ImgBuf":{"iLen":0},"CreateTime":%[5]d,"MsgSource":%[6]s,"NewMsgId":%[7]d,"MsgSeq":%[2]d }}`,
		quoted(self), m.id%1_000_000, quoted(from), quoted(content), m.created, quoted(source), m.id)
}

// quoted is a JSON text that has escapes where none are needed.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return strings.ReplaceAll(string(b), "/", `\/`)
}
