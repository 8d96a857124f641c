//go:build unix

package agents_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/agent/nekro/nekrotest"
)

// nekro is a Nekro Agent, by a plugin's webhook or by its SSE adapter.
type nekro struct {
	*nekrotest.Fake

	block string
}

func newNekroHook(t *testing.T, _ *door, _ string) bot {
	t.Helper()
	n := &nekro{Fake: nekrotest.New(t, nekrotest.Options{})}
	n.block = fmt.Sprintf("kind: nekro, url: %q, secret: %s", n.URL()+"/api/webhook/chat", rand.Text())
	return n
}

// newNekroStream starts one that does not wait long for a client that is gone.
func newNekroStream(t *testing.T, _ *door, _ string) bot {
	t.Helper()
	const patience = 2 * time.Second
	key := rand.Text()
	var mu sync.Mutex
	runs := map[string]int{}
	n := &nekro{Fake: nekrotest.New(t, nekrotest.Options{
		AccessKey: key, Heartbeat: coming, Patience: patience, SlowFirst: firstTurn,
		Says: func(m nekrotest.Message) []string {
			mu.Lock()
			defer mu.Unlock()
			runs[m.ID]++
			return []string{fmt.Sprintf("%s part 1 run %d", m.Text, runs[m.ID])}
		},
	})}
	n.block = fmt.Sprintf("kind: nekro, mode: sse, url: %q, access_key: %s", n.URL(), key)
	return n
}

func (n *nekro) config() string { return n.block }

// stop answers 503 for a while before nothing listens.
func (n *nekro) stop() {
	n.Unready(true)
	<-time.After(coming)
	n.Stop()
}

// start does so for a while, and then answers some requests badly, or not at all.
func (n *nekro) start() {
	n.Start()
	<-time.After(coming)
	n.Refuse(3, http.StatusInternalServerError)
	n.HangUp(3)
	n.Unready(false)
}

func (n *nekro) heard() (all []heard) {
	for _, h := range n.Hooks() {
		for _, w := range wordsIn(field(h.Body, "Content.string")) {
			all = append(all, heard{words: w, chat: field(h.Body, "FromUserName.string"), ran: true})
		}
	}
	for _, m := range n.Messages() {
		for _, w := range wordsIn(m.Text) {
			all = append(all, heard{words: w, chat: m.Channel, ran: true})
		}
	}
	return all
}

// acknowledged are the words that a client has said are sent.
func acknowledged(b bot, _ *door) map[words]bool {
	told := map[words]bool{}
	for _, s := range b.(*nekro).Said() {
		for _, w := range wordsIn(s.Text) {
			told[w] = told[w] || s.OK
		}
	}
	return told
}
