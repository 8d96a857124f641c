package bench

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

// BenchmarkBacklog is how much slower the relay is with a mountain of messages waiting, and how it climbs down. A tenth
// as many conversations as messages wait.
func BenchmarkBacklog(b *testing.B) {
	waiting := backlog(b)
	for _, st := range safe {
		b.Run(st.name, func(b *testing.B) { newRig(b, st).mountain(b, st, waiting) })
	}
}

func (r *rig) mountain(b *testing.B, st store, waiting int) {
	b.Helper()
	h := &heap{rig: r, batch: newBatch(numbers.take(), async(), waiting/10, 64)}
	h.batch.signed = true
	var lowIn, lowOut, highIn []float64
	for range rounds {
		r.relay.pause()
		lowIn = append(lowIn, h.grow(heapStep))
		lowOut = append(lowOut, h.drain())
	}
	r.relay.pause()
	before := look(r.relay.server)
	h.grow(waiting)
	for range rounds {
		highIn = append(highIn, h.grow(heapStep))
	}
	_, peak := memory(r.relay.pids[0])
	stored := r.back.memory()
	used := look(r.relay.server)
	foreign := used.since(before).foreign(used.at.Sub(before.at))

	h.relay = r.relay.again(r.sink)
	opened := h.relay.ready
	highOut := h.drain()
	_, later := memory(h.relay.pids[0])
	h.report(b, st, heapRates{
		in: median(highIn), emptyIn: median(lowIn), out: highOut, emptyOut: median(lowOut),
		opened: opened, peak: max(peak, later), stored: stored, foreign: foreign, waiting: waiting,
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
	peak, stored, foreign      float64
	waiting                    int
}

func (h *heap) report(b *testing.B, st store, v heapRates) {
	b.Helper()
	heaped := st.of(fmt.Sprintf("with %d waiting", v.waiting))
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
	if v.stored > 0 {
		results.add(result{goal: "-", what: "memory of the Redis " + heaped, value: v.stored, unit: " MB"})
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
