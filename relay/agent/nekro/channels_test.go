package nekro_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/imrelay/imrelay/relay/agent"
	"github.com/imrelay/imrelay/relay/agent/nekro"
	"github.com/imrelay/imrelay/relay/agent/nekro/nekrotest"
)

// saves counts how often the channels are saved.
type saves struct {
	agent.Memory

	n atomic.Int64
}

func (s *saves) Save(ctx context.Context, name string, value []byte, keep time.Duration) error {
	if name == "sse" {
		s.n.Add(1)
	}
	return s.Memory.Save(ctx, name, value, keep)
}

// names are channels that were remembered.
func names() []string {
	out := make([]string, nekro.MostChannels)
	for i := range out {
		out[i] = fmt.Sprintf("private_wechat.wxid_%d", i)
	}
	return out
}

// remembered is a setup in which the channels are remembered, and counts what is saved.
func remembered(t *testing.T, count *saves, channels []string) setup {
	t.Helper()
	return setup{
		stream: func(s *nekro.Stream) { s.Beat(time.Hour) },
		before: func(r *rig) {
			value, err := json.Marshal(map[string]any{"names": channels})
			if err := errors.Join(err, r.Save(t.Context(), "sse", value, time.Hour)); err != nil {
				t.Fatal(err)
			}
			count.Memory, r.Wire.Memory = r.Wire.Memory, count
		},
	}
}

// remembers are the channels that are remembered now.
func (r *rig) remembers() []string {
	r.t.Helper()
	value, err := r.Load(r.t.Context(), "sse")
	var state struct{ Names []string }
	if err := errors.Join(err, json.Unmarshal(value, &state)); err != nil {
		r.t.Fatal(err)
	}
	return state.Names
}

// The channels that are remembered are bounded, and where more are in use they are not saved with every event, but at
// the latest when the stream ends.
func TestChannelsAreBounded(t *testing.T) {
	t.Parallel()
	var count saves
	r := newRig(t, nekrotest.Options{}, remembered(t, &count, names()))
	if _, live := r.fake.Subscribed(names()[0]); live != 1 {
		t.Errorf("%d clients for a remembered channel", live)
	}
	want := names()
	for i := range 20 {
		e := event(fmt.Sprint(i), "a")
		e.Conversation = fmt.Sprintf("wxid_new_%d", i)
		r.deliver(e)
		want = append(want[1:], "private_wechat."+e.Conversation)
	}
	if got := count.n.Load(); got > 1 {
		t.Errorf("saved %d times while connected, want once", got)
	}
	r.stop()
	if got := r.remembers(); !slices.Equal(got, want) {
		t.Errorf("remembers %d, the last %q", len(got), got[len(got)-1])
	}
}

// While connected, what is not saved with its event is saved soon.
func TestChannelsAreSavedSoon(t *testing.T) {
	t.Parallel()
	var count saves
	su := remembered(t, &count, names())
	su.stream = nil
	r := newRig(t, nekrotest.Options{}, su)
	r.deliver(event("1", "a"))
	until(t, "the channel", func() bool { return slices.Contains(r.remembers(), alice) })
	before := count.n.Load()
	began := time.Now()
	until(t, "some beats", func() bool { return time.Since(began) > 500*time.Millisecond })
	if got := count.n.Load(); got != before {
		t.Errorf("saved %d times though nothing changed", got-before)
	}
}

// While there is room, a channel is remembered before Nekro is told of its event.
func TestChannelsAreDurable(t *testing.T) {
	t.Parallel()
	var count saves
	r := newRig(t, nekrotest.Options{}, remembered(t, &count, names()[:10]))
	r.deliver(event("1", "a"))
	if got, want := r.remembers(), append(names()[:10], alice); !slices.Equal(got, want) {
		t.Errorf("remembers %q, want %q", got, want)
	}
}

// What is remembered and cannot be read does not keep the stream from its work.
func TestUnreadableMemory(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"{", "7", `{"names":7}`, strings.Repeat("[", 100_000)} {
		r := newRig(t, nekrotest.Options{}, setup{before: func(r *rig) {
			if err := r.Save(t.Context(), "sse", []byte(value), time.Hour); err != nil {
				t.Fatal(err)
			}
		}})
		r.deliver(event("1", "a"))
		if got := r.remembers(); !slices.Equal(got, []string{alice}) {
			t.Errorf("%.20s: remembers %q", value, got)
		}
	}
}

// Two accounts may have the same id for two people, and people may call themselves anything.
func TestPeople(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	met := func(id, account, sender, nickname string) {
		e := event(id, "a")
		e.Account, e.Conversation, e.Note.Sender, e.Note.Nickname = account, sender, sender, nickname
		r.deliver(e)
	}
	met("1", "wechat", "1001", "Alice")
	met("2", "onebot", "1001", "Bob")
	met("3", "wechat", "1002", "Carol")
	met("4", "onebot", "1002", "Carol")
	met("5", "wechat", "1003", strings.Repeat("D\n", 1000))
	met("6", "wechat", "1004", "Eve")
	met("7", "wechat", "1004", "Eva")
	long := strings.TrimSpace(strings.Repeat("D ", 32))
	for _, tc := range []struct {
		event string
		data  map[string]any
		want  map[string]any
	}{
		{"get_user_info", map[string]any{"user_id": "1001"}, nil},
		{"get_user_info", map[string]any{"user_id": "1002"}, map[string]any{"user_id": "1002", "user_name": "Carol", "platform_name": "onebot"}},
		{"get_user_info", map[string]any{"user_id": "1003"}, map[string]any{"user_id": "1003", "user_name": long, "platform_name": "wechat"}},
		{"get_user_info", map[string]any{"user_id": "1004"}, map[string]any{"user_id": "1004", "user_name": "Eva", "platform_name": "wechat"}},
		{
			"get_channel_info",
			map[string]any{"channel_id": "private_wechat.1001"},
			map[string]any{"channel_id": "private_wechat.1001", "channel_name": "Alice"},
		},
		{
			"get_channel_info",
			map[string]any{"channel_id": "private_onebot.1001"},
			map[string]any{"channel_id": "private_onebot.1001", "channel_name": "Bob"},
		},
	} {
		if got := r.fake.Ask(t.Context(), tc.event, tc.data); !maps.Equal(got, tc.want) {
			t.Errorf("%s %v: got %v, want %v", tc.event, tc.data, got, tc.want)
		}
	}
	for _, m := range r.fake.Messages() {
		if m.ID == "m-5" && m.FromName != long {
			t.Errorf("told of %q, want %q", m.FromName, long)
		}
	}
}

// However often Nekro asks for what is refused, the log has a line of each reason.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nekrotest.Options{}, setup{})
	r.deliver(event("1", "a"))
	for range 20 {
		r.fake.Ask(t.Context(), "send_message", map[string]any{"channel_id": alice, "segments": []any{}})
		r.fake.Ask(t.Context(), "send_message", map[string]any{"channel_id": alice, "segments": 7})
		r.fake.Push("file_chunk_complete", map[string]any{"chunk_id": "c"})
	}
	if got := lines(r.Logged(), "refused a message"); got != 2 {
		t.Errorf("logged %d refusals, want 2:\n%s", got, r.Logged())
	}
	if got := lines(r.Logged(), "dropped a file"); got != 1 {
		t.Errorf("logged %d files, want 1", got)
	}
}

// The same is logged once a minute, and something else beside it.
func TestQuiet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		warn := nekro.Quietly(zap.New(core))
		for i, tc := range []struct {
			what, reason string
			after        time.Duration
			want         int
		}{
			{"a", "", 0, 1},
			{"a", "", 0, 1},
			{"a", "x", 0, 2},
			{"b", "", 0, 3},
			{"a", "", 59 * time.Second, 3},
			{"a", "", 2 * time.Second, 4},
			{"a", "", time.Second, 4},
		} {
			<-time.After(tc.after)
			warn(tc.what, tc.reason)
			if got := logs.Len(); got != tc.want {
				t.Errorf("step %d: %d lines, want %d", i, got, tc.want)
			}
		}
	})
}
