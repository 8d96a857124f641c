package dedupetest

import (
	"bytes"

	"github.com/imrelay/imrelay/dedupe"
)

// mixedChecks are about a key that is used both for a send whose caller waits and for a background send.
func mixedChecks() []check {
	return []check{
		{"a claim of a queued key", func(p *probe) {
			p.claim(queued("k", "lane"), dedupe.Waiting)
			p.claim(syncClaim("k"), dedupe.Waiting)
			p.claim(with(syncClaim("k"), resend), dedupe.Waiting)
			e := p.take(1, "k")[0]
			p.claim(syncClaim("k"), dedupe.Running)
			p.claim(queued("k", "lane"), dedupe.Running)
			p.start(e, "r")
			p.claim(syncClaim("k"), dedupe.Running)
			p.finish(e, dedupe.Done, "sent")
			p.claimRecord(syncClaim("k"), dedupe.Done, "sent")
			p.claimRecord(queued("k", "lane"), dedupe.Done, "sent")
		}},
		{"queueing a key that a caller waits for", func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.claim(queued("k", "lane"), dedupe.Running)
			p.waiting(0)
			p.take(5)
			p.start(e, "r")
			p.finish(e, dedupe.Unknown, "lost")
			p.claimRecord(queued("k", "lane"), dedupe.Unknown, "lost")
			p.waiting(0)
		}},
		{"a caller's send holds up no lane", func(p *probe) {
			c := queued("q", "lane")
			s := syncClaim("k")
			s.Lane = "lane"
			p.claim(s, dedupe.Claimed)
			p.claim(c, dedupe.Waiting)
			p.take(5, "q")
		}},
		{"a failed background send queued again has lost its place", requeueFailed},
		{"an unknown background send is queued again with resend", func(p *probe) {
			p.claim(queued("k", "lane"), dedupe.Waiting)
			e := p.take(1, "k")[0]
			p.start(e, "under way")
			p.finish(e, dedupe.Unknown, "lost")
			p.claim(queued("k", "lane"), dedupe.Unknown)
			again := p.claimRecord(with(queued("k", "lane"), resend), dedupe.Waiting, "lost")
			if again.ID != e.ID {
				p.Fatalf("id: got %q, want the first one's %q", again.ID, e.ID)
			}
			p.crash()
			p.wantRecord(p.take(5, "k")[0], "lost")
		}},
		{"a failed background send is sent by a caller", func(p *probe) {
			p.claim(queued("k", "lane"), dedupe.Waiting)
			p.finish(p.take(1, "k")[0], dedupe.Failed, "refused")
			e := p.claimRecord(syncClaim("k"), dedupe.Claimed, "refused")
			if e.Payload != nil || e.ID != "msg_k" {
				p.Fatalf("entry: got %s with payload %q, want msg_k with nil", e.ID, e.Payload)
			}
			p.start(e, "under way")
			p.waiting(0)
			p.finish(e, dedupe.Done, "sent")
			p.wantRecord(p.find("msg_k", dedupe.Done), "sent")
		}},
		{"a failed background send that a caller's claim loses is failed again", func(p *probe) {
			p.claim(queued("k", "lane"), dedupe.Waiting)
			p.finish(p.take(1, "k")[0], dedupe.Failed, "refused")
			p.claim(syncClaim("k"), dedupe.Claimed)
			p.crash()
			p.wantRecord(p.find("msg_k", dedupe.Failed), "refused")
			p.waiting(0)
		}},
		{"what a caller's send left is queued", func(p *probe) {
			p.release(p.claim(syncClaim("k"), dedupe.Claimed), "1 sent")
			p.claimRecord(queued("k", "lane"), dedupe.Waiting, "1 sent")
			p.reopen()
			e := p.take(1, "k")[0]
			p.wantRecord(e, "1 sent")
			if !bytes.Equal(e.Payload, queued("k", "lane").Payload) {
				p.Fatalf("payload: got %q, want what was queued", e.Payload)
			}
		}},
	}
}

func requeueFailed(p *probe) {
	p.claim(queued("a", "lane"), dedupe.Waiting)
	p.claim(queued("b", "lane"), dedupe.Waiting)
	p.finish(p.take(1, "a")[0], dedupe.Failed, "refused")
	second := with(queued("a", "lane"), func(c *dedupe.Claim) { c.ID, c.Payload = "msg_second", []byte("as given last") })
	again := p.claimRecord(second, dedupe.Waiting, "refused")
	if again.ID != "msg_a" {
		p.Fatalf("id: got %q, want the first one's", again.ID)
	}
	p.waiting(2)
	p.reopen()
	p.finish(p.take(5, "b")[0], dedupe.Done, "sent")
	e := p.take(5, "a")[0]
	if string(e.Payload) != "as given last" {
		p.Fatalf("payload: got %q, want the one given last", e.Payload)
	}
	p.start(e, "under way")
	p.finish(e, dedupe.Done, "sent")
	p.find("msg_a", dedupe.Done)
	p.findNone("openclaw", "msg_second")
}
