package xopcbot_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/xopcbot"
	"github.com/imrelay/imrelay/relay/agent/xopcbot/xopcbottest"
	"github.com/imrelay/imrelay/relay/secret"
)

const token = "tok-5150"

// said is an event in which somebody says a text.
func said(id, text string) relay.Event {
	e := agenttest.Event(id)
	e.Body = fmt.Appendf(nil, `{"text":%q}`, text)
	return e
}

// reply is what the fake's agent answers to the event.
func reply(e relay.Event, text string) []relay.Reply {
	return []relay.Reply{{Key: e.ID + "/1", Text: xopcbottest.Reply(text), ReplyTo: agent.ReplyTo(e)}}
}

// gateway starts one with the token, and an agent for it.
func gateway(t *testing.T, o xopcbottest.Options) (*xopcbottest.Fake, *agenttest.World, relay.Agent) {
	t.Helper()
	o.Token = token
	g, w := xopcbottest.New(t, o), agenttest.NewWorld(t)
	api := ""
	if o.Page {
		api = "page"
	}
	return g, w, newAgent(t, xopcbot.Config{URL: g.URL(), Token: secret.New(token), API: api}, w.Wire)
}

// taken delivers the event, and fails the test if it was not taken.
func taken(t *testing.T, a relay.Agent, e relay.Event, attempt int) relay.Outcome {
	t.Helper()
	out, err := a.Deliver(t.Context(), e, attempt)
	if err != nil || out.Status != http.StatusOK {
		t.Fatalf("attempt %d: got %d (%s), %v, want 200", attempt, out.Status, out.Reason, err)
	}
	return out
}

// broken delivers the event, and fails the test if there was an answer.
func broken(t *testing.T, a relay.Agent, e relay.Event) *relay.AttemptError {
	t.Helper()
	out, err := a.Deliver(t.Context(), e, 1)
	ae, ok := errors.AsType[*relay.AttemptError](err)
	if !ok {
		t.Fatalf("got %d (%s), %v, want an error", out.Status, out.Reason, err)
	}
	return ae
}

// paths are those that were asked for.
func paths(g *xopcbottest.Fake) []string {
	var out []string
	for _, r := range g.Requests() {
		out = append(out, r.Path)
	}
	return out
}

// faults are those of the first requests.
func faults(fs ...xopcbottest.Fault) func(int) xopcbottest.Fault {
	return func(n int) xopcbottest.Fault {
		if n <= len(fs) {
			return fs[n-1]
		}
		return xopcbottest.None
	}
}

// The agent is told what was said, by whom and where, and its answer is a reply to the conversation.
func TestDeliver(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]xopcbottest.Options{"stream": {}, "JSON": {JSON: true}, "page": {Page: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, _, a := gateway(t, o)
			e := said("evt_1", "hello")
			e.Conversation, e.Note.Group, e.Note.Traceparent = "48213570966@chatroom", true, "00-aa-bb-01"
			out := taken(t, a, e, 3)
			if d := cmp.Diff(reply(e, "Alice: hello"), out.Replies); d != "" {
				t.Errorf("replies (-want +got):\n%s", d)
			}
			if !strings.Contains(string(out.Body), "You said: Alice: hello") {
				t.Errorf("body: got %q", out.Body)
			}
			h := g.Requests()[0].Header
			got := []string{h.Get("Authorization"), h.Get("X-Relay-Event-Id"), h.Get("X-Relay-Attempt"), h.Get("Traceparent")}
			if d := cmp.Diff([]string{"Bearer " + token, "evt_1", "3", "00-aa-bb-01"}, got); d != "" {
				t.Errorf("header (-want +got):\n%s", d)
			}
		})
	}
}

// A conversation has one session, and no other conversation has it, whatever a gateway makes of ids.
func TestSessions(t *testing.T) {
	t.Parallel()
	g, _, a := gateway(t, xopcbottest.Options{})
	long := strings.Repeat("a", 90)
	of := map[string]string{}
	for i, chat := range []string{
		"oc_Aa", "oc_aA", "x@chatroom", "x-chatroom", "x.chatroom", "x", "x-", long + "1", long + "2", "你好", "oc_Aa",
	} {
		e := said(fmt.Sprintf("evt_%d", i), "hello")
		e.Conversation = chat
		taken(t, a, e, 1)
		session := g.Made()[i].Session
		if other, known := of[session]; known && other != chat {
			t.Errorf("%q and %q share %q", other, chat, session)
		}
		of[session] = chat
	}
	if len(of) != 10 {
		t.Errorf("got %d sessions for 10 conversations: %v", len(of), of)
	}
}

// A wrong token is final and raises an alarm, five block, and a right one clears it.
func TestToken(t *testing.T) {
	t.Parallel()
	g, w, right := gateway(t, xopcbottest.Options{Block: 500 * time.Millisecond})
	wrong := newAgent(t, xopcbot.Config{URL: g.URL(), Token: secret.New("guess")}, w.Wire)
	for i := range 5 {
		out, err := wrong.Deliver(t.Context(), said(fmt.Sprintf("evt_%d", i), "hello"), 1)
		if err != nil || out.Status != http.StatusUnauthorized {
			t.Fatalf("%d: got %d, %v, want 401", i, out.Status, err)
		}
	}
	if got := len(g.Requests()); got != 5 {
		t.Errorf("made %d requests for 5 attempts", got)
	}
	if text, ok := w.Raised()["token_refused"]; !ok || strings.Contains(text, "guess") {
		t.Errorf("raised: %v", w.Raised())
	}
	out, err := right.Deliver(t.Context(), said("evt_9", "hello"), 1)
	if err != nil || out.Status != http.StatusTooManyRequests || out.RetryAfter <= 0 || out.RetryAfter > 2*time.Second {
		t.Errorf("blocked: got %d, %v, %v", out.Status, out.RetryAfter, err)
	}
	if _, ok := w.Raised()["token_refused"]; !ok {
		t.Error("a block cleared the alarm")
	}
	<-time.After(out.RetryAfter)
	taken(t, right, said("evt_9", "hello"), 2)
	if len(w.Raised()) > 0 {
		t.Errorf("still raised: %v", w.Raised())
	}
}

// How long a gateway wants to be left alone is believed of its body where no header says it.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, header, body string
		want               time.Duration
	}{
		{"body", "", `{"error":"Too Many Requests","retryAfter":17}`, 17 * time.Second},
		{"header first", "3", `{"retryAfter":17}`, 3 * time.Second},
		{"part of a second", "", `{"retryAfter":0.2}`, time.Second},
		{"for ever", "", `{"retryAfter":1e300}`, time.Hour},
		{"behind", "", `{"retryAfter":-5}`, 0},
		{"text", "", `{"retryAfter":"17"}`, 0},
		{"no JSON", "", `{"retryAfter":17`, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tc.header != "" {
					w.Header().Set("Retry-After", tc.header)
				}
				says(http.StatusTooManyRequests, tc.body)(w, r)
			}))
			t.Cleanup(s.Close)
			a := newAgent(t, xopcbot.Config{URL: s.URL}, agenttest.NewWorld(t).Wire)
			out, err := a.Deliver(t.Context(), agenttest.Event("evt_1"), 1)
			if err != nil || out.Status != http.StatusTooManyRequests || out.RetryAfter != tc.want {
				t.Errorf("got %d, %v, %v, want 429 and %v", out.Status, out.RetryAfter, err, tc.want)
			}
		})
	}
}

// A long answer is cut, in the reply and, shorter, in what the IM server sees.
func TestLong(t *testing.T) {
	t.Parallel()
	piece := `token {"content":"` + strings.Repeat("你", 20_000) + `"}`
	s := httptest.NewServer(tells(begun, piece, piece, piece, well))
	t.Cleanup(s.Close)
	out := taken(t, newAgent(t, xopcbot.Config{URL: s.URL}, agenttest.NewWorld(t).Wire), agenttest.Event("evt_1"), 1)
	if got := len(out.Replies[0].Text); got > agent.MaxReply || got < agent.MaxReply-3 {
		t.Errorf("reply: got %d bytes, want about %d", got, agent.MaxReply)
	}
	if got := len(out.Body); got > 64<<10 || got < 64<<10-3 {
		t.Errorf("body: got %d bytes, want about 64 KiB", got)
	}
}

// What nobody said is not told, and without a token none is sent.
func TestQuiet(t *testing.T) {
	t.Parallel()
	g := xopcbottest.New(t, xopcbottest.Options{})
	a := newAgent(t, xopcbot.Config{URL: g.URL()}, agenttest.NewWorld(t).Wire)
	e := said("evt_1", "")
	e.Note.Kind = "recall"
	out, err := a.Deliver(t.Context(), e, 1)
	if err != nil || out.Status != http.StatusNoContent || len(g.Requests()) > 0 {
		t.Errorf("recall: got %d, %v, %v", out.Status, err, paths(g))
	}
	e.ID, e.Note.Kind = "evt_2", "image"
	taken(t, a, e, 1)
	r := g.Requests()[0]
	if got := gjson.GetBytes(r.Body, "message").Str; got != "[image]" || r.Header.Get("Authorization") != "" {
		t.Errorf("image: got %q, %v", got, r.Header)
	}
}

// What cannot work is refused when the relay starts, without showing the address.
func TestNew(t *testing.T) {
	t.Parallel()
	const base = "http://gw.example:18790"
	for name, tc := range map[string]struct {
		config xopcbot.Config
		wire   agent.Wire
	}{
		"no url":             {xopcbot.Config{}, agent.Wire{}},
		"no address":         {xopcbot.Config{URL: "gw.example:18790"}, agent.Wire{}},
		"other scheme":       {xopcbot.Config{URL: "ftp://gw.example"}, agent.Wire{}},
		"token in the url":   {xopcbot.Config{URL: base + "?token=x"}, agent.Wire{}},
		"the whole address":  {xopcbot.Config{URL: base + "/api/agent/"}, agent.Wire{}},
		"unknown api":        {xopcbot.Config{URL: base, API: "v2"}, agent.Wire{}},
		"token with a break": {xopcbot.Config{URL: base, Token: secret.New("a\nb")}, agent.Wire{}},
		"standard_webhooks":  {xopcbot.Config{URL: base}, agent.Wire{StandardWebhooks: true}},
	} {
		_, err := xopcbot.New(tc.config, tc.wire)
		if err == nil || strings.Contains(err.Error(), "gw.example") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, c := range []xopcbot.Config{{URL: base}, {URL: base + "/bot/", API: "real"}, {URL: base, API: "page"}} {
		if _, err := xopcbot.New(c, agent.Wire{}); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
