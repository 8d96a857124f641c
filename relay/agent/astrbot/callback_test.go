package astrbot_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/astrbot"
	"github.com/imrelay/imrelay/relay/agent/astrbot/astrbottest"
	"github.com/imrelay/imrelay/relay/memo"
)

// until waits for something to become true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("waited too long: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// called is an agent in mode callback, what it is given, and the fake that calls it.
type called struct {
	*astrbot.Agent

	world *agenttest.World
	fake  *astrbottest.Fake
	down  atomic.Bool
	calls atomic.Int64
}

func newCalled(t *testing.T, o astrbottest.Options) *called {
	t.Helper()
	c := &called{world: newWorld(t)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.calls.Add(1)
		body, err := io.ReadAll(r.Body)
		if err == nil && !c.down.Load() {
			err = c.Callback(r.Context(), body)
		}
		if err != nil || c.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	o.Token, o.Callback = token, s.URL
	if o.Again == 0 {
		o.Again = 20 * time.Millisecond
	}
	c.fake = astrbottest.New(t, o)
	c.Agent = newAgent(t, astrbot.Config{URL: c.fake.URL(), Mode: "callback"}, c.world.Wire)
	return c
}

func (c *called) serve(e relay.Event) {
	c.world.Serve(e.ID, relay.Chat{Account: e.Account, Conversation: e.Conversation})
}

func (c *called) said() (out []string) {
	for _, s := range c.world.Said() {
		for _, r := range s.Replies {
			out = append(out, s.EventID+" "+s.Chat.Account+"/"+s.Chat.Conversation+" "+r.Text)
		}
	}
	return out
}

// What the agent says goes to where it belongs: to the conversation of the event, or to that of the session.
func TestCallback(t *testing.T) {
	t.Parallel()
	c := newCalled(t, astrbottest.Options{Says: func(string, int) []astrbottest.Chunk {
		return []astrbottest.Chunk{
			{Items: []astrbottest.Item{astrbottest.Text("one")}},
			{},
			{Items: []astrbottest.Item{astrbottest.Text("two")}},
		}
	}})
	e := event("evt_1", "hi")
	c.serve(e)
	if out := deliver(t, c, e); out.Status != http.StatusOK || len(out.Replies) > 0 {
		t.Fatalf("got %+v", out)
	}
	until(t, "two replies", func() bool { return len(c.said()) == 2 })
	c.fake.Speak(agent.Session(relay.Chat{Account: e.Account, Conversation: e.Conversation}), astrbottest.Text("by the way"))
	until(t, "three replies", func() bool { return len(c.said()) == 3 })
	want := []string{"evt_1 wechat/wxid_alice one", "evt_1 wechat/wxid_alice two", " wechat/wxid_alice by the way"}
	if got := c.said(); !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
	said := c.world.Said()
	if got, want := said[0].Replies[0].Key, "item/"+c.fake.Said("evt_1")[0].ID; got != want || said[0].Agent != "tested" {
		t.Errorf("got key %q of %q, want %q", got, said[0].Agent, want)
	}
}

// An answer that came is not caused again by a repeat of the event; one that was lost is.
func TestCallbackRepeat(t *testing.T) {
	t.Parallel()
	c := newCalled(t, astrbottest.Options{})
	e := event("evt_1", "hi")
	c.serve(e)
	c.fake.HangUp(1)
	if _, err := c.Deliver(t.Context(), e, 1); err == nil {
		t.Fatal("got no hang-up")
	}
	until(t, "a reply", func() bool { return len(c.said()) == 1 })
	until(t, "the event taken", func() bool {
		out, err := c.Deliver(t.Context(), e, 2)
		return err == nil && out.Status == http.StatusOK && out.Unasked
	})
	if got := c.fake.Runs("evt_1"); got != 1 {
		t.Errorf("made %d runs, want 1", got)
	}

	lost := event("evt_2", "hi")
	c.serve(lost)
	c.down.Store(true)
	c.fake.HangUp(1)
	if _, err := c.Deliver(t.Context(), lost, 1); err == nil {
		t.Fatal("got no hang-up")
	}
	until(t, "a lost reply", func() bool { return c.fake.Dropped() == 1 })
	c.down.Store(false)
	deliver(t, c, lost)
	until(t, "another reply", func() bool { return len(c.said()) == 2 })
	if got := c.fake.Runs("evt_2"); got != 2 {
		t.Errorf("made %d runs, want 2", got)
	}
}

// A message that the plugin is at work on is taken.
func TestCallbackPending(t *testing.T) {
	t.Parallel()
	c := newCalled(t, astrbottest.Options{Says: after(time.Hour)})
	e := event("evt_1", "hi")
	deliver(t, c, e)
	if out := deliver(t, c, e); out.Status != http.StatusAccepted || c.fake.Runs("evt_1") != 1 {
		t.Errorf("got %+v, %d runs", out, c.fake.Runs("evt_1"))
	}
}

// A callback that could not be made durable is refused, and comes again under the same keys.
func TestCallbackStoreDown(t *testing.T) {
	t.Parallel()
	c := newCalled(t, astrbottest.Options{Says: after(50 * time.Millisecond), Again: 200 * time.Millisecond})
	e := event("evt_1", "hi")
	c.serve(e)
	deliver(t, c, e)
	c.world.Fail(memo.ErrUnavailable)
	until(t, "a first try", func() bool { return c.calls.Load() == 1 })
	c.world.Fail(nil)
	until(t, "a reply", func() bool { return len(c.said()) == 1 })
	if got := c.fake.Dropped(); got != 0 {
		t.Errorf("%d were dropped", got)
	}
}

// What does not belong to the agent is refused, and so is what is no callback.
func TestCallbackRefusals(t *testing.T) {
	t.Parallel()
	c := newCalled(t, astrbottest.Options{})
	c.serve(event("evt_1", "hi"))
	item := `[{"item_id":"a","type":"text","content":"hi"}]`
	for _, tc := range []struct {
		name, body string
		want       relay.Code
	}{
		{"another's event", `{"msg_id":"evt_2","data":` + item + `}`, relay.CodeNotFound},
		{"another's session", `{"msg_id":"session:wechat.wxid_bob","data":` + item + `}`, relay.CodeNotFound},
		{"no session", `{"msg_id":"session:","data":` + item + `}`, relay.CodeNotFound},
		{"no id", `{"data":` + item + `}`, relay.CodeInvalidRequest},
		{"number for an id", `{"msg_id":1,"data":` + item + `}`, relay.CodeInvalidRequest},
		{"long id", `{"msg_id":"` + strings.Repeat("x", 300) + `","data":` + item + `}`, relay.CodeInvalidRequest},
		{"no list", `{"msg_id":"evt_1","data":"hi"}`, relay.CodeInvalidRequest},
		{"no JSON", `msg_id=evt_1`, relay.CodeInvalidRequest},
		{"empty", ``, relay.CodeInvalidRequest},
		{"nested", `{"msg_id":"evt_1","data":` + strings.Repeat("[", 1<<19), relay.CodeInvalidRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := c.Callback(t.Context(), []byte(tc.body))
			if refusal, ok := errors.AsType[*relay.Refusal](err); !ok || refusal.Code != tc.want || refusal.Message == "" {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	t.Cleanup(func() {
		if got := c.said(); len(got) > 0 {
			t.Errorf("said %q", got)
		}
	})
}

// The store's failure is no refusal, so that the agent posts again.
func TestCallbackStoreError(t *testing.T) {
	t.Parallel()
	c := newCalled(t, astrbottest.Options{})
	c.world.Fail(memo.ErrUnavailable)
	for _, id := range []string{"evt_1", "session:wechat.wxid_alice"} {
		err := c.Callback(t.Context(), fmt.Appendf(nil, `{"msg_id":%q,"data":[]}`, id))
		if _, ok := errors.AsType[*relay.Refusal](err); ok || err == nil {
			t.Errorf("%s: got %v", id, err)
		}
	}
}

// Items without ids are told apart by what and where they are, and known again when they are posted again.
func TestCallbackNameless(t *testing.T) {
	t.Parallel()
	c := newCalled(t, astrbottest.Options{})
	c.serve(event("evt_1", "hi"))
	same, other := `{"type":"text","content":"ok"}`, `{"type":"text","content":"no"}`
	for _, data := range []string{same + "," + same, same + "," + same, other} {
		if err := c.Callback(t.Context(), []byte(`{"msg_id":"evt_1","data":[`+data+`]}`)); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	for _, s := range c.world.Said() {
		for _, r := range s.Replies {
			keys = append(keys, r.Key)
		}
	}
	if len(keys) != 5 || !slices.Equal(keys[:2], keys[2:4]) || keys[0] == keys[1] || keys[4] == keys[0] {
		t.Errorf("got keys %q", keys)
	}
}

// What the agent says is said, however much it is.
func TestCallbackMany(t *testing.T) {
	t.Parallel()
	c := newCalled(t, astrbottest.Options{})
	c.serve(event("evt_1", "hi"))
	var data, want []string
	for n := range 2000 {
		data = append(data, fmt.Sprintf(`{"item_id":"i%d","type":"text","content":"%d%s"}`, n, n, strings.Repeat(" ", 600)))
		want = append(want, fmt.Sprintf("evt_1 wechat/wxid_alice %d", n))
	}
	body := []byte(`{"msg_id":"evt_1","data":[` + strings.Join(data, ",") + `]}`)
	if len(body) <= agent.MaxAnswer {
		t.Fatalf("the body has %d bytes only", len(body))
	}
	if err := c.Callback(t.Context(), body); err != nil {
		t.Fatal(err)
	}
	if got := c.said(); !slices.Equal(got, want) {
		t.Errorf("said %d, want %d in their order", len(got), len(want))
	}
	for _, s := range c.world.Said() {
		if len(s.Replies) > agent.MaxReplies {
			t.Errorf("%d replies in one saying, want at most %d", len(s.Replies), agent.MaxReplies)
		}
	}
}

// aging is a memory that tells how long things are kept, and whose time may be over.
type aging struct {
	agent.Memory

	mu   sync.Mutex
	kept map[string]time.Duration
}

func (m *aging) Save(ctx context.Context, name string, value []byte, keep time.Duration) error {
	m.mu.Lock()
	m.kept[name] = keep
	m.mu.Unlock()
	return m.Memory.Save(ctx, name, value, keep)
}

// pass lets the time of all pass that is kept no longer than that.
func (m *aging) pass(t *testing.T, d time.Duration) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, keep := range m.kept {
		if keep <= d {
			if err := m.Memory.Save(t.Context(), name, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Words without ids that the agent says by itself are the same within a minute, and are said again after it.
func TestCallbackReminder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	memory := &aging{Memory: w.Wire.Memory, kept: map[string]time.Duration{}}
	w.Wire.Memory = memory
	chat := relay.Chat{Account: "wechat", Conversation: "wxid_alice"}
	if _, err := agent.NewChats(w.Wire.Memory).Note(t.Context(), chat); err != nil {
		t.Fatal(err)
	}
	post := func(data string) (keys []string) {
		t.Helper()
		// Every post finds another relay.
		a := newAgent(t, astrbot.Config{URL: "http://127.0.0.1:1/api/plug/v1/chat", Mode: "callback"}, w.Wire)
		before := len(w.Said())
		body := fmt.Sprintf(`{"msg_id":"session:%s","data":[%s]}`, agent.Session(chat), data)
		if err := a.Callback(t.Context(), []byte(body)); err != nil {
			t.Fatal(err)
		}
		for _, s := range w.Said()[before:] {
			for _, r := range s.Replies {
				keys = append(keys, r.Key)
			}
		}
		return keys
	}
	nameless, named := `{"type":"text","content":"drink water"}`, `{"item_id":"a","type":"text","content":"drink water"}`
	long := `{"item_id":"` + strings.Repeat("a", 100) + `","type":"text","content":"drink water"}`
	first, firstLong := post(nameless+","+nameless), post(long)
	if got := post(nameless + "," + nameless); !slices.Equal(got, first) || len(first) != 2 || first[0] == first[1] {
		t.Errorf("posted again: got keys %q, want %q", got, first)
	}
	if got := post(nameless); slices.Equal(got, first[:1]) {
		t.Errorf("another post: got keys %q of the first", got)
	}
	memory.pass(t, time.Minute)
	later := post(nameless + "," + nameless)
	if len(later) != 2 || slices.Contains(first, later[0]) || slices.Contains(first, later[1]) {
		t.Errorf("a minute later: got keys %q, and first %q", later, first)
	}
	if got := post(long); !slices.Equal(got, firstLong) {
		t.Errorf("with a long id: got keys %q, want %q", got, firstLong)
	}
	if got := post(named); !slices.Equal(got, []string{"item/a"}) {
		t.Errorf("with an id: got keys %q", got)
	}
}
