//go:build unix

package fleet_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
	"github.com/imrelay/imrelay/outbound/connector/telegram/telegramtest"
	"github.com/imrelay/imrelay/relay/agent/nekro/nekrotest"
	"github.com/imrelay/imrelay/relay/agent/openai/openaitest"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// TestResidentAtOneRelay gives two relays an agent that wants a connection: one of them keeps it and delivers what both
// accept, and when it is killed the other does.
func TestResidentAtOneRelay(t *testing.T) {
	t.Parallel()
	agent := nekrotest.New(t, nekrotest.Options{
		// Nekro asks a client whose connection is lost as long as it keeps it, and waits for its answer each time.
		AccessKey: "k", Patience: time.Second, Says: func(m nekrotest.Message) []string { return []string{"re: " + m.Text} },
	})
	f := newFleet(t, 2, redistest.Start(t).URL(""), fmt.Sprintf(`
ims:
  chat: {format: generic, send: {kind: http, url: "${IM}"}}
agents:
  nekro: {kind: nekro, mode: sse, url: %q, access_key: k}
`, agent.URL()))
	n := 0
	say := func(relays ...*fleettest.Relay) {
		t.Helper()
		for range 6 {
			n++
			body := fmt.Sprintf(`{"id":"m-%d","chat":"c-%d","from":"alice","text":"text %d"}`, n, n%3, n)
			if a := relays[n%len(relays)].Push(t.Context(), []byte(body), "Prefer", "respond-async"); a.Status != 202 {
				t.Fatalf("message %d: got %s", n, a)
			}
		}
	}
	said := func(what string, within time.Duration) {
		t.Helper()
		for deadline := time.Now().Add(within); len(f.im.Texts()) < n; {
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %q, want %d replies", what, f.im.Texts(), n)
			}
			f.run(20 * time.Millisecond)
		}
	}
	say(f.relays...)
	said("two relays", takeover)
	keeper, other := f.keeper()
	keeper.Kill()
	say(other)
	said("the keeper was killed", 2*takeover)
	for i := 1; i <= n; i++ {
		if got := f.im.Count(fmt.Sprintf("re: text %d", i)); got != 1 {
			t.Errorf("reply %d: the IM got it %d times", i, got)
		}
	}
}

// TestPolledAtOneRelay gives two relays a bot that is polled: Telegram, which bears one poller only, sees one. When that
// relay is killed the other polls, and what was written meanwhile is answered, everything once.
func TestPolledAtOneRelay(t *testing.T) {
	t.Parallel()
	bot := telegramtest.New(telegramtest.Options{Private: telegramtest.Rate{N: -1}, All: telegramtest.Rate{N: -1}})
	server := httptest.NewServer(bot)
	t.Cleanup(func() { bot.Close(); server.Close() })
	model := openaitest.New(t, openaitest.Options{})
	f := newFleet(t, 2, redistest.Start(t).URL(""), fmt.Sprintf(`
ims:
  tg: {format: telegram, send: {kind: telegram, token: %q, url: %q, poll: true}, limits: {rate: 1000/s, per_recipient: 1000/s}}
agents:
  model: {kind: openai, url: %q, model: m, window: 0}
`, telegramtest.Token, server.URL, model.URL()))
	n := 0
	say := func() {
		for range 6 {
			n++
			bot.Say(int64(5000+n%3), int64(5000+n%3), fmt.Sprintf("text %d", n))
		}
	}
	answered := func(what string, within time.Duration) {
		t.Helper()
		for deadline := time.Now().Add(within); len(bot.Sent()) < n; {
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %d replies, want %d", what, len(bot.Sent()), n)
			}
			f.run(20 * time.Millisecond)
		}
	}
	say()
	answered("two relays", takeover)
	keeper, _ := f.keeper()
	keeper.Kill()
	say()
	answered("the keeper was killed", 2*takeover)
	replies := map[string]int{}
	for _, s := range bot.Sent() {
		replies[s.Text]++
	}
	for i := 1; i <= n; i++ {
		if text := fmt.Sprintf("re(0,0): text %d", i); replies[text] != 1 {
			t.Errorf("%q: the IM got it %d times", text, replies[text])
		}
	}
}

// keeper is the relay that has the seat, and the other one.
func (f *fleet) keeper() (keeper, other *fleettest.Relay) {
	f.t.Helper()
	keeper, other = f.relays[0], f.relays[1]
	for deadline := time.Now().Add(promptly); !sits(f.t, keeper); keeper, other = other, keeper {
		if time.Now().After(deadline) {
			f.t.Fatal("no relay says that it has the seat")
		}
		f.run(20 * time.Millisecond)
	}
	if sits(f.t, other) {
		f.t.Fatal("both relays say that they have the seat")
	}
	return keeper, other
}

// sits says that the relay has had the seat.
func sits(t *testing.T, r *fleettest.Relay) bool {
	t.Helper()
	log, err := r.Log()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(log, []byte(`"seat.taken"`))
}
