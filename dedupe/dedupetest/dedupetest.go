// Package dedupetest is the conformance suite of [dedupe.Store]: every implementation runs it, so that a sender behaves
// alike over all of them. It knows nothing of how rows are kept; what only one implementation can show (a killed
// process, the rows of a table) belongs in that implementation's own tests.
package dedupetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
)

// Settings are what the suite wants of a store.
type Settings struct {
	// Window is how long a finished row is kept.
	Window time.Duration
	// Lease is how long a claim lasts unless it is renewed.
	Lease time.Duration
}

// Subject is a store under test, and what the suite does to it from outside.
type Subject struct {
	// Store is the store, empty at first.
	Store dedupe.Store
	// Reopen closes the store and opens its data again.
	Reopen func() dedupe.Store
	// Crash drops the store without closing it, opens its data again, and sees to it that the claims of the dropped
	// one have no holder any more: where that takes a lapsed lease, it advances the clock by a lease and a bit.
	Crash func() dedupe.Store
	// Advance moves the store's clock.
	Advance func(d time.Duration)
}

// Harness makes a new, empty subject. What it needs to undo it leaves to t.Cleanup.
type Harness func(t *testing.T, s Settings) Subject

// Clock is a clock that stands still until it is advanced. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at a fixed time.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, time.March, 14, 9, 26, 53, 0, time.UTC)}
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// What every check runs with: the window is much longer than the lease, so that a lapse is no expiry.
const (
	window = 48 * time.Hour
	lease  = 10 * time.Second
)

// check is one promise of the interface.
type check struct {
	name string
	run  func(p *probe)
}

// Run checks every promise of [dedupe.Store], each on a subject of its own, in parallel.
func Run(t *testing.T, open Harness) {
	t.Helper()
	groups := []struct {
		name   string
		checks []check
	}{
		{"claim", claimChecks()},
		{"settle", settleChecks()},
		{"fence", fenceChecks()},
		{"window", windowChecks()},
		{"lease", leaseChecks()},
		{"crash", crashChecks()},
		{"mailbox", mailboxChecks()},
		{"mixed", mixedChecks()},
		{"store", storeChecks()},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range g.checks {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(&probe{T: t, Subject: open(t, Settings{Window: window, Lease: lease})})
				})
			}
		})
	}
}

// probe is a subject with shorthands that fail the test on any error.
type probe struct {
	*testing.T
	Subject
}

// reopen goes on with the reopened store.
func (p *probe) reopen() {
	p.Helper()
	p.Store = p.Reopen()
}

// crash goes on with what a crash left.
func (p *probe) crash() {
	p.Helper()
	p.Store = p.Crash()
}

// lapse lets every lease end.
func (p *probe) lapse() { p.Advance(lease + time.Second) }

// syncClaim is a claim of the key for a send whose caller waits.
func syncClaim(key string) dedupe.Claim {
	return dedupe.Claim{
		Owner: "openclaw", Key: key, ID: "msg_" + key, Lane: "wechat/wxid_alice", Digest: sha256.Sum256([]byte(key)),
	}
}

// queued is a claim of the key for a background send.
func queued(key, lane string) dedupe.Claim {
	c := syncClaim(key)
	c.Lane = lane
	c.Payload = []byte("payload of " + key)
	return c
}

// with returns the claim changed by f.
func with(c dedupe.Claim, f func(*dedupe.Claim)) dedupe.Claim {
	f(&c)
	return c
}

func resend(c *dedupe.Claim)       { c.Resend = true }
func otherContent(c *dedupe.Claim) { c.Digest = sha256.Sum256([]byte("other content")) }

// claim claims and wants the status.
func (p *probe) claim(c dedupe.Claim, want dedupe.Status) dedupe.Entry {
	p.Helper()
	e, err := p.Store.Claim(p.Context(), c)
	if err != nil {
		p.Fatalf("claim %s: %v", c.Key, err)
	}
	if e.Status != want {
		p.Fatalf("claim %s: got %v, want %v", c.Key, e.Status, want)
	}
	if (e.Token != 0) != (want == dedupe.Claimed) {
		p.Fatalf("claim %s: token %d goes with %v, want one with claimed and only then", c.Key, e.Token, e.Status)
	}
	return e
}

// claimRecord claims, and wants the status and the record.
func (p *probe) claimRecord(c dedupe.Claim, want dedupe.Status, record string) dedupe.Entry {
	p.Helper()
	e := p.claim(c, want)
	p.wantRecord(e, record)
	return e
}

// wantRecord compares the record; empty means none.
func (p *probe) wantRecord(e dedupe.Entry, want string) {
	p.Helper()
	if string(e.Record) != want {
		p.Fatalf("record of %s: got %q, want %q", e.Key, e.Record, want)
	}
}

func (p *probe) start(e dedupe.Entry, record string) {
	p.Helper()
	p.must("start", p.Store.Start(p.Context(), e, bytesOf(record)))
}

func (p *probe) note(e dedupe.Entry, record string) {
	p.Helper()
	p.must("note", p.Store.Note(p.Context(), e, bytesOf(record)))
}

func (p *probe) finish(e dedupe.Entry, s dedupe.Status, record string) {
	p.Helper()
	p.must("finish", p.Store.Finish(p.Context(), e, s, bytesOf(record)))
}

// release releases with the record; empty means nil.
func (p *probe) release(e dedupe.Entry, record string) {
	p.Helper()
	p.must("release", p.Store.Release(p.Context(), e, bytesOf(record)))
}

// take takes and wants exactly these keys, in this order.
func (p *probe) take(limit int, keys ...string) []dedupe.Entry {
	p.Helper()
	es, err := p.Store.Take(p.Context(), limit)
	p.must("take", err)
	got := make([]string, 0, len(es))
	for _, e := range es {
		got = append(got, e.Key)
		if e.Status != dedupe.Claimed || e.Token == 0 {
			p.Fatalf("take: %s came as %v with token %d, want claimed with a token", e.Key, e.Status, e.Token)
		}
	}
	if !slices.Equal(got, keys) {
		p.Fatalf("take %d: got %v, want %v", limit, got, keys)
	}
	return es
}

// find finds the owner's row and wants the status.
func (p *probe) find(id string, want dedupe.Status) dedupe.Entry {
	p.Helper()
	e, err := p.Store.Find(p.Context(), "openclaw", id)
	p.must("find "+id, err)
	if e.Status != want || e.ID != id {
		p.Fatalf("find %s: got %s %v, want %v", id, e.ID, e.Status, want)
	}
	if e.Token != 0 {
		p.Fatalf("find %s: got token %d, want none", id, e.Token)
	}
	return e
}

// findNone wants ErrNotFound.
func (p *probe) findNone(owner, id string) {
	p.Helper()
	if e, err := p.Store.Find(p.Context(), owner, id); !errors.Is(err, dedupe.ErrNotFound) {
		p.Fatalf("find %s of %s: got %v, %v; want ErrNotFound", id, owner, e.Status, err)
	}
}

// waiting wants the count.
func (p *probe) waiting(want int) {
	p.Helper()
	n, err := p.Store.Waiting(p.Context())
	p.must("waiting", err)
	if n != want {
		p.Fatalf("waiting: got %d, want %d", n, want)
	}
}

func (p *probe) must(what string, err error) {
	p.Helper()
	if err != nil {
		p.Fatalf("%s: %v", what, err)
	}
}

// lost wants ErrLost.
func (p *probe) lost(what string, err error) {
	p.Helper()
	if !errors.Is(err, dedupe.ErrLost) {
		p.Fatalf("%s: got %v, want ErrLost", what, err)
	}
}

func bytesOf(record string) []byte {
	if record == "" {
		return nil
	}
	return []byte(record)
}

// big is a record or payload of 64 KiB in which every position counts.
func big() []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 64<<10; i++ {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		b.Write(sum[:])
	}
	return b.Bytes()
}
