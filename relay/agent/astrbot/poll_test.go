package astrbot_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/astrbot"
	"github.com/imrelay/imrelay/relay/agent/astrbot/astrbottest"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/secret"
)

// hold is how long the fake waits for first words: as much shorter as the agent's waits.
const hold = 30 * time.Second / haste

// newWorld is a world whose attempts take long enough for the waits.
func newWorld(t *testing.T) *agenttest.World {
	t.Helper()
	w := agenttest.NewWorld(t)
	w.Wire.Timeout = 10 * time.Second
	return w
}

func event(id, text string) relay.Event {
	e := agenttest.Event(id)
	e.Body, _ = json.Marshal(map[string]string{"text": text})
	return e
}

func deliver(t *testing.T, a relay.Agent, e relay.Event) relay.Outcome {
	t.Helper()
	out, err := a.Deliver(t.Context(), e, 1)
	if err != nil {
		t.Fatalf("%s: %v", e.ID, err)
	}
	return out
}

func texts(rs []relay.Reply) (out []string) {
	for _, r := range rs {
		out = append(out, r.Text)
	}
	return out
}

// after is an agent that says its words after the time, in every run.
func after(d time.Duration) func(string, int) []astrbottest.Chunk {
	return func(q string, _ int) []astrbottest.Chunk {
		return []astrbottest.Chunk{{After: d, Items: []astrbottest.Item{astrbottest.Text("re: " + q)}}}
	}
}

// What the agent says goes out when it is found, not when all is found, and a store that takes nothing loses none of it.
func TestPollTells(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]error{"at once": nil, "store down": memo.ErrUnavailable} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The second piece comes after one look, and before two that find nothing.
			const looser, gap = 10, 300 * time.Millisecond
			f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold, Says: func(string, int) []astrbottest.Chunk {
				return []astrbottest.Chunk{
					{Items: []astrbottest.Item{astrbottest.Text("one")}},
					{After: gap, Items: []astrbottest.Item{astrbottest.Text("two")}},
				}
			}})
			w := newWorld(t)
			w.Wire.Outbox = outbox{World: w, err: failing}
			a, err := astrbot.New(astrbot.Config{URL: f.URL(), Token: secret.New(token)}, w.Wire)
			if err != nil {
				t.Fatal(err)
			}
			a.Hasten(looser)
			out := deliver(t, a, event("evt_1", "hi"))
			if got := texts(out.Replies); !slices.Equal(got, []string{"one", "two"}) {
				t.Errorf("outcome: got %q", got)
			}
			var told []string
			for _, s := range w.Said() {
				told = append(told, strings.Join(texts(s.Replies), "+"))
				if s.Agent != "tested" || s.EventID != "evt_1" || s.Chat.Conversation != "wxid_alice" {
					t.Errorf("got %+v", s)
				}
			}
			if want := []string{"one", "two"}; failing == nil && !slices.Equal(told, want) {
				t.Errorf("told: got %q, want %q", told, want)
			}
		})
	}
}

// outbox is a world's that may fail alone.
type outbox struct {
	*agenttest.World

	err error
}

// Queue implements relay.Outbox.
func (o outbox) Queue(ctx context.Context, s relay.Saying) error {
	if o.err != nil {
		return o.err
	}
	return o.World.Queue(ctx, s)
}

// All that the agent says in pieces is one answer, each piece once, in one run.
func TestPollCollects(t *testing.T) {
	t.Parallel()
	// The pieces come further apart than two looks, and nearer than two looks that find nothing.
	const looser, gap = 10, 300 * time.Millisecond
	f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold, Says: func(string, int) []astrbottest.Chunk {
		return []astrbottest.Chunk{
			{Items: []astrbottest.Item{astrbottest.Text("one")}},
			{After: gap, Items: []astrbottest.Item{
				{Type: "image", Content: "http://127.0.0.1:9/cat.png"}, astrbottest.Text("two"),
			}},
			{After: gap, Items: []astrbottest.Item{astrbottest.Text("three")}},
		}
	}})
	a, err := astrbot.New(astrbot.Config{URL: f.URL(), Token: secret.New(token)}, newWorld(t).Wire)
	if err != nil {
		t.Fatal(err)
	}
	a.Hasten(looser)
	e := event("evt_1", "hi")
	session := agent.Session(relay.Chat{Account: e.Account, Conversation: e.Conversation})
	f.Speak(session, astrbottest.Text("by the way"))
	e.Note.Group = true
	out := deliver(t, a, e)
	if got, want := texts(out.Replies), []string{"by the way", "one", "", "two", "three"}; !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
	for i, r := range out.Replies {
		if !strings.HasPrefix(r.Key, "item/item") || r.ReplyTo != e.Note.MessageID {
			t.Errorf("reply %d: got key %q to %q", i, r.Key, r.ReplyTo)
		}
	}
	if want := []relay.Media{{Type: "image", URL: "http://127.0.0.1:9/cat.png"}}; !slices.Equal(out.Replies[2].Media, want) {
		t.Errorf("got %+v, want %+v", out.Replies[2].Media, want)
	}
	if got := f.Runs("evt_1"); got != 1 {
		t.Errorf("made %d runs, want 1", got)
	}
	// What the agent said by itself comes with the next answer as well, under the same key.
	next := deliver(t, a, event("evt_2", "hi"))
	if next.Replies[0].Key != out.Replies[0].Key {
		t.Errorf("said by itself under %q, then under %q", out.Replies[0].Key, next.Replies[0].Key)
	}
}

// The plugin is given what it needs, whatever the message is.
func TestPollMessage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		make func(*relay.Event)
		want map[string]string
	}{
		{"text", func(*relay.Event) {}, map[string]string{
			"msg_id": "evt_1", "query": "hi", "type": "text", "sender_id": "wechat.wxid_alice", "sender_nickname": "Alice",
		}},
		{"group", func(e *relay.Event) { e.Note.Group, e.Conversation = true, "8@chatroom" }, map[string]string{
			"msg_id": "evt_1", "query": "hi", "type": "text", "sender_id": "wechat.8@chatroom", "sender_nickname": "Alice",
		}},
		{"nameless", func(e *relay.Event) { e.Note.Nickname = "" }, map[string]string{
			"msg_id": "evt_1", "query": "hi", "type": "text", "sender_id": "wechat.wxid_alice", "sender_nickname": "wxid_alice",
		}},
		{"image", func(e *relay.Event) { e.Note.Kind, e.Body = "image", []byte(`{"image":"https://a/b.png"}`) }, map[string]string{
			"msg_id": "evt_1", "query": "[image]", "type": "image", "url": "https://a/b.png",
			"sender_id": "wechat.wxid_alice", "sender_nickname": "Alice",
		}},
		{"image of no use", func(e *relay.Event) { e.Note.Kind, e.Body = "image", []byte(`{"image":"file:///b"}`) }, map[string]string{
			"msg_id": "evt_1", "query": "[image]", "type": "text", "sender_id": "wechat.wxid_alice", "sender_nickname": "Alice",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold})
			e := event("evt_1", "hi")
			e.Note.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
			tc.make(&e)
			if out := deliver(t, newAgent(t, astrbot.Config{URL: f.URL()}, newWorld(t).Wire), e); out.Status != http.StatusOK {
				t.Fatalf("got %+v", out)
			}
			ask := f.Asks()[0]
			var got map[string]string
			if err := json.Unmarshal([]byte(ask.Body), &got); err != nil {
				t.Fatal(err)
			}
			for _, k := range []string{"msg_id", "query", "type", "url", "sender_id", "sender_nickname"} {
				if got[k] != tc.want[k] {
					t.Errorf("%s: got %q, want %q", k, got[k], tc.want[k])
				}
			}
			h := ask.Header
			if h.Get("X-Relay-Event-Id") != "evt_1" || h.Get("X-Relay-Attempt") != "1" || h.Get("Traceparent") == "" {
				t.Errorf("got headers %v", h)
			}
		})
	}
}

// What nobody said is not told, and costs no run.
func TestPollUnspoken(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token})
	e := event("evt_1", "")
	e.Note.Kind = "recall"
	out := deliver(t, newAgent(t, astrbot.Config{URL: f.URL()}, newWorld(t).Wire), e)
	if out.Status != http.StatusNoContent || len(f.Asks()) > 0 {
		t.Errorf("got %+v after %d posts", out, len(f.Asks()))
	}
}

// An agent that takes longer than the plugin waits is asked again when it has had time, and runs once.
func TestPollSlow(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold, Says: after(hold + hold/2)})
	out := deliver(t, newAgent(t, astrbot.Config{URL: f.URL()}, newWorld(t).Wire), event("evt_1", "hi"))
	if got := texts(out.Replies); !slices.Equal(got, []string{"re: hi"}) || out.Status != http.StatusOK {
		t.Errorf("got %d, said %q", out.Status, got)
	}
	asks := f.Asks()
	if got := asks[1].At.Sub(asks[0].At); got < 2*hold {
		t.Errorf("asked again after %v, want at least %v", got, 2*hold)
	}
	if got := f.Runs("evt_1"); got != 1 {
		t.Errorf("made %d runs, want 1", got)
	}
}

// An agent that is slower still runs again, but each time after a longer wait; when the attempt's time is over, the wait
// is told.
func TestPollVerySlow(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold, Says: after(time.Minute)})
	w := newWorld(t)
	w.Wire.Timeout = 5 * hold
	out := deliver(t, newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire), event("evt_1", "hi"))
	if out.Status != http.StatusTooEarly || out.RetryAfter <= hold || out.Reason == "" {
		t.Errorf("got %+v", out)
	}
	if got := f.Runs("evt_1"); got != 2 {
		t.Errorf("made %d runs, want 2", got)
	}
	// The next attempt keeps to it.
	asked := len(f.Asks())
	w.Wire.Timeout = hold
	out = deliver(t, newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire), event("evt_1", "hi"))
	if out.Status != http.StatusTooEarly || len(f.Asks()) > asked+1 || f.Runs("evt_1") != 2 {
		t.Errorf("got %+v after %d posts more, %d runs", out, len(f.Asks())-asked, f.Runs("evt_1"))
	}
}

// An attempt after one that was killed, timed out or hung up starts no second run: not while the plugin knows of the first,
// and not after.
func TestPollSecondAttempt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		// takes is how long the agent takes, killed when the relay is, away how long it is away.
		takes, killed, away time.Duration
		// within is how long it may take then; 0: as long as it may.
		within time.Duration
	}{
		{"while it works", 2 * hold / 3, hold / 10, hold / 5, 0},
		{"just before it is forgotten", hold / 2, hold / 10, 3 * hold / 4, 0},
		{"when it is forgotten", hold + hold/3, hold / 10, hold + hold/10, 0},
		{"after it answered", hold / 10, hold / 20, hold / 3, hold},
		{"long after it answered", hold / 10, hold / 20, 3 * hold, hold},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold, Says: after(tc.takes)})
			w := newWorld(t)
			w.Wire.Timeout = tc.killed
			_, err := newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire).Deliver(t.Context(), event("evt_1", "hi"), 1)
			if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || ae.Unreachable || !ae.Timeout {
				t.Fatalf("got %v, want a time-out", err)
			}
			<-time.After(tc.away - tc.killed)
			w.Wire.Timeout = 10 * time.Second
			began := time.Now()
			out := deliver(t, newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire), event("evt_1", "hi"))
			if got := texts(out.Replies); !slices.Equal(got, []string{"re: hi"}) {
				t.Errorf("got %d, said %q", out.Status, got)
			}
			if got := f.Runs("evt_1"); got != 1 {
				t.Errorf("made %d runs, want 1", got)
			}
			if took := time.Since(began); tc.within > 0 && took > tc.within {
				t.Errorf("took %v, want at most %v", took, tc.within)
			}
		})
	}
}

// A hang-up after the agent began leaves its run alone.
func TestPollHangUp(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold, Says: after(hold / 10)})
	f.HangUp(1)
	w := newWorld(t)
	a := newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire)
	_, err := a.Deliver(t.Context(), event("evt_1", "hi"), 1)
	if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || ae.Unreachable {
		t.Fatalf("got %v, want a hang-up", err)
	}
	out := deliver(t, a, event("evt_1", "hi"))
	if got := texts(out.Replies); !slices.Equal(got, []string{"re: hi"}) || f.Runs("evt_1") != 1 {
		t.Errorf("said %q in %d runs", got, f.Runs("evt_1"))
	}
}

// What was surely not begun is not waited for.
func TestPollNotBegun(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold})
	w := newWorld(t)
	a := newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire)
	f.Stop()
	if _, err := a.Deliver(t.Context(), event("evt_1", "hi"), 1); err == nil {
		t.Fatal("was taken")
	}
	f.Start()
	f.Drain()
	if out := deliver(t, a, event("evt_1", "hi")); out.Status != http.StatusServiceUnavailable || out.RetryAfter != time.Second {
		t.Fatalf("got %+v", out)
	}
	f.Stop()
	f.Start()
	<-time.After(hold) // past the window
	began := time.Now()
	out := deliver(t, a, event("evt_1", "hi"))
	if out.Status != http.StatusOK || time.Since(began) > hold {
		t.Errorf("got %+v after %v", out, time.Since(began))
	}
	if got := f.Runs("evt_1"); got != 1 {
		t.Errorf("made %d runs, want 1", got)
	}
}

// A relay that loses the event at the last moment posts nothing, and leaves no trace of a run.
func TestPollLostLate(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold})
	w := newWorld(t)
	a := newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire)
	lost, asked := errors.New("lost"), 0
	e := event("evt_1", "hi")
	e.Ready = func() error {
		if asked++; asked > 1 {
			return lost
		}
		return nil
	}
	if _, err := a.Deliver(t.Context(), e, 1); !errors.Is(err, lost) || len(f.Asks()) > 0 {
		t.Errorf("got %v after %d posts", err, len(f.Asks()))
	}
	if value, _ := w.Load(t.Context(), "run/evt_1"); value != nil {
		t.Errorf("remembers %s", value)
	}
}

// A relay that loses the event while it waits for the agent does not post it again: that could begin another run.
func TestPollLostWaiting(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold, Says: after(time.Hour)})
	a := newAgent(t, astrbot.Config{URL: f.URL()}, newWorld(t).Wire)
	lost := errors.New("lost")
	e := event("evt_1", "hi")
	e.Ready = func() error {
		if len(f.Asks()) > 0 {
			return lost
		}
		return nil
	}
	if out, err := a.Deliver(t.Context(), e, 1); !errors.Is(err, lost) || len(f.Asks()) != 1 {
		t.Errorf("got %+v, %v after %d posts", out, err, len(f.Asks()))
	}
}

// An answer of nothing that can be sent is taken, and not asked for again.
func TestPollNothing(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold, Says: func(string, int) []astrbottest.Chunk {
		return []astrbottest.Chunk{{}}
	}})
	w := newWorld(t)
	for _, unasked := range []bool{false, true} {
		out := deliver(t, newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire), event("evt_1", "hi"))
		if out.Status != http.StatusOK || len(out.Replies) > 0 || out.Unasked != unasked {
			t.Errorf("got %+v, want unasked %v", out, unasked)
		}
	}
	if got := f.Runs("evt_1"); got != 1 {
		t.Errorf("made %d runs, want 1", got)
	}
}

// What was found is kept when AstrBot goes away before its answer is complete.
func TestPollGoneWhileLooking(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 8)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		if len(asked) > 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		plugin(200, `{"code":0,"data":[{"item_id":"a","type":"text","content":"one"}],"msg_id":"%s"}`)(w, r)
	}))
	t.Cleanup(s.Close)
	out := deliver(t, newAgent(t, astrbot.Config{URL: s.URL}, newWorld(t).Wire), event("evt_1", "hi"))
	if got := texts(out.Replies); out.Status != http.StatusOK || !slices.Equal(got, []string{"one"}) {
		t.Errorf("got %d, said %q", out.Status, got)
	}
	if len(asked) != 2 {
		t.Errorf("asked %d times, want 2", len(asked))
	}
}

// A flood is cut to what one answer may hold.
func TestPollFlood(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold, Says: func(string, int) []astrbottest.Chunk {
		return []astrbottest.Chunk{{Items: slices.Repeat([]astrbottest.Item{astrbottest.Text("x")}, 200)}}
	}})
	w := newWorld(t)
	out := deliver(t, newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire), event("evt_1", "hi"))
	if len(out.Replies) != agent.MaxReplies || !strings.Contains(w.Logged(), "parts of an answer") {
		t.Errorf("got %d replies, logged %s", len(out.Replies), w.Logged())
	}
}

// Without its memory the agent asks nothing.
func TestPollNoMemory(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token})
	w := newWorld(t)
	a := newAgent(t, astrbot.Config{URL: f.URL()}, w.Wire)
	w.Fail(memo.ErrUnavailable)
	_, err := a.Deliver(t.Context(), event("evt_1", "hi"), 1)
	if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || !ae.Ours || len(f.Asks()) > 0 {
		t.Errorf("got %v after %d posts", err, len(f.Asks()))
	}
}

// The plugin taken out is a failure that is tried again.
func TestPollUnloaded(t *testing.T) {
	t.Parallel()
	f := astrbottest.New(t, astrbottest.Options{Token: token, Hold: hold})
	a := newAgent(t, astrbot.Config{URL: f.URL()}, newWorld(t).Wire)
	f.Unload(true)
	out := deliver(t, a, event("evt_1", "hi"))
	if out.Status != http.StatusInternalServerError || out.Reason == "" || gjson.GetBytes(out.Body, "status").Str != "error" {
		t.Errorf("got %+v", out)
	}
	f.Unload(false)
	if out := deliver(t, a, event("evt_1", "hi")); out.Status != http.StatusOK {
		t.Errorf("got %+v", out)
	}
}
