package queuetest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

// What no piece of an export may have more of.
const (
	pieceThings = 1000
	pieceBytes  = 8 << 20
)

var moveChecks = []moveCheck{
	{"all of a job comes along", moveFields},
	{"queued jobs keep their order in their lanes", moveOrder},
	{"a retried head is due when it was, and leads its lane", moveRetried},
	{"a held lane is held as long", moveHeld},
	{"a leased job waits again", moveLeased},
	{"parked jobs stay aside, due when they were", moveParked},
	{"a dead job can be replayed and dropped", moveDead},
	{"a revived job is as young", moveRevived},
	{"a delivered job is kept", moveDelivered},
	{"a paused agent stays paused", movePausedAgent},
	{"a paused conversation stays paused as long", movePausedChat},
	{"a pause that is over is left behind", movePauseOver},
	{"repeats are repeats, for the rest of the window", moveRepeats},
	{"echoes are echoes, for the rest of the window", moveEchoes},
	{"of two sightings of a key the later counts", moveSeenTwice},
	{"chats stay known", moveChats},
	{"what comes later is behind", moveThenPut},
	{"a second import changes nothing", moveTwice},
	{"what was done since is not undone by an import", moveAgain},
	{"a piece is bounded", moveBounds},
	{"an export stops at an error", moveStops},
}

type moveCheck struct {
	name string
	run  func(m *mover)
}

// RunMove checks that a queue's cargo, taken over by another, behaves there as it did: from makes the queues that are
// moved, which are [queue.Exporter]s, to those that they are moved into, which are [queue.Importer]s and Exporters. The
// clocks of both have to begin at the same time, as [NewClock] does.
func RunMove(t *testing.T, from, to Open) {
	for _, c := range moveChecks {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := &mover{fixture: &fixture{T: t, h: from(t, usual), open: from}, target: to(t, usual)}
			source, target := m.h.Advance, m.target.Advance
			m.h.Advance = func(d time.Duration) {
				source(d)
				target(d)
			}
			c.run(m)
		})
	}
}

// mover is a fixture whose queue is the one to be moved, and after move the one that it was moved into.
type mover struct {
	*fixture

	target Harness
	pieces []queue.Cargo
}

// advance lets time pass: until the move for both.
func (m *mover) advance(d time.Duration) { m.h.Advance(d) }

// export returns the pieces that the queue hands out.
func (m *mover) export(q queue.Queue) []queue.Cargo {
	m.Helper()
	e, ok := q.(queue.Exporter)
	if !ok {
		m.Fatalf("%T is no Exporter", q)
	}
	var pieces []queue.Cargo
	if err := e.Export(m.Context(), func(c queue.Cargo) error {
		pieces = append(pieces, c)
		return nil
	}); err != nil {
		m.Fatalf("Export: %v", err)
	}
	return pieces
}

// load imports the pieces into the target.
func (m *mover) load() {
	m.Helper()
	i, ok := m.target.Queue.(queue.Importer)
	if !ok {
		m.Fatalf("%T is no Importer", m.target.Queue)
	}
	for n, p := range m.pieces {
		if err := i.Import(m.Context(), p); err != nil {
			m.Fatalf("Import of piece %d: %v", n, err)
		}
	}
}

// move moves the queue: from here on the fixture's is the target.
func (m *mover) move() {
	m.Helper()
	m.pieces = m.export(m.q())
	m.load()
	was := manifest(m.pieces)
	m.h = m.target
	if got := manifest(m.export(m.q())); !slices.Equal(got, was) {
		m.Fatalf("what the target holds: got\n%q, want\n%q", got, was)
	}
}

// manifest is what the pieces hold, as lines in an order of their own.
func manifest(pieces []queue.Cargo) []string {
	var all []string
	for _, c := range pieces {
		for _, j := range c.Jobs {
			all = append(all, "job "+describe(j))
		}
		for _, s := range c.Sightings {
			all = append(all, fmt.Sprintf("key %x %q %d", s.Sum, s.ID, stamp(s.At)))
		}
		for _, p := range c.Pauses {
			all = append(all, fmt.Sprintf("pause %+v %d %q", p.Scope, stamp(p.Until), p.Reason))
		}
		for _, c := range c.Chats {
			all = append(all, fmt.Sprintf("chat %+v", c))
		}
	}
	slices.Sort(all)
	return all
}

// describe is all of a job that a move keeps.
func describe(j queue.Job) string {
	body := string(j.Body)
	if len(body) > 64 {
		body = fmt.Sprintf("%d bytes %x", len(body), sha256.Sum256(j.Body))
	}
	return fmt.Sprintf("%s %+v %v meta %q body %q leased %v attempts %d answered %v status %d error %q at %v",
		j.ID, j.Lane, j.State, j.Meta, body, j.Leased, j.Attempts, j.Answered, j.Status, j.LastError,
		[]int64{
			stamp(j.Accepted), stamp(j.Since), stamp(j.Due), stamp(j.NotBefore), stamp(j.FirstFailure), stamp(j.Updated),
		})
}

// stamp is a time to the millisecond, which is what every store keeps.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// drain takes and acks all that is due, and returns the ids lane by lane.
func (m *mover) drain() map[string][]string {
	m.Helper()
	got := map[string][]string{}
	for {
		ls := m.want(all).Leases
		if len(ls) == 0 {
			return got
		}
		for _, l := range ls {
			got[l.Job.Lane.Conversation] = append(got[l.Job.Lane.Conversation], l.Job.ID)
			m.settle(l, ack)
		}
	}
}
