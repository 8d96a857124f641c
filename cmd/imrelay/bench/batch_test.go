package bench

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// batch is one run's messages, numbered from 0, and what the sink saw of them. Message n belongs to conversation
// n modulo convs.
type batch struct {
	shape shape
	holes []span
	first uint64 // the id of message 0
	convs uint64
	// signed: each must carry a good signature. timed: the time from SendTs to the sink is kept.
	signed bool
	delays []atomic.Int64

	seen []atomic.Uint64 // a bit each
	last []atomic.Uint64 // a conversation's newest message, plus 1

	count                                         atomic.Int64
	repeats, strays, misplaced, altered, unsigned atomic.Int64
	begun, ended                                  atomic.Int64 // when the first and the last came, in Unix ns
}

// maxBatch is how many messages a batch can have.
const maxBatch = 1 << 21

// ids gives every batch of the process ids of its own.
type ids struct{ next atomic.Uint64 }

// take begins with the time of the run, so that runs on one data folder do not meet either.
func (i *ids) take() uint64 {
	return firstID + uint64(time.Now().UnixMilli()%1e9)*1e9 + i.next.Add(maxBatch)
}

// newBatch makes a batch spread over about so many conversations, of which each belongs to one connection: then requests
// of a conversation never overlap, and their order is known.
func newBatch(first uint64, s shape, convs, conns int) *batch {
	convs = (convs + conns - 1) / conns * conns
	return &batch{
		shape: s, holes: s.holes(), first: first, convs: uint64(convs),
		seen: make([]atomic.Uint64, maxBatch/64), last: make([]atomic.Uint64, convs),
	}
}

// receive takes a body that reached the sink. Which message it was is told; -1: none of ours.
func (b *batch) receive(body []byte, now time.Time) int64 {
	core := b.shape.find(body)
	if core == nil {
		b.strays.Add(1)
		return -1
	}
	n := number(core[b.shape.id.from:b.shape.id.to]) - b.first
	if n >= maxBatch {
		b.strays.Add(1)
		return -1
	}
	conv := number(core[b.shape.conv.from:b.shape.conv.to])
	if conv != n%b.convs || !b.shape.same(core, b.holes) {
		b.altered.Add(1)
		return int64(n)
	}
	if bit := uint64(1) << (n % 64); b.seen[n/64].Or(bit)&bit != 0 {
		b.repeats.Add(1)
		return int64(n)
	}
	if b.last[conv].Swap(n+1) > n {
		b.misplaced.Add(1)
	}
	if int(n) < len(b.delays) {
		b.delays[n].Store(now.UnixNano() - int64(number(core[b.shape.sent.from:b.shape.sent.to])))
	}
	b.begun.CompareAndSwap(0, now.UnixNano())
	b.ended.Store(now.UnixNano())
	b.count.Add(1)
	return int64(n)
}

// fault says what is wrong with what came; sent is how many should have.
func (b *batch) fault(sent int64) error {
	if got := b.count.Load(); got != sent {
		return fmt.Errorf("the sink got %d messages, want %d", got, sent)
	}
	for what, n := range map[string]*atomic.Int64{
		"repeated": &b.repeats, "of another run": &b.strays, "out of order": &b.misplaced, "changed": &b.altered,
		"not signed": &b.unsigned,
	} {
		if n.Load() != 0 {
			return fmt.Errorf("the sink got %d messages that were %s, want none", n.Load(), what)
		}
	}
	return nil
}

// rate is how many messages a second reached the sink, between the first and the last.
func (b *batch) rate() float64 {
	return float64(b.count.Load()-1) / max(time.Duration(b.ended.Load()-b.begun.Load()).Seconds(), 1e-9)
}

// quantile is what the share q of the timed messages stayed below.
func (b *batch) quantile(q float64) time.Duration {
	var ds []time.Duration
	for i := range b.delays {
		if d := b.delays[i].Load(); d != 0 {
			ds = append(ds, time.Duration(d))
		}
	}
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[min(int(q*float64(len(ds))), len(ds)-1)]
}
