package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/agent/openai"
	"github.com/imrelay/imrelay/relay/agent/openai/openaitest"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/secret"
)

// setup is an agent, its server and what the daemon gives it.
type setup struct {
	*agenttest.World

	fake  *openaitest.Fake
	agent *openai.Agent
}

func start(t *testing.T, o openaitest.Options, change func(*openai.Config)) setup {
	t.Helper()
	s := setup{World: agenttest.NewWorld(t), fake: openaitest.New(t, o)}
	s.agent = s.make(t, s.Wire, change)
	return s
}

// make makes a further agent on the same server.
func (s setup) make(t *testing.T, w agent.Wire, change func(*openai.Config)) *openai.Agent {
	t.Helper()
	c := openai.Default()
	c.URL, c.Model = s.fake.URL(), "small-1"
	if change != nil {
		change(&c)
	}
	a, err := openai.New(c, w)
	if err != nil {
		t.Fatal(err)
	}
	a.Hasten(200*time.Millisecond, 10*time.Millisecond)
	return a
}

// event is a message in a private chat.
func event(id, text string) relay.Event {
	body, _ := json.Marshal(map[string]string{"text": text})
	return relay.Event{
		ID: id, Account: "wechat", Conversation: "wxid_carol", Body: body,
		Note: relay.Note{MessageID: "7000000000000000001", Sender: "wxid_carol", Nickname: "Carol", Kind: "text"},
	}
}

// says delivers, and returns the one text that is said.
func (s setup) says(t *testing.T, e relay.Event) string {
	t.Helper()
	out, err := s.agent.Deliver(t.Context(), e, 1)
	if err != nil || out.Status != 200 || len(out.Replies) != 1 {
		t.Fatalf("%s: got %+v, %v", e.ID, out, err)
	}
	if want := agent.AnswerKey(e.ID, 0); out.Replies[0].Key != want {
		t.Errorf("key: got %q, want %q", out.Replies[0].Key, want)
	}
	if string(out.Body) != out.Replies[0].Text || !strings.HasPrefix(out.ContentType, "text/plain") {
		t.Errorf("shown: got %q as %s, want %q", out.Body, out.ContentType, out.Replies[0].Text)
	}
	return out.Replies[0].Text
}

// lines are a request's messages in short: role and text.
func lines(r openaitest.Request) []string {
	var out []string
	for _, m := range r.Messages {
		out = append(out, m.Role+": "+m.Text)
	}
	return out
}

// The model is shown the system's text, the conversation's last turns and the message, and nothing of other
// conversations.
func TestWindow(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{Token: "sk-1"}, func(c *openai.Config) {
		c.Token, c.System, c.Window = secret.New("sk-1"), "be kind", 5
	})
	for i := range 4 {
		s.says(t, event(fmt.Sprintf("evt_%d", i), fmt.Sprintf("m%d", i)))
	}
	other := event("evt_other", "hi")
	other.Conversation = "wxid_dave"
	s.says(t, other)
	requests := s.fake.Requests()
	want := []string{
		"system: be kind", "user: m1", "assistant: re(2,0): m1", "user: m2", "assistant: re(4,0): m2", "user: m3",
	}
	if got := lines(requests[3]); !slices.Equal(got, want) {
		t.Errorf("fourth request: got %q, want %q", got, want)
	}
	if got, want := lines(requests[4]), []string{"system: be kind", "user: hi"}; !slices.Equal(got, want) {
		t.Errorf("other conversation: got %q, want %q", got, want)
	}
	r := requests[3]
	if r.Model != "small-1" || !r.Stream || r.Header.Get(agent.HeaderEventID) != "evt_3" ||
		r.Header.Get(agent.HeaderAttempt) != "1" {
		t.Errorf("got model %q, stream %v, %v", r.Model, r.Stream, r.Header)
	}
}

// Without a window the model is shown the message only; a repeat is known all the same.
func TestNoWindow(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{}, func(c *openai.Config) { c.Window = 0 })
	for _, id := range []string{"evt_1", "evt_2", "evt_3", "evt_2", "evt_3"} {
		if got, want := s.says(t, event(id, "hi")), "re(0,0): hi"; got != want {
			t.Errorf("%s: got %q, want %q", id, got, want)
		}
	}
	if got := s.fake.Runs("hi"); got != 3 {
		t.Errorf("the model ran %d times, want 3", got)
	}
}

// In a group the speakers are told apart, and the answer refers to what it answers.
func TestGroup(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{}, nil)
	e := event("evt_1", "hi")
	e.Conversation, e.Note.Group = "42@chatroom", true
	out, err := s.agent.Deliver(t.Context(), e, 1)
	if err != nil || len(out.Replies) != 1 || out.Replies[0].ReplyTo != e.Note.MessageID {
		t.Fatalf("got %+v, %v", out, err)
	}
	if got, want := out.Replies[0].Text, "re(0,0): Carol: hi"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Recalls and notices are not told to the model.
func TestUnspoken(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{}, nil)
	e := event("evt_1", "someone recalled")
	e.Note.Kind = "recall"
	out, err := s.agent.Deliver(t.Context(), e, 1)
	if err != nil || out.Status != 204 || len(s.fake.Requests()) != 0 {
		t.Errorf("got %+v, %v, %d requests", out, err, len(s.fake.Requests()))
	}
}

// The model is shown an image once, with its message; afterwards only the words about it.
func TestImages(t *testing.T) {
	t.Parallel()
	for _, blind := range []bool{false, true} {
		t.Run(fmt.Sprintf("blind=%v", blind), func(t *testing.T) {
			t.Parallel()
			s := start(t, openaitest.Options{Blind: blind}, nil)
			e := event("evt_1", "")
			e.Note.Kind, e.Body = "image", []byte(`{"image":"https://img.invalid/cat.png"}`)
			want := map[bool]string{false: "re(0,1): [image]", true: "re(0,0): [image]"}[blind]
			if got := s.says(t, e); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			s.says(t, event("evt_2", "and?"))
			requests := s.fake.Requests()
			if got, want := len(requests), map[bool]int{false: 2, true: 3}[blind]; got != want {
				t.Errorf("made %d requests, want %d", got, want)
			}
			if got := requests[0].Messages[0].Images; !slices.Equal(got, []string{"https://img.invalid/cat.png"}) {
				t.Errorf("got images %q", got)
			}
			for _, m := range requests[len(requests)-1].Messages {
				if len(m.Images) > 0 {
					t.Errorf("shown again: %+v", m)
				}
			}
		})
	}
	t.Run("not of the web", func(t *testing.T) {
		t.Parallel()
		s := start(t, openaitest.Options{}, nil)
		e := event("evt_1", "")
		e.Note.Kind, e.Body = "image", []byte(`{"image":"file:///etc/hostname"}`)
		if got, want := s.says(t, e), "re(0,0): [image]"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// What the server does in a request, and what it means.
func TestFaults(t *testing.T) {
	t.Parallel()
	const whole = "re(0,0): one two three four"
	for _, tc := range []struct {
		name   string
		fault  openaitest.Fault
		status int // 0: no answer
		after  time.Duration
	}{
		{"none", openaitest.None, 200, 0},
		{"keep-alive", openaitest.KeepAlive, 200, 0},
		{"CRLF", openaitest.CRLF, 200, 0},
		{"one piece", openaitest.Plain, 200, 0},
		{"no done", openaitest.NoDone, 200, 0},
		{"no finish", openaitest.NoFinish, 200, 0},
		{"cut", openaitest.Cut, 200, 0},
		{"reasoning", openaitest.Reason, 200, 0},
		{"hang-up", openaitest.HangUp, 0, 0},
		{"end in the middle", openaitest.Close, 0, 0},
		{"error inside", openaitest.ErrorInside, 503, 0},
		{"error in a field of its own", openaitest.OldError, 500, 0},
		{"too many", openaitest.TooMany, 429, 3 * time.Second},
		{"starting", openaitest.Starting, 503, time.Second},
		{"hang", openaitest.Hang, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, openaitest.Options{Fault: func(_ string, n int) openaitest.Fault {
				if n == 1 {
					return tc.fault
				}
				return openaitest.None
			}}, nil)
			e := event("evt_1", "one two three four")
			out, err := s.agent.Deliver(t.Context(), e, 1)
			if (err == nil) != (tc.status != 0) || out.Status != tc.status || out.RetryAfter != tc.after {
				t.Fatalf("got %+v, %v, want %d", out, err, tc.status)
			}
			if tc.status != 200 && len(out.Replies) > 0 {
				t.Errorf("said %+v", out.Replies)
			}
			if ae, ok := errors.AsType[*relay.AttemptError](err); ok && (ae.Unreachable || ae.Timeout != (tc.fault == openaitest.Hang)) {
				t.Errorf("got %+v", ae)
			}
			if got := s.says(t, e); got != whole {
				t.Errorf("second attempt: got %q, want %q", got, whole)
			}
			if got, want := len(s.fake.Requests()), map[bool]int{true: 1, false: 2}[tc.status == 200]; got != want {
				t.Errorf("made %d requests, want %d", got, want)
			}
		})
	}
}

// An attempt that comes again after its answer was saved gives the same answer, on another relay too, and the model does
// not run; that holds for the last events of a conversation whatever the window.
func TestRepeat(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{}, nil)
	first := s.says(t, event("evt_1", "a"))
	second := s.says(t, event("evt_2", "b"))
	s.agent = s.make(t, s.Wire, nil)
	if got := s.says(t, event("evt_1", "a")); got != first {
		t.Errorf("got %q, want %q", got, first)
	}
	if got := s.says(t, event("evt_2", "b")); got != second {
		t.Errorf("got %q, want %q", got, second)
	}
	if got := len(s.fake.Requests()); got != 2 {
		t.Errorf("made %d requests, want 2", got)
	}
	if out, err := s.agent.Deliver(t.Context(), event("evt_2", "b"), 2); err != nil || !out.Unasked {
		t.Errorf("got %+v, %v: it tells of a server that was not asked", out, err)
	}
	if out, err := s.agent.Deliver(t.Context(), event("evt_3", "c"), 1); err != nil || out.Unasked || string(out.Body) != "re(4,0): c" {
		t.Errorf("then: got %+v, %v", out, err)
	}
}

// A turn without an answer is remembered, so that the model does not run again for it, and not shown again.
func TestSilent(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{Fault: func(last string, _ int) openaitest.Fault {
		if last == "hush" {
			return openaitest.Silent
		}
		return openaitest.None
	}}, nil)
	s.says(t, event("evt_1", "a"))
	for range 2 {
		out, err := s.agent.Deliver(t.Context(), event("evt_2", "hush"), 1)
		if err != nil || out.Status != 200 || len(out.Replies) != 0 || len(out.Body) != 0 {
			t.Errorf("got %+v, %v, want no reply", out, err)
		}
	}
	if got := s.fake.Runs("hush"); got != 1 {
		t.Errorf("the model ran %d times, want 1", got)
	}
	if got, want := s.says(t, event("evt_3", "c")), "re(2,0): c"; got != want {
		t.Errorf("then: got %q, want %q", got, want)
	}
}

// A relay is asked for its right to the event before every request: one that was frozen between two has no model run for
// what is another's.
func TestReadyEachTime(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{Blind: true}, nil)
	e := event("evt_1", "")
	e.Note.Kind, e.Body = "image", []byte(`{"image":"https://img.invalid/cat.png"}`)
	asked, lost := 0, errors.New("lost")
	e.Ready = func() error {
		if asked++; asked > 1 {
			return lost
		}
		return nil
	}
	if out, err := s.agent.Deliver(t.Context(), e, 1); !errors.Is(err, lost) || asked != 2 || len(s.fake.Requests()) != 1 {
		t.Errorf("got %+v, %v, asked %d times", out, err, asked)
	}
	e.Ready = func() error { return nil }
	if got, want := s.says(t, e), "re(0,0): [image]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A stream that goes on and on is given up, and what is said of it is bounded.
func TestEndlessStream(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		event  string
		status int
		reason string
		says   int
	}{
		"without an answer": {": " + strings.Repeat("x", 64<<10) + "\n\n", 500, "the answer is too large", 0},
		"of an answer":      {"data: " + delta(strings.Repeat("x", 1<<10), "null") + "\n\n", 200, "", agent.MaxReply},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for r.Context().Err() == nil {
					if _, err := io.WriteString(w, tc.event); err != nil {
						return
					}
				}
			}))
			t.Cleanup(server.Close)
			w := agenttest.NewWorld(t)
			w.Wire.Timeout = time.Minute
			a, err := openai.New(openai.Config{URL: server.URL + "/v1", Model: "m"}, w.Wire)
			if err != nil {
				t.Fatal(err)
			}
			out, err := a.Deliver(t.Context(), event("evt_1", "a"), 1)
			said := 0
			for _, r := range out.Replies {
				said += len(r.Text)
			}
			if err != nil || out.Status != tc.status || out.Reason != tc.reason || said != tc.says {
				t.Errorf("got %d (%s), %v, %d bytes said, want %+v", out.Status, out.Reason, err, said, tc)
			}
		})
	}
}

// A request that is too long is made once more with half of the turns, and then no more; the conversation goes on with
// that half.
func TestOverflow(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{Context: 400}, nil)
	pad := strings.Repeat("x", 40)
	for i := range 4 {
		s.says(t, event(fmt.Sprintf("evt_%d", i), fmt.Sprint(i, pad)))
	}
	before := len(s.fake.Requests())
	if got, want := s.says(t, event("evt_4", "last"+pad)), "re(4,0): last"+pad; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	requests := s.fake.Requests()
	if len(requests) != before+2 || len(requests[before].Messages) != 9 || len(requests[before+1].Messages) != 5 {
		t.Errorf("got %d further requests, want 2, of 9 and of 5 messages", len(requests)-before)
	}
	if got, want := s.says(t, event("evt_5", "more")), "re(6,0): more"; got != want {
		t.Errorf("afterwards: got %q, want %q", got, want)
	}
	for conversation, want := range map[string]int{"wxid_carol": 2, "wxid_dave": 1} {
		before = len(s.fake.Requests())
		e := event("evt_6", strings.Repeat("y", 500))
		e.Conversation = conversation
		out, err := s.agent.Deliver(t.Context(), e, 1)
		if err != nil || out.Status != 400 {
			t.Errorf("too long by itself: got %+v, %v", out, err)
		}
		if got := len(s.fake.Requests()) - before; got != want {
			t.Errorf("%s: made %d requests, want %d", conversation, got, want)
		}
	}
}

// Servers say in many ways that a request is too long; what says something else is not asked again.
func TestOverflowWords(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		again  bool
	}{
		"code":    {400, `{"error":{"code":"context_length_exceeded"}}`, true},
		"type":    {400, `{"error":{"type":"exceed_context_size_error","code":400}}`, true},
		"vLLM":    {400, `{"object":"error","message":"This model's maximum context length is 9 tokens.","code":400}`, true},
		"Ollama":  {500, `{"error":"the input exceeds the Context Length"}`, true},
		"list":    {413, `[{"error":{"code":413,"message":"over the context window"}}]`, true},
		"stream":  {200, "data: {\"error\":{\"code\":400,\"message\":\"exceeds the available context size\"}}\n\ndata: [DONE]\n\n", true},
		"other":   {400, `{"error":{"code":"invalid_value"}}`, false},
		"limited": {429, `{"error":{"message":"too many tokens for this context window and minute"}}`, false},
		"no JSON": {400, `context_length_exceeded`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n := requests.Add(1); n == 2 {
					w.WriteHeader(tc.status)
					_, _ = io.WriteString(w, tc.body)
					return
				}
				events(delta("fine", `"stop"`))(w, r)
			}))
			t.Cleanup(server.Close)
			c := openai.Default()
			c.URL, c.Model = server.URL, "m"
			a, err := openai.New(c, agenttest.NewWorld(t).Wire)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"evt_1", "evt_2"} {
				if _, err := a.Deliver(t.Context(), event(id, "a"), 1); err != nil {
					t.Fatal(err)
				}
			}
			if got := requests.Load() == 3; got != tc.again {
				t.Errorf("made %d requests, asked again %v, want %v", requests.Load(), got, tc.again)
			}
		})
	}
}

// A message and an answer of any size leave a window that can be saved, and the answer is the same on a repeat.
func TestLarge(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain":    strings.Repeat("abcdefgh", 150<<7),
		"quotes":   strings.Repeat(`"\`, 150<<9),
		"controls": strings.Repeat("\x01\x02", 150<<9),
		"wide":     strings.Repeat("界", 50<<10),
		"half":     strings.Repeat("abcdefgh", 40<<7),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, openaitest.Options{}, nil)
			memory := &sized{Memory: s.Wire.Memory}
			s.Wire.Memory, s.Wire.Timeout = memory, time.Minute // what is looked at is the size, on a busy machine too
			s.agent = s.make(t, s.Wire, nil)
			var answers []string
			for _, id := range []string{"evt_1", "evt_2"} {
				e := event(id, text)
				out, err := s.agent.Deliver(t.Context(), e, 1)
				if err != nil || len(out.Replies) != 1 || len(out.Body) > 64<<10 {
					t.Fatalf("got %d, %v, %d replies", out.Status, err, len(out.Replies))
				}
				answers = append(answers, out.Replies[0].Text)
			}
			if got := s.text(t, event("evt_2", text)); got != answers[1] || len(got) > agent.MaxReply {
				t.Errorf("repeat: got %d bytes, want %d", len(got), len(answers[1]))
			}
			if got := s.text(t, event("evt_3", "hi")); got != "re(0,0): hi" {
				t.Errorf("then: got %q", got)
			}
			if got := len(s.fake.Requests()); got != 3 {
				t.Errorf("made %d requests, want 3", got)
			}
			if memory.largest.Load() > memo.MaxValue || memory.window.Load() > 64<<10 {
				t.Errorf("saved %d bytes, %d of a window", memory.largest.Load(), memory.window.Load())
			}
		})
	}
}

// text delivers, and returns the one text that is said, whatever is shown.
func (s setup) text(t *testing.T, e relay.Event) string {
	t.Helper()
	out, err := s.agent.Deliver(t.Context(), e, 1)
	if err != nil || len(out.Replies) != 1 {
		t.Fatalf("%s: got %d, %v, %d replies", e.ID, out.Status, err, len(out.Replies))
	}
	return out.Replies[0].Text
}

// sized is a memory that takes no more than real ones do.
type sized struct {
	agent.Memory

	largest atomic.Int64
	window  atomic.Int64 // the largest
	week    atomic.Bool  // a window was kept for no more
	fails   atomic.Int64 // how many saves fail from now on
}

func (m *sized) Save(ctx context.Context, name string, value []byte, keep time.Duration) error {
	m.largest.Store(max(m.largest.Load(), int64(len(value))))
	if strings.HasPrefix(name, "window/") {
		m.window.Store(max(m.window.Load(), int64(len(value))))
		m.week.Store(keep <= 7*24*time.Hour)
	}
	if m.fails.Add(-1) >= 0 {
		return fmt.Errorf("save: %w", memo.ErrUnavailable)
	}
	if len(value) > memo.MaxValue {
		return memo.ErrTooLarge
	}
	return m.Memory.Save(ctx, name, value, keep)
}

// A window does not grow over its bound.
func TestWindowBound(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{}, func(c *openai.Config) { c.Window = 1000 })
	memory := &sized{Memory: s.Wire.Memory}
	s.Wire.Memory = memory
	s.agent = s.make(t, s.Wire, func(c *openai.Config) { c.Window = 1000 })
	for i := range 40 {
		s.says(t, event(fmt.Sprintf("evt_%d", i), strings.Repeat("z", 2000)))
	}
	if got := memory.largest.Load(); got > 64<<10 || got < 60<<10 || !memory.week.Load() {
		t.Errorf("the largest value has %d bytes, want about 64 KiB, kept for a week: %v", got, memory.week.Load())
	}
	requests := s.fake.Requests()
	if got := len(requests[39].Messages); got != 33 {
		t.Errorf("shown %d messages, want 33", got)
	}
}

// Of turns that do not fit together the model is shown the last, and the other's answer is known all the same. One that
// does not fit by itself pushes no other out.
func TestWindowApart(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{}, nil)
	memory := &sized{Memory: s.Wire.Memory}
	s.Wire.Memory, s.Wire.Timeout = memory, time.Minute
	s.agent = s.make(t, s.Wire, nil)
	long := func(n int) string { return strings.Repeat("abcdefgh", n<<7) }
	first := s.text(t, event("evt_1", long(20)))
	second := s.text(t, event("evt_2", long(24)))
	if got := s.text(t, event("evt_1", long(20))); got != first {
		t.Errorf("repeat of the first: got %d bytes, want %d", len(got), len(first))
	}
	third := s.text(t, event("evt_3", long(100)))
	if got := s.text(t, event("evt_3", long(100))); got != third {
		t.Errorf("repeat of the third: got %d bytes, want %d", len(got), len(third))
	}
	if got := s.text(t, event("evt_2", long(24))); got != second {
		t.Errorf("repeat of the second: got %d bytes, want %d", len(got), len(second))
	}
	s.text(t, event("evt_4", "hi"))
	requests := s.fake.Requests()
	if len(requests) != 4 || memory.window.Load() > 64<<10 {
		t.Fatalf("made %d requests, want 4; the largest window has %d bytes", len(requests), memory.window.Load())
	}
	if got := requests[3].Messages; len(got) != 3 || got[0].Text != long(24) || got[1].Text != second {
		t.Errorf("then shown %d messages, want the second turn and the message", len(got))
	}
	s.Fail(memo.ErrUnavailable)
	if _, err := s.agent.Deliver(t.Context(), event("evt_3", "x"), 1); err == nil {
		t.Error("got no error of the memory")
	}
}

// A memory that cannot be read means that nothing was begun; one that cannot be written does not lose the answer, and the
// model is not asked again for it.
func TestMemoryFails(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{}, nil)
	s.Fail(fmt.Errorf("away: %w", memo.ErrUnavailable))
	_, err := s.agent.Deliver(t.Context(), event("evt_1", "a"), 1)
	if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || !ae.Ours || len(s.fake.Requests()) != 0 {
		t.Errorf("read: got %v, %d requests", err, len(s.fake.Requests()))
	}
	s.Fail(nil)
	memory := &sized{Memory: s.Wire.Memory}
	s.Wire.Memory = memory
	s.agent = s.make(t, s.Wire, nil)
	memory.fails.Store(3)
	first := s.says(t, event("evt_1", "a"))
	if got := s.says(t, event("evt_1", "a")); got != first || s.fake.Runs("a") != 1 {
		t.Errorf("failed for a moment: got %q after %d runs, want %q after 1", got, s.fake.Runs("a"), first)
	}
	memory.fails.Store(1 << 30)
	if got, want := s.says(t, event("evt_2", "hush")), "re(2,0): hush"; got != want {
		t.Errorf("failed for long: got %q, want %q", got, want)
	}
	logged := s.Logged()
	if !strings.Contains(logged, "evt_2") || strings.Contains(logged, "evt_1") || strings.Contains(logged, "hush") {
		t.Errorf("got log %q, want evt_2 and no text", logged)
	}
}

// What was saved by nobody knows whom is as good as nothing.
func TestGarbledMemory(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{}, nil)
	session := agent.Session(relay.Chat{Account: "wechat", Conversation: "wxid_carol"})
	for _, value := range []string{"{", `{"turns":3}`, `[]`} {
		if err := s.Save(t.Context(), "window/"+session, []byte(value), time.Hour); err != nil {
			t.Fatal(err)
		}
		if got, want := s.says(t, event("evt_"+value, "a")), "re(0,0): a"; got != want {
			t.Errorf("%s: got %q, want %q", value, got, want)
		}
	}
}

// The token is in no refusal that is shown, although servers repeat it.
func TestWrongToken(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{Token: "sk-right"}, func(c *openai.Config) { c.Token = secret.New("sk-wrong") })
	out, err := s.agent.Deliver(t.Context(), event("evt_1", "a"), 1)
	if err != nil || out.Status != 401 {
		t.Fatalf("got %+v, %v", out, err)
	}
	if body := string(out.Body); !strings.Contains(body, "Incorrect API key") || strings.Contains(body, "sk-wrong") {
		t.Errorf("shows %s", body)
	}
}

// A server that was stopped is unreachable, and is asked again at the same address when it is back.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := start(t, openaitest.Options{Slow: 20 * time.Millisecond}, nil)
	s.fake.Stop()
	_, err := s.agent.Deliver(t.Context(), event("evt_1", "a"), 1)
	if ae, ok := errors.AsType[*relay.AttemptError](err); !ok || !ae.Unreachable {
		t.Errorf("got %v", err)
	}
	s.fake.Start()
	if got, want := s.says(t, event("evt_1", "a")), "re(0,0): a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What cannot work is refused when the relay starts, and the token is not shown.
func TestNew(t *testing.T) {
	t.Parallel()
	good := openai.Config{URL: "http://127.0.0.1:1/v1/", Model: "m", Token: secret.New("sk-1")}
	if _, err := openai.New(good, agent.Wire{}); err != nil {
		t.Fatalf("good: %v", err)
	}
	for name, tc := range map[string]struct {
		change func(*openai.Config)
		wire   agent.Wire
		want   string
	}{
		"no url":      {func(c *openai.Config) { c.URL = "" }, agent.Wire{}, "url is missing"},
		"no host":     {func(c *openai.Config) { c.URL = "localhost/v1" }, agent.Wire{}, "url is not an"},
		"other":       {func(c *openai.Config) { c.URL = "ws://h/v1" }, agent.Wire{}, "url is not an"},
		"endpoint":    {func(c *openai.Config) { c.URL = "http://h/v1/chat/completions/" }, agent.Wire{}, "must be the base"},
		"no model":    {func(c *openai.Config) { c.Model = " " }, agent.Wire{}, "model is missing"},
		"window":      {func(c *openai.Config) { c.Window = -1 }, agent.Wire{}, "window must be"},
		"wide window": {func(c *openai.Config) { c.Window = 1001 }, agent.Wire{}, "window must be"},
		"token":       {func(c *openai.Config) { c.Token = secret.New("sk-1\n") }, agent.Wire{}, "token holds"},
		"standard":    {func(*openai.Config) {}, agent.Wire{StandardWebhooks: true}, "standard_webhooks"},
	} {
		c := good
		tc.change(&c)
		_, err := openai.New(c, tc.wire)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "sk-1") {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}
