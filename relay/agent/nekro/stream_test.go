package nekro_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/nekro"
	"github.com/imrelay/imrelay/relay/agent/nekro/nekrotest"
	"github.com/imrelay/imrelay/relay/secret"
)

func echo(m nekrotest.Message) []string { return []string{"re: " + m.Text} }

// What is said reaches Nekro, and what Nekro says reaches the conversation and is acknowledged with the IM's id.
func TestConversation(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{Says: echo, AccessKey: "hush"}, setup{key: "hush"})
	r.deliver(event("1", "你好"))
	until(t, "the answer's end", func() bool { return len(r.fake.Said()) == 1 })
	if got, want := r.fake.Said()[0], (nekrotest.Said{Channel: alice, Text: "re: 你好", OK: true, ID: "im_1"}); got != want {
		t.Errorf("said: got %+v, want %+v", got, want)
	}
	said := r.Said()
	if len(said) != 1 || said[0].Chat != (relay.Chat{Account: "wechat", Conversation: "wxid_alice"}) ||
		said[0].Agent != "tested" || len(said[0].Replies) != 1 {
		t.Fatalf("sent: got %+v", said)
	}
	if got := said[0].Replies[0]; got.Text != "re: 你好" || !strings.HasPrefix(got.Key, "sse/request-") {
		t.Errorf("reply: got %+v", got)
	}
	if got := r.fake.Names(); !slices.Equal(got, []string{"imrelay-tested"}) {
		t.Errorf("registered as %q", got)
	}
	if strings.Contains(r.Logged(), "hush") || strings.Contains(r.Logged(), "你好") {
		t.Errorf("logged %s", r.Logged())
	}
}

// A message has the form that Nekro's models ask for.
func TestMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	for _, tc := range []struct {
		event   relay.Event
		channel string
		toMe    bool
		want    string
	}{
		{event("1", "hi"), alice, true, `[{"content":"hi","type":"text"}]`},
		{groupEvent("2", `{"text":"hi"}`, false), "group_wechat.4711@chatroom", false, `[{"content":"hi","type":"text"}]`},
		{
			groupEvent("3", `{"text":"look","image":"http://im.test/1.png"}`, true), "group_wechat.4711@chatroom", true,
			`[{"nickname":"tested","type":"at","user_id":"tested"},{"content":"look","type":"text"},` +
				`{"type":"image","url":"http://im.test/1.png"}]`,
		},
		{groupEvent("4", `{"image":"http://im.test/2.png"}`, false), "group_wechat.4711@chatroom", false, `[{"type":"image","url":"http://im.test/2.png"}]`},
	} {
		r.deliver(tc.event)
		all := r.fake.Messages()
		got := all[len(all)-1]
		segments, _ := json.Marshal(got.Segments)
		if got.Channel != tc.channel || got.ToMe != tc.toMe || string(segments) != tc.want {
			t.Errorf("%s: got %+v, %s", tc.event.ID, got, segments)
		}
		if got.ID != tc.event.Note.MessageID || got.From != "wxid_alice" || got.FromName != "Alice" || got.Platform != "wechat" {
			t.Errorf("%s: got %+v", tc.event.ID, got)
		}
		if got.Header.Get("X-Relay-Event-Id") != tc.event.ID || got.Header.Get("X-Relay-Attempt") != "1" {
			t.Errorf("%s: got headers %v", tc.event.ID, got.Header)
		}
		if asked, _ := r.fake.Subscribed(tc.channel); asked != 1 {
			t.Errorf("%s: %d clients subscribed", tc.event.ID, asked)
		}
	}
	recall := event("5", "")
	recall.Note.Kind = "recall"
	if out, err := r.stream.Deliver(t.Context(), recall, 1); err != nil || out.Status != 204 || r.fake.Runs("m-5") != 0 {
		t.Errorf("recall: got %+v, %v", out, err)
	}
}

// A message that Nekro refuses is refused with its status; one whose answer is lost may be run twice.
func TestRefusedAndLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	r.fake.Refuse(1, 500)
	if out, err := r.stream.Deliver(t.Context(), event("1", "a"), 1); err != nil || out.Status != 500 {
		t.Errorf("refused: got %+v, %v", out, err)
	}
	r.fake.HangUp(1)
	_, err := r.stream.Deliver(t.Context(), event("2", "b"), 1)
	if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || ae.Unreachable {
		t.Errorf("hang-up: got %v", err)
	}
	r.deliver(event("2", "b"))
	if got := r.fake.Runs("m-2"); got != 2 {
		t.Errorf("made %d runs, want the 2 that the doc warns of", got)
	}
}

// Without a connection nothing is begun.
func TestNotConnected(t *testing.T) {
	t.Parallel()
	w := agenttest.NewWorld(t)
	a := newAgent(t, nekro.Config{Mode: "sse", Endpoint: agent.Endpoint{URL: "http://127.0.0.1:1"}}, w.Wire)
	_, err := a.Deliver(t.Context(), event("1", "a"), 1)
	if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || !ae.Unreachable || ae.Reason != "not connected" {
		t.Errorf("got %v", err)
	}
	if got, _ := w.Load(t.Context(), "chat/wechat.wxid_alice"); got != nil {
		t.Errorf("remembers %s", got)
	}
}

// A relay that lost the right to the event neither subscribes nor says anything.
func TestCalledOff(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	lost := errors.New("lost")
	for _, known := range []bool{false, true} {
		if known {
			r.deliver(event("0", "a"))
		}
		e := event("1", "b")
		e.Ready = func() error { return lost }
		if out, err := r.stream.Deliver(t.Context(), e, 1); !errors.Is(err, lost) {
			t.Errorf("known channel %v: got %+v, %v", known, out, err)
		}
		if asked, _ := r.fake.Subscribed(alice); (asked == 1) != known || r.fake.Runs("m-1") != 0 {
			t.Errorf("known channel %v: %d clients, %d runs", known, asked, r.fake.Runs("m-1"))
		}
	}
}

// A memory that does not work refuses the event before Nekro hears of it.
func TestNoMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	r.Fail(errors.New("away"))
	if out, err := r.stream.Deliver(t.Context(), event("1", "a"), 1); err == nil || r.fake.Runs("m-1") != 0 {
		t.Errorf("got %+v, %v, %d runs", out, err, r.fake.Runs("m-1"))
	}
	r.Fail(nil)
	r.deliver(event("1", "a"))
}

// However a connection ends, it is made again, its channels are asked for again, and the client that it was is asked for
// nothing any more, even by a server that does not wait for acknowledgements.
func TestReconnect(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, reason string
		end          func(*nekrotest.Fake)
	}{
		{"cut", "the agent ended the connection", (*nekrotest.Fake).Cut},
		{"stall", "nothing came on the connection", (*nekrotest.Fake).Stall},
		{"forgotten", "the agent does not know this client any more", (*nekrotest.Fake).Forget},
		{"restart", "", func(f *nekrotest.Fake) {
			f.Stop()
			f.Start()
		}},
		{"starting", "", func(f *nekrotest.Fake) {
			f.Unready(true)
			f.Cut()
			f.Unready(false)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nekrotest.Options{Patience: 300 * time.Millisecond}, setup{})
			r.deliver(event("1", "a"))
			before := r.stream.Failures()
			tc.end(r.fake)
			until(t, "the end of the connection", func() bool { return r.stream.Failures() > before })
			until(t, "only the new client", func() bool {
				asked, live := r.fake.Subscribed(alice)
				return r.stream.Connected() && asked == 1 && live == 1
			})
			if !strings.Contains(r.Logged(), tc.reason) {
				t.Errorf("want %q in the log: %s", tc.reason, r.Logged())
			}
			r.fake.IgnoreResponses(true)
			r.fake.Say(alice, text("by myself"))
			until(t, "the send", func() bool { return len(r.Said()) == 1 })
			r.deliver(event("2", "b"))
		})
	}
}

// Commands go under the id that the stream is of.
func TestTwoIDs(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{Says: echo, Patience: 500 * time.Millisecond}, setup{})
	r.fake.Split(true)
	r.fake.Cut()
	until(t, "another connection", func() bool { return r.stream.Failures() > 0 && r.stream.Connected() })
	r.deliver(event("1", "a"))
	if asked, live := r.fake.Subscribed(alice); asked != 1 || live != 1 {
		t.Errorf("%d clients are asked, %d of them live", asked, live)
	}
	until(t, "the answer", func() bool { return len(r.Said()) == 1 })
}

// A message that finds the client forgotten is not begun, and the connection is made again.
func TestForgottenByMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{stream: func(s *nekro.Stream) { s.Beat(time.Hour) }})
	for i, e := range []relay.Event{event("1", "new channel"), event("2", "known channel")} {
		if i == 1 {
			r.deliver(event("0", "a"))
		}
		r.fake.Forget()
		_, err := r.stream.Deliver(t.Context(), e, 1)
		if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || !ae.Unreachable || ae.Reason != "not connected" {
			t.Errorf("got %v", err)
		}
		until(t, "another connection", r.stream.Connected)
		r.deliver(e)
	}
}

// A client that says nothing is not forgotten.
func TestKeepsAlive(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{Forget: 400 * time.Millisecond}, setup{})
	r.deliver(event("1", "a"))
	began := time.Now()
	until(t, "a while", func() bool { return time.Since(began) > time.Second })
	if asked, _ := r.fake.Subscribed(alice); asked != 1 || r.stream.Failures() != 0 {
		t.Errorf("%d clients, %d failures", asked, r.stream.Failures())
	}
}

// A loss is told once, an alarm is raised when it lasts, and the end of it is told.
func TestAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	r.fake.Stop()
	until(t, "the alarm", func() bool { return r.Raised()["disconnected"] != "" })
	if got := r.Raised()["disconnected"]; !strings.HasPrefix(got, "not connected for") || strings.Contains(got, "127.0.0.1") {
		t.Errorf("alarm: got %q", got)
	}
	if r.stream.Failures() < 3 {
		t.Errorf("tried %d times", r.stream.Failures())
	}
	r.fake.Start()
	until(t, "the end of the alarm", func() bool { return len(r.Raised()) == 0 })
	if lost, made := lines(r.Logged(), "not connected"), lines(r.Logged(), "connected"); lost != 1 || made != 2 {
		t.Errorf("told %d losses and %d connections:\n%s", lost, made, r.Logged())
	}
}

// A wrong access key is said to be refused.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	f := nekrotest.New(t, nekrotest.Options{AccessKey: "right"})
	w := agenttest.NewWorld(t)
	s := newAgent(t, nekro.Config{
		Mode: "sse", Endpoint: agent.Endpoint{URL: f.URL()}, AccessKey: secret.New("wrong"),
	}, w.Wire).(*nekro.Stream).Hasten()
	run(t, s)
	until(t, "the alarm", func() bool { return strings.HasSuffix(w.Raised()["disconnected"], "answered 401") })
}

// A relay that stops leaves no client that would be asked, and one that starts again, or another, asks for the channels.
func TestStopAndStart(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{Patience: time.Second}, setup{})
	r.deliver(event("1", "a"))
	r.stop()
	if asked, _ := r.fake.Subscribed(alice); asked != 0 {
		t.Errorf("%d clients are asked after the stop", asked)
	}
	r.begin(setup{})
	until(t, "the channel", func() bool { _, live := r.fake.Subscribed(alice); return live == 1 })
	if got := r.fake.Say(alice, text("still here")); !got.OK {
		t.Errorf("got %+v", got)
	}
	until(t, "connection", r.stream.Connected)
	r.stop()
	done := run(t, r.stream)
	until(t, "the same one again", r.stream.Connected)
	done()
}

// gate holds the sends to one conversation.
type gate struct {
	relay.Outbox
	held string
	open chan struct{}

	mu    sync.Mutex
	order []string
}

func (g *gate) Send(ctx context.Context, s relay.Saying) ([]string, error) {
	if s.Chat.Conversation == g.held {
		select {
		case <-g.open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	g.mu.Lock()
	g.order = append(g.order, s.Chat.Conversation+" "+s.Replies[0].Text)
	g.mu.Unlock()
	return g.Outbox.Send(ctx, s)
}

func (g *gate) sent() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.order)
}

// Sends of one channel keep their order, and hold up no other channel, nor the connection.
func TestOrder(t *testing.T) {
	t.Parallel()
	g := &gate{held: "wxid_alice", open: make(chan struct{})}
	r := newRig(t, nekrotest.Options{}, setup{outbox: g})
	bob := event("2", "b")
	bob.Conversation = "wxid_bob"
	r.deliver(event("1", "a"))
	r.deliver(bob)
	var want []string
	for i := range 20 {
		r.push(fmt.Sprintf("a-%d", i), fmt.Sprintf("a%d", i))
		want = append(want, fmt.Sprintf("wxid_alice a%d", i))
	}
	if got := r.fake.Say("private_wechat.wxid_bob", text("b0")); !got.OK {
		t.Errorf("bob: got %+v", got)
	}
	if got := g.sent(); len(got) != 1 {
		t.Errorf("sent %q", got)
	}
	close(g.open)
	until(t, "all", func() bool { return len(g.sent()) == 21 })
	if got := g.sent()[1:]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// push lets Nekro ask for a send to Alice under a request id of the test's choice.
func (r *rig) push(id, what string) {
	r.fake.Push("send_message", map[string]any{
		"request_id": id, "data": map[string]any{"channel_id": alice, "segments": []any{text(what)}},
	})
}

// A request that comes again has the key that it had.
func TestSameRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	r.deliver(event("1", "a"))
	r.push("r-1", "once")
	r.push("r-1", "once")
	until(t, "both", func() bool { return len(r.Said()) == 2 })
	for _, s := range r.Said() {
		if got := s.Replies[0].Key; got != "sse/r-1" {
			t.Errorf("key: got %q", got)
		}
	}
}

// A send that takes too long is refused before Nekro gives up waiting, and those behind it are not sent late.
func TestTooLate(t *testing.T) {
	t.Parallel()
	g := &gate{held: "wxid_alice", open: make(chan struct{})}
	r := newRig(t, nekrotest.Options{}, setup{outbox: g, stream: func(s *nekro.Stream) { s.Patience(200 * time.Millisecond) }})
	r.deliver(event("1", "a"))
	r.push("r-1", "first")
	began := time.Now()
	if got := r.fake.Say(alice, text("second")); got.OK || time.Since(began) > 4*time.Second {
		t.Errorf("got %+v after %v", got, time.Since(began))
	}
	if got := g.sent(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}

// Too much at once is dropped, and the connection lives.
func TestFlood(t *testing.T) {
	t.Parallel()
	g := &gate{held: "wxid_alice", open: make(chan struct{})}
	r := newRig(t, nekrotest.Options{Patience: 300 * time.Millisecond}, setup{outbox: g, stream: func(s *nekro.Stream) { s.Patience(time.Minute) }})
	r.deliver(event("1", "a"))
	for i := 0; lines(r.Logged(), "dropped what") == 0; i++ {
		r.push(fmt.Sprintf("r-%d", i), "x")
		if i%50 == 49 {
			r.fake.Ask(t.Context(), "get_self_info", nil)
		}
		if i > 100*nekro.MostWaiting {
			t.Fatal("takes everything")
		}
	}
	close(g.open)
	until(t, "room", func() bool { return r.fake.Say(alice, text("after")).OK })
	if got := r.stream.Failures(); got != 0 {
		t.Errorf("lost the connection %d times", got)
	}
}
