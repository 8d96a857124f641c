//go:build unix

package agents_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/agent/openclaw/openclawtest"
)

// Gateways are slow at first, and are in their coming and going for a while.
const (
	firstTurn = 400 * time.Millisecond
	turn      = 30 * time.Millisecond
	coming    = 150 * time.Millisecond
)

// openClaw is a gateway, by its channel or its hook.
type openClaw struct {
	*openclawtest.Fake

	block string
}

func newOpenClaw(t *testing.T, d *door, token string, failure openclawtest.Fault) (*openClaw, string) {
	t.Helper()
	secret := rand.Text()
	g := openclawtest.New(t, openclawtest.Options{
		Secret: secret, Token: secret, FirstTurn: firstTurn, Turn: turn, Boot: coming, Leave: coming,
		Fault: func(n int) openclawtest.Fault {
			switch {
			case every(31, n):
				return openclawtest.Unavailable
			case every(23, n):
				return openclawtest.HangUp
			case every(17, n):
				return openclawtest.HangUpAfter
			case every(13, n):
				return failure
			}
			return openclawtest.None
		},
	})
	g.SpeakTo(d.URL+"/api", token)
	return &openClaw{Fake: g}, secret
}

func newOpenClawChannel(t *testing.T, d *door, token string) bot {
	t.Helper()
	g, secret := newOpenClaw(t, d, token, openclawtest.Failed)
	g.block = fmt.Sprintf("kind: openclaw, url: %q, secret: %s", g.URL()+openclawtest.WebhookPath, secret)
	return g
}

func newOpenClawHook(t *testing.T, d *door, token string) bot {
	t.Helper()
	// A run that failed is not made again for five minutes, and is left out here.
	g, secret := newOpenClaw(t, d, token, openclawtest.NotAdmitted)
	g.block = fmt.Sprintf("kind: openclaw, mode: hooks, url: %q, token: %s, channel: wechat_abot", g.URL(), secret)
	return g
}

func (g *openClaw) config() string { return g.block }
func (g *openClaw) stop()          { g.Stop() }
func (g *openClaw) start()         { g.Start() }

func (g *openClaw) heard() (all []heard) {
	for _, turn := range g.Turns() {
		for _, w := range wordsIn(turn.Text) {
			all = append(all, heard{words: w, chat: turn.To, ran: true})
		}
	}
	return all
}
