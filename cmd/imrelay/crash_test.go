package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
	"github.com/imrelay/imrelay/relay/config"
	"github.com/imrelay/imrelay/relay/daemon"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// The load of the crash test.
const (
	defaultKills = 20
	lanes        = 12
	// sharedLanes is how many there are on Redis: there what was under way when a relay was killed waits until its lease
	// lapses, and others have to be under way at the next kill.
	sharedLanes = 60
)

// kills is how often the relay is killed.
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

func TestCrashKeepsWhatWasAccepted(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		r := crash(t, "", lanes)
		r.Kill()
		if err := integrity(t, r); err != nil {
			t.Error(err)
		}
	})
	t.Run("redis", func(t *testing.T) {
		crash(t, redistest.Start(t).URL(""), sharedLanes)
	})
}

// crash kills a relay again and again under load, and checks what it kept.
func crash(t *testing.T, redis string, conversations int) *fleettest.Relay {
	t.Helper()
	secret := rand.Text()
	agent := fleettest.NewAgent(t, secret)
	r := fleettest.New(t, fleettest.Options{
		AgentURL: agent.URL, IMURL: "http://127.0.0.1:1/send", Secret: secret, Redis: redis,
	})
	r.Start()
	feed := &fleettest.Feed{Lanes: conversations, Pause: 8 * time.Millisecond}
	feed.Start(t.Context(), r)
	n := kills(t)
	for i := range n {
		<-time.After(50*time.Millisecond + mathrand.N(350*time.Millisecond))
		release := func() {}
		if i == 0 {
			release = underWay(t, agent)
		}
		r.Kill()
		release()
		agent.Fault()
		r.Start()
	}
	check := fleettest.Check{Wrong: t.Errorf, Accepted: feed.Stop()}
	if err := r.Drained(t.Context(), 2*fleettest.Patience); err != nil {
		t.Fatal(err)
	}
	// What counts is what is there after one more. An acknowledgement may run ahead of its commit by an event of each
	// conversation: these come again.
	r.Kill()
	r.Start()
	if err := r.Drained(t.Context(), fleettest.Patience); err != nil {
		t.Fatal(err)
	}
	events, err := r.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check.Aside, check.Landed = check.Books(events), agent.Landed()
	sum := check.All()
	if sum.Accepted < n*lanes || sum.Repeats == 0 {
		t.Errorf("got only %d accepted and %d repeats in %d kills: this proves nothing", sum.Accepted, sum.Repeats, n)
	}
	if r.Slowest() > readyWithin {
		t.Errorf("ready again: got %s at the slowest, want at most %s", r.Slowest(), readyWithin)
	}
	t.Logf("%d kills, %d accepted, %d repeats, delivered within %s, ready again within %s", n, sum.Accepted, sum.Repeats,
		sum.Slowest.Round(time.Millisecond), r.Slowest().Round(time.Millisecond))
	return r
}

// underWay returns when the agent has a delivery that it does not answer before release. Where the others are at a kill is
// a matter of chance, and may be nowhere.
func underWay(t *testing.T, agent *fleettest.Agent) (release func()) {
	t.Helper()
	open, kept := make(chan struct{}), make(chan struct{}, 1)
	agent.Hold(func(fleettest.Landed) <-chan struct{} {
		select {
		case kept <- struct{}{}:
		default:
		}
		return open
	})
	select {
	case <-kept:
	case <-time.After(fleettest.Patience):
		t.Fatal("nothing is delivered")
	}
	return func() {
		agent.Hold(nil)
		close(open)
	}
}

// integrity looks into the file of a dead relay.
func integrity(t *testing.T, r *fleettest.Relay) error {
	t.Helper()
	env := map[string]string{
		"OPENCLAW_WEBHOOK_SECRET": r.Secret, "IM_BOT_TOKEN": r.Secret + "-bot", "IMRELAY_DATA": r.Data(),
	}
	cfg, err := config.Load("", func(name string) (string, bool) { s, ok := env[name]; return s, ok })
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	s, err := daemon.OpenStore(ctx, cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return errors.Join(s.Integrity(ctx), s.Close())
}

// newChat starts an IM and a relay before it.
func newChat(t *testing.T) (*fleettest.IM, *fleettest.Relay) {
	t.Helper()
	im := fleettest.NewIM(t)
	r := fleettest.New(t, fleettest.Options{
		AgentURL: "http://127.0.0.1:1/wechat_abot/webhook", IMURL: im.URL, Secret: rand.Text(),
	})
	r.Start()
	return im, r
}

// alice is who gets what is sent.
const alice = "wxid_alice"

func TestCrashSendsOnce(t *testing.T) {
	t.Parallel()
	im, r := newChat(t)
	once := fleettest.Message{Key: "k-1", To: alice, Text: "once"}
	var sending sync.WaitGroup
	answers := make([]string, 20)
	for i := range answers {
		sending.Go(func() { answers[i] = r.Send(t.Context(), once).String() })
	}
	sending.Wait()
	for _, got := range answers {
		if got != answers[0] || !strings.HasPrefix(got, "200 ") {
			t.Errorf("got %q beside %q", got, answers[0])
		}
	}
	for range 3 {
		r.Kill()
		r.Start()
		got := r.Send(t.Context(), once)
		if got.String() != answers[0] || got.Header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("after kill -9: got %q (%v), want %q replayed", got, got.Header, answers[0])
		}
	}
	if got := im.Count("once"); got != 1 {
		t.Errorf("the IM was called %d times, want once", got)
	}
}

func TestCrashUnknownIsNotRepeated(t *testing.T) {
	t.Parallel()
	im, r := newChat(t)
	unknown := func(when, key, text string) {
		t.Helper()
		got := r.Send(t.Context(), fleettest.Message{Key: key, To: alice, Text: text})
		if got.Status != http.StatusGatewayTimeout || got.Code() != "delivery_unknown" {
			t.Errorf("%s: got %s, want 504 delivery_unknown", when, got)
		}
		if got := im.Count(text); got != 1 {
			t.Errorf("%s: the IM was called %d times, want once", when, got)
		}
	}
	im.Behave(func(m *fleettest.Manners) { m.HangUp = true })
	unknown("hang-up after the request was written", "k-hang", "hung up")
	im.Behave(func(m *fleettest.Manners) { m.HangUp = false })
	unknown("the same key again", "k-hang", "hung up")

	hold := make(chan struct{})
	im.Behave(func(m *fleettest.Manners) { m.Hold = hold })
	done := make(chan int, 1)
	go func() {
		done <- r.Send(t.Context(), fleettest.Message{Key: "k-kill", To: alice, Text: "killed"}).Status
	}()
	for deadline := time.Now().Add(patience); im.Count("killed") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the IM was never called")
		}
		<-time.After(5 * time.Millisecond)
	}
	r.Kill()
	if got := <-done; got != 0 {
		t.Errorf("the killed relay answered %d", got)
	}
	im.Behave(func(m *fleettest.Manners) { m.Hold = nil })
	close(hold)
	r.Start()
	unknown("after kill -9 during the call", "k-kill", "killed")
	unknown("after a restart the hang-up", "k-hang", "hung up")

	got := r.Send(t.Context(), fleettest.Message{Key: "k-new", To: alice, Text: "next"})
	if got.Status != http.StatusOK {
		t.Errorf("another message after that: got %s, want 200", got)
	}
}

func TestCrashBackgroundSends(t *testing.T) {
	t.Parallel()
	im, r := newChat(t)
	const messages, rounds = 30, 4
	ids := map[string]string{}
	for i := range messages {
		text := fmt.Sprintf("message %02d", i)
		got := r.Send(t.Context(), fleettest.Message{Key: text, To: alice, Text: text}, "Prefer", "respond-async")
		if got.Status != http.StatusAccepted {
			t.Fatalf("got %s, want 202", got)
		}
		ids[text] = got.Get("id").Str
	}
	for range rounds {
		<-time.After(mathrand.N(100 * time.Millisecond))
		r.Kill()
		r.Start()
	}
	unknown := 0
	for text, id := range ids {
		status := r.Outcome(t.Context(), id)
		sent := im.Count(text)
		switch {
		case status == "sent" && sent == 1:
		case status == "unknown" && sent <= 1:
			unknown++
		default:
			t.Errorf("%s: got status %q and %d calls", text, status, sent)
		}
	}
	if unknown > rounds {
		t.Errorf("got %d unknown, want at most one a kill (%d)", unknown, rounds)
	}
	if got := im.Texts(); !slices.IsSorted(got) {
		t.Errorf("got %v, want them in order", got)
	}
}
