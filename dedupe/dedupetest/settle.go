package dedupetest

import (
	"bytes"

	"github.com/imrelay/imrelay/dedupe"
)

// settleChecks are about Start, Note, Finish and Release by the one who holds the row.
func settleChecks() []check {
	return []check{
		{"released with nil it is as if never used", func(p *probe) {
			p.release(p.claim(syncClaim("k"), dedupe.Claimed), "")
			p.findNone("openclaw", "msg_k")
			second := with(with(syncClaim("k"), otherContent), func(c *dedupe.Claim) { c.ID = "msg_second" })
			if e := p.claimRecord(second, dedupe.Claimed, ""); e.ID != "msg_second" {
				p.Fatalf("id: got %q, want the new claim's", e.ID)
			}
		}},
		{"started and released with nil it is as if never used", func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.start(e, "started")
			p.release(e, "")
			p.findNone("openclaw", "msg_k")
			p.claimRecord(with(syncClaim("k"), otherContent), dedupe.Claimed, "")
		}},
		{"released with a record the next claim goes on from there", releaseWithRecord},
		{"an empty record is a record", func(p *probe) {
			p.must("release", p.Store.Release(p.Context(), p.claim(syncClaim("k"), dedupe.Claimed), []byte{}))
			p.claim(with(syncClaim("k"), otherContent), dedupe.Conflict)
		}},
		{"the parts of a long text", longText},
		{"a long text released in the middle goes on", longTextReleased},
		{"a long text whose second part is unknown", func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.start(e, "0 sent, 1 under way")
			p.note(e, "1 sent")
			p.start(e, "1 sent, 2 under way")
			p.finish(e, dedupe.Unknown, "1 sent, 2 unknown")
			p.claimRecord(syncClaim("k"), dedupe.Unknown, "1 sent, 2 unknown")
		}},
		{"start may be repeated", func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.start(e, "first")
			p.start(e, "second")
			p.crash()
			p.claimRecord(syncClaim("k"), dedupe.Unknown, "second")
		}},
		{"finish needs a final status", func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			for _, s := range []dedupe.Status{0, dedupe.Claimed, dedupe.Running, dedupe.Waiting, dedupe.Conflict} {
				if err := p.Store.Finish(p.Context(), e, s, nil); err == nil {
					p.Errorf("finish as %v: got no error", s)
				}
			}
			p.claim(syncClaim("k"), dedupe.Running)
			p.finish(e, dedupe.Done, "sent")
		}},
		{"nil takes the record away", func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.start(e, "started")
			p.finish(e, dedupe.Done, "")
			if got := p.claim(syncClaim("k"), dedupe.Done).Record; got != nil {
				p.Fatalf("record: got %q, want nil", got)
			}
		}},
		{"records of 64 KiB of any bytes", bigRecords},
		{"what was given may be changed afterwards", callersBytes},
	}
}

func releaseWithRecord(p *probe) {
	e := p.claim(syncClaim("k"), dedupe.Claimed)
	p.start(e, "1 under way")
	p.release(e, "1 sent")
	again := p.claimRecord(with(syncClaim("k"), func(c *dedupe.Claim) { c.ID = "msg_second" }), dedupe.Claimed, "1 sent")
	if again.ID != e.ID || !again.Accepted.Equal(e.Accepted) {
		p.Fatalf("row: got %s of %v, want %s of %v", again.ID, again.Accepted, e.ID, e.Accepted)
	}
	p.release(again, "1 sent still")
	again = p.claimRecord(syncClaim("k"), dedupe.Claimed, "1 sent still")
	p.release(again, "")
	p.claimRecord(syncClaim("k"), dedupe.Claimed, "")
}

func longText(p *probe) {
	e := p.claim(syncClaim("k"), dedupe.Claimed)
	for _, n := range []string{"1", "2", "3"} {
		p.start(e, n+" under way")
		p.claimRecord(syncClaim("k"), dedupe.Running, n+" under way")
		p.note(e, n+" sent")
		p.claimRecord(syncClaim("k"), dedupe.Running, n+" sent")
	}
	p.finish(e, dedupe.Done, "all sent")
	p.claimRecord(syncClaim("k"), dedupe.Done, "all sent")
	p.reopen()
	p.claimRecord(syncClaim("k"), dedupe.Done, "all sent")
}

func longTextReleased(p *probe) {
	e := p.claim(syncClaim("k"), dedupe.Claimed)
	p.start(e, "1 under way")
	p.note(e, "1 sent")
	p.start(e, "1 sent, 2 under way")
	p.release(e, "1 sent")
	p.claim(with(syncClaim("k"), otherContent), dedupe.Conflict)
	p.reopen()
	e = p.claimRecord(syncClaim("k"), dedupe.Claimed, "1 sent")
	p.start(e, "1 sent, 2 under way")
	p.note(e, "2 sent")
	p.finish(e, dedupe.Done, "2 sent")
	p.claimRecord(syncClaim("k"), dedupe.Done, "2 sent")
}

func bigRecords(p *probe) {
	record := big()
	e := p.claim(syncClaim("k"), dedupe.Claimed)
	p.must("start", p.Store.Start(p.Context(), e, record))
	p.must("note", p.Store.Note(p.Context(), e, record[:len(record)-1]))
	p.must("finish", p.Store.Finish(p.Context(), e, dedupe.Done, record))
	p.reopen()
	if got := p.claim(syncClaim("k"), dedupe.Done).Record; !bytes.Equal(got, record) {
		p.Fatalf("record: got %d bytes, want the %d that were stored", len(got), len(record))
	}
}

// callersBytes changes every slice that was handed over, either way, and wants the rows unmoved.
func callersBytes(p *probe) {
	record := []byte("sent")
	p.must("finish", p.Store.Finish(p.Context(), p.claim(syncClaim("k"), dedupe.Claimed), dedupe.Done, record))
	record[0] = 'X'
	p.claimRecord(syncClaim("k"), dedupe.Done, "sent").Record[0] = 'Y'
	p.claimRecord(syncClaim("k"), dedupe.Done, "sent")

	c := queued("q", "lane")
	p.claim(c, dedupe.Waiting)
	c.Payload[0] = 'X'
	p.find("msg_q", dedupe.Waiting).Payload[0] = 'Y'
	if got := p.take(1, "q")[0].Payload; string(got) != "payload of q" {
		p.Fatalf("payload: got %q, want what was given", got)
	}
}
