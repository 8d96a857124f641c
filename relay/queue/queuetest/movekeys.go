package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

// again puts what has the same key as the first job, and says what became of it.
func (m *mover) again(first queue.Job) queue.Placed {
	m.Helper()
	j := m.job(first.Lane.Conversation)
	j.Key = first.Key
	return m.place(j)[0]
}

func moveRepeats(m *mover) {
	var jobs []queue.Job
	for _, c := range []string{"delivered", "dead", "dropped", "parked", "queued"} {
		jobs = append(jobs, m.job(c))
		m.place(jobs[len(jobs)-1])
	}
	verdicts := map[string]queue.Verdict{"delivered": ack, "dead": bury, "dropped": bury, "parked": park(1000 * time.Hour)}
	for _, l := range m.want(all).Leases {
		if v, ok := verdicts[l.Job.Lane.Conversation]; ok {
			m.settle(l, v)
		}
	}
	m.equal("Drop", m.drop(jobs[2].ID), 1)
	m.advance(time.Hour)
	m.move()
	m.advance(usual.Retention.Window - time.Hour - time.Second)
	m.sweep()
	for _, j := range jobs {
		m.equal("a repeat of what was "+j.Lane.Conversation, m.again(j), queue.Placed{ID: j.ID})
	}
	m.advance(time.Second)
	for _, j := range jobs {
		if p := m.again(j); !p.Fresh {
			m.Errorf("after the window, what was %s: got %+v, want it fresh", j.Lane.Conversation, p)
		}
	}
}

func moveEchoes(m *mover) {
	own, other := m.job("c"), m.job("c")
	own.Key = key("c", "sent-1")
	other.Aliases = []queue.Key{key("other chat", "sent-2")}
	if err := m.q().Remember(m.Context(), own.Key, other.Aliases[0]); err != nil {
		m.Fatalf("Remember: %v", err)
	}
	m.advance(time.Hour)
	m.move()
	m.advance(usual.Retention.Window - time.Hour - time.Second)
	m.sweep()
	m.equal("echoes", m.place(own, other), []queue.Placed{{Echo: true}, {Echo: true}})
	m.advance(time.Second)
	for i, p := range m.place(own, other) {
		if !p.Fresh {
			m.Errorf("after the window, echo %d: got %+v, want it fresh", i, p)
		}
	}
}

func moveSeenTwice(m *mover) {
	first, second, echoed := m.job("a"), m.job("a"), m.job("b")
	second.Key = first.Key
	m.place(first)
	m.advance(25 * time.Hour)
	m.place(echoed)
	m.export(m.q()) // it only looks
	m.advance(24 * time.Hour)
	m.place(second)
	if err := m.q().Remember(m.Context(), echoed.Key); err != nil {
		m.Fatalf("Remember: %v", err)
	}
	m.advance(time.Hour)
	m.move()
	m.equal("a repeat", m.again(first), queue.Placed{ID: second.ID})
	m.equal("an echo", m.again(echoed), queue.Placed{Echo: true})
}

func moveChats(m *mover) {
	m.put("a", "b")
	elsewhere := m.job("a")
	elsewhere.Lane.Account, elsewhere.Lane.Agent, elsewhere.Key.Account = "ibis", "heron", "ibis"
	m.place(elsewhere)
	for _, l := range m.want(all).Leases {
		m.settle(l, bury)
		m.equal("Drop", m.drop(l.Job.ID), 1)
	}
	m.move()
	for conversation, want := range map[string][]string{"a": {"ibis", "stork"}, "b": {"stork"}, "c": nil} {
		got, err := m.q().Accounts(m.Context(), conversation)
		if err != nil {
			m.Fatalf("Accounts: %v", err)
		}
		m.equal("accounts that know "+conversation, got, want)
	}
}

func moveThenPut(m *mover) {
	got := m.put("a", "a")
	m.move()
	got = append(got, m.put("a")...)
	m.equal("order", m.drain(), map[string][]string{"a": got})
}

func moveTwice(m *mover) {
	m.kill("dead")
	m.put("b")
	m.settle(m.take(), park(time.Hour))
	got := m.put("a", "a", "a")
	m.settle(m.take(), retry(time.Minute))
	pause(m.fixture, queue.Scope{Account: "stork", Conversation: "c"}, time.Hour)
	m.move()
	was, stats := manifest(m.export(m.q())), m.stats()
	m.load()
	if now := manifest(m.export(m.q())); !slices.Equal(now, was) {
		m.Errorf("after a second import: got\n%q, want\n%q", now, was)
	}
	m.equal("Stats", m.stats(), stats)
	m.advance(time.Minute)
	m.equal("order", m.drain(), map[string][]string{"a": got})
}

func moveAgain(m *mover) {
	got := m.put("a", "a", "b")
	sent := m.job("c")
	m.place(sent)
	m.move()
	for _, l := range m.want(all).Leases {
		m.settle(l, ack)
	}
	if err := m.q().Remember(m.Context(), sent.Key); err != nil {
		m.Fatalf("Remember: %v", err)
	}
	m.load()
	m.equal("an echo", m.again(sent), queue.Placed{Echo: true})
	m.equal("order", m.drain(), map[string][]string{"a": got[1:2]})
	m.equal("delivered", m.stats()[agent].Delivered, 4)
}

func moveBounds(m *mover) {
	const many, large = pieceThings + pieceThings/10, 12
	for part := range slices.Chunk(slices.Collect(m.jobs(many)), 100) {
		m.place(part...)
	}
	for range large {
		j := m.job("large")
		j.Body = make([]byte, pieceBytes/8)
		m.place(j)
	}
	m.move()
	for i, p := range m.pieces {
		size := 0
		for _, j := range p.Jobs {
			size += len(j.Body)
		}
		if n := max(len(p.Jobs), len(p.Sightings), len(p.Chats)); n > pieceThings || size > pieceBytes && len(p.Jobs) > 1 {
			m.Errorf("piece %d: got %d things, %d bytes, want at most %d and %d", i, n, size, pieceThings, pieceBytes)
		}
	}
	m.equal("queued", m.stats()[agent].Queued, many+large)
}

// jobs makes n jobs in as many conversations.
func (m *mover) jobs(n int) func(yield func(queue.Job) bool) {
	return func(yield func(queue.Job) bool) {
		for i := range n {
			if !yield(m.job(fmt.Sprint("chat ", i))) {
				return
			}
		}
	}
}

var errFull = errors.New("the hold is full")

func moveStops(m *mover) {
	m.put("a", "b")
	e, ok := m.q().(queue.Exporter)
	if !ok {
		m.Fatalf("%T is no Exporter", m.q())
	}
	calls := 0
	err := e.Export(m.Context(), func(queue.Cargo) error {
		calls++
		return errFull
	})
	m.is("Export", err, errFull)
	m.equal("calls", calls, 1)
}
