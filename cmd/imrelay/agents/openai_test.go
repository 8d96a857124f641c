//go:build unix

package agents_test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/imrelay/imrelay/relay/agent/openai/openaitest"
)

// model is an OpenAI-compatible server.
type model struct {
	*openaitest.Fake

	token string
}

func newModel(t *testing.T, _ *door, _ string) bot {
	t.Helper()
	token := rand.Text()
	faults := map[int]openaitest.Fault{
		2: openaitest.HangUp, 3: openaitest.ErrorInside, 4: openaitest.Close, 5: openaitest.KeepAlive,
		6: openaitest.OldError, 7: openaitest.Starting, 8: openaitest.Plain,
	}
	return &model{token: token, Fake: openaitest.New(t, openaitest.Options{
		Token: token, Slow: turn,
		Fault: func(last string, n int) openaitest.Fault {
			for _, w := range wordsIn(last) {
				if n == 1 {
					return faults[(w.lane+w.seq)%20]
				}
			}
			return openaitest.None
		},
	})}
}

func (m *model) config() string {
	return fmt.Sprintf("kind: openai, url: %q, token: %s, model: parrot", m.URL(), m.token)
}
func (m *model) stop()  { m.Stop() }
func (m *model) start() { m.Start() }

// heard has the conversations of a request's whole history for its chat: there must be one.
func (m *model) heard() (all []heard) {
	for _, r := range m.Requests() {
		var last words
		chat := ""
		for i, said := range r.Messages {
			for _, w := range wordsIn(said.Text) {
				if i == 0 || w.lane != last.lane {
					chat += fmt.Sprint("/", w.lane)
				}
				last = w
			}
		}
		all = append(all, heard{words: last.message(), chat: chat, ran: r.Run})
	}
	return all
}
