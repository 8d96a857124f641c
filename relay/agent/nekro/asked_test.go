package nekro_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/nekro/nekrotest"
)

var link = relay.Media{Type: "image", URL: "https://x.test/1.png"}

func links(n int) []any {
	return slices.Repeat([]any{map[string]any{"type": link.Type, "url": link.URL}}, n)
}

// What Nekro wants sent is taken as text, or refused whole.
func TestSegments(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	r.deliver(event("1", "a"))
	many := make([]any, 1000)
	for i := range many {
		many[i] = text("x")
	}
	for name, tc := range map[string]struct {
		channel  string
		segments any
		want     *relay.Reply
	}{
		"texts":   {alice, []any{text("<b>a</b>"), text(" b\u0000 ")}, &relay.Reply{Text: "<b>a</b> b\u0000"}},
		"mention": {alice, []any{map[string]any{"type": "at", "user_id": "u1", "nickname": "Bob"}, text("hi")}, &relay.Reply{Text: "@Bob hi"}},
		"link": {
			alice,
			[]any{map[string]any{"type": "image", "url": "https://x.test/1.png", "name": "1.png"}},
			&relay.Reply{Media: []relay.Media{{Type: "image", URL: "https://x.test/1.png", Name: "1.png"}}},
		},
		"long names": {
			alice,
			[]any{
				map[string]any{"type": "at", "user_id": "u1", "nickname": strings.Repeat("B", 1000)},
				text("hi"),
				map[string]any{"type": "file", "url": "http://x.test/1", "name": strings.Repeat("n", 1000)},
			},
			&relay.Reply{
				Text:  "@" + strings.Repeat("B", 64) + " hi",
				Media: []relay.Media{{Type: "file", URL: "http://x.test/1", Name: strings.Repeat("n", 64)}},
			},
		},
		"as many files as may be": {alice, links(agent.MaxMedia), &relay.Reply{Media: slices.Repeat([]relay.Media{link}, agent.MaxMedia)}},
		"more files":              {alice, links(agent.MaxMedia + 1), nil},
		"long address": {
			alice, []any{map[string]any{"type": "image", "url": "https://x.test/" + strings.Repeat("x", 5000)}}, nil,
		},
		"no host":     {alice, []any{map[string]any{"type": "image", "url": "https://"}}, nil},
		"bytes":       {alice, []any{text("see"), map[string]any{"type": "image", "base64_url": "data:image/png;base64,AA=="}}, nil},
		"local file":  {alice, []any{map[string]any{"type": "file", "url": "file:///etc/passwd"}}, nil},
		"odd":         {alice, []any{map[string]any{"type": "sticker", "url": "https://x.test/1.png"}}, nil},
		"nothing":     {alice, []any{}, nil},
		"blank":       {alice, []any{text(" \n")}, nil},
		"no list":     {alice, "text", nil},
		"no objects":  {alice, []any{1, nil, "a"}, nil},
		"many":        {alice, many, nil},
		"other chat":  {"private_wechat.wxid_mallory", []any{text("hi")}, nil},
		"no channel":  {"", []any{text("hi")}, nil},
		"odd channel": {"wechat.wxid_alice", []any{text("hi")}, nil},
		"long":        {"private_" + strings.Repeat("x", 100_000), []any{text("hi")}, nil},
	} {
		before := len(r.Said())
		got := r.fake.Ask(t.Context(), "send_message", map[string]any{"channel_id": tc.channel, "segments": tc.segments})
		sent := r.Said()[before:]
		if tc.want == nil {
			if got != nil || len(sent) != 0 {
				t.Errorf("%s: got %v, sent %+v", name, got, sent)
			}
			continue
		}
		if len(sent) != 1 || got["message_id"] == "" {
			t.Errorf("%s: got %v, sent %+v", name, got, sent)
			continue
		}
		reply := sent[0].Replies[0]
		if reply.Text != tc.want.Text || !slices.Equal(reply.Media, tc.want.Media) {
			t.Errorf("%s: got %+v, want %+v", name, reply, tc.want)
		}
	}
}

// A send that fails is refused.
func TestSendFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	r.deliver(event("1", "a"))
	r.Fail(errors.New("no IM"))
	if got := r.fake.Say(alice, text("hi")); got.OK {
		t.Errorf("got %+v", got)
	}
	r.Fail(nil)
	if got := r.fake.Say(alice, text("hi")); !got.OK || got.ID != "im_1" {
		t.Errorf("got %+v", got)
	}
}

// An acknowledgement that is lost is given again.
func TestLostAcknowledgement(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	r.deliver(event("1", "a"))
	r.fake.LoseResponses(2)
	if got := r.fake.Say(alice, text("hi")); !got.OK || got.ID != "im_1" {
		t.Errorf("got %+v", got)
	}
}

// Questions are answered with what is known, and others refused at once.
func TestQuestions(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	r.deliver(event("1", "a"))
	r.deliver(groupEvent("2", `{"text":"b"}`, true))
	const group = "group_wechat.4711@chatroom"
	for _, tc := range []struct {
		event string
		data  map[string]any
		want  map[string]any
	}{
		{"get_self_info", nil, map[string]any{"user_id": "tested", "user_name": "tested", "platform_name": "imrelay"}},
		{
			"get_user_info",
			map[string]any{"user_id": "wxid_alice"},
			map[string]any{"user_id": "wxid_alice", "user_name": "Alice", "platform_name": "wechat"},
		},
		{"get_user_info", map[string]any{"user_id": "wxid_mallory"}, nil},
		{"get_channel_info", map[string]any{"channel_id": alice}, map[string]any{"channel_id": alice, "channel_name": "Alice"}},
		{"get_channel_info", map[string]any{"channel_id": group}, map[string]any{"channel_id": group, "channel_name": "4711@chatroom"}},
		{"get_channel_info", map[string]any{"channel_id": "private_wechat.wxid_mallory"}, nil},
		{"set_message_reaction", map[string]any{"message_id": "m-1", "status": true}, nil},
		{"file_chunk", map[string]any{"chunk_id": "c"}, nil},
		{"launch_missiles", nil, nil},
	} {
		if got := r.fake.Ask(t.Context(), tc.event, tc.data); !maps.Equal(got, tc.want) {
			t.Errorf("%s %v: got %v, want %v", tc.event, tc.data, got, tc.want)
		}
	}
}

// What is no request changes nothing, and pieces of a file are dropped with one line.
func TestOddEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	r.deliver(event("1", "a"))
	for _, data := range []any{nil, 1, "x", []any{}, map[string]any{"request_id": 7}, map[string]any{"request_id": strings.Repeat("x", 1000)}} {
		r.fake.Push("send_message", data)
		r.fake.Push("connected", data)
		r.fake.Push("heartbeat", data)
	}
	for i := range 30 {
		r.fake.Push("file_chunk", map[string]any{
			"chunk_id": "c", "chunk_index": i, "total_chunks": 30, "chunk_data": strings.Repeat("A", 64<<10),
		})
	}
	r.fake.Push("file_chunk_complete", map[string]any{"chunk_id": "c", "success": true})
	if got := r.fake.Say(alice, text("after")); !got.OK {
		t.Errorf("got %+v", got)
	}
	if got := lines(r.Logged(), "dropped a file"); got != 1 || r.stream.Failures() != 0 {
		t.Errorf("told %d files, lost %d connections", got, r.stream.Failures())
	}
}
