package wechat

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/format"
)

// Format reads the pushes of WeChat servers. Its zero value is ready, and safe for concurrent use.
type Format struct{}

var _ relay.Format = Format{}

// Read implements [relay.Format].
func (Format) Read(body []byte, self string) ([]relay.Envelope, error) {
	root, err := format.Open(body)
	if err != nil {
		return nil, err
	}
	r := reader{owner: self, self: self}
	if root.IsArray() {
		return format.Batch(body, root, r.message), nil
	}
	top := scan(root)
	r.owner = first(top.owner, self)
	if top.message() {
		return []relay.Envelope{r.envelope(&top, root, body)}, nil
	}
	if top.list.IsArray() {
		return format.Batch(body, top.list, r.message), nil
	}
	if top.data.IsArray() {
		return format.Batch(body, top.data, r.message), nil
	}
	data := scan(top.data)
	switch {
	case data.message():
		return []relay.Envelope{r.envelope(&data, top.data, body)}, nil
	case data.list.IsArray():
		return format.Batch(body, data.list, r.message), nil
	case top.probe, top.typeName != "" && !strings.EqualFold(top.typeName, "AddMsg"):
		if r.stranger(top.owner) {
			return format.Meta(body), nil // of another account on the same server
		}
		return format.News(body, newsOf(top.typeName)), nil
	}
	return format.Other(body), nil
}

// reader reads the messages of one body.
type reader struct {
	owner string // empty: not known
	self  string // as it is configured
}

// message reads an object of a list.
func (r reader) message(v gjson.Result, raw []byte) relay.Envelope {
	f := scan(v)
	return r.envelope(&f, v, raw)
}

// envelope reads one message. raw is what will be delivered of it.
func (r reader) envelope(f *fields, v gjson.Result, raw []byte) relay.Envelope {
	e := relay.Envelope{Kind: format.KindOther, Raw: raw}
	if !f.message() {
		return e
	}
	owner := first(f.owner, r.owner)
	s := f.sides(owner)
	content := f.words(&s)
	e.Kind = kindOf(f.kind, content)
	e.Meta = e.Kind == kindStatus
	e.Conversation, e.Peers = format.ID(s.conversation), s.peers
	e.Sender = format.ID(s.sender)
	e.Group = s.group
	e.Self = s.self || f.self || s.sender != "" && (s.sender == owner || s.sender == r.self)
	e.Text = format.Keep(textOf(e.Kind, content))
	push := strings.TrimSpace(f.push)
	if e.Group {
		source := plain(gjson.Parse(f.source))
		e.Mentioned = mentioned(source, owner) || !listed(source, owner) && notice(push, content)
	}
	e.Nickname = format.Keep(first(f.told(&s), s.nickname(push, content, e.Text)))
	e.At = format.Time(f.created)
	e.MessageID, e.Identity = f.identify(s.sender, v.Raw)
	if e.Identity != "" && r.stranger(owner) {
		e.Identity = format.Fingerprint(owner, e.Identity)
	}
	return e
}

// stranger says that the owner that a body names is another account than the configured one.
func (r reader) stranger(owner string) bool {
	return r.self != "" && owner != "" && owner != r.self
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
