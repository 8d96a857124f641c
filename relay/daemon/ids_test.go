package daemon_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Two ids that are the same to anything that keeps numbers as a float64.
const (
	id671 = "7265419038812345671"
	id672 = "7265419038812345672"
)

// manyFormats has an account of every format.
const manyFormats = `
listen: 127.0.0.1:0
data: %[3]q
admin: {token: ` + adminToken + `}
inbound: {wait: 5s}
ims:
  wx: {format: wechat, self: wxid_bot, send: {kind: http, url: "%[2]s/send", timeout: 1s}}
  qq: {format: onebot, send: {kind: http, url: "%[2]s/send", timeout: 1s}}
  tg: {format: telegram, self: "7104459213@relay_trial_bot", send: {kind: http, url: "%[2]s/send", timeout: 1s}}
  own: {format: generic, self: robot, paths: {id: event.id, sender: event.who.id, conversation: event.room, text: event.text}, send: {kind: http, url: "%[2]s/send", timeout: 1s}}
agents:
  openclaw: {kind: openclaw, url: "%[1]s/x", secret: ` + webhookSecret + `, timeout: 1s}
clients:
  openclaw: {token: ` + botToken + `}
`

// spoken is a way to say one thing at an account of manyFormats.
type spoken struct {
	im, conversation string
	// plain: its IM server is answered with 200 {}.
	plain bool
	// body is the message of an id, which stands there as it is given, in JSON.
	body func(id string) string
}

var everyFormat = []spoken{
	{im: "wx", conversation: "wxid_mei", body: func(id string) string {
		return `{"TypeName":"AddMsg","Wxid":"wxid_bot","Data":{"MsgId":9,"FromUserName":{"string":"wxid_mei"},` +
			`"ToUserName":{"string":"wxid_bot"},"MsgType":1,"Content":{"string":"hi"},"CreateTime":1768121000,"NewMsgId":` + id + `}}`
	}},
	{im: "qq", conversation: "group:57190482", plain: true, body: func(id string) string {
		return `{"time":1768121000,"self_id":3310927461,"post_type":"message","message_type":"group","group_id":57190482,` +
			`"user_id":4120093377,"message":[{"type":"text","data":{"text":"hi"}}],"message_id":` + id + `}`
	}},
	{im: "tg", conversation: "-1002418830957", plain: true, body: func(id string) string {
		return `{"update_id":` + id + `,"message":{"message_id":` + id + `,"from":{"id":6620194873,"is_bot":false},` +
			`"chat":{"id":-1002418830957,"type":"supergroup"},"date":1768121000,"text":"hi"}}`
	}},
	{im: "own", conversation: "r-1", body: func(id string) string {
		return `{"event":{"room":"r-1","who":{"id":"al"},"text":"hi","id":` + id + `}}`
	}},
}

// push posts a message as the IM server of the account would, and checks that it is answered as that server must be.
func (r *rig) push(s spoken, body string) answer {
	r.t.Helper()
	a := r.do(http.MethodPost, "/im/"+s.im+"/inbound", body, "Content-Type: application/json")
	if plain := strings.TrimSpace(a.body) == "{}"; a.status != http.StatusOK || plain != s.plain {
		r.t.Errorf("%s: got %d %s, want 200, with an empty object: %v", s.im, a.status, a.body, s.plain)
	}
	return a
}

// shownEvent is an event of a listing. An id that is no string does not decode.
type shownEvent struct {
	ID        string `json:"id"`
	IM        string `json:"im"`
	MessageID string `json:"messageId"`
	State     string `json:"state"`
}

// listed are the events of the account in a listing of the admin API, the oldest first.
func (r *rig) listed(listing, im string) []shownEvent {
	r.t.Helper()
	a := r.admin(http.MethodGet, listing+"?im="+im, "")
	var page struct{ Events []shownEvent }
	if err := json.Unmarshal([]byte(a.body), &page); a.status != http.StatusOK || err != nil {
		r.t.Fatalf("%s: got %d %s, %v", listing, a.status, a.body, err)
	}
	slices.Reverse(page.Events)
	return page.Events
}

// messageIDs are those of the events.
func messageIDs(events []shownEvent) (ids []string) {
	for _, e := range events {
		ids = append(ids, e.MessageID)
	}
	return ids
}

// told are the messageIds of the account's lines with the name in the log, those of replayed answers left out, as they
// name no message. An id that is no string is fatal.
func (r *rig) told(event, im string) (ids []string) {
	r.t.Helper()
	for text := range strings.Lines(r.logs.String()) {
		var line struct {
			Event string `json:"event"`
			IM    string `json:"im"`
			ID    string `json:"messageId"`
			How   string `json:"decided"`
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			r.t.Fatalf("log line %s: %v", text, err)
		}
		if line.Event == event && line.IM == im && line.How != "replayed" {
			ids = append(ids, line.ID)
		}
	}
	return ids
}

// Neighbouring ids stay two and stay what they are: in the dedupe, the log, the listings, what the agent gets and says.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	for _, s := range everyFormat {
		t.Run(s.im, func(t *testing.T) {
			t.Parallel()
			r := start(t, manyFormats)
			r.agent.answers(says(http.StatusUnprocessableEntity, `{"about":`+id672+`}`)) // so that they are dead letters, too
			want := []string{id671, id672}
			for _, id := range want {
				if a := r.push(s, s.body(id)); !s.plain && !strings.Contains(a.body, `{"about":`+id672+`}`) {
					t.Errorf("the agent's number was changed: %s", a.body)
				}
			}
			for _, id := range want {
				if a := r.push(s, s.body(id)); !s.plain && a.object(t)["duplicate"] != true {
					t.Errorf("%s again: got %s, want a duplicate", id, a.body)
				}
			}
			eventually(t, "both are dead", func() bool { return len(r.listed("dead", s.im)) == 2 })
			got := r.agent.requests()
			if len(got) != 2 || string(got[0].body) != s.body(id671) || string(got[1].body) != s.body(id672) {
				t.Errorf("agent got %d requests, want both as they were posted", len(got))
			}
			for where, ids := range map[string][]string{
				"dead letters": messageIDs(r.listed("dead", s.im)), "events": messageIDs(r.listed("events", s.im)),
				"accepted": r.told("inbound.accepted", s.im), "duplicates": r.told("inbound.duplicate", s.im),
			} {
				if !slices.Equal(ids, want) {
					t.Errorf("%s: got ids %q, want %q", where, ids, want)
				}
			}
		})
	}
}

// What the id looks like decides whether a message is known again: by the id, by all that is in it, or never.
func TestOddIDs(t *testing.T) {
	t.Parallel()
	const (
		byID    = "by its id" // however the rest is written
		byBytes = "by its bytes"
		never   = "never"
	)
	tests := []struct{ name, id, known string }{
		{"string", `"` + id671 + `"`, byID},
		{"halves", `{"high":1691612211,"low":-2097478471}`, byID},
		{"rounded", `7265419038812345000`, byBytes},
		{"rounded, as a string", `"7265419038812345000"`, byBytes},
		{"float", `7.265419038812346e18`, byBytes},
		{"zero", `0`, never},
		{"null", `null`, never},
	}
	for _, s := range everyFormat {
		t.Run(s.im, func(t *testing.T) {
			t.Parallel()
			r := start(t, manyFormats)
			for _, tt := range tests {
				known := tt.known
				if s.im == "wx" && known == never {
					known = byBytes // the MsgId is left
				}
				body := s.body(tt.id)
				otherwise := strings.Replace(body, `"hi"`, `"hi!"`, 1)
				want := map[string]int{byID: 1, byBytes: 2, never: 4}[known]
				before := len(r.agent.requests())
				for _, b := range []string{body, body, otherwise, otherwise} {
					r.push(s, b)
				}
				// The waiting calls of unplain ones have ended; the rest are delivered in order, before the last one.
				r.push(s, s.body(fmt.Sprintf("%d", 1+before)))
				eventually(t, "the last is delivered", func() bool {
					got := r.agent.requests()
					return len(got) > before && string(got[len(got)-1].body) == s.body(fmt.Sprintf("%d", 1+before))
				})
				if got := len(r.agent.requests()) - before - 1; got != want {
					t.Errorf("%s: four posts of two messages were %d events, want %d: known %s", tt.name, got, want, known)
				}
			}
		})
	}
}

// An id that the IM answers goes to the caller, to the log and back to the IM as the digits that it has.
func TestSentIDs(t *testing.T) {
	t.Parallel()
	r := start(t, manyFormats)
	var next string
	r.im.answers(func(w http.ResponseWriter, q *http.Request) { says(http.StatusOK, `{"messageId":`+next+`}`)(w, q) })
	for _, s := range everyFormat {
		var queued []string
		for i, id := range []string{id671, id672} {
			next = id
			text := fmt.Sprintf(`{"im":%q,"to":%q,"text":"re","replyToMessageId":%q,"requestId":"%s-%d"}`, s.im, s.conversation, id, s.im, i)
			first := r.send(text)
			if first.status != http.StatusOK || first.object(t)["messageId"] != id {
				t.Errorf("%s: got %d %s, want the id %s as a string", s.im, first.status, first.body, id)
			}
			if again := r.send(text); again.body != first.body || again.header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("%s: the first answer again: got %s, want %s", s.im, again.body, first.body)
			}
			calls := r.im.requests()
			if last := string(calls[len(calls)-1].body); !strings.Contains(last, `"replyToMessageId":"`+id+`"`) {
				t.Errorf("%s: IM got %s, want the reply's id as it was given", s.im, last)
			}
			a := r.send(strings.Replace(text, `"requestId":"`, `"requestId":"later-`, 1), "Prefer: respond-async")
			queued = append(queued, a.object(t)["id"].(string))
			eventually(t, "it is sent", func() bool { return r.message(queued[i])["status"] == "sent" })
		}
		for i, id := range []string{id671, id672} {
			if got := r.message(queued[i])["messageId"]; got != id {
				t.Errorf("%s: a queued send has the id %v, want %s", s.im, got, id)
			}
		}
		if got, want := r.told("outbound.sent", s.im), []string{id671, id671, id672, id672}; !slices.Equal(got, want) {
			t.Errorf("%s: log has ids %q, want %q", s.im, got, want)
		}
	}
}

// message is what became of an asynchronous send.
func (r *rig) message(id string) map[string]any {
	r.t.Helper()
	return r.do(http.MethodGet, "/api/messages/"+id, "", "Authorization: Bearer "+botToken).object(r.t)
}
