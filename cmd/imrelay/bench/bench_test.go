package bench

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkAccept is taking in alone: durable, answered at once, delivered later.
func BenchmarkAccept(b *testing.B) {
	for _, conns := range []int{64, 256} {
		b.Run(fmt.Sprintf("c=%d", conns), func(b *testing.B) {
			r := newRig(b)
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

// BenchmarkDeliver is the whole way: durable, in order, signed, delivered, marked, and only then answered.
func BenchmarkDeliver(b *testing.B) {
	for _, conns := range []int{64, 256} {
		b.Run(fmt.Sprintf("c=%d", conns), func(b *testing.B) {
			r := newRig(b)
			c := compete(func(d time.Duration) slot {
				return r.through(r.relay.server, inbound(small), passed(conns, d))
			}, func(d time.Duration) slot {
				return r.through(r.rival, inbound(small), passed(conns, d))
			})
			c.throughput(b, "G2", fmt.Sprintf("whole cycle, c=%d", conns), 0.33)
			c.cost(b, "G3", fmt.Sprintf("CPU of the whole cycle, c=%d", conns), 4)
		})
	}
}

// BenchmarkLatency is the time from the IM server's push to the agent, at a rate far below what is possible.
func BenchmarkLatency(b *testing.B) {
	const rate = 1000
	r := newRig(b)
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
		results.add(result{
			goal: "G7", what: "IM to agent at 1,000/s, " + goal.name, ours: figure(ours) + " ms", theirs: figure(theirs) + " ms",
			value: ours, unit: " ms", atMost: goal.most,
			cpu:      c.median(func(r round) float64 { return r.ours.cpu }),
			rivalCPU: c.median(func(r round) float64 { return r.theirs.cpu }),
			foreign:  c.median(func(r round) float64 { return r.ours.foreign }),
		})
		tell(b, ours, "ms-"+goal.name)
	}
}

// BenchmarkMemory is what the relay has resident before, in and after a storm that nobody waits for.
func BenchmarkMemory(b *testing.B) {
	r := newRig(b)
	<-time.After(time.Second)
	idle, _ := memory(r.relay.pids[0])
	if idle == 0 {
		return // notes say that memory is not measured here
	}
	s := r.through(r.relay.server, async(), queued(256, 2*length))
	r.through(r.relay.server, inbound(small), passed(256, length))
	after, peak := memory(r.relay.pids[0])
	results.add(result{goal: "G9", what: "memory, idle", value: idle, unit: " MB", atMost: 20})
	results.add(result{
		goal: "G9", what: fmt.Sprintf("memory, at most in a storm of %s", perSecond(s.rate)), value: peak, unit: " MB",
		ours: figure(after) + " MB after", atMost: 64 + 16, foreign: s.foreign,
	})
	tell(b, idle, "MB-idle")
	b.ReportMetric(peak, "MB-peak")
}

// BenchmarkLarge is the whole way with bodies of 100 KB.
func BenchmarkLarge(b *testing.B) {
	r := newRig(b)
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
	const messages, share = 10000, 5
	r := newRig(b)
	r.relay.pause()
	t := newBatch(numbers.take(), async(), 1, 1)
	t.signed = true
	l := queued(1, 0)
	l.count = messages
	s := r.runBatch(r.relay.server, t, l)
	r.sink.delay.Store(int64(time.Millisecond))
	r.relay.resume()
	before := look(r.relay.pids)
	s = r.delivered(s)
	used := look(r.relay.pids).since(before)

	alone := passed(1, 0)
	alone.count = messages / share
	direct := r.through(server{name: "agent", addr: r.sink.addr}, inbound(small), alone)
	value := t.rate() / direct.rate
	results.add(result{
		goal: "G11", what: "one conversation, an agent that takes 1 ms", ours: perSecond(t.rate()),
		theirs: perSecond(direct.rate) + " alone", value: value, atLeast: 0.8,
		cpu:     float64(used.server.Microseconds()) / messages,
		foreign: used.foreign(time.Duration(t.ended.Load() - t.begun.Load())),
	})
	tell(b, value, "ratio")
	b.ReportMetric(t.rate(), "msg/s")
	b.ReportMetric(s.rate, "accepted/s")
}

// BenchmarkSend is the way of an agent's message to the IM, with the ledger that keeps it from being sent twice.
func BenchmarkSend(b *testing.B) {
	r := newRig(b)
	c := compete(func(d time.Duration) slot {
		return r.through(r.relay.server, outbound(), sent(64, d))
	}, func(d time.Duration) slot {
		return r.through(r.rival, outbound(), sent(64, d))
	})
	c.throughput(b, "G13", "send, c=64", 0.30)
}

// BenchmarkStart is the time from the start of the process to readiness, with nothing stored.
func BenchmarkStart(b *testing.B) {
	s := startSink(b)
	var times []float64
	for range 5 {
		r := startRelay(b, s)
		times = append(times, r.ready.Seconds()*1e3)
		r.child.stop()
	}
	results.add(result{goal: "-", what: "start to ready, empty store", value: median(times), unit: " ms"})
	tell(b, median(times), "ms")
}

// BenchmarkBacklog is how much slower the relay is with a mountain of messages waiting, and how it climbs down. A tenth
// as many conversations as messages wait.
func BenchmarkBacklog(b *testing.B) {
	waiting := backlog(b)
	r := newRig(b)
	h := &heap{rig: r, batch: newBatch(numbers.take(), async(), waiting/10, 64)}
	h.batch.signed = true
	var lowIn, lowOut, highIn []float64
	for range rounds {
		r.relay.pause()
		lowIn = append(lowIn, h.grow(heapStep))
		lowOut = append(lowOut, h.drain())
	}
	r.relay.pause()
	before := look(r.relay.pids)
	h.grow(waiting)
	for range rounds {
		highIn = append(highIn, h.grow(heapStep))
	}
	_, peak := memory(r.relay.pids[0])
	used := look(r.relay.pids)
	foreign := used.since(before).foreign(used.at.Sub(before.at))

	h.relay = r.relay.again(r.sink)
	opened := h.relay.ready
	highOut := h.drain()
	_, later := memory(h.relay.pids[0])
	h.report(b, heapRates{
		in: median(highIn), emptyIn: median(lowIn), out: highOut, emptyOut: median(lowOut),
		opened: opened, peak: max(peak, later), foreign: foreign, waiting: waiting,
	})
}

// heapStep is how many messages a rate is taken from.
const heapStep = 80 * 64

// heap is messages that wait.
type heap struct {
	*rig
	batch *batch
	sent  int
}

// grow adds messages, and returns how many a second were taken in.
func (h *heap) grow(n int) float64 {
	h.tb.Helper()
	l := queued(64, 0)
	l.from, l.count = h.sent, (n+63)/64*64
	h.sent += l.count
	return h.runBatch(h.relay.server, h.batch, l).rate
}

// drain lets all that waits be delivered, and returns how many a second were.
func (h *heap) drain() float64 {
	h.tb.Helper()
	had, began := h.batch.count.Load(), time.Now()
	h.relay.resume()
	h.delivered(slot{batch: h.batch, outcome: outcome{sent: int64(h.sent)}})
	return float64(int64(h.sent)-had) / time.Unix(0, h.batch.ended.Load()).Sub(began).Seconds()
}

// heapRates are the figures of a heap, and those of a store that is nearly empty.
type heapRates struct {
	in, emptyIn, out, emptyOut float64
	opened                     time.Duration
	peak, foreign              float64
	waiting                    int
}

func (h *heap) report(b *testing.B, v heapRates) {
	b.Helper()
	heaped := fmt.Sprintf("with %d waiting", v.waiting)
	results.add(result{
		goal: "G12", what: "accept " + heaped, ours: perSecond(v.in), theirs: perSecond(v.emptyIn) + " empty",
		value: v.in / v.emptyIn, atLeast: 0.7, foreign: v.foreign,
	})
	results.add(result{
		goal: "G12", what: "deliver " + heaped, ours: perSecond(v.out), theirs: perSecond(v.emptyOut) + " empty",
		value: v.out / v.emptyOut, atLeast: 0.7, foreign: v.foreign,
	})
	if v.peak > 0 {
		results.add(result{goal: "G12", what: "memory at most " + heaped, value: v.peak, unit: " MB", atMost: 300})
	}
	results.add(result{goal: "-", what: "start to ready " + heaped, value: v.opened.Seconds() * 1e3, unit: " ms"})
	tell(b, v.in/v.emptyIn, "accept-ratio")
	b.ReportMetric(v.out/v.emptyOut, "deliver-ratio")
	b.ReportMetric(v.peak, "MB-peak")
}

// backlog is how many messages are to wait.
func backlog(b *testing.B) int {
	b.Helper()
	text := os.Getenv("BENCH_BACKLOG")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 10_000 || n > maxBatch {
		b.Fatalf("BENCH_BACKLOG is %q, want a number from 10000 to %d", text, maxBatch)
	}
	return n
}
