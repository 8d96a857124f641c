//go:build unix

package agents_test

import (
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// words are a message of a conversation, or what an agent says to it.
type words struct {
	lane, seq int
	// part and run are which part of the answer it is, and of which of the agent's runs, where the agent tells.
	part, run int
}

// spoken are words in a text.
var spoken = regexp.MustCompile(`lane (\d+) message (\d+)(?: part (\d+))?(?: run (\d+))?`)

// wordsIn are the words in a text.
func wordsIn(text string) (all []words) {
	for _, m := range spoken.FindAllStringSubmatch(text, -1) {
		var n [4]int
		for i := range n {
			n[i], _ = strconv.Atoi(m[i+1]) // what is not there is 0
		}
		all = append(all, words{n[0], n[1], n[2], n[3]})
	}
	return all
}

// message is the words without what the agent makes of them.
func (w words) message() words { return words{lane: w.lane, seq: w.seq} }

// heard is one request in which an agent was told a message.
type heard struct {
	words

	// chat is where the agent takes it to have been said.
	chat string
	// ran says that the agent ran on it.
	ran bool
}

// bot is an agent that a test breaks.
type bot interface {
	// config is the relay's configuration of it.
	config() string
	// stop stops it as a restart does, and start starts it again. Both are as unkind as the kind knows.
	stop()
	start()
	// heard is what it was told so far, in order.
	heard() []heard
}

// manner is how the kind's replies come about.
type manner struct {
	// parts is how many replies there are to a message.
	parts int
	// aside says that the agent speaks when it likes: its replies have no order, and are lost when it cannot tell the relay.
	// Where it is not set they come in the order of the messages.
	aside bool
	// answers says that replies are in the agent's answers, whose sends can be followed in the log.
	answers bool
	// known says by what a reply can be known again.
	known known
	// told, if set, says whether the relay has answered the agent for the reply.
	told func(b bot, d *door) map[words]bool
}

// known is by what a reply is known again.
type known uint8

const (
	byNumber  known = iota // by the event and its number, whichever run it is of
	byRun                  // by a key that every run makes anew
	byNothing              // the agent gives no key
)

// kind is one way of talking to an agent.
type kind struct {
	name string
	manner

	// gap is the least time between two kills, of which the most is three times that, pause the most between two messages
	// of a conversation, least how many of each it must be given; 0: as others.
	gap   time.Duration
	pause time.Duration
	least int
	make  func(t *testing.T, d *door, token string) bot
}

// answered are the words in all calls through the door that the relay answered with 200.
func answered(_ bot, d *door) map[words]bool {
	told := map[words]bool{}
	for _, c := range d.passed() {
		if c.status != 200 {
			continue
		}
		for _, w := range wordsIn(string(c.body)) {
			told[w] = true
		}
	}
	return told
}

// field is a text in a JSON body.
func field(body []byte, path string) string { return gjson.GetBytes(body, path).String() }

// every makes one in n requests of a kind: the n-th, the 2n-th and so on.
func every(n, request int) bool { return request%n == 0 }
