package agent_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/relay"
	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/agenttest"
	"github.com/imrelay/imrelay/relay/memo"
)

// Every conversation has a session of its own, of letters that agents may put anywhere.
func TestSession(t *testing.T) {
	t.Parallel()
	plain := regexp.MustCompile(`^[A-Za-z0-9_@.-]+$`)
	chats := map[string]string{ // conversation: session, where it matters
		"wxid_alice": "im.wxid_alice", "48213570966@chatroom": "im.48213570966@chatroom", "a.b-C_9": "im.a.b-C_9",
		strings.Repeat("a", 96): "im." + strings.Repeat("a", 96),
	}
	for _, c := range []string{
		"", "_", "!a:b", "?a:b", "_a_b", "a/../b", "a b", "你好", "你们", "\xff", "\xfe", "\x00", "a\nb", "A", "a",
		strings.Repeat("a", 97), strings.Repeat("a", 98), strings.Repeat("你", 200), strings.Repeat("们", 200),
	} {
		chats[c] = ""
		// Nobody gets another's session by taking its name.
		taken := strings.TrimPrefix(agent.Session(relay.Chat{Account: "im", Conversation: c}), "im.")
		chats[taken] = ""
	}
	known := map[string]string{}
	for c, want := range chats {
		got := agent.Session(relay.Chat{Account: "im", Conversation: c})
		if want != "" && got != want {
			t.Errorf("%q: got %q, want %q", c, got, want)
		}
		if !plain.MatchString(got) || len(got) > len("im.")+96+17 || !strings.HasPrefix(got, "im.") {
			t.Errorf("%q: got %q", c, got)
		}
		if other, ok := known[got]; ok {
			t.Errorf("%q and %q are both %q", c, other, got)
		}
		known[got] = c
		if again := agent.Session(relay.Chat{Account: "im", Conversation: c}); again != got {
			t.Errorf("%q: got %q, then %q", c, got, again)
		}
	}
	if a, b := agent.Session(relay.Chat{Account: "a", Conversation: "b.c"}), agent.Session(relay.Chat{Account: "b", Conversation: "b.c"}); a == b {
		t.Errorf("two accounts: got %q for both", a)
	}
}

// saves counts what is saved.
type saves struct {
	agent.Memory

	mu    sync.Mutex
	names []string
	keep  time.Duration
	lie   []byte // in place of every value
}

func (s *saves) Save(ctx context.Context, name string, value []byte, keep time.Duration) error {
	s.mu.Lock()
	s.names, s.keep = append(s.names, name), keep
	s.mu.Unlock()
	return s.Memory.Save(ctx, name, value, keep)
}

func (s *saves) Load(ctx context.Context, name string) ([]byte, error) {
	if s.lie != nil {
		return s.lie, nil
	}
	return s.Memory.Load(ctx, name)
}

func (s *saves) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.names)
}

// A conversation that was noted is found, by another relay too, and no other is.
func TestChats(t *testing.T) {
	t.Parallel()
	w := agenttest.NewWorld(t)
	m := &saves{Memory: w}
	chats := agent.NewChats(m)
	want := relay.Chat{Account: "wechat", Conversation: "!a:b \"<你>"}
	session, err := chats.Note(t.Context(), want)
	if err != nil || session != agent.Session(want) {
		t.Fatalf("got %q, %v", session, err)
	}
	if got, err := agent.NewChats(w).Find(t.Context(), session); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, other := range []string{"", "wechat.b", session + "x", strings.ToUpper(session), "../chat/" + session} {
		if got, err := chats.Find(t.Context(), other); !errors.Is(err, agent.ErrNotServed) {
			t.Errorf("%q: got %+v, %v, want ErrNotServed", other, got, err)
		}
	}
	for _, lie := range []string{"{", "[]", "null and void", `{"Account":1}`} {
		m.lie = []byte(lie)
		if got, err := chats.Find(t.Context(), session); err == nil || got != (relay.Chat{}) {
			t.Errorf("%s: got %+v, %v, want an error", lie, got, err)
		}
	}
}

// Noting costs a write a day, keeps for a month, and does not grow without end.
func TestNoteIsCheap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &saves{Memory: agenttest.NewWorld(t)}
		chats := agent.NewChats(m)
		note := func(conversation string) {
			t.Helper()
			if _, err := chats.Note(t.Context(), relay.Chat{Account: "im", Conversation: conversation}); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { note("b") })
		}
		wg.Wait()
		before := m.count()
		for range 100 {
			note("b")
		}
		if got := m.count() - before; got != 0 || m.keep != 30*24*time.Hour {
			t.Errorf("saved %d times, for %v, want none more", got, m.keep)
		}
		time.Sleep(24 * time.Hour) //nolint:forbidigo // a bubble's
		note("b")
		if got := m.count() - before; got != 1 {
			t.Errorf("a day later: saved %d times, want once", got)
		}
		for i := range 10_000 {
			note(fmt.Sprint(i))
		}
		before = m.count()
		note("9999")
		note("b") // forgotten to make room, and written again
		if got := m.count() - before; got != 1 {
			t.Errorf("after many: saved %d times, want once", got)
		}
	})
}

// A memory that fails fails the attempt before anything was sent, and is asked again.
func TestChatsWithoutMemory(t *testing.T) {
	t.Parallel()
	w := agenttest.NewWorld(t)
	chats := agent.NewChats(w)
	chat := relay.Chat{Account: "im", Conversation: "b"}
	w.Fail(fmt.Errorf("%w: disk full", memo.ErrUnavailable))
	for range 2 {
		_, err := chats.Note(t.Context(), chat)
		if ae := agent.AttemptError(err); !errors.Is(err, memo.ErrUnavailable) || !ae.Ours || ae.Reason == "" {
			t.Errorf("note: got %v, %+v", err, ae)
		}
	}
	if _, err := chats.Find(t.Context(), agent.Session(chat)); !errors.Is(err, memo.ErrUnavailable) || errors.Is(err, agent.ErrNotServed) {
		t.Errorf("find: got %v", err)
	}
	w.Fail(nil)
	if _, err := chats.Find(t.Context(), agent.Session(chat)); !errors.Is(err, agent.ErrNotServed) {
		t.Errorf("what failed was noted: %v", err)
	}
	session, err := chats.Note(t.Context(), chat)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := chats.Find(t.Context(), session); err != nil || got != chat {
		t.Errorf("got %+v, %v", got, err)
	}
}
