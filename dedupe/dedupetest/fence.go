package dedupetest

import (
	"time"

	"github.com/imrelay/imrelay/dedupe"
)

// fenceChecks want an entry that is no longer the caller's to change nothing.
func fenceChecks() []check {
	cases := []struct {
		name string
		// reach returns an entry that is stale, and what a claim then finds.
		reach func(p *probe) (stale dedupe.Entry, found dedupe.Status, record string)
	}{
		{"a token that never was", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.start(e, "r")
			e.Token++
			return e, dedupe.Running, "r"
		}},
		{"no token", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			p.finish(p.claim(syncClaim("k"), dedupe.Claimed), dedupe.Done, "r")
			return p.claim(syncClaim("k"), dedupe.Done), dedupe.Done, "r"
		}},
		{"after finish as done", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.finish(e, dedupe.Done, "r")
			return e, dedupe.Done, "r"
		}},
		{"after finish as unknown", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.start(e, "")
			p.finish(e, dedupe.Unknown, "r")
			return e, dedupe.Unknown, "r"
		}},
		{"after release with nil", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.release(e, "")
			return e, dedupe.Claimed, ""
		}},
		{"after release with a record", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.release(e, "r")
			return e, dedupe.Claimed, "r"
		}},
		{"after another claimed what was released", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.release(e, "r")
			p.claim(syncClaim("k"), dedupe.Claimed)
			return e, dedupe.Running, "r"
		}},
		{"after a lapse that another saw", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.lapse()
			p.claim(syncClaim("k"), dedupe.Claimed)
			return e, dedupe.Running, ""
		}},
		{"after a lapse that nobody saw", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.lapse()
			return e, dedupe.Claimed, ""
		}},
		{"after a resend of what lapsed", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.start(e, "r")
			p.lapse()
			p.claimRecord(with(syncClaim("k"), resend), dedupe.Claimed, "r")
			return e, dedupe.Running, "r"
		}},
		{"after a background send was taken again", func(p *probe) (dedupe.Entry, dedupe.Status, string) {
			p.claim(queued("k", "lane"), dedupe.Waiting)
			e := p.take(1, "k")[0]
			p.release(e, "r")
			p.take(1, "k")
			return e, dedupe.Running, "r"
		}},
	}
	checks := make([]check, 0, len(cases)+1)
	for _, c := range cases {
		checks = append(checks, check{c.name, func(p *probe) {
			stale, found, record := c.reach(p)
			p.refused(stale)
			p.claimRecord(syncClaim("k"), found, record)
		}})
	}
	return append(checks, check{"an entry fits only its own row", func(p *probe) {
		a, b := p.claim(syncClaim("a"), dedupe.Claimed), p.claim(syncClaim("b"), dedupe.Claimed)
		mixed := a
		mixed.Token = b.Token
		p.refused(mixed)
		p.finish(a, dedupe.Done, "a sent")
		p.finish(b, dedupe.Done, "b sent")
	}})
}

// refused tries every step with the entry and wants ErrLost from each.
func (p *probe) refused(stale dedupe.Entry) {
	p.Helper()
	ctx, wrong := p.Context(), []byte("written by a late holder")
	p.lost("start", p.Store.Start(ctx, stale, wrong))
	p.lost("note", p.Store.Note(ctx, stale, wrong))
	p.lost("finish", p.Store.Finish(ctx, stale, dedupe.Done, wrong))
	p.lost("release", p.Store.Release(ctx, stale, wrong))
	p.lost("release with nil", p.Store.Release(ctx, stale, nil))
	kept, err := p.Store.Renew(ctx, []dedupe.Entry{stale})
	p.must("renew", err)
	if len(kept) != 0 {
		p.Fatalf("renew of a stale entry: got %v, want none", kept)
	}
}

// windowChecks are about how long what is over is kept.
func windowChecks() []check {
	finished := func(s dedupe.Status) func(p *probe) {
		return func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.Advance(lease / 2)
			p.finish(e, s, "r")
		}
	}
	cases := []struct {
		name   string
		reach  func(p *probe)
		before dedupe.Status
	}{
		{"done", finished(dedupe.Done), dedupe.Done},
		{"unknown", finished(dedupe.Unknown), dedupe.Unknown},
		{"failed", finished(dedupe.Failed), dedupe.Failed},
		{"released with a record", func(p *probe) { p.release(p.claim(syncClaim("k"), dedupe.Claimed), "r") }, dedupe.Failed},
	}
	var checks []check
	for _, c := range cases {
		checks = append(checks, check{c.name + " is kept for the window and no longer", func(p *probe) {
			c.reach(p)
			p.Advance(window - time.Second)
			p.find("msg_k", c.before)
			p.claim(with(syncClaim("k"), otherContent), dedupe.Conflict)
			p.Advance(2 * time.Second)
			p.findNone("openclaw", "msg_k")
			fresh := with(with(syncClaim("k"), otherContent), func(c *dedupe.Claim) { c.ID = "msg_second" })
			e := p.claimRecord(fresh, dedupe.Claimed, "")
			if e.ID != fresh.ID || e.Digest != fresh.Digest {
				p.Fatalf("row after the window: got %+v, want a new one", e)
			}
			p.findNone("openclaw", "msg_k")
			p.start(e, "started")
			p.finish(e, dedupe.Done, "sent again")
			p.reopen()
			p.claimRecord(fresh, dedupe.Done, "sent again")
		}})
	}
	return append(checks, check{"a background send waits for longer than the window", func(p *probe) {
		p.claim(queued("k", "lane"), dedupe.Waiting)
		p.Advance(2 * window)
		e := p.take(1, "k")[0]
		p.start(e, "under way")
		p.release(e, "tried once")
		p.Advance(2 * window)
		p.must("sweep", p.Store.Sweep(p.Context()))
		p.claim(queued("k", "lane"), dedupe.Waiting)
		p.finish(p.take(1, "k")[0], dedupe.Done, "sent")
		p.Advance(window - time.Second)
		p.claimRecord(queued("k", "lane"), dedupe.Done, "sent")
	}})
}
