package bench

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Digits that are overwritten for each message. They occur nowhere else in a body.
const (
	idDigits   = "7111111111111111111"
	sentDigits = "7222222222222222222"
	convDigits = "73333333"
)

// firstID is the id of message 0 of the first batch: 19 digits, as WeChat's, and beyond what a float keeps.
const firstID = 7_000_000_000_000_000_000

// span is where something stands.
type span struct{ from, to int }

// shape is a kind of request, laid out so that a message of its own costs only some digits.
type shape struct {
	// path and headers of the request; headers end in CRLF each.
	path, headers string
	// body has the digits to overwrite.
	body []byte
	// core is the part of the body that must arrive unchanged: all of it, or what stands behind mark.
	core, mark []byte
	// id, sent and conv are where the digits stand in core.
	id, sent, conv span
}

// inbound is what a WeChat server pushes, of about the given size.
func inbound(size int) shape {
	head := `{"TypeName":"AddMsg","Appid":"wx_Mq81load","Wxid":"wxid_relaybot0k2","SendTs":` + sentDigits +
		`,"Data":{"MsgId":1904417733,"NewMsgId":` + idDigits + `,"FromUserName":{"string":"wxid_peer` + convDigits +
		`"},"ToUserName":{"string":"wxid_relaybot0k2"},"MsgType":1,"Content":{"string":"`
	tail := `"},"Status":3,"ImgStatus":1,"ImgBuf":{"iLen":0},"CreateTime":1790000000,` +
		`"MsgSource":"<msgsource>\n\t<alnode>\n\t\t<fr>1</fr>\n\t</alnode>\n</msgsource>\n","PushContent":"早上好","MsgSeq":871204417}}`
	s := shape{path: "/im/inbound", body: padded(head, tail, size)}
	s.core = s.body
	return s.located()
}

// async is the inbound push whose caller does not wait for the agent.
func async() shape {
	s := inbound(small)
	s.headers = "Prefer: respond-async\r\n"
	return s
}

// outbound is what an agent sends.
func outbound() shape {
	head := `{"to":"wxid_peer` + convDigits + `","requestId":"` + idDigits + `","text":"`
	text := string(padded(idDigits+" "+sentDigits+" "+convDigits+" ", `"`, small-len(head)-1))
	s := shape{
		path: "/api/messages/send", headers: "Authorization: Bearer " + botToken + "\r\n",
		body: []byte(head + text + `}`), core: []byte(text), mark: []byte(`"text":"`),
	}
	return s.located()
}

// padded fills a body up with text as people write it.
func padded(head, tail string, size int) []byte {
	var b strings.Builder
	b.WriteString(head)
	words := []string{"今天的会改到三点，", "see you there \\\"as usual\\\" ", "记得带上资料。", "and the minutes of last week, "}
	room := func() int { return size - len(tail) - b.Len() }
	for i := 0; room() >= 40; i++ {
		b.WriteString(words[i%len(words)])
	}
	b.WriteString(strings.Repeat(".", max(0, room())))
	b.WriteString(tail)
	return []byte(b.String())
}

// located finds the digits.
func (s shape) located() shape {
	find := func(digits string) span {
		i := bytes.Index(s.core, []byte(digits))
		return span{i, i + len(digits)}
	}
	s.id, s.sent, s.conv = find(idDigits), find(sentDigits), find(convDigits)
	return s
}

// request lays the whole request out for a host, and says where in it the digits of each kind stand.
func (s shape) request(host string) (raw []byte, at places) {
	raw = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n",
		s.path, host, s.headers, len(s.body))
	raw = append(raw, s.body...)
	return raw, places{all(raw, idDigits), all(raw, sentDigits), all(raw, convDigits)}
}

// places are where digits stand in a request; one kind may stand there several times.
type places struct{ id, sent, conv []span }

func (p *places) write(raw []byte, id, sent, conv uint64) {
	for _, at := range p.id {
		overwrite(raw[at.from:at.to], id)
	}
	for _, at := range p.sent {
		overwrite(raw[at.from:at.to], sent)
	}
	for _, at := range p.conv {
		overwrite(raw[at.from:at.to], conv)
	}
}

func all(raw []byte, digits string) (found []span) {
	for from := 0; ; {
		i := bytes.Index(raw[from:], []byte(digits))
		if i < 0 {
			return found
		}
		found = append(found, span{from + i, from + i + len(digits)})
		from += i + len(digits)
	}
}

// find returns the core of a body as it arrived; nil: there is none.
func (s *shape) find(body []byte) []byte {
	if s.mark == nil {
		if len(body) != len(s.core) {
			return nil
		}
		return body
	}
	i := bytes.Index(body, s.mark)
	if i < 0 || len(body) < i+len(s.mark)+len(s.core) {
		return nil
	}
	return body[i+len(s.mark):][:len(s.core)]
}

// holes are the digits' places in order.
func (s *shape) holes() []span {
	h := []span{s.id, s.sent, s.conv}
	slices.SortFunc(h, func(a, b span) int { return a.from - b.from })
	return h
}

// same says that but for the digits the core is what was sent.
func (s *shape) same(core []byte, holes []span) bool {
	from := 0
	for _, h := range holes {
		if !bytes.Equal(core[from:h.from], s.core[from:h.from]) {
			return false
		}
		from = h.to
	}
	return bytes.Equal(core[from:], s.core[from:])
}
