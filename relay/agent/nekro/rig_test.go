package nekro_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/nekro"
	"github.com/imrelay/imrelay/relay/agent/nekro/nekrotest"
	"github.com/imrelay/imrelay/relay/secret"
)

func newAgent(t *testing.T, c nekro.Config, w agent.Wire) relay.Agent {
	t.Helper()
	a, err := nekro.New(c, w)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// run runs the stream until the test ends, or stop is called.
func run(t *testing.T, s *nekro.Stream) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// until polls for what comes in its own time.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited 10 s for: %s", what)
		}
	}
}

// rig is a stream, its server and its world.
type rig struct {
	*agenttest.World
	t      *testing.T
	fake   *nekrotest.Fake
	stream *nekro.Stream
	stop   func()
}

// setup is what a test has otherwise.
type setup struct {
	key    string
	outbox *gate
	stream func(*nekro.Stream)
	// before is done before the stream runs.
	before func(*rig)
}

func newRig(t *testing.T, o nekrotest.Options, su setup) *rig {
	t.Helper()
	if o.Heartbeat == 0 {
		o.Heartbeat = 50 * time.Millisecond
	}
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	r := &rig{t: t, World: agenttest.NewWorld(t), fake: nekrotest.New(t, o)}
	if su.before != nil {
		su.before(r)
	}
	r.begin(su)
	until(t, "connection", r.stream.Connected)
	return r
}

// begin runs another stream in the same world.
func (r *rig) begin(su setup) {
	r.t.Helper()
	w := r.Wire
	if su.outbox != nil {
		su.outbox.Outbox, w.Outbox = w.Outbox, su.outbox
	}
	r.stream = newAgent(r.t, nekro.Config{
		Mode: "sse", Endpoint: agent.Endpoint{URL: r.fake.URL() + "/"}, AccessKey: secret.New(su.key),
	}, w).(*nekro.Stream).Hasten()
	if su.stream != nil {
		su.stream(r.stream)
	}
	r.stop = run(r.t, r.stream)
}

// deliver delivers an event that must be taken.
func (r *rig) deliver(e relay.Event) {
	r.t.Helper()
	out, err := r.stream.Deliver(r.t.Context(), e, 1)
	if err != nil || out.Status != 200 {
		r.t.Fatalf("got %+v, %v", out, err)
	}
}

// event is a private one.
func event(id, text string) relay.Event {
	e := agenttest.Event("evt_" + id)
	e.Note.MessageID = "m-" + id
	e.Body = []byte(`{"text":"` + text + `"}`)
	return e
}

// groupEvent is one of a group.
func groupEvent(id, body string, mentioned bool) relay.Event {
	e := event(id, "")
	e.Conversation, e.Body = "4711@chatroom", []byte(body)
	e.Note.Group, e.Note.Mentioned = true, mentioned
	return e
}

func text(s string) map[string]any { return map[string]any{"type": "text", "content": s} }

func lines(log, with string) (n int) {
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, with) {
			n++
		}
	}
	return n
}

const alice = "private_wechat.wxid_alice"
