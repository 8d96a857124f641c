package telegram_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/outbound/connector/telegram"
	"github.com/imrelay/imrelay/outbound/connector/telegram/telegramtest"
	"github.com/imrelay/imrelay/relay/secret"
)

// inlet keeps what it takes, and refuses some.
type inlet struct {
	mu     sync.Mutex
	bodies []string
	// refuse says whether the n-th, from 1, is refused; nil: none is.
	refuse func(n int, body string) bool
	asked  int
}

// Take implements connector.Inlet.
func (in *inlet) Take(_ context.Context, body []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.asked++
	if in.refuse != nil && in.refuse(in.asked, string(body)) {
		return errors.New("store unavailable")
	}
	in.bodies = append(in.bodies, string(body))
	return nil
}

func (in *inlet) taken() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.bodies)
}

// poll is a Poller that runs before a server until the test ends, or stop is called.
type poll struct {
	inlet  *inlet
	alarms *alarms
	stop   func()
}

func newPoll(t *testing.T, url, token string, in *inlet) *poll {
	t.Helper()
	p := &poll{inlet: in, alarms: newAlarms()}
	c := open(t, telegram.Config{URL: url, Token: secret.New(token), Poll: true},
		connector.Wire{Doer: dial(t), Inlet: in, Alarm: p.alarms})
	c.(*telegram.Poller).Hasten()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { c.(outbound.Resident).Run(ctx) })
	p.stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(p.stop)
	return p
}

// serve serves a fake's updates.
func serve(t *testing.T, o telegramtest.Options) (*telegramtest.Fake, string) {
	t.Helper()
	im := telegramtest.New(o)
	server := httptest.NewServer(im)
	t.Cleanup(server.Close)
	t.Cleanup(im.Close)
	return im, server.URL
}

// until waits for what must come.
func until(t *testing.T, what string, there func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-deadline:
			t.Fatalf("waited 10 s for %s", what)
		case <-tick.C:
		}
	}
}

// TestPollOnlyWhereAsked: without poll nobody keeps a seat for the connector.
func TestPollOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{true, false} {
		c := open(t, telegram.Config{Token: secret.New("1:a"), Poll: asked}, connector.Wire{})
		if _, ok := c.(outbound.Resident); ok != asked {
			t.Errorf("poll %v: got a resident %v", asked, ok)
		}
	}
}

// TestPollOrder: updates come in order, each once, byte for byte.
func TestPollOrder(t *testing.T) {
	t.Parallel()
	im, url := serve(t, telegramtest.Options{})
	var want []string
	push := func(n int) {
		body := fmt.Sprintf(`{"message_id":%d,  "text":"<&>\u4f60 %d","big":9007199254740993.0}`, n, n)
		id := im.Push("message", body)
		want = append(want, fmt.Sprintf(`{"update_id":%d, "message":%s}`, id, body))
	}
	for n := range 150 {
		push(n)
	}
	p := newPoll(t, url, telegramtest.Token, &inlet{})
	until(t, "150 updates", func() bool { return len(p.inlet.taken()) == 150 })
	for n := range 30 {
		push(150 + n)
	}
	until(t, "180 updates", func() bool { return len(p.inlet.taken()) >= 180 })
	until(t, "their end at Telegram", func() bool { return im.Waiting() == 0 })
	if got := p.inlet.taken(); !slices.Equal(got, want) {
		t.Errorf("got %d updates, the first %s, the last %s; want all in order, as they were", len(got), got[0], got[len(got)-1])
	}
	if got := im.Allowed(); !slices.Contains(got, "business_message") || !slices.Contains(got, "my_chat_member") ||
		!slices.Contains(got, "callback_query") {
		t.Errorf("asked for %v", got)
	}
}

// TestPollRefused: what the relay cannot take stays at Telegram, and nothing overtakes it.
func TestPollRefused(t *testing.T) {
	t.Parallel()
	im, url := serve(t, telegramtest.Options{})
	for n := range 5 {
		im.Say(5812345678, 5812345678, fmt.Sprint("m", n))
	}
	waiting := make(chan int, 1)
	in := &inlet{refuse: func(n int, _ string) bool {
		if n == 6 {
			waiting <- im.Waiting()
		}
		return n >= 3 && n <= 6
	}}
	newPoll(t, url, telegramtest.Token, in)
	until(t, "all five", func() bool { return len(in.taken()) >= 5 })
	for i, body := range in.taken() {
		if !strings.Contains(body, fmt.Sprintf(`"text":"m%d"`, i)) {
			t.Errorf("place %d: got %s", i, body)
		}
	}
	if n := <-waiting; n != 3 {
		t.Errorf("while it was refused Telegram had %d, want the three that were not taken", n)
	}
}

// TestPollStops soon, and what was taken but not confirmed comes again to the next.
func TestPollStops(t *testing.T) {
	t.Parallel()
	im, url := serve(t, telegramtest.Options{})
	id := im.Say(5812345678, 5812345678, "hello")
	p := newPoll(t, url, telegramtest.Token, &inlet{})
	until(t, "the update", func() bool { return len(p.inlet.taken()) == 1 })
	began := time.Now()
	p.stop()
	if took := time.Since(began); took > time.Second {
		t.Errorf("stopped after %v, want at once", took)
	}
	im.Say(5812345678, 5812345678, "again")
	next := newPoll(t, url, telegramtest.Token, &inlet{})
	until(t, "the next update", func() bool {
		all := next.inlet.taken()
		return len(all) > 0 && strings.Contains(all[len(all)-1], fmt.Sprint(id+1))
	})
}

// TestPollCountsAnew: after a quiet week Telegram's numbers begin anywhere, below the last one too.
func TestPollCountsAnew(t *testing.T) {
	t.Parallel()
	im, url := serve(t, telegramtest.Options{})
	im.Say(5812345678, 5812345678, "before")
	p := newPoll(t, url, telegramtest.Token, &inlet{})
	until(t, "an empty poll", func() bool { return im.Waiting() == 0 && len(p.inlet.taken()) == 1 && im.Calls("getUpdates") >= 3 })
	im.Restart(1000)
	im.Say(5812345678, 5812345678, "after")
	until(t, "the update with a low number", func() bool {
		all := p.inlet.taken()
		return len(all) == 2 && strings.Contains(all[1], `"update_id":1000,`)
	})
}

// TestPollConflict: another poller and a webhook are told to operators, and the poll goes on when they are gone.
func TestPollConflict(t *testing.T) {
	t.Parallel()
	im, url := serve(t, telegramtest.Options{})
	im.SetWebhook("http://127.0.0.1:1/", "s")
	p := newPoll(t, url, telegramtest.Token, &inlet{})
	until(t, "the alarm", func() bool { return strings.Contains(p.alarms.raised("conflict"), "call deleteWebhook") })
	if im.Calls("deleteWebhook") > 0 {
		t.Error("the webhook was deleted by us")
	}
	im.SetWebhook("", "")
	until(t, "the end of the alarm", func() bool { return p.alarms.raised("conflict") == "" })
	other := newPoll(t, url, telegramtest.Token, &inlet{})
	until(t, "an alarm of the second poller", func() bool {
		return p.alarms.raised("conflict") != "" || other.alarms.raised("conflict") != ""
	})
	other.stop()
	if got := other.alarms.raised("conflict"); got != "" {
		t.Errorf("after its end: got %q, want none", got)
	}
	im.Say(5812345678, 5812345678, "hello")
	until(t, "the update, and the end of the alarm", func() bool {
		return len(p.inlet.taken()) == 1 && p.alarms.raised("conflict") == ""
	})
}

// TestPollToken: a token that is not known is told, and tried again slowly.
func TestPollToken(t *testing.T) {
	t.Parallel()
	_, url := serve(t, telegramtest.Options{})
	p := newPoll(t, url, "7104459213:revoked", &inlet{})
	until(t, "the alarm", func() bool { return p.alarms.raised("token") != "" })
}

// TestPollAway: an outage is told when it lasts, and over when there is an answer.
func TestPollAway(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		fault telegramtest.Fault
		word  string
	}{
		{"502", telegramtest.Down, "Telegram answered 502"},
		{"hang-up", telegramtest.HangUp, "connection closed"},
		{"no answer", telegramtest.Hang, "no answer within"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			fault := row.fault
			_, url := serve(t, telegramtest.Options{Fault: func(string, int) telegramtest.Fault {
				mu.Lock()
				defer mu.Unlock()
				return fault
			}})
			p := newPoll(t, url, telegramtest.Token, &inlet{})
			until(t, "the alarm", func() bool { return strings.Contains(p.alarms.raised("disconnected"), row.word) })
			mu.Lock()
			fault = telegramtest.None
			mu.Unlock()
			until(t, "the end of the alarm", func() bool { return p.alarms.raised("disconnected") == "" })
		})
	}
}

// TestPollOddAnswers neither stop it nor make it spin.
func TestPollOddAnswers(t *testing.T) {
	t.Parallel()
	long := `{"ok":true,"result":[{"update_id":1,"x":"` + strings.Repeat("x", 17<<20) + `"}]}`
	for name, answer := range map[string]string{
		"empty at once":   `{"ok":true,"result":[]}`,
		"no JSON":         `<html>`,
		"not ok":          `{"ok":false}`,
		"no update_id":    `{"ok":true,"result":[{"message":{}}]}`,
		"a number too":    `{"ok":true,"result":[7]}`,
		"nothing":         ``,
		"throttled":       `{"ok":false,"error_code":429,"parameters":{"retry_after":1}}`,
		"longer than any": long,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			calls := 0
			done, enough := make(chan struct{}), 5
			if name == "throttled" || name == "longer than any" { // these take their time
				enough = 2
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if calls++; calls == enough {
					close(done)
				}
				_, _ = w.Write([]byte(answer))
			}))
			t.Cleanup(server.Close)
			began := time.Now()
			p := newPoll(t, server.URL, telegramtest.Token, &inlet{})
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("it does not ask again and again")
			}
			p.stop()
			mu.Lock()
			defer mu.Unlock()
			// One call each 7 ms at most, for the shortest pause is 10 ms less its jitter.
			if most := 2 + int(time.Since(began)/(7*time.Millisecond)); calls > most {
				t.Errorf("got %d calls in %v, want at most %d", calls, time.Since(began), most)
			}
			if got := p.inlet.taken(); len(got) > 0 {
				t.Errorf("got %d updates, want none", len(got))
			}
		})
	}
}
