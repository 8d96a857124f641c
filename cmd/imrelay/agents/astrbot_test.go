//go:build unix

package agents_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/agent/astrbot/astrbottest"
)

// callbackPath is the secret last part of the address that AstrBot posts to.
const callbackPath = "the-callback-path-of-these-tests"

// astrBot is an AstrBot, in one of its three ways.
type astrBot struct {
	*astrbottest.Fake

	block string
}

// newAstrBot starts one that says two things to each message.
func newAstrBot(t *testing.T, callback string) *astrBot {
	t.Helper()
	var warm atomic.Bool
	return &astrBot{Fake: astrbottest.New(t, astrbottest.Options{
		Callback: callback,
		Says: func(query string, run int) []astrbottest.Chunk {
			takes := turn / 2 // less than a restart of the relay: the plugin would be given half a minute
			if !warm.Swap(true) {
				takes = firstTurn
			}
			return []astrbottest.Chunk{{After: takes, Items: []astrbottest.Item{
				astrbottest.Text(fmt.Sprintf("%s part 1 run %d", query, run)),
				astrbottest.Text(fmt.Sprintf("%s part 2 run %d", query, run)),
			}}}
		},
	})}
}

func newAstrBotPoll(t *testing.T, _ *door, _ string) bot {
	t.Helper()
	b := newAstrBot(t, "")
	b.block = fmt.Sprintf("kind: astrbot, mode: poll, url: %q, token: %s, timeout: 15s", b.URL(), b.NewestKey())
	return b
}

func newAstrBotCallback(t *testing.T, d *door, _ string) bot {
	t.Helper()
	b := newAstrBot(t, d.URL+"/agents/"+agentName+"/callback/"+callbackPath)
	b.block = fmt.Sprintf("kind: astrbot, mode: callback, url: %q, token: %s, callback_path: %s",
		b.URL(), b.NewestKey(), callbackPath)
	return b
}

// cutOff is an AstrBot whose streams break off for a while after each start.
type cutOff struct{ *astrBot }

func newAstrBotAPI(t *testing.T, _ *door, _ string) bot {
	t.Helper()
	b := newAstrBot(t, "")
	b.block = fmt.Sprintf("kind: astrbot, mode: api, url: %q, token: %s", b.Base(), b.NewestKey())
	return cutOff{b}
}

func (b cutOff) start() {
	b.astrBot.start()
	for _, how := range []string{"cut", "error", "short"} {
		b.Break(how)
		<-time.After(coming / 2)
	}
	b.Break("")
}

func (b *astrBot) config() string { return b.block }

// stop answers 503 for a while before nothing listens.
func (b *astrBot) stop() {
	b.Drain()
	<-time.After(coming)
	b.Stop()
}

// start answers 500 for a while, and then hangs up some times on what it works at.
func (b *astrBot) start() {
	b.Answer(500)
	b.Start()
	<-time.After(coming)
	b.HangUp(3)
	b.Answer(0)
}

func (b *astrBot) heard() (all []heard) {
	runs := b.AllRuns()
	for _, ask := range b.Asks() {
		text, chat := field([]byte(ask.Body), "query"), field([]byte(ask.Body), "sender_id")
		if text == "" { // it is AstrBot's own interface
			text, chat = field([]byte(ask.Body), "message.0.text"), field([]byte(ask.Body), "session_id")
		}
		for _, w := range wordsIn(text) {
			all = append(all, heard{words: w, chat: chat, ran: runs[ask.Message] > 0})
		}
		runs[ask.Message]--
	}
	return all
}
