//go:build unix

package fleet_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
	"github.com/imrelay/imrelay/relay/agent/nekro/nekrotest"
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
	keeper, other := f.relays[0], f.relays[1]
	for deadline := time.Now().Add(promptly); !sits(t, keeper); keeper, other = other, keeper {
		if time.Now().After(deadline) {
			t.Fatal("no relay says that it has the agent's seat")
		}
		f.run(20 * time.Millisecond)
	}
	if sits(t, other) {
		t.Fatal("both relays say that they have the agent's seat")
	}
	keeper.Kill()
	say(other)
	said("the keeper was killed", 2*takeover)
	for i := 1; i <= n; i++ {
		if got := f.im.Count(fmt.Sprintf("re: text %d", i)); got != 1 {
			t.Errorf("reply %d: the IM got it %d times", i, got)
		}
	}
}

// sits says that the relay has had the agent's seat.
func sits(t *testing.T, r *fleettest.Relay) bool {
	t.Helper()
	log, err := r.Log()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(log, []byte(`"seat.taken"`))
}
