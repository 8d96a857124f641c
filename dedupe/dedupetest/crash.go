package dedupetest

import (
	"github.com/imrelay/imrelay/dedupe"
)

// crashChecks lose the holder, and the store's memory, after each step.
func crashChecks() []check {
	claimed := func(p *probe) dedupe.Entry { return p.claim(syncClaim("k"), dedupe.Claimed) }
	started := func(p *probe) dedupe.Entry {
		e := claimed(p)
		p.start(e, "1 under way")
		return e
	}
	noted := func(p *probe) dedupe.Entry {
		e := started(p)
		p.note(e, "1 sent")
		return e
	}
	cases := []struct {
		name   string
		reach  func(p *probe)
		found  dedupe.Status
		record string
	}{
		{"claim", func(p *probe) { claimed(p) }, dedupe.Claimed, ""},
		{"start", func(p *probe) { started(p) }, dedupe.Unknown, "1 under way"},
		{"note", func(p *probe) { noted(p) }, dedupe.Claimed, "1 sent"},
		{"the start of a second part", func(p *probe) { p.start(noted(p), "2 under way") }, dedupe.Unknown, "2 under way"},
		{"finish as done", func(p *probe) { p.finish(started(p), dedupe.Done, "sent") }, dedupe.Done, "sent"},
		{"finish as unknown", func(p *probe) { p.finish(started(p), dedupe.Unknown, "lost") }, dedupe.Unknown, "lost"},
		{"finish as failed", func(p *probe) { p.finish(started(p), dedupe.Failed, "no") }, dedupe.Claimed, "no"},
		{"release", func(p *probe) { p.release(claimed(p), "") }, dedupe.Claimed, ""},
		{"release of what was started", func(p *probe) { p.release(started(p), "") }, dedupe.Claimed, ""},
		{"release with a record", func(p *probe) { p.release(noted(p), "1 sent") }, dedupe.Claimed, "1 sent"},
		{"the claim of what was released with a record", func(p *probe) {
			p.release(noted(p), "1 sent")
			claimed(p)
		}, dedupe.Claimed, "1 sent"},
		{"the claim of a resend", func(p *probe) {
			p.finish(started(p), dedupe.Unknown, "lost")
			p.claim(with(syncClaim("k"), resend), dedupe.Claimed)
		}, dedupe.Unknown, "lost"},
		{"the start of a resend", func(p *probe) {
			p.finish(started(p), dedupe.Unknown, "lost")
			p.start(p.claim(with(syncClaim("k"), resend), dedupe.Claimed), "again")
		}, dedupe.Unknown, "again"},
	}
	checks := make([]check, 0, len(cases))
	for _, c := range cases {
		checks = append(checks, check{"after " + c.name, func(p *probe) {
			c.reach(p)
			p.crash()
			p.crash()
			p.claimRecord(syncClaim("k"), c.found, c.record)
		}})
	}
	return append(checks, queuedCrashChecks()...)
}

// queuedCrashChecks do the same with the first of two background sends of one lane.
func queuedCrashChecks() []check {
	taken := func(p *probe) dedupe.Entry { return p.take(1, "k")[0] }
	started := func(p *probe) dedupe.Entry {
		e := taken(p)
		p.start(e, "1 under way")
		return e
	}
	noted := func(p *probe) dedupe.Entry {
		e := started(p)
		p.note(e, "1 sent")
		return e
	}
	cases := []struct {
		name   string
		reach  func(p *probe)
		found  dedupe.Status
		record string
	}{
		{"queueing", func(*probe) {}, dedupe.Waiting, ""},
		{"take", func(p *probe) { taken(p) }, dedupe.Waiting, ""},
		{"start", func(p *probe) { started(p) }, dedupe.Unknown, "1 under way"},
		{"note", func(p *probe) { noted(p) }, dedupe.Waiting, "1 sent"},
		{"release", func(p *probe) { p.release(started(p), "") }, dedupe.Waiting, ""},
		{"release with a record", func(p *probe) { p.release(noted(p), "1 sent") }, dedupe.Waiting, "1 sent"},
		{"finish as done", func(p *probe) { p.finish(noted(p), dedupe.Done, "sent") }, dedupe.Done, "sent"},
		{"finish as unknown", func(p *probe) { p.finish(started(p), dedupe.Unknown, "lost") }, dedupe.Unknown, "lost"},
		{"finish as failed", func(p *probe) { p.finish(taken(p), dedupe.Failed, "no") }, dedupe.Failed, "no"},
	}
	checks := make([]check, 0, len(cases))
	for _, c := range cases {
		checks = append(checks, check{"of a background send after " + c.name, func(p *probe) {
			p.claim(queued("k", "lane"), dedupe.Waiting)
			p.claim(queued("next", "lane"), dedupe.Waiting)
			c.reach(p)
			p.crash()
			p.crash()
			p.wantRecord(p.find("msg_k", c.found), c.record)
			if c.found != dedupe.Waiting {
				p.waiting(1)
				p.take(2, "next")
				return
			}
			p.waiting(2)
			e := p.take(2, "k")[0]
			p.wantRecord(e, c.record)
			if string(e.Payload) != "payload of k" {
				p.Fatalf("payload: got %q, want what was queued", e.Payload)
			}
		}})
	}
	return checks
}
