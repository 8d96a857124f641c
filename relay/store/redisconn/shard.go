package redisconn

import (
	"hash/fnv"
	"strconv"
)

// Shard is one part of the data. All keys of a shard share a hash tag, so that a script may touch them together and a
// Cluster keeps them on one node.
type Shard struct {
	n      int
	prefix string
}

// Index is the shard's number, from 0.
func (s Shard) Index() int { return s.n }

// Prefix is what all keys of the shard begin with.
func (s Shard) Prefix() string { return s.prefix }

// Key is the full name of one of the shard's keys.
func (s Shard) Key(name string) string { return s.prefix + name }

// shards makes the n shards of a layout. The number is part of the tag, so that two layouts can stand side by side. The
// i-th falls into the i-th of n equal parts of a Cluster's slots, so that its masters have as many each: plain numbers
// fall together, and some masters would have none.
func shards(n int) []Shard {
	all := make([]Shard, n)
	for i := range all {
		tag := "imrelay:" + strconv.Itoa(n) + "." + strconv.Itoa(i)
		for try, name := 0, tag; slot(tag)*n/slots != i; try++ {
			tag = name + "-" + strconv.FormatInt(int64(try), 36)
		}
		all[i] = Shard{n: i, prefix: "{" + tag + "}:"}
	}
	return all
}

// slots is how many parts a Cluster divides its keys into.
const slots = 16384

// slot is the part that keys with the tag fall to: its CRC-16, XMODEM's.
func slot(tag string) int {
	crc := uint16(0)
	for _, b := range []byte(tag) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % slots
}

// place is which of n shards the parts belong to.
func place(n int, parts ...string) int {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
		_, _ = h.Write([]byte{0})
	}
	sum := h.Sum64()
	// FNV's low bits alone spread short names badly.
	return int((sum ^ sum>>32) % uint64(n)) //nolint:gosec // below n
}
