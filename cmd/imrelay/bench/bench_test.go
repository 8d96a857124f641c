package bench

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkAccept is taking in alone: durable, answered at once, delivered later.
func BenchmarkAccept(b *testing.B) {
	for _, conns := range []int{64, 256} {
		b.Run(fmt.Sprintf("c=%d", conns), func(b *testing.B) {
			r := newRig(b, embedded)
			c := compete(func(d time.Duration) slot {
				r.relay.pause()
				s := r.run(r.relay.server, async(), queued(conns, d))
				r.relay.resume()
				return r.delivered(s)
			}, func(d time.Duration) slot {
				return r.through(r.rival, async(), passed(conns, d))
			})
			c.throughput(b, "G1", fmt.Sprintf("durable accept, c=%d", conns), 0.55)
		})
	}
}

// BenchmarkDeliver is the whole way: durable, in order, signed, delivered, marked, and only then answered. The rival of a
// relay on Redis is one with the embedded store.
func BenchmarkDeliver(b *testing.B) {
	for _, conns := range []int{64, 256} {
		b.Run(fmt.Sprintf("embedded/c=%d", conns), func(b *testing.B) {
			c := newRig(b, embedded).deliver(conns)
			c.throughput(b, "G2", fmt.Sprintf("whole cycle, c=%d", conns), 0.33)
			c.cost(b, "G3", fmt.Sprintf("CPU of the whole cycle, c=%d", conns), 4)
		})
	}
	for _, st := range redises {
		for _, conns := range []int{64, 256} {
			b.Run(fmt.Sprintf("%s/c=%d", st.name, conns), func(b *testing.B) {
				newPair(b, st).deliver(conns).throughput(b, "G8b", st.of(fmt.Sprintf("whole cycle, c=%d", conns)), 0.7)
			})
		}
	}
}

// deliver loads both with messages that are answered once they are delivered.
func (r *rig) deliver(conns int) contest {
	return compete(func(d time.Duration) slot {
		return r.through(r.relay.server, inbound(small), passed(conns, d))
	}, func(d time.Duration) slot {
		return r.through(r.rival, inbound(small), passed(conns, d))
	})
}

// BenchmarkLatency is the time from the IM server's push to the agent, at a rate far below what is possible.
func BenchmarkLatency(b *testing.B) {
	for _, st := range []store{embedded, always, everysec} {
		b.Run(st.name, func(b *testing.B) { newRig(b, st).latency(b, st) })
	}
}

func (r *rig) latency(b *testing.B, st store) {
	b.Helper()
	const rate = 1000
	paced := func(s server) func(time.Duration) slot {
		return func(d time.Duration) slot {
			l := passed(64, 2*d)
			l.rate = rate
			t := newBatch(numbers.take(), inbound(small), conversations, l.conns)
			t.delays = make([]atomic.Int64, int(l.length.Seconds()*rate)+l.conns)
			return r.delivered(r.runBatch(s, t, l))
		}
	}
	c := compete(paced(r.relay.server), paced(r.rival)).quiet()
	for _, goal := range []struct {
		name string
		q    float64
		most float64 // ms
	}{{"p50", 0.5, 1}, {"p99", 0.99, 5}} {
		of := func(b *batch) float64 { return b.quantile(goal.q).Seconds() * 1e3 }
		ours := c.median(func(r round) float64 { return of(r.ours.batch) })
		theirs := c.median(func(r round) float64 { return of(r.theirs.batch) })
		row := result{
			goal: "G7", what: st.of("IM to agent at 1,000/s, " + goal.name), ours: figure(ours) + " ms",
			theirs: figure(theirs) + " ms", value: ours, unit: " ms", atMost: goal.most,
			cpu:      c.median(func(r round) float64 { return r.ours.cpu }),
			storeCPU: c.median(func(r round) float64 { return r.ours.store }),
			rivalCPU: c.median(func(r round) float64 { return r.theirs.cpu }),
			foreign:  c.median(func(r round) float64 { return r.ours.foreign }),
		}
		if st != embedded {
			row.atMost = 0 // the target is the embedded store's
		}
		results.add(row)
		tell(b, ours, "ms-"+goal.name)
	}
}

// BenchmarkMemory is what the relay has resident before, in and after a storm that nobody waits for.
func BenchmarkMemory(b *testing.B) {
	for _, st := range safe {
		b.Run(st.name, func(b *testing.B) { newRig(b, st).storm(b, st) })
	}
}

func (r *rig) storm(b *testing.B, st store) {
	b.Helper()
	<-time.After(time.Second)
	idle, _ := memory(r.relay.pids[0])
	if idle == 0 {
		return // notes say that memory is not measured here
	}
	s := r.through(r.relay.server, async(), queued(256, 2*length))
	r.through(r.relay.server, inbound(small), passed(256, length))
	after, peak := memory(r.relay.pids[0])
	results.add(result{goal: "G9", what: st.of("memory, idle"), value: idle, unit: " MB", atMost: 20})
	results.add(result{
		goal: "G9", what: st.of(fmt.Sprintf("memory, at most in a storm of %s", perSecond(s.rate))), value: peak, unit: " MB",
		ours: figure(after) + " MB after", atMost: 64 + 16, foreign: s.foreign,
	})
	tell(b, idle, "MB-idle")
	b.ReportMetric(peak, "MB-peak")
}

// BenchmarkLarge is the whole way with bodies of 100 KB.
func BenchmarkLarge(b *testing.B) {
	r := newRig(b, embedded)
	c := compete(func(d time.Duration) slot {
		return r.through(r.relay.server, inbound(large), passed(64, d))
	}, func(d time.Duration) slot {
		return r.through(r.rival, inbound(large), passed(64, d))
	})
	c.throughput(b, "G10", "whole cycle, 100 KB, c=64", 0.12)
}

// BenchmarkConversation is one conversation: its events can only be delivered one after the other, so the agent's own
// speed is the limit.
func BenchmarkConversation(b *testing.B) {
	for _, st := range []store{embedded, always, everysec} {
		b.Run(st.name, func(b *testing.B) { newRig(b, st).oneByOne(b, st) })
	}
}

func (r *rig) oneByOne(b *testing.B, st store) {
	b.Helper()
	const messages, share = 10000, 5
	r.relay.pause()
	t := newBatch(numbers.take(), async(), 1, 1)
	t.signed = true
	l := queued(1, 0)
	l.count = messages
	s := r.runBatch(r.relay.server, t, l)
	r.sink.delay.Store(int64(time.Millisecond))
	r.relay.resume()
	before := look(r.relay.server)
	s = r.delivered(s)
	used := look(r.relay.server).since(before)

	alone := passed(1, 0)
	alone.count = messages / share
	direct := r.through(server{name: "agent", addr: r.sink.addr}, inbound(small), alone)
	value := t.rate() / direct.rate
	results.add(result{
		goal: "G11", what: st.of("one conversation, an agent that takes 1 ms"), ours: perSecond(t.rate()),
		theirs: perSecond(direct.rate) + " alone", value: value, atLeast: 0.8,
		cpu: each(used.server, messages), storeCPU: each(used.store, messages),
		foreign: used.foreign(time.Duration(t.ended.Load() - t.begun.Load())),
	})
	tell(b, value, "ratio")
	b.ReportMetric(t.rate(), "msg/s")
	b.ReportMetric(s.rate, "accepted/s")
}

// BenchmarkSend is the way of an agent's message to the IM, with the ledger that keeps it from being sent twice.
func BenchmarkSend(b *testing.B) {
	for _, st := range []store{embedded, always, everysec} {
		b.Run(st.name, func(b *testing.B) {
			r := newRig(b, st)
			c := compete(func(d time.Duration) slot {
				return r.through(r.relay.server, outbound(), sent(64, d))
			}, func(d time.Duration) slot {
				return r.through(r.rival, outbound(), sent(64, d))
			})
			c.throughput(b, "G13", st.of("send, c=64"), 0.30)
		})
	}
}

// BenchmarkStart is the time from the start of the process to readiness, with nothing stored.
func BenchmarkStart(b *testing.B) {
	s, back := startSink(b), embedded.open(b)
	var times []float64
	for range 5 {
		r := startRelay(b, s, back)
		times = append(times, r.ready.Seconds()*1e3)
		r.child.stop()
	}
	results.add(result{goal: "-", what: "start to ready, empty store", value: median(times), unit: " ms"})
	tell(b, median(times), "ms")
}
