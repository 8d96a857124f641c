package queuetest

import (
	"crypto/sha256"
	"errors"
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

func moveFields(m *mover) {
	states := map[string]func() string{
		"queued": func() string { return m.put("queued")[0] },
		"retried": func() string {
			id := m.put("retried")[0]
			m.settle(m.take(), retry(time.Hour))
			return id
		},
		"held": func() string {
			id, v := m.put("held")[0], retry(time.Minute)
			v.Hold = time.Hour
			m.settle(m.take(), v)
			return id
		},
		"parked": func() string {
			id := m.put("parked")[0]
			m.settle(m.take(), park(time.Hour))
			return id
		},
		"dead": func() string { return m.kill("dead") },
		"delivered": func() string {
			id := m.put("delivered")[0]
			m.settle(m.take(), ack)
			return id
		},
	}
	was := map[string]string{}
	for _, name := range []string{"retried", "held", "parked", "dead", "delivered", "queued"} {
		m.advance(time.Second)
		id := states[name]()
		was[id] = describe(m.get(id))
	}
	odd := m.job(`a/b %2F 群聊`)
	odd.Lane.Account, odd.Body, odd.Meta = "stork/%", []byte{}, nil
	m.place(odd)
	was[odd.ID] = describe(m.get(odd.ID))
	stats := m.stats()
	m.advance(time.Minute)
	m.move()
	for id, want := range was {
		m.equal(id, describe(m.get(id)), want)
	}
	m.equal("Stats", m.stats(), stats)
}

func moveOrder(m *mover) {
	got := m.put("a", "b", "a", "c", "a", "b")
	m.advance(time.Second)
	got = append(got, m.put("a", "b")...)
	m.move()
	m.equal("order", m.drain(), map[string][]string{
		"a": {got[0], got[2], got[4], got[6]}, "b": {got[1], got[5], got[7]}, "c": {got[3]},
	})
}

func moveRetried(m *mover) {
	got := m.put("a", "a")
	m.settle(m.take(), retry(time.Minute))
	m.advance(time.Minute)
	m.settle(m.take(), retry(time.Hour))
	m.advance(20 * time.Minute)
	m.move()
	m.idle("before the head is due")
	if next := m.want(all).Next; next <= 0 || next > 40*time.Minute {
		m.Errorf("Next: got %v, want at most 40m", next)
	}
	m.advance(40*time.Minute - time.Second)
	m.idle("a second before the head is due")
	m.advance(time.Second)
	l := m.expect("when the head is due", got[0])[0]
	m.equal("attempts", l.Job.Attempts, 2)
	m.equal("troubled", l.Troubled, true)
	m.settle(l, ack)
	m.expect("after it", got[1])
}

func moveHeld(m *mover) {
	got := m.put("a", "a")
	v := park(time.Minute)
	v.Hold = 30 * time.Minute
	m.settle(m.take(), v)
	m.advance(10 * time.Minute)
	m.move()
	m.idle("of a held lane")
	m.equal("an early take", ids(m.want(queue.Want{Agent: agent, Max: 9, Troubled: 9, Early: true}).Leases), []string(nil))
	m.advance(20*time.Minute - time.Second)
	m.idle("a second before the hold ends")
	m.advance(time.Second)
	m.equal("order", m.drain(), map[string][]string{"a": got})
}

func moveLeased(m *mover) {
	got := m.put("a", "a")
	m.settle(m.take(), retry(0))
	m.take()
	m.move()
	l := m.expect("of what was leased", got[0])[0]
	m.equal("attempts", l.Job.Attempts, 1)
}

func moveParked(m *mover) {
	got := m.put("a", "a", "a")
	m.settle(m.take(), park(2*time.Hour))
	m.settle(m.take(), park(time.Hour))
	m.move()
	m.settle(m.expect("beside parked jobs", got[2])[0], ack)
	m.idle("before a parked job is due")
	m.advance(time.Hour)
	m.settle(m.expect("when the second is due", got[1])[0], retry(time.Hour))
	m.advance(time.Hour)
	m.equal("order", m.drain(), map[string][]string{"a": got[:2]})
}

func moveDead(m *mover) {
	first, second := m.kill("a"), m.kill("a")
	m.move()
	m.idle("of dead jobs")
	var listed []string
	for _, j := range m.list(queue.Filter{States: []queue.State{queue.Dead}}).Jobs {
		listed = append(listed, j.ID)
	}
	m.equal("List", listed, []string{second, first})
	m.equal("Drop", m.drop(first), 1)
	m.equal("Revive", m.revive(0, first, second), 1)
	l := m.expect("of a replayed job", second)[0]
	m.equal("body", string(l.Job.Body), "body of "+second)
	m.settle(l, ack)
}

func moveRevived(m *mover) {
	id := m.kill("a")
	m.advance(time.Hour)
	m.revive(0, id)
	m.advance(time.Minute)
	m.move()
	if n, err := m.q().Expire(m.Context(), agent, time.Hour, "too old"); n != 0 || err != nil {
		m.Errorf("Expire: got %d, %v, want none", n, err)
	}
	m.equal("attempts", m.expect("of a revived job", id)[0].Job.Attempts, 0)
}

func moveDelivered(m *mover) {
	id := m.put("a")[0]
	m.settle(m.take(), ack)
	m.move()
	m.idle("of a delivered job")
	m.equal("body", string(m.get(id).Body), "body of "+id)
	m.equal("delivered", m.stats()[agent].Delivered, 1)
	m.advance(usual.Retention.Delivered)
	m.sweep()
	if _, err := m.q().Get(m.Context(), id); !errors.Is(err, queue.ErrNotFound) {
		m.Errorf("Get after the retention: got %v, want %v", err, queue.ErrNotFound)
	}
}

func movePausedAgent(m *mover) {
	got := m.put("a")
	s := queue.Scope{Agent: agent}
	pause(m.fixture, s, 0)
	m.move()
	got = append(got, m.put("b")...)
	m.advance(24 * time.Hour)
	m.idle("of a paused agent")
	resume(m.fixture, s)
	m.equal("order", m.drain(), map[string][]string{"a": got[:1], "b": got[1:]})
}

func movePausedChat(m *mover) {
	got := m.put("a", "b")
	pause(m.fixture, queue.Scope{Account: "stork", Conversation: "a"}, time.Hour)
	m.advance(20 * time.Minute)
	m.move()
	m.settle(m.expect("beside a paused conversation", got[1])[0], ack)
	m.advance(40*time.Minute - time.Second)
	m.idle("a second before the pause ends")
	m.advance(time.Second)
	m.expect("after the pause", got[0])
}

func movePauseOver(m *mover) {
	m.put("a")
	pause(m.fixture, queue.Scope{Agent: agent}, time.Minute)
	m.advance(time.Minute)
	m.move()
	ps, err := m.q().Pauses(m.Context())
	if err != nil || len(ps) != 0 {
		m.Errorf("Pauses: got %v, %v, want none", ps, err)
	}
	m.take()
}

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
