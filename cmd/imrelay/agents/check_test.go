//go:build unix

package agents_test

import (
	"fmt"
	"time"

	"github.com/imrelay/imrelay/cmd/imrelay/fleet/fleettest"
)

// check holds what was accepted against what the agent heard and the IM was sent.
type check struct {
	*rig

	accepted [][]fleettest.Accepted
	events   map[string]words // by id
	heard    []heard
	runs     map[words]int
	sent     []sent
	times    map[words]int // sent
	unsure   map[words]int // replies of unknown outcome, by reply or lane
	told     map[words]bool
	sum      sum
}

// sent is a reply that reached the IM.
type sent struct {
	words

	to string
}

// sum is what is shown at the end.
type sum struct {
	accepted, lost, ranTwice, replies, repeated, unsure, unsent, givenUp int
}

func newCheck(r *rig, accepted [][]fleettest.Accepted) *check {
	c := &check{rig: r, accepted: accepted, events: map[string]words{}}
	for lane, list := range accepted {
		for i, a := range list {
			c.events[a.ID] = words{lane: lane, seq: i + 1}
			c.sum.accepted++
		}
	}
	return c
}

// all checks everything, when all has come that can, and the ledger was read.
func (c *check) all() {
	c.t.Helper()
	c.hearing()
	c.saying()
	c.once()
	s := c.sum
	c.t.Logf("%s: %d kills, %d accepted, %d lost; the agent ran twice on %d; %d replies, %d of them again; %d of unknown outcome, "+
		"%d of these not sent; %d given up by the agent", c.name, c.kills, s.accepted, s.lost, s.ranTwice, s.replies, s.repeated, s.unsure, s.unsent,
		s.givenUp)
}

// settle waits until no reply is missing, or nothing has come for so long that none can any more.
func (c *check) settle() {
	c.t.Helper()
	const quiet = 3 * time.Second
	since, before := time.Now(), 0
	for {
		c.look()
		if len(c.sent) != before {
			since, before = time.Now(), len(c.sent)
		}
		if len(c.missing()) == 0 || time.Since(since) > quiet {
			return
		}
		c.wait(50 * time.Millisecond)
	}
}

// look takes in how things stand.
func (c *check) look() {
	c.t.Helper()
	c.heard, c.runs = c.bot.heard(), map[words]int{}
	for _, h := range c.heard {
		if h.ran {
			c.runs[h.message()]++
		}
	}
	c.told = nil
	if c.kind.told != nil {
		c.told = c.kind.told(c.bot, c.door)
	}
	c.sent, c.times = nil, map[words]int{}
	for _, call := range c.im.Calls() {
		for _, w := range wordsIn(call.Text) {
			c.sent = append(c.sent, sent{w, call.To})
			c.times[c.identity(w)]++
		}
	}
}

// identity is the words without what does not tell replies apart.
func (c *check) identity(w words) words {
	w.part = max(w.part, 1)
	if c.known != byRun {
		w.run = 0
	}
	return w
}

// missing are the replies that did not reach the IM, for each message those of the run of which the most did.
func (c *check) missing() (all []words) {
	if c.parts == 0 {
		return nil
	}
	for _, w := range c.events {
		for part := 1; part <= c.parts; part++ {
			if !c.came(words{lane: w.lane, seq: w.seq, part: part}) {
				all = append(all, words{lane: w.lane, seq: w.seq, part: part})
			}
		}
	}
	return all
}

// came says that the part of an answer reached the IM, of whichever run.
func (c *check) came(w words) bool {
	for run := range c.runs[w.message()] + 1 {
		w.run = run
		if c.times[w] > 0 {
			return true
		}
	}
	return false
}

// books checks what the relay says of the events.
func (c *check) books() {
	c.t.Helper()
	events, err := c.relay.Events(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	books := fleettest.Check{Wrong: c.t.Errorf, Accepted: c.accepted}
	if aside := books.Books(events); len(aside) > 0 {
		c.t.Errorf("got %d events aside, want none", len(aside))
	}
}

// hearing checks that the agent heard each message, in order, and none where it does not belong.
func (c *check) hearing() {
	c.t.Helper()
	chats, of, last := map[int]string{}, map[string]int{}, map[int]int{}
	first := map[words]bool{}
	for _, h := range c.heard {
		if chat, ok := chats[h.lane]; ok && chat != h.chat {
			c.t.Errorf("lane %d is %q and %q to the agent", h.lane, chat, h.chat)
		}
		if lane, ok := of[h.chat]; ok && lane != h.lane {
			c.t.Errorf("lanes %d and %d are both %q to the agent", lane, h.lane, h.chat)
		}
		chats[h.lane], of[h.chat] = h.chat, h.lane
		if first[h.message()] {
			continue
		}
		first[h.message()] = true
		if h.seq != last[h.lane]+1 {
			c.t.Errorf("lane %d: the agent heard message %d after %d", h.lane, h.seq, last[h.lane])
		}
		last[h.lane] = h.seq
	}
	for id, w := range c.events {
		switch runs := c.runs[w]; {
		case runs == 0:
			c.sum.lost++
			c.t.Errorf("lane %d message %d (%s) was accepted, and the agent never ran on it", w.lane, w.seq, id)
		case runs > 1:
			c.sum.ranTwice++
		}
	}
}

// saying checks that the replies reached the IM, in order, and in their conversations.
func (c *check) saying() {
	c.t.Helper()
	last := map[int]int{}
	first := map[words]bool{}
	for _, s := range c.sent {
		c.sum.replies++
		if want := fmt.Sprint("wxid_lane", s.lane); s.to != want {
			c.t.Errorf("a reply to lane %d went to %s", s.lane, s.to)
		}
		if first[s.message()] {
			continue
		}
		first[s.message()] = true
		if s.seq < last[s.lane] && !c.aside {
			c.t.Errorf("lane %d: the reply to message %d went out after that to %d", s.lane, s.seq, last[s.lane])
		}
		last[s.lane] = max(last[s.lane], s.seq)
	}
	for _, w := range c.missing() {
		switch {
		case c.aside && !c.answeredFor(w):
			c.sum.givenUp++
		case c.unknown(w):
			c.sum.unsent++
		default:
			c.sum.lost++
			c.t.Errorf("the reply to lane %d message %d part %d never reached the IM", w.lane, w.seq, w.part)
		}
	}
	if most := lanes * c.kills; c.sum.unsure > most || c.sum.unsent > 3*c.kills || c.sum.givenUp > 2*lanes*c.broken*c.parts {
		c.t.Errorf("got %d of unknown outcome, %d of them not sent, and %d given up by the agent: that is too much for %d kills",
			c.sum.unsure, c.sum.unsent, c.sum.givenUp, c.kills)
	}
}

// answeredFor says that the relay has told the agent that it has the reply.
func (c *check) answeredFor(w words) bool {
	for told, yes := range c.told {
		if yes && told.message() == w.message() && max(told.part, 1) == w.part {
			return true
		}
	}
	return false
}

// once checks that what can be known again went out once, and else not more often than the agent ran.
func (c *check) once() {
	c.t.Helper()
	for w, times := range c.times {
		most := 1
		if c.known == byNothing {
			most = c.runs[w.message()]
		}
		if times > most {
			c.t.Errorf("the reply to lane %d message %d (part %d, run %d) went out %d times, want at most %d",
				w.lane, w.seq, w.part, w.run, times, most)
		}
		c.sum.repeated += times - 1
	}
}
