package lanes

import "container/heap"

// laneHeap is an index heap of lanes. A lane is in at most one: it knows its place there.
type laneHeap struct {
	lanes []*lane
	less  func(a, b *lane) bool
}

var _ heap.Interface = (*laneHeap)(nil)

// Len implements heap.Interface.
func (h *laneHeap) Len() int { return len(h.lanes) }

// Less implements heap.Interface.
func (h *laneHeap) Less(i, j int) bool { return h.less(h.lanes[i], h.lanes[j]) }

// Swap implements heap.Interface.
func (h *laneHeap) Swap(i, j int) {
	h.lanes[i], h.lanes[j] = h.lanes[j], h.lanes[i]
	h.lanes[i].place, h.lanes[j].place = i, j
}

// Push implements heap.Interface.
func (h *laneHeap) Push(x any) {
	l := x.(*lane)
	l.place = len(h.lanes)
	h.lanes = append(h.lanes, l)
}

// Pop implements heap.Interface.
func (h *laneHeap) Pop() any {
	last := len(h.lanes) - 1
	l := h.lanes[last]
	h.lanes[last] = nil
	h.lanes = h.lanes[:last]
	return l
}

func (h *laneHeap) first() *lane {
	if len(h.lanes) == 0 {
		return nil
	}
	return h.lanes[0]
}

func (h *laneHeap) add(l *lane) {
	heap.Push(h, l)
	l.in = h
}

// leave takes the lane out of the heap it is in.
func (l *lane) leave() {
	if l.in != nil {
		heap.Remove(l.in, l.place)
		l.in = nil
	}
}

func byDue(a, b *lane) bool {
	if a.due != b.due {
		return a.due < b.due
	}
	return a.order < b.order
}

func byHold(a, b *lane) bool { return a.hold < b.hold }

func byExpiry(a, b *lane) bool { return a.lease.expires < b.lease.expires }
