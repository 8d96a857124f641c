package dedupetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/imrelay/imrelay/dedupe"
)

// What no piece of an export may have more of.
const (
	pieceRows  = 1000
	pieceBytes = 8 << 20
)

// RunMove checks that a ledger's rows, taken over by another, behave there as they did: from makes the ledgers that are
// moved, which are [dedupe.Exporter]s, to those that they are moved into, which are [dedupe.Importer]s and Exporters. The
// clocks of both have to begin at the same time, as [NewClock] does.
func RunMove(t *testing.T, from, to Harness) {
	t.Helper()
	for _, c := range moveChecks() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := Settings{Window: window, Lease: lease}
			c.run(&mover{probe: &probe{T: t, Subject: from(t, s)}, target: to(t, s)})
		})
	}
}

type moveCheck struct {
	name string
	run  func(m *mover)
}

// mover is a probe whose store is the one to be moved, and after move the one that it was moved into.
type mover struct {
	*probe

	target Subject
	pieces [][]dedupe.Stored
}

// pass lets time pass for both.
func (m *mover) pass(d time.Duration) {
	m.Advance(d)
	if m.target.Advance != nil {
		m.target.Advance(d)
	}
}

// export returns the pieces that the store hands out.
func (m *mover) export() [][]dedupe.Stored {
	m.Helper()
	e, ok := m.Store.(dedupe.Exporter)
	if !ok {
		m.Fatalf("%T is no Exporter", m.Store)
	}
	var pieces [][]dedupe.Stored
	m.must("export", e.Export(m.Context(), func(rows []dedupe.Stored) error {
		pieces = append(pieces, rows)
		return nil
	}))
	return pieces
}

// load imports the pieces into the store.
func (m *mover) load(s dedupe.Store) {
	m.Helper()
	i, ok := s.(dedupe.Importer)
	if !ok {
		m.Fatalf("%T is no Importer", s)
	}
	for _, p := range m.pieces {
		m.must("import", i.Import(m.Context(), p))
	}
}

// move moves the rows: from here on the probe's store is the target.
func (m *mover) move() {
	m.Helper()
	m.pieces = m.export()
	m.load(m.target.Store)
	was := manifest(m.pieces)
	m.Subject, m.target = m.target, Subject{}
	if got := manifest(m.export()); !slices.Equal(got, was) {
		m.Fatalf("rows of the target: got\n%q, want\n%q", got, was)
	}
}

// manifest is what the rows say, in an order of its own.
func manifest(pieces [][]dedupe.Stored) []string {
	var all []string
	for _, rows := range pieces {
		for _, r := range rows {
			over := int64(0)
			if !r.Over.IsZero() {
				over = r.Over.UnixMilli()
			}
			all = append(all, fmt.Sprintf("%q %q %q %q %x %v token %d record %s payload %s of %d until %d", r.Owner, r.Key, r.ID,
				r.Lane, r.Digest, r.Status, r.Token, brief(r.Record), brief(r.Payload), r.Accepted.UnixMilli(), over))
		}
	}
	slices.Sort(all)
	return all
}

// brief is short for bytes of any length, and another for others.
func brief(b []byte) string {
	switch {
	case b == nil:
		return "none"
	case len(b) <= 64:
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b))
}

func moveChecks() []moveCheck {
	return append([]moveCheck{
		{"background sends wait in their order", moveWaiting},
		{"a background send that was taken waits again", func(m *mover) {
			m.claim(queued("k", "lane"), dedupe.Waiting)
			m.claim(queued("next", "lane"), dedupe.Waiting)
			e := m.take(1, "k")[0]
			m.start(e, "1 under way")
			m.note(e, "1 sent")
			m.move()
			again := m.take(5, "k")[0]
			m.wantRecord(again, "1 sent")
			if string(again.Payload) != "payload of k" {
				m.Fatalf("payload: got %q, want what was queued", again.Payload)
			}
			m.finish(again, dedupe.Done, "sent")
			m.take(5, "next")
		}},
		{"a claim that was not started is gone", func(m *mover) {
			m.claim(syncClaim("k"), dedupe.Claimed)
			m.move()
			m.findNone("openclaw", "msg_k")
			m.claim(with(syncClaim("k"), otherContent), dedupe.Claimed)
		}},
		{"a row is over when it was", moveWindows},
		{"what is over is left behind", func(m *mover) {
			m.finish(m.claim(syncClaim("k"), dedupe.Claimed), dedupe.Done, "sent")
			m.pass(window)
			m.move()
			m.claim(with(syncClaim("k"), otherContent), dedupe.Claimed)
		}},
		{"what waits is never over", func(m *mover) {
			m.claim(queued("k", "lane"), dedupe.Waiting)
			m.pass(window - time.Hour)
			m.move()
			m.pass(10 * window)
			m.must("sweep", m.Store.Sweep(m.Context()))
			m.claim(with(queued("k", "lane"), otherContent), dedupe.Conflict)
			m.take(1, "k")
		}},
		{"the same key of two owners is two", func(m *mover) {
			theirs := with(syncClaim("k"), func(c *dedupe.Claim) { c.Owner, c.ID = "astrbot", "msg_theirs" })
			m.finish(m.claim(syncClaim("k"), dedupe.Claimed), dedupe.Done, "ours")
			m.finish(m.claim(theirs, dedupe.Claimed), dedupe.Done, "theirs")
			m.move()
			m.claimRecord(syncClaim("k"), dedupe.Done, "ours")
			m.claimRecord(theirs, dedupe.Done, "theirs")
			m.findNone("astrbot", "msg_k")
		}},
		{"a second import changes nothing", moveTwice},
		{"what was done since is not undone by an import", moveAgain},
		{"a piece is bounded", moveBounds},
		{"an export stops at an error", moveStops},
	}, endChecks()...)
}

// endChecks move a row in every state that it can be in when nobody holds it.
func endChecks() []moveCheck {
	held := func(m *mover) dedupe.Entry { return m.claim(syncClaim("k"), dedupe.Claimed) }
	cases := []struct {
		name   string
		reach  func(m *mover)
		status dedupe.Status
		claim  dedupe.Status
		record string
	}{
		{"started", func(m *mover) { m.start(held(m), "under way") }, dedupe.Unknown, dedupe.Unknown, "under way"},
		{"done", func(m *mover) { m.finish(held(m), dedupe.Done, "sent") }, dedupe.Done, dedupe.Done, "sent"},
		{"done, without a record", func(m *mover) { m.finish(held(m), dedupe.Done, "") }, dedupe.Done, dedupe.Done, ""},
		{"unknown", func(m *mover) { m.finish(held(m), dedupe.Unknown, "lost") }, dedupe.Unknown, dedupe.Unknown, "lost"},
		{"failed", func(m *mover) { m.finish(held(m), dedupe.Failed, "no") }, dedupe.Failed, dedupe.Claimed, "no"},
		{"released with a record", func(m *mover) { m.release(held(m), "1 sent") }, dedupe.Failed, dedupe.Claimed, "1 sent"},
		{"waiting", func(m *mover) { m.claim(queued("k", "lane"), dedupe.Waiting) }, dedupe.Waiting, dedupe.Waiting, ""},
	}
	checks := make([]moveCheck, 0, len(cases))
	for _, c := range cases {
		checks = append(checks, moveCheck{"a row that is " + c.name, func(m *mover) {
			c.reach(m)
			m.pass(time.Hour)
			m.move()
			m.wantRecord(m.find("msg_k", c.status), c.record)
			m.findNone("astrbot", "msg_k")
			m.claim(with(syncClaim("k"), otherContent), dedupe.Conflict)
			e := m.claimRecord(syncClaim("k"), c.claim, c.record)
			if c.status == dedupe.Unknown {
				e = m.claimRecord(with(syncClaim("k"), resend), dedupe.Claimed, c.record)
			}
			if e.Status == dedupe.Claimed {
				m.start(e, "again")
				m.finish(e, dedupe.Done, "sent after all")
				m.claimRecord(syncClaim("k"), dedupe.Done, "sent after all")
			}
		}})
	}
	return checks
}

func moveWaiting(m *mover) {
	for _, key := range []string{"c", "a", "b"} {
		m.claim(queued(key, "lane of "+key), dedupe.Waiting)
	}
	m.claim(queued("d", "lane of c"), dedupe.Waiting)
	odd := with(queued("e", "lane of b"), func(c *dedupe.Claim) { c.Payload = big() })
	m.claim(odd, dedupe.Waiting)
	m.move()
	m.claim(queued("late", "lane of a"), dedupe.Waiting)
	m.waiting(6)
	first := m.take(3, "c", "a", "b")
	m.take(3)
	for _, e := range first {
		m.finish(e, dedupe.Done, "sent")
	}
	last := m.take(5, "d", "e", "late")
	if !bytes.Equal(last[1].Payload, odd.Payload) {
		m.Fatalf("payload: got %d bytes, want the %d that were queued", len(last[1].Payload), len(odd.Payload))
	}
	m.waiting(0)
}

func moveWindows(m *mover) {
	m.finish(m.claim(syncClaim("early"), dedupe.Claimed), dedupe.Done, "sent")
	m.pass(10 * time.Hour)
	m.finish(m.claim(syncClaim("late"), dedupe.Claimed), dedupe.Unknown, "lost")
	m.pass(time.Hour)
	m.move()
	m.pass(window - 11*time.Hour - time.Second)
	m.must("sweep", m.Store.Sweep(m.Context()))
	m.claimRecord(syncClaim("early"), dedupe.Done, "sent")
	m.pass(time.Second)
	m.claim(with(syncClaim("early"), otherContent), dedupe.Claimed)
	m.pass(10*time.Hour - time.Second)
	m.must("sweep", m.Store.Sweep(m.Context()))
	m.claimRecord(syncClaim("late"), dedupe.Unknown, "lost")
	m.pass(time.Second)
	m.findNone("openclaw", "msg_late")
	m.claim(with(syncClaim("late"), otherContent), dedupe.Claimed)
}

func moveTwice(m *mover) {
	m.finish(m.claim(syncClaim("done"), dedupe.Claimed), dedupe.Done, "sent")
	m.release(m.claim(syncClaim("released"), dedupe.Claimed), "1 sent")
	m.claim(queued("a", "lane"), dedupe.Waiting)
	m.claim(queued("b", "lane"), dedupe.Waiting)
	m.move()
	was := manifest(m.export())
	m.load(m.Store)
	if got := manifest(m.export()); !slices.Equal(got, was) {
		m.Fatalf("after a second import: got\n%q, want\n%q", got, was)
	}
	m.waiting(2)
	m.finish(m.take(5, "a")[0], dedupe.Done, "sent")
	m.finish(m.take(5, "b")[0], dedupe.Done, "sent")
	m.take(5)
}

func moveAgain(m *mover) {
	m.start(m.claim(syncClaim("k"), dedupe.Claimed), "under way")
	m.claim(queued("a", "lane"), dedupe.Waiting)
	m.move()
	m.finish(m.claim(with(syncClaim("k"), resend), dedupe.Claimed), dedupe.Done, "sent")
	m.finish(m.take(1, "a")[0], dedupe.Done, "sent too")
	m.load(m.Store)
	m.claimRecord(syncClaim("k"), dedupe.Done, "sent")
	m.claimRecord(queued("a", "lane"), dedupe.Done, "sent too")
	m.take(1)
	m.waiting(0)
}

func moveBounds(m *mover) {
	const many, large = pieceRows + pieceRows/10, 12
	for i := range many {
		m.claim(queued(fmt.Sprint("k", i), fmt.Sprint("lane ", i)), dedupe.Waiting)
	}
	for i := range large {
		m.claim(with(queued(fmt.Sprint("large", i), "lane"), func(c *dedupe.Claim) { c.Payload = make([]byte, pieceBytes/8) }), dedupe.Waiting)
	}
	m.move()
	for i, rows := range m.pieces {
		size := 0
		for _, r := range rows {
			size += len(r.Payload) + len(r.Record)
		}
		if len(rows) > pieceRows || size > pieceBytes && len(rows) > 1 {
			m.Errorf("piece %d: got %d rows, %d bytes, want at most %d and %d", i, len(rows), size, pieceRows, pieceBytes)
		}
	}
	m.waiting(many + large)
}

var errFull = errors.New("the hold is full")

func moveStops(m *mover) {
	m.claim(queued("k", "lane"), dedupe.Waiting)
	e, ok := m.Store.(dedupe.Exporter)
	if !ok {
		m.Fatalf("%T is no Exporter", m.Store)
	}
	if err := e.Export(m.Context(), func([]dedupe.Stored) error { return errFull }); !errors.Is(err, errFull) {
		m.Errorf("export: got %v, want %v", err, errFull)
	}
}
