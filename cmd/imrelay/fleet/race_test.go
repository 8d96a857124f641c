//go:build race

package fleet_test

// slowdown is by how much the relays are slower than they are released: the race detector's part.
const slowdown = 3
