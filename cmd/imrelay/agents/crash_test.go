//go:build unix

package agents_test

import (
	"cmp"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

// The load of each test.
const (
	defaultKills = 4
	lanes        = 8
	leastOfEach  = 10
	usualPause   = 80 * time.Millisecond  // so that each kill finds most conversations at work
	asidePause   = 300 * time.Millisecond // an agent that takes more than it says loses what it has when it stops
	usualGap     = 170 * time.Millisecond
)

// agentName is what the configuration calls the agent.
const agentName = "bot"

// kinds are all the ways of talking to an agent.
var kinds = []kind{
	{name: "openclaw", manner: manner{parts: 1, known: byNumber, told: answered}, make: newOpenClawChannel},
	{name: "openclaw hooks", manner: manner{parts: 1, known: byNothing, aside: true, told: answered}, make: newOpenClawHook},
	{
		name: "astrbot poll", manner: manner{parts: 2, known: byRun, answers: true}, make: newAstrBotPoll,
		gap: 500 * time.Millisecond, pause: 6 * time.Second, least: 2, // it looks for more of each answer for four seconds
	},
	{
		name: "astrbot callback", manner: manner{parts: 2, known: byRun, aside: true, told: answered}, make: newAstrBotCallback,
		pause: asidePause,
	},
	{name: "astrbot api", manner: manner{parts: 2, known: byNumber, answers: true}, make: newAstrBotAPI},
	{name: "xopcbot", manner: manner{parts: 1, known: byNumber, answers: true}, make: newXopcBot},
	{name: "openai", manner: manner{parts: 1, known: byNumber, answers: true}, make: newModel},
	{name: "nekro webhook", make: newNekroHook},
	{
		name: "nekro sse", manner: manner{parts: 1, known: byRun, aside: true, told: acknowledged}, make: newNekroStream,
		pause: asidePause,
	},
}

// Relay and agent break under load, and nothing that was promised does.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			newRig(t, k).crash()
		})
	}
}

// kills is how often a relay is killed.
func kills(t *testing.T) int {
	t.Helper()
	v := os.Getenv("IMRELAY_CHAOS_KILLS")
	if v == "" {
		return defaultKills
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("IMRELAY_CHAOS_KILLS: got %q, want a number", v)
	}
	return n
}

// rig is a relay between an IM and an agent.
type rig struct {
	kind

	t     *testing.T
	kills int
	im    *fleettest.IM
	bot   bot
	door  *door
	relay *fleettest.Relay
	feed  *fleettest.Feed
	// broken is how often relay or agent were.
	broken int
}

// config is the relay's configuration; %s is the agent. Nothing is put aside, so that order can be told.
const config = `
loop: {turns: 0}
ims: {wechat: {format: wechat, self: wxid_bot, send: {kind: http, url: "${IM}"}}}
agents: {` + agentName + `: {on_stuck: block, retry: {base: 200ms, cap: 1s}, %s}}
clients: {` + agentName + `: {token: %s}}
`

func newRig(t *testing.T, k kind) *rig {
	t.Helper()
	k.gap, k.pause, k.least = cmp.Or(k.gap, usualGap), cmp.Or(k.pause, usualPause), cmp.Or(k.least, leastOfEach)
	token := rand.Text()
	r := &rig{kind: k, t: t, kills: kills(t), im: fleettest.NewIM(t), door: newDoor(t)}
	r.im.Behave(func(m *fleettest.Manners) { m.Slow = 20 * time.Millisecond }) // so that kills find some sends under way
	r.bot = k.make(t, r.door, token)
	r.relay = fleettest.New(t, fleettest.Options{
		IMURL: r.im.URL, Config: fmt.Sprintf(config, r.bot.config(), token), Env: []string{"IMRELAY_LISTEN=" + address()},
	})
	r.door.lead(r.relay)
	r.feed = &fleettest.Feed{Lanes: lanes, Pause: k.pause, Again: 4}
	return r
}

// hosts counts the addresses that were given out.
var hosts atomic.Int32

// address is where a relay listens. While it is dead another one may get its port, and must not hear what is meant for it:
// where there are many loopback addresses each has its own.
func address() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1:0"
	}
	return fmt.Sprintf("127.0.1.%d:0", hosts.Add(1))
}

// crash is the whole test.
func (r *rig) crash() {
	r.t.Helper()
	r.relay.Start()
	r.feed.Start(r.t.Context(), r.relay)
	for n := range r.kills {
		r.wait(r.gap + mathrand.N(2*r.gap))
		r.trouble(n)
	}
	if !r.feed.Reached(r.t.Context(), r.least) {
		r.t.Fatal("the feed came to a stop")
	}
	accepted := r.feed.Stop()
	for _, w := range r.feed.Wrong() {
		r.t.Error(w)
	}
	// A slow kind gets nothing done while it is broken all the time.
	if err := r.relay.Drained(r.t.Context(), 2*fleettest.Patience+time.Duration(r.kills)*r.pause); err != nil {
		r.t.Fatal(err)
	}
	c := newCheck(r, accepted)
	c.settle()
	c.books()
	r.chain()
	r.relay.Kill()
	c.ledger()
	c.all()
}

// trouble kills the relay for the n-th time. Every other time the agent restarts too: while the relay lives, or while it
// comes back.
func (r *rig) trouble(n int) {
	r.t.Helper()
	const away = 200 * time.Millisecond
	r.broken++
	switch n % 4 {
	case 1:
		r.broken++
		r.bot.stop()
		r.wait(away)
		r.bot.start()
		r.relay.Kill()
		r.relay.Start()
	case 3:
		r.broken++
		r.relay.Kill()
		r.bot.stop()
		r.relay.Start()
		r.wait(away)
		r.bot.start()
	default:
		r.relay.Kill()
		r.relay.Start()
	}
}

// wait lets things run.
func (r *rig) wait(d time.Duration) {
	r.t.Helper()
	select {
	case <-r.t.Context().Done():
		r.t.Fatal("the test is over")
	case <-time.After(d):
	}
}
