package sqlitequeue

// filter says of a key "surely not in" or "perhaps in". It grows with what is added, by further layers, up to a bound;
// beyond it nearly every answer becomes "perhaps", which costs time and nothing else.
type filter struct {
	layers []layer
	// ready says that every key of the table was added.
	ready bool
	// keys counts what was added.
	keys int
}

type layer struct {
	bits []uint64
	room int // how many more keys it is made for
}

const (
	firstLayer = 1 << 14 // keys
	maxLayers  = 8       // the last has 2 M keys; 5 MiB in all
	keyBits    = 10
	probes     = 5
)

func (f *filter) add(k key) {
	f.keys++
	if n := len(f.layers); n == 0 || f.layers[n-1].room == 0 && n < maxLayers {
		keys := firstLayer << n
		f.layers = append(f.layers, layer{bits: make([]uint64, keys*keyBits/64), room: keys})
	}
	l := &f.layers[len(f.layers)-1]
	l.room = max(0, l.room-1)
	n := uint64(len(l.bits) * 64)
	for i := range uint64(probes) {
		bit := (k.hi + i*(k.lo|1)) % n
		l.bits[bit/64] |= 1 << (bit % 64)
	}
}

func (f *filter) perhaps(k key) bool {
	if !f.ready {
		return true
	}
	for i := range f.layers {
		if f.layers[i].perhaps(k) {
			return true
		}
	}
	return false
}

func (l *layer) perhaps(k key) bool {
	n := uint64(len(l.bits) * 64)
	for i := range uint64(probes) {
		bit := (k.hi + i*(k.lo|1)) % n
		if l.bits[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}
