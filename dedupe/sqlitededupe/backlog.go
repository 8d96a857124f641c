package sqlitededupe

import (
	"container/heap"
	"slices"
)

// backlog knows the rows that wait, by their number. It is guarded by the ledger's mu. The zero value is empty.
type backlog struct {
	lanes map[string]*lane
	ready heads
	count int
}

// lane is the rows of one lane that wait, in order. While one of them is held the lane is busy, and not among the ready.
type lane struct {
	name  string
	seqs  []uint64
	busy  bool
	place int // in ready; -1: it is not there
}

// add puts the row into its place in the lane.
func (b *backlog) add(name string, seq uint64) {
	if b.lanes == nil {
		b.lanes = map[string]*lane{}
	}
	l := b.lanes[name]
	if l == nil {
		l = &lane{name: name, place: -1}
		b.lanes[name] = l
	}
	i, _ := slices.BinarySearch(l.seqs, seq)
	l.seqs = slices.Insert(l.seqs, i, seq)
	b.count++
	b.settle(l)
}

// next takes the row that was accepted first out of the lanes that are not busy, and makes its lane busy.
func (b *backlog) next() (lane string, seq uint64, ok bool) {
	if len(b.ready) == 0 {
		return "", 0, false
	}
	l := b.ready[0]
	seq, l.seqs, l.busy = l.seqs[0], l.seqs[1:], true
	b.count--
	b.settle(l)
	return l.name, seq, true
}

// free ends what next began.
func (b *backlog) free(name string) {
	if l := b.lanes[name]; l != nil {
		l.busy = false
		b.settle(l)
	}
}

// settle brings the lane to where it belongs.
func (b *backlog) settle(l *lane) {
	switch ready := !l.busy && len(l.seqs) > 0; {
	case ready && l.place >= 0:
		heap.Fix(&b.ready, l.place)
	case ready:
		heap.Push(&b.ready, l)
	case l.place >= 0:
		heap.Remove(&b.ready, l.place)
	}
	if !l.busy && len(l.seqs) == 0 {
		delete(b.lanes, l.name)
	}
}

// heads is a heap of the ready lanes by the number of their first row.
type heads []*lane

var _ heap.Interface = (*heads)(nil)

func (h heads) Len() int { return len(h) }

func (h heads) Less(i, j int) bool { return h[i].seqs[0] < h[j].seqs[0] }

func (h heads) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *heads) Push(x any) {
	l, _ := x.(*lane)
	l.place = len(*h)
	*h = append(*h, l)
}

func (h *heads) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.place = -1
	return l
}
