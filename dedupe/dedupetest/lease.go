package dedupetest

import (
	"slices"

	"github.com/imrelay/imrelay/dedupe"
)

// leaseChecks are about holders that are lost while the store lives on.
func leaseChecks() []check {
	return []check{
		{"an abandoned row is what a lost holder leaves", abandoned},
		{"a claimed row that lapses is free", func(p *probe) {
			p.claim(syncClaim("k"), dedupe.Claimed)
			p.lapse()
			p.findNone("openclaw", "msg_k")
			fresh := with(with(syncClaim("k"), otherContent), func(c *dedupe.Claim) { c.ID = "msg_second" })
			if e := p.claimRecord(fresh, dedupe.Claimed, ""); e.ID != fresh.ID {
				p.Fatalf("id: got %q, want the new claim's", e.ID)
			}
		}},
		{"a started row that lapses is unknown, never free", func(p *probe) {
			p.start(p.claim(syncClaim("k"), dedupe.Claimed), "under way")
			p.lapse()
			p.find("msg_k", dedupe.Unknown)
			p.claim(with(syncClaim("k"), otherContent), dedupe.Conflict)
			for range 2 {
				p.claimRecord(syncClaim("k"), dedupe.Unknown, "under way")
				p.lapse()
			}
			p.claimRecord(with(syncClaim("k"), resend), dedupe.Claimed, "under way")
		}},
		{"an earlier record outlives a lapse", func(p *probe) {
			p.release(p.claim(syncClaim("k"), dedupe.Claimed), "1 sent")
			p.claim(syncClaim("k"), dedupe.Claimed)
			p.lapse()
			p.claimRecord(syncClaim("k"), dedupe.Claimed, "1 sent")
		}},
		{"a noted row that lapses goes on from its record", func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.start(e, "1 under way")
			p.note(e, "1 sent")
			p.lapse()
			p.claim(with(syncClaim("k"), otherContent), dedupe.Conflict)
			p.claimRecord(syncClaim("k"), dedupe.Claimed, "1 sent")
		}},
		{"a resend that lapses before its start is unknown again", func(p *probe) {
			p.finish(p.claim(syncClaim("k"), dedupe.Claimed), dedupe.Unknown, "no answer")
			p.claim(with(syncClaim("k"), resend), dedupe.Claimed)
			p.lapse()
			p.claimRecord(syncClaim("k"), dedupe.Unknown, "no answer")
		}},
		{"a late finish tells what is known", func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.start(e, "under way")
			p.lapse()
			p.claim(syncClaim("k"), dedupe.Unknown)
			p.lost("start", p.Store.Start(p.Context(), e, nil))
			p.lost("note", p.Store.Note(p.Context(), e, nil))
			p.lost("release", p.Store.Release(p.Context(), e, nil))
			p.renew([]dedupe.Entry{e})
			p.finish(e, dedupe.Done, "sent")
			p.claimRecord(syncClaim("k"), dedupe.Done, "sent")
			p.refused(e)
		}},
		{"renew keeps a claim", renewKeeps},
		{"a taken row that lapses waits in its old place", func(p *probe) {
			for _, key := range []string{"a", "b"} {
				p.claim(queued(key, "lane"), dedupe.Waiting)
			}
			first := p.take(2, "a")[0]
			p.lapse()
			p.find("msg_a", dedupe.Waiting)
			p.waiting(2)
			second := p.take(2, "a")[0]
			if second.Seq != first.Seq || second.Token == first.Token {
				p.Fatalf("taken again: got seq %d token %d, want seq %d and another token", second.Seq, second.Token, first.Seq)
			}
			p.refused(first)
		}},
		{"a taken and started row that lapses is unknown, and its lane goes on", func(p *probe) {
			for _, key := range []string{"a", "b", "c"} {
				p.claim(queued(key, "lane"), dedupe.Waiting)
			}
			e := p.take(2, "a")[0]
			p.start(e, "under way")
			p.lapse()
			p.waiting(2)
			p.take(2, "b")
			p.take(2)
			p.wantRecord(p.find("msg_a", dedupe.Unknown), "under way")
			p.finish(e, dedupe.Done, "sent")
			p.wantRecord(p.find("msg_a", dedupe.Done), "sent")
			p.take(2)
		}},
	}
}

func renewKeeps(p *probe) {
	kept, lapsed := p.claim(syncClaim("kept"), dedupe.Claimed), p.claim(syncClaim("lapsed"), dedupe.Claimed)
	started, done := p.claim(syncClaim("started"), dedupe.Claimed), p.claim(syncClaim("done"), dedupe.Claimed)
	p.start(started, "r")
	p.finish(done, dedupe.Done, "r")
	p.Advance(lease / 2)
	p.renew([]dedupe.Entry{done, kept, started}, "kept", "started")
	p.Advance(lease/2 + lease/4)
	p.claim(syncClaim("kept"), dedupe.Running)
	p.claim(syncClaim("started"), dedupe.Running)
	p.renew([]dedupe.Entry{lapsed, kept, started}, "kept", "started")
	p.claim(syncClaim("lapsed"), dedupe.Claimed)
	p.finish(kept, dedupe.Done, "sent")
	p.finish(started, dedupe.Done, "sent")
}

// renew renews and wants exactly these keys to be still held.
func (p *probe) renew(es []dedupe.Entry, keys ...string) {
	p.Helper()
	kept, err := p.Store.Renew(p.Context(), es)
	p.must("renew", err)
	got := make([]string, 0, len(kept))
	for _, e := range kept {
		got = append(got, e.Key)
	}
	if !slices.Equal(got, keys) {
		p.Fatalf("renew: got %v, want %v", got, keys)
	}
}

// abandoned gives up rows in each of their states. A store may leave it to the lease.
func abandoned(p *probe) {
	started := p.claim(syncClaim("started"), dedupe.Claimed)
	p.start(started, "under way")
	noted := p.claim(syncClaim("noted"), dedupe.Claimed)
	p.start(noted, "1 under way")
	p.note(noted, "1 sent")
	held := []dedupe.Entry{p.claim(syncClaim("claimed"), dedupe.Claimed), started, noted}
	p.claim(queued("first", "lane"), dedupe.Waiting)
	p.claim(queued("second", "lane"), dedupe.Waiting)
	p.claim(queued("called", "other"), dedupe.Waiting)
	taken := p.take(3, "first", "called")
	p.start(taken[1], "under way")
	for _, e := range append(held, taken...) {
		stale := e
		stale.Token--
		p.Store.Abandon(stale)
		if kept, err := p.Store.Renew(p.Context(), []dedupe.Entry{e}); err != nil || len(kept) != 1 {
			p.Fatalf("renew %s after a stale holder gave up: got %d, %v; want it held", e.Key, len(kept), err)
		}
		p.Store.Abandon(e)
		p.Store.Abandon(e)
	}
	p.lapse()
	p.findNone("openclaw", "msg_claimed")
	p.claim(with(syncClaim("claimed"), otherContent), dedupe.Claimed)
	p.claimRecord(syncClaim("started"), dedupe.Unknown, "under way")
	p.claimRecord(syncClaim("noted"), dedupe.Claimed, "1 sent")
	p.find("msg_called", dedupe.Unknown)
	p.finish(p.take(3, "first")[0], dedupe.Done, "sent")
	p.take(3, "second")
}
