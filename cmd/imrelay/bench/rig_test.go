package bench

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"
)

const (
	// rounds is how often relay and rival are loaded in turn.
	rounds = 3
	// length is how long one of them is loaded.
	length = 1200 * time.Millisecond
	// warmUp is how long each is loaded before the first round.
	warmUp = 300 * time.Millisecond
	// conversations is how many the messages are spread over.
	conversations = 1000
	// small and large are the sizes of bodies.
	small, large = 1 << 10, 100 << 10
	// crowded is the foreign share of the machine above which a round does not count.
	crowded = 0.25
)

var numbers ids

// rig is the relay and its rival in front of one sink.
type rig struct {
	tb    testing.TB
	sink  *sink
	relay *relay
	rival server
	// back is what the relay's store is on.
	back *backing
}

// newRig has nginx as the rival.
func newRig(tb testing.TB, st store) *rig {
	tb.Helper()
	s, back := startSink(tb), st.open(tb)
	r := &rig{tb: tb, sink: s, back: back, relay: startRelay(tb, s, back), rival: startRival(tb, s)}
	results.compared(r.rival.name)
	return r
}

// newPair has a relay with the embedded store as the rival.
func newPair(tb testing.TB, st store) *rig {
	tb.Helper()
	s, back := startSink(tb), st.open(tb)
	rival := startRelay(tb, s, embedded.open(tb))
	rival.name = embedded.name
	return &rig{tb: tb, sink: s, back: back, relay: startRelay(tb, s, back), rival: rival.server}
}

// slot is what one run came to and what it cost.
type slot struct {
	outcome
	name    string // the server's
	batch   *batch
	rate    float64 // messages a second
	cpu     float64 // the server's, in µs a message
	store   float64 // that of what keeps its data
	foreign float64 // the share of the machine that others had
}

// run loads a server with messages of a new batch.
func (r *rig) run(s server, shape shape, l load) slot {
	r.tb.Helper()
	b := newBatch(numbers.take(), shape, conversations, l.conns)
	b.signed = s.signs && shape.mark == nil
	return r.runBatch(s, b, l)
}

func (r *rig) runBatch(s server, b *batch, l load) slot {
	r.tb.Helper()
	l.addr, l.batch = s.addr, b
	r.sink.batch.Store(b)
	before := look(s)
	o, err := l.run()
	if err != nil {
		r.tb.Fatalf("%s: %v", s.name, err)
	}
	used := look(s).since(before)
	return slot{
		name: s.name, outcome: o, batch: b, rate: o.perSecond(), cpu: each(used.server, o.sent), store: each(used.store, o.sent),
		foreign: used.foreign(o.took),
	}
}

// each is a time spread over messages, in µs.
func each(whole time.Duration, messages int64) float64 {
	return float64(whole.Microseconds()) / float64(max(messages, 1))
}

// foreign is the share of the machine that neither the server, nor its store, nor this process had.
func (u usage) foreign(took time.Duration) float64 {
	whole := took.Seconds() * float64(runtime.NumCPU())
	return max(0, (u.host-u.self-u.server-u.store).Seconds()/whole)
}

// delivered waits until all of a run has reached the sink, and fails the test if it did not, each once and unchanged.
func (r *rig) delivered(s slot) slot {
	r.tb.Helper()
	s.batch.await(s.sent)
	if err := s.batch.fault(s.sent); err != nil {
		r.tb.Fatal(err)
	}
	return s
}

// through is a run that the server passes on before it answers.
func (r *rig) through(s server, shape shape, l load) slot {
	r.tb.Helper()
	return r.delivered(r.run(s, shape, l))
}

// round is one turn of both.
type round struct{ ours, theirs slot }

// compete runs both in turn, after a warm-up that does not count.
func compete(ours, theirs func(length time.Duration) slot) contest {
	ours(warmUp)
	theirs(warmUp)
	c := make(contest, 0, rounds)
	for i := range rounds {
		if i%2 == 0 {
			t := theirs(length)
			c = append(c, round{ours(length), t})
		} else {
			o := ours(length)
			c = append(c, round{o, theirs(length)})
		}
	}
	return c
}

// contest is all rounds.
type contest []round

// quiet are the rounds in which the machine was ours; all, if it never was.
func (c contest) quiet() contest {
	q := slices.DeleteFunc(slices.Clone(c), func(r round) bool { return max(r.ours.foreign, r.theirs.foreign) > crowded })
	if len(q) == 0 {
		return c
	}
	return q
}

// median is that of a figure of each round.
func (c contest) median(of func(r round) float64) float64 {
	values := make([]float64, len(c))
	for i, r := range c {
		values[i] = of(r)
	}
	return median(values)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// throughput makes a line of the ratio of the rates, which is told to the benchmark too.
func (c contest) throughput(b *testing.B, goal, what string, atLeast float64) {
	b.Helper()
	q := c.quiet()
	row := result{
		goal: goal, what: what, atLeast: atLeast, rival: q[0].theirs.name,
		value:    q.median(func(r round) float64 { return r.ours.rate / r.theirs.rate }),
		ours:     perSecond(q.median(func(r round) float64 { return r.ours.rate })),
		theirs:   perSecond(q.median(func(r round) float64 { return r.theirs.rate })),
		cpu:      q.median(func(r round) float64 { return r.ours.cpu }),
		storeCPU: q.median(func(r round) float64 { return r.ours.store }),
		rivalCPU: q.median(func(r round) float64 { return r.theirs.cpu }),
		foreign:  q.median(func(r round) float64 { return max(r.ours.foreign, r.theirs.foreign) }),
	}
	results.add(row)
	tell(b, row.value, "ratio")
	b.ReportMetric(q.median(func(r round) float64 { return r.ours.rate }), "msg/s")
}

// cost makes a line of the ratio of the CPU times.
func (c contest) cost(b *testing.B, goal, what string, atMost float64) {
	b.Helper()
	q := c.quiet()
	value := q.median(func(r round) float64 {
		if r.theirs.cpu == 0 {
			return 0
		}
		return r.ours.cpu / r.theirs.cpu
	})
	if value == 0 {
		return // notes say that CPU is not measured here
	}
	results.add(result{
		goal: goal, what: what, atMost: atMost, value: value,
		cpu:      q.median(func(r round) float64 { return r.ours.cpu }),
		storeCPU: q.median(func(r round) float64 { return r.ours.store }),
		rivalCPU: q.median(func(r round) float64 { return r.theirs.cpu }),
		foreign:  q.median(func(r round) float64 { return max(r.ours.foreign, r.theirs.foreign) }),
	})
	b.ReportMetric(value, "cpu-ratio")
}

// tell reports a figure in place of the time of the whole benchmark, which says nothing.
func tell(b *testing.B, value float64, unit string) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(value, unit)
}

func perSecond(rate float64) string { return fmt.Sprintf("%.0f/s", rate) }

// passed is a run whose requests are answered by the agent, or by the relay once the agent has answered.
func passed(conns int, d time.Duration) load {
	return load{conns: conns, length: d, want: http.StatusOK, wantText: `"ok":true`}
}

// queued is a run whose requests are answered once they are durable.
func queued(conns int, d time.Duration) load {
	return load{conns: conns, length: d, want: http.StatusAccepted, wantText: `"queued":true`}
}

// sent is a run whose requests are answered by the IM, or by the relay once the IM has answered.
func sent(conns int, d time.Duration) load {
	return load{conns: conns, length: d, want: http.StatusOK, wantText: `"messageId":"`}
}
