package daemon

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/relay/memo"
	"github.com/imrelay/imrelay/relay/queue"
)

// Moved is how much of one kind a move copied, and found again.
type Moved struct {
	// What is "events", "keys" (of events and of our own messages, within the dedupe window), "pauses", "chats" (that are
	// known), "sends" (and what is remembered of them) or "notes" (that adapters remember).
	What string `json:"what"`
	// Agent is whose events they are.
	Agent string `json:"agent,omitempty"`
	// State is that of the events or sends.
	State string `json:"state,omitempty"`
	// Count is how many.
	Count int `json:"count"`
}

// kind is what a tally counts apart.
type kind struct{ what, agent, state string }

// ending is a kind whose things are gone from the minute on: they are over by themselves, also while they are moved.
type ending struct {
	kind
	minute int64
}

// seenKey is one sighting or note, by half of its key's sum.
type seenKey struct {
	sum uint64
	end int64 // the minute
}

// tally counts what an export hands out.
type tally struct {
	window  time.Duration // how long a key is remembered
	lasting map[kind]int
	ends    map[ending]int
	keys    []seenKey
	notes   []seenKey
	bytes   int64
}

func newTally(window time.Duration) *tally {
	return &tally{window: window, lasting: map[kind]int{}, ends: map[ending]int{}}
}

// cargo counts a piece of the queue.
func (t *tally) cargo(c queue.Cargo) {
	for _, j := range c.Jobs {
		t.lasting[kind{"events", j.Lane.Agent, j.State.String()}]++
		t.bytes += int64(len(j.Body) + len(j.Meta))
	}
	for _, s := range c.Sightings {
		t.keys = append(t.keys, seenKey{binary.BigEndian.Uint64(s.Sum[:8]), minuteOf(s.At.Add(t.window))})
	}
	for _, p := range c.Pauses {
		t.add(kind{what: "pauses"}, p.Until)
	}
	if n := len(c.Chats); n > 0 {
		t.lasting[kind{what: "chats"}] += n
	}
}

// rows counts a piece of the ledger.
func (t *tally) rows(rows []dedupe.Stored) {
	for _, r := range rows {
		t.add(kind{what: "sends", state: r.Status.String()}, r.Over)
		t.bytes += int64(len(r.Record) + len(r.Payload))
	}
}

// remembered counts a piece of what adapters remember.
func (t *tally) remembered(notes []memo.Note) {
	for _, n := range notes {
		sum := sha256.Sum256([]byte(strconv.Itoa(len(n.Owner)) + n.Owner + n.Name))
		t.notes = append(t.notes, seenKey{binary.BigEndian.Uint64(sum[:8]), minuteOf(n.Over)})
		t.bytes += int64(len(n.Value))
	}
}

// add counts one thing; a zero end is none.
func (t *tally) add(k kind, end time.Time) {
	if end.IsZero() {
		t.lasting[k]++
		return
	}
	t.ends[ending{k, minuteOf(end)}]++
}

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// settle counts each key and note once: a store may know one twice, and may hand one out twice while it makes room.
// Whoever takes them over keeps the first.
func (t *tally) settle() {
	for what, seen := range map[string][]seenKey{"keys": t.keys, "notes": t.notes} {
		slices.SortStableFunc(seen, func(a, b seenKey) int { return cmp.Compare(a.sum, b.sum) })
		for _, k := range slices.CompactFunc(seen, func(a, b seenKey) bool { return a.sum == b.sum }) {
			t.ends[ending{kind{what: what}, k.end}]++
		}
	}
	t.keys, t.notes = nil, nil
}

// after counts what is still there after the moment; the zero one: all. settle comes first.
func (t *tally) after(moment time.Time) map[kind]int {
	all := maps.Clone(t.lasting)
	for e, n := range t.ends {
		if moment.IsZero() || e.minute > minuteOf(moment) {
			all[e.kind] += n
		}
	}
	return all
}

// moved lists all that was counted.
func (t *tally) moved() []Moved {
	var list []Moved
	for k, n := range t.after(time.Time{}) {
		list = append(list, Moved{What: k.what, Agent: k.agent, State: k.state, Count: n})
	}
	order := []string{"events", "keys", "pauses", "chats", "sends", "notes"}
	slices.SortFunc(list, func(a, b Moved) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.What), slices.Index(order, b.What)),
			cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.State, b.State),
		)
	})
	return list
}

// difference is one count that is not the same on both sides of a move.
type difference struct {
	kind
	want, got int
}

// compare returns where two tallies differ in what is still there after the moment.
func compare(want, got *tally, moment time.Time) []difference {
	w, g := want.after(moment), got.after(moment)
	var ds []difference
	for k := range g {
		if _, ok := w[k]; !ok {
			w[k] = 0
		}
	}
	for k, n := range w {
		if g[k] != n {
			ds = append(ds, difference{k, n, g[k]})
		}
	}
	slices.SortFunc(ds, func(a, b difference) int {
		return cmp.Or(cmp.Compare(a.what, b.what), cmp.Compare(a.agent, b.agent), cmp.Compare(a.state, b.state))
	})
	return ds
}
