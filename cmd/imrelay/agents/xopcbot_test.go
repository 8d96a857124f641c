//go:build unix

package agents_test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/imrelay/imrelay/relay/agent/xopcbot/xopcbottest"
)

// xopcBot is a gateway of xopcbot's.
type xopcBot struct {
	*xopcbottest.Fake

	token string
}

func newXopcBot(t *testing.T, _ *door, _ string) bot {
	t.Helper()
	token := rand.Text()
	return &xopcBot{token: token, Fake: xopcbottest.New(t, xopcbottest.Options{
		Token: token, FirstTurn: firstTurn, Turn: turn, Boot: coming, Leave: coming,
		Fault: func(n int) xopcbottest.Fault {
			switch {
			case every(31, n):
				return xopcbottest.HangUpBlind
			case every(29, n):
				return xopcbottest.Unavailable
			case every(23, n):
				return xopcbottest.HangUp
			case every(19, n):
				return xopcbottest.FailedOK
			case every(17, n):
				return xopcbottest.HangUpAfter
			case every(13, n):
				return xopcbottest.Failed
			}
			return xopcbottest.None
		},
	})}
}

func (b *xopcBot) config() string {
	return fmt.Sprintf("kind: xopcbot, url: %q, token: %s", b.URL(), b.token)
}
func (b *xopcBot) stop()  { b.Stop() }
func (b *xopcBot) start() { b.Start() }

func (b *xopcBot) heard() (all []heard) {
	for _, r := range b.Made() {
		for _, w := range wordsIn(r.Message) {
			all = append(all, heard{words: w, chat: r.Session, ran: true})
		}
	}
	return all
}
