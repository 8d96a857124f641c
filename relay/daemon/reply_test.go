package daemon_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay/agent/astrbot/astrbottest"
	"github.com/imrelay/imrelay/relay/agent/openai/openaitest"
	"github.com/imrelay/imrelay/relay/daemon"
)

// talking is a configuration of an agent that answers in its answers, or calls back; %[4]s is the agent.
const talking = `
listen: 127.0.0.1:0
data: %[3]q
admin: {token: ` + adminToken + `}
ims:
  wechat: {format: wechat, self: wxid_bot, send: {kind: http, url: "%[2]s/send", token: im-send-token}}
  mute: {format: generic}
agents:
  talker: %[4]s
`

// talk starts a relay with such an agent.
func talk(t *testing.T, agent string) *rig {
	t.Helper()
	return start(t, strings.ReplaceAll(talking, "%[4]s", agent))
}

// said is what the IM was sent, in its order.
func (r *rig) said() []string {
	r.t.Helper()
	var out []string
	for _, q := range r.im.requests() {
		out = append(out, gjson.GetBytes(q.body, "to").Str+": "+gjson.GetBytes(q.body, "text").Str)
	}
	return out
}

// lines are the log's lines about an event.
func (r *rig) lines(event string) map[string]map[string]any {
	r.t.Helper()
	out := map[string]map[string]any{}
	in := bufio.NewScanner(strings.NewReader(r.logs.String()))
	for in.Scan() {
		var line map[string]any
		if json.Unmarshal(in.Bytes(), &line) == nil && line["eventId"] == event {
			out[fmt.Sprint(line["event"])] = line
		}
	}
	return out
}

// What an agent answers goes to the conversation of the event, in order, once, and can be followed in the log.
func TestReply(t *testing.T) {
	t.Parallel()
	model := openaitest.New(t, openaitest.Options{Token: "hush-model"})
	r := talk(t, fmt.Sprintf("{kind: openai, url: %q, token: hush-model, model: m}", model.URL()))
	var events []string
	for i := range 3 {
		a := r.do(http.MethodPost, "/im/wechat/inbound", text(int64(100+i), "wxid_alice", fmt.Sprintf("question %d", i)))
		events = append(events, fmt.Sprint(a.object(t)["eventId"]))
		if a.status != 200 || !strings.Contains(a.body, "question") {
			t.Errorf("got %d %s, want the answer for who waits", a.status, a.body)
		}
	}
	want := []string{"wxid_alice: re(0,0): question 0", "wxid_alice: re(2,0): question 1", "wxid_alice: re(4,0): question 2"}
	eventually(t, "three replies", func() bool { return len(r.said()) >= 3 })
	for i, got := range r.said() {
		if got != want[i] {
			t.Errorf("reply %d: got %q, want %q", i, got, want[i])
		}
	}
	eventually(t, "the last line", func() bool { return r.lines(events[0])["outbound.sent"] != nil })
	lines := r.lines(events[0])
	for _, name := range []string{"inbound.accepted", "delivery.attempted", "reply.queued", "outbound.sent"} {
		if lines[name] == nil {
			t.Errorf("the event's lines have no %s: %v", name, lines)
		}
	}
	if queued, sent := lines["reply.queued"], lines["outbound.sent"]; queued["id"] != sent["id"] || sent["messageId"] == "" ||
		sent["client"] != "agent:talker" {
		t.Errorf("got %v, then %v", queued, sent)
	}
	if strings.Contains(r.logs.String(), "question") || strings.Contains(r.logs.String(), "hush-model") {
		t.Error("a text or a token is in the log")
	}
}

// A reply to an account that cannot send is told in the log, and the event is delivered.
func TestReplyCannotBeSent(t *testing.T) {
	t.Parallel()
	model := openaitest.New(t, openaitest.Options{})
	r := talk(t, fmt.Sprintf("{kind: openai, url: %q, model: m}", model.URL()))
	a := r.do(http.MethodPost, "/im/mute/inbound", `{"id":"1","from":"bob","text":"hello"}`)
	id := fmt.Sprint(a.object(t)["eventId"])
	eventually(t, "delivered", func() bool { return r.state(id) == "delivered" })
	if line := r.lines(id)["outbound.refused"]; line == nil || line["code"] != "im_cannot_send" {
		t.Errorf("got %v, want a refusal", r.lines(id))
	}
}

// An agent that calls back is believed for the events that it was given, by its secret path, and once for each item.
func TestCallback(t *testing.T) {
	t.Parallel()
	bot := astrbottest.New(t, astrbottest.Options{Callback: "http://127.0.0.1:1/nobody"})
	r := talk(t, fmt.Sprintf("{kind: astrbot, mode: callback, url: %q, token: %q, callback_path: hush-callback-path}",
		bot.URL(), bot.NewestKey()))
	const path = "/agents/talker/callback/hush-callback-path"
	a := r.do(http.MethodPost, "/im/wechat/inbound", text(7, "wxid_alice", "anyone there"), "Prefer: wait=5")
	id := fmt.Sprint(a.object(t)["eventId"])
	eventually(t, "delivered", func() bool { return r.state(id) == "delivered" })
	item := func(event, item, words string) string {
		return fmt.Sprintf(`{"msg_id":%q,"data":[{"item_id":%q,"type":"text","content":%q}]}`, event, item, words)
	}
	for range 2 {
		if got := r.do(http.MethodPost, path, item(id, "i-1", "yes")); got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if got := r.do(http.MethodPost, path, item("evt_0", "i-2", "who?")); got.status != 404 || got.code(t) != "not_found" {
		t.Errorf("unknown event: got %d %s", got.status, got.body)
	}
	if got := r.do(http.MethodPost, path, `{"msg_id":`); got.status != 400 {
		t.Errorf("bad body: got %d %s", got.status, got.body)
	}
	if got := r.do(http.MethodPost, path+"x", item(id, "i-3", "no")); got.status != 404 {
		t.Errorf("wrong path: got %d %s", got.status, got.body)
	}
	if got := r.do(http.MethodPost, path, item(id, "i-4", "done")); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	eventually(t, "two replies", func() bool { return strings.Contains(strings.Join(r.said(), "\n"), "done") })
	want := []string{"wxid_alice: yes", "wxid_alice: done"}
	if got := r.said(); fmt.Sprint(got[len(got)-2:]) != fmt.Sprint(want) {
		t.Errorf("got %q, want it to end in %q", got, want)
	}
	if strings.Contains(r.logs.String(), "hush-callback-path") {
		t.Error("the path is in the log")
	}
}

// A relay that stops while an agent answers late still makes the reply durable, and sends it after a restart.
func TestReplyAtStop(t *testing.T) {
	t.Parallel()
	model := openaitest.New(t, openaitest.Options{Slow: 700 * time.Millisecond})
	config := strings.ReplaceAll(talking, "%[4]s", fmt.Sprintf("{kind: openai, url: %q, model: m}", model.URL()))
	r := start(t, config)
	r.do(http.MethodPost, "/im/wechat/inbound", text(8, "wxid_alice", "late"), "Prefer: respond-async")
	eventually(t, "the model is asked", func() bool { return len(model.Requests()) == 1 })
	r.stop()
	r.run(config)
	eventually(t, "the reply", func() bool { return len(r.said()) == 1 })
	if got := model.Runs("late"); got != 1 {
		t.Errorf("the model ran %d times, want once", got)
	}
}

// What only a person can mend is seen wherever he looks, until it is mended.
func TestAlarm(t *testing.T) {
	t.Parallel()
	bot := astrbottest.New(t, astrbottest.Options{Callback: "http://127.0.0.1:1/nobody"})
	with := func(token string) string {
		return strings.ReplaceAll(talking, "%[4]s", fmt.Sprintf(
			"{kind: astrbot, mode: callback, url: %q, token: %q, callback_path: hush-callback-path}", bot.URL(), token))
	}
	r := start(t, with("hush-old-key"))
	a := r.do(http.MethodPost, "/im/wechat/inbound", text(9, "wxid_alice", "hello"), "Prefer: wait=5")
	if a.object(t)["dead"] != true {
		t.Fatalf("got %d %s, want the wrong key refused", a.status, a.body)
	}
	shown := map[string]string{
		"/readyz":           r.do(http.MethodGet, "/readyz", "").body,
		"/api/admin/agents": r.admin(http.MethodGet, "agents", "").body,
		"/metrics":          r.do(http.MethodGet, "/metrics", "").body,
		"the log":           r.logs.String(),
	}
	for where, body := range shown {
		if !strings.Contains(body, "refuse") || strings.Contains(body, "hush-old-key") ||
			where != "/readyz" && !strings.Contains(body, "key_refused") {
			t.Errorf("%s: got %s", where, body)
		}
	}
	if err := r.d.Reload(parse(t, fmt.Sprintf(with(bot.NewestKey()), r.agent.URL, r.im.URL, r.data))); err != nil {
		t.Fatal(err)
	}
	if got := r.do(http.MethodGet, "/readyz", "").body; strings.Contains(got, "degraded") {
		t.Errorf("after the key was changed: got %s", got)
	}
}

// An agent's mistakes are told in one go, each on a line of its own.
func TestEveryMistakeOfAnAgent(t *testing.T) {
	t.Parallel()
	err := daemon.Check(parse(t, `
ims: {wechat: {format: wechat}}
agents:
  a: {kind: openclaw, mode: hooks, url: "http://127.0.0.1:1"}
  b: {kind: xopcbot, url: "http://127.0.0.1:1/api/agent", api: both}
  c: {kind: openai, url: "http://127.0.0.1:1", window: 5000}
routes: [{agent: a}]
`), daemon.Options{})
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{
		"agents.a: token is missing", "agents.a: channel is missing", "agents.b: url ends in /api/agent", "agents.b: api \"both\"",
		"agents.c: model is missing", "agents.c: window must be",
	} {
		if n := strings.Count(err.Error(), want); n != 1 {
			t.Errorf("%q is told %d times:\n%v", want, n, err)
		}
	}
}
