package sqlitededupe

// filter tells the keys that surely have no row from those that may have one, so that the claim of a new key, which is
// nearly every claim, need not read. It has one bit a key and never forgets while the process lives: a million keys make
// one new key in eight be looked up all the same.
type filter struct{ bits []uint64 }

const filterBits = 23 // 1 MiB, of which only what is touched is in memory

func newFilter() filter { return filter{bits: make([]uint64, 1<<filterBits/64)} }

func (f filter) place(hash int64) (word, bit uint64) {
	n := uint64(hash) >> (64 - filterBits) //nolint:gosec // any bits will do
	return n / 64, 1 << (n % 64)
}

func (f filter) add(hash int64) {
	word, bit := f.place(hash)
	f.bits[word] |= bit
}

func (f filter) has(hash int64) bool {
	word, bit := f.place(hash)
	return f.bits[word]&bit != 0
}
