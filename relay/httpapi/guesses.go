package httpapi

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxGuesses is how many wrong admin tokens an address may send in guessWindow.
	maxGuesses  = 10
	guessWindow = time.Minute
	// maxGuessers bounds the memory. Above it newcomers share one count, so that many addresses buy nobody more tries.
	maxGuessers = 4096
)

// guesses counts the wrong admin tokens of each address.
type guesses struct {
	mu sync.Mutex
	by map[netip.Prefix]*guesser
}

// guesser is one address's count since the first wrong token of its window.
type guesser struct {
	since time.Time
	wrong int
}

func newGuesses() *guesses { return &guesses{by: map[netip.Prefix]*guesser{}} }

// block returns how long the address is to be turned away from now; 0: not at all.
func (g *guesses) block(addr netip.Addr, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	one := g.by[g.slot(addr)]
	if one == nil || one.wrong < maxGuesses {
		return 0
	}
	return max(0, one.since.Add(guessWindow).Sub(now))
}

// wrong counts a wrong token.
func (g *guesses) wrong(addr netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.by) >= maxGuessers {
		g.forget(now)
	}
	slot := g.slot(addr)
	one := g.by[slot]
	if one == nil || now.Sub(one.since) >= guessWindow {
		one = &guesser{since: now}
		g.by[slot] = one
	}
	one.wrong++
}

// slot is under what an address is counted: itself, an IPv6 one with its whole /64, which one host owns; and while the
// memory is full, a newcomer with all others.
func (g *guesses) slot(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	slot, err := addr.Prefix(bits)
	if _, known := g.by[slot]; err != nil || !known && len(g.by) >= maxGuessers {
		return netip.Prefix{}
	}
	return slot
}

// forget drops the counts whose window is over.
func (g *guesses) forget(now time.Time) {
	for slot, one := range g.by {
		if now.Sub(one.since) >= guessWindow {
			delete(g.by, slot)
		}
	}
}
