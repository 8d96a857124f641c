//go:build unix

package fleet_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

// Bounds that a busy machine must not break: what is promised is looked at in the middle of many measurements, and no
// single one may be far off.
const (
	// promptly is how soon a relay answers and goes on, atLast what a single measurement may be.
	promptly = slowdown * time.Second
	atLast   = 4 * promptly
	// lease is how long a relay holds a conversation that it does not renew; takeover when another has it at the latest.
	lease    = 10 * time.Second
	takeover = lease + 3*time.Second
)

// fleet is some relays on one Redis, between one agent and one IM.
type fleet struct {
	t      *testing.T
	agent  *fleettest.Agent
	im     *fleettest.IM
	relays []*fleettest.Relay
	feed   *fleettest.Feed
	sends  *fleettest.Sends
}

// newFleet starts n relays, called a, b, c. config is their configuration file, empty: none.
func newFleet(t *testing.T, n int, redis, config string) *fleet {
	t.Helper()
	secret := rand.Text()
	f := &fleet{
		t: t, agent: fleettest.NewAgent(t, secret), im: fleettest.NewIM(t),
		feed:  &fleettest.Feed{Lanes: 24, Pause: 200 * time.Millisecond, Again: 5},
		sends: &fleettest.Sends{Clients: 4, Pause: 50 * time.Millisecond},
	}
	for i := range n {
		r := fleettest.New(t, fleettest.Options{
			Name: string(rune('a' + i)), AgentURL: f.agent.URL, IMURL: f.im.URL, Redis: redis, Secret: secret, Config: config,
		})
		r.Start()
		f.relays = append(f.relays, r)
	}
	return f
}

// load feeds all relays, and sends over all of them.
func (f *fleet) load() {
	f.feed.Start(f.t.Context(), f.relays...)
	f.sends.Start(f.t.Context(), f.relays...)
}

// run lets the load run for a while.
func (f *fleet) run(d time.Duration) {
	f.t.Helper()
	select {
	case <-f.t.Context().Done():
		f.t.Fatal("the test is over")
	case <-time.After(d):
	}
}

// quiet ends the load and waits until all is delivered. It returns what is to be checked.
func (f *fleet) quiet() *fleettest.Check {
	f.t.Helper()
	c := &fleettest.Check{Wrong: f.t.Errorf, Accepted: f.feed.Stop()}
	for _, w := range f.feed.Wrong() {
		f.t.Error(w)
	}
	for _, r := range f.relays {
		if err := r.Drained(f.t.Context(), fleettest.Patience); err != nil {
			f.t.Fatal(err)
		}
	}
	return c
}

// verify holds what came against what was promised.
func (f *fleet) verify(c *fleettest.Check) fleettest.Sum {
	f.t.Helper()
	events, err := f.relays[0].Events(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	c.Aside, c.Landed = c.Books(events), f.agent.Landed()
	if len(c.Aside) > 0 {
		f.t.Errorf("got %d events parked or dead, want none", len(c.Aside))
	}
	sum := c.All()
	for _, r := range f.relays {
		f.t.Logf("relay %s delivered %d", r.Name, len(slices.DeleteFunc(f.agent.Landed(), func(l fleettest.Landed) bool {
			return l.By != r.Name
		})))
	}
	f.t.Logf("%d accepted, %d lost, %d repeats, delivered within %s", sum.Accepted, sum.Lost, sum.Repeats,
		sum.Slowest.Round(time.Millisecond))
	return sum
}

// sentOnce ends the sends and checks that the IM got each at most once, and those that are said to be sent.
func (f *fleet) sentOnce() {
	f.t.Helper()
	sent := f.sends.Stop()
	calls := map[string]int{}
	for _, text := range f.im.Texts() {
		calls[text]++
		if calls[text] == 2 {
			f.t.Errorf("the IM got %q twice", text)
		}
	}
	unknown := 0
	for _, s := range sent {
		switch {
		case s.Status == http.StatusGatewayTimeout:
			unknown++
		case calls[s.Text] == 0:
			f.t.Errorf("%q is said to be sent, and the IM did not get it", s.Text)
		}
	}
	f.t.Logf("%d sent, %d of them with unknown outcome", len(sent), unknown)
}

// held makes the agent keep the answers to a relay back until release, and returns once it keeps a few.
func (f *fleet) held(by string) (release func(), events func() []fleettest.Landed) {
	f.t.Helper()
	const few = 4
	open := make(chan struct{})
	kept := make(chan fleettest.Landed, 1000)
	f.agent.Hold(func(l fleettest.Landed) <-chan struct{} {
		if l.By != by {
			return nil
		}
		kept <- l
		return open
	})
	for deadline := time.Now().Add(fleettest.Patience); len(kept) < few; {
		if time.Now().After(deadline) {
			f.t.Fatalf("relay %s has only %d deliveries under way", by, len(kept))
		}
		<-time.After(time.Millisecond)
	}
	release = func() {
		f.agent.Hold(nil)
		close(open)
	}
	events = func() (all []fleettest.Landed) {
		for range len(kept) {
			all = append(all, <-kept)
		}
		return all
	}
	return release, events
}

// ownFolder checks that a relay keeps nothing of its own but the run file.
func (f *fleet) ownFolder(r *fleettest.Relay) {
	f.t.Helper()
	entries, err := os.ReadDir(r.Data())
	if err != nil {
		f.t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "run.json" {
		f.t.Errorf("data folder of relay %s: got %v, want only run.json", r.Name, entries)
	}
}

// outage is what is asked of refusals while the store is away: 503 with its code and Retry-After, and soon.
func (f *fleet) outage(what string, refused []fleettest.Refused) {
	f.t.Helper()
	var took []time.Duration
	for _, r := range refused {
		if r.Status != http.StatusServiceUnavailable || r.Code() != "store_unavailable" || r.Header.Get("Retry-After") == "" {
			f.t.Errorf("%s: got %s (Retry-After %q) from relay %s, want 503 store_unavailable with Retry-After",
				what, r.Answer, r.Header.Get("Retry-After"), r.By)
			return
		}
		took = append(took, r.Took)
	}
	if len(took) == 0 {
		f.t.Errorf("%s: nothing was refused: this proves nothing", what)
		return
	}
	f.prompt(what+": an answer without the store", took)
}

// answered checks that no relay left anybody without an answer, or for long: for where only Redis is broken.
func (f *fleet) answered() {
	f.t.Helper()
	const long = 8 * time.Second // more than holds and waits come to
	for _, r := range slices.Concat(f.feed.Refused(), f.sends.Refused()) {
		if r.Status == 0 || r.Took > long {
			f.t.Errorf("got %q after %s from relay %s, want an answer", r.Answer, r.Took, r.By)
		}
	}
}

// prompt checks measurements of what has to come within a second.
func (f *fleet) prompt(what string, took []time.Duration) {
	f.t.Helper()
	slices.Sort(took)
	middle, most := took[len(took)/2], took[len(took)-1]
	if middle > promptly || most > atLast {
		f.t.Errorf("%s: got %s in the middle and %s at most of %d, want at most %s and %s", what, middle, most, len(took),
			promptly, atLast)
	}
	f.t.Logf("%s: %s in the middle, %s at most, of %d", what, middle.Round(time.Millisecond), most.Round(time.Millisecond),
		len(took))
}

// unhurried are the lines of an agent who may take his time: what is under way when something breaks must not have been
// given up before.
const unhurried = ", timeout: 60s"

// config is a configuration file with an agent's and an account's further lines.
func config(agent, account string) string {
	const text = `
ims: {wechat: {format: wechat, send: {kind: http, url: "${IM}"}%s}}
agents: {openclaw: {kind: openclaw, url: "${AGENT}", secret: "${SECRET}"%s}}
clients: {openclaw: {token: "${BOT}"}}
`
	return strings.TrimSpace(fmt.Sprintf(text, account, agent)) + "\n"
}
