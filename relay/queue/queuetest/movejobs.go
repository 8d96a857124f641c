package queuetest

import (
	"errors"
	"time"

	"github.com/imrelay/imrelay/relay/queue"
)

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
