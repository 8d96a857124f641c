package dedupetest

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/imrelay/imrelay/dedupe"
)

// mailboxChecks are about background sends.
func mailboxChecks() []check {
	return []check{
		{"a claim with a payload waits", queuedWaits},
		{"rows are taken in order of acceptance, one a lane", takeInOrder},
		{"a lane goes on when its head is finished", func(p *probe) {
			for _, key := range []string{"a", "b", "c"} {
				p.claim(queued(key, "lane"), dedupe.Waiting)
			}
			for _, key := range []string{"a", "b", "c"} {
				e := p.take(5, key)[0]
				p.take(5)
				p.start(e, "r")
				p.take(5)
				p.note(e, "r")
				p.take(5)
				p.finish(e, dedupe.Done, "sent "+key)
			}
			p.take(5)
			p.waiting(0)
		}},
		{"a released row waits in its old place", releasedInPlace},
		{"find tells where a row stands", findStatuses},
		{"find is for the owner", func(p *probe) {
			p.claim(queued("k", "lane"), dedupe.Waiting)
			p.findNone("astrbot", "msg_k")
			p.findNone("openclaw", "msg_none")
			p.findNone("openclaw", "")
			p.take(1, "k")
			p.findNone("astrbot", "msg_k")
		}},
		{"waiting counts the rows that wait", waitingCounts},
		{"an empty payload is a payload", func(p *probe) {
			c := queued("k", "lane")
			c.Payload = []byte{}
			p.claim(c, dedupe.Waiting)
			p.reopen()
			if got := p.take(1, "k")[0].Payload; got == nil || len(got) != 0 {
				p.Fatalf("payload: got %#v, want an empty one", got)
			}
		}},
		{"a payload of 64 KiB of any bytes", func(p *probe) {
			c := queued("k", "lane")
			c.Payload = big()
			p.claim(c, dedupe.Waiting)
			p.reopen()
			if got := p.take(1, "k")[0].Payload; !bytes.Equal(got, big()) {
				p.Fatalf("payload: got %d bytes, want the %d that were queued", len(got), len(c.Payload))
			}
		}},
		{"the order outlives a reopening", func(p *probe) {
			for _, key := range []string{"c", "a", "b"} {
				p.claim(queued(key, "lane of "+key), dedupe.Waiting)
			}
			p.reopen()
			p.claim(queued("d", "lane of c"), dedupe.Waiting)
			p.waiting(4)
			p.take(2, "c", "a")
			p.take(2, "b")
		}},
		{"what is finished forgets its payload", func(p *probe) {
			p.claim(queued("k", "lane"), dedupe.Waiting)
			p.finish(p.take(1, "k")[0], dedupe.Done, "sent")
			if got := p.find("msg_k", dedupe.Done).Payload; got != nil {
				p.Fatalf("payload of a done row: got %q, want nil", got)
			}
		}},
		{"50 claims of one background send at once queue it once", queueAtOnce},
		{"takers at once never share a row nor a lane", takersAtOnce},
		{"take of none gives none", func(p *probe) {
			p.claim(queued("k", "lane"), dedupe.Waiting)
			p.take(0)
			p.take(-1)
			p.take(1, "k")
		}},
	}
}

func queuedWaits(p *probe) {
	c := queued("k", "lane")
	e := p.claim(c, dedupe.Waiting)
	if e.ID != c.ID || e.Lane != c.Lane || e.Digest != c.Digest {
		p.Fatalf("entry: got %+v, want what was claimed", e)
	}
	p.refused(e)
	again := p.claim(with(c, func(c *dedupe.Claim) { c.ID, c.Payload = "msg_second", []byte("other bytes") }), dedupe.Waiting)
	if again.ID != c.ID {
		p.Fatalf("id of the waiting row: got %q, want %q", again.ID, c.ID)
	}
	p.waiting(1)
	taken := p.take(1, "k")[0]
	if taken.ID != c.ID || taken.Owner != c.Owner || taken.Lane != c.Lane || !bytes.Equal(taken.Payload, c.Payload) {
		p.Fatalf("taken: got %+v, want what was queued first", taken)
	}
	p.wantRecord(taken, "")
	if !taken.Accepted.Equal(e.Accepted) || taken.Seq == 0 {
		p.Fatalf("taken: got seq %d of %v, want a seq, and %v", taken.Seq, taken.Accepted, e.Accepted)
	}
}

func takeInOrder(p *probe) {
	for _, row := range [][2]string{{"a1", "a"}, {"a2", "a"}, {"b1", "b"}, {"a3", "a"}, {"c1", "c"}, {"b2", "b"}} {
		p.claim(queued(row[0], row[1]), dedupe.Waiting)
	}
	first := p.take(2, "a1", "b1")
	if first[0].Seq >= first[1].Seq {
		p.Fatalf("seq: got %d then %d, want them to rise", first[0].Seq, first[1].Seq)
	}
	p.take(2, "c1")
	p.take(2)
	p.finish(first[1], dedupe.Done, "sent")
	p.take(5, "b2")
	p.finish(first[0], dedupe.Unknown, "lost")
	p.take(5, "a2")
	p.waiting(1)
}

func releasedInPlace(p *probe) {
	for _, key := range []string{"a", "b"} {
		p.claim(queued(key, "lane"), dedupe.Waiting)
	}
	p.claim(queued("other", "other lane"), dedupe.Waiting)
	e := p.take(1, "a")[0]
	p.start(e, "under way")
	p.release(e, "tried once")
	p.wantRecord(p.find("msg_a", dedupe.Waiting), "tried once")
	p.claim(queued("c", "lane"), dedupe.Waiting)
	again := p.take(5, "a", "other")[0]
	p.wantRecord(again, "tried once")
	if again.Seq != e.Seq || again.Token == e.Token || !bytes.Equal(again.Payload, e.Payload) {
		p.Fatalf("taken again: got %+v, want %+v with another token", again, e)
	}
	p.release(again, "")
	p.wantRecord(p.take(5, "a")[0], "")
}

func findStatuses(p *probe) {
	p.claim(queued("k", "lane"), dedupe.Waiting)
	if e := p.find("msg_k", dedupe.Waiting); string(e.Payload) != "payload of k" || e.Key != "k" || e.Lane != "lane" {
		p.Fatalf("found: got %+v, want what was queued", e)
	}
	e := p.take(1, "k")[0]
	p.find("msg_k", dedupe.Running)
	p.start(e, "r")
	p.wantRecord(p.find("msg_k", dedupe.Running), "r")
	p.note(e, "1 sent")
	p.wantRecord(p.find("msg_k", dedupe.Running), "1 sent")
	p.finish(e, dedupe.Done, "sent")
	p.wantRecord(p.find("msg_k", dedupe.Done), "sent")

	for key, s := range map[string]dedupe.Status{"u": dedupe.Unknown, "f": dedupe.Failed} {
		p.claim(queued(key, "lane"), dedupe.Waiting)
		p.finish(p.take(1, key)[0], s, "why")
		p.wantRecord(p.find("msg_"+key, s), "why")
	}
	s := p.claim(syncClaim("sync"), dedupe.Claimed)
	p.find("msg_sync", dedupe.Running)
	p.finish(s, dedupe.Done, "sent")
	p.find("msg_sync", dedupe.Done)
}

func waitingCounts(p *probe) {
	p.waiting(0)
	p.claim(syncClaim("sync"), dedupe.Claimed)
	p.waiting(0)
	for i := range 3 {
		p.claim(queued(fmt.Sprintf("k%d", i), "lane"), dedupe.Waiting)
		p.waiting(i + 1)
	}
	e := p.take(1, "k0")[0]
	p.waiting(2)
	p.release(e, "")
	p.waiting(3)
	p.finish(p.take(1, "k0")[0], dedupe.Failed, "refused")
	p.waiting(2)
}

func queueAtOnce(p *probe) {
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			c := with(queued("k", "lane"), func(c *dedupe.Claim) { c.ID = fmt.Sprintf("msg_%d", i) })
			e, err := p.Store.Claim(p.Context(), c)
			if err != nil || e.Status != dedupe.Waiting && e.Status != dedupe.Running {
				p.Errorf("claim: got %v, %v; want waiting, or running while another queues it", e.Status, err)
			}
		})
	}
	wg.Wait()
	p.waiting(1)
	p.take(5, "k")
}

func takersAtOnce(p *probe) {
	const lanes, each = 10, 6
	for i := range lanes * each {
		p.claim(queued(fmt.Sprintf("k%02d", i), fmt.Sprintf("lane %d", i%lanes)), dedupe.Waiting)
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		held  = map[string]bool{}
		order = map[string][]string{}
		left  = lanes * each
	)
	for range 8 {
		wg.Go(func() {
			for more := true; more && !p.Failed(); {
				es, err := p.Store.Take(p.Context(), 3)
				if err != nil {
					p.Errorf("take: %v", err)
				}
				mu.Lock()
				for _, e := range es {
					if held[e.Lane] {
						p.Errorf("take: %s was given out while another of its lane was held", e.Key)
					}
					held[e.Lane] = true
					order[e.Lane] = append(order[e.Lane], e.Key)
				}
				left -= len(es)
				more = left > 0
				mu.Unlock()
				for _, e := range es {
					mu.Lock()
					held[e.Lane] = false
					mu.Unlock()
					if err := p.Store.Finish(p.Context(), e, dedupe.Done, nil); err != nil {
						p.Errorf("finish: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	for lane, keys := range order {
		for i := 1; i < len(keys); i++ {
			if keys[i] <= keys[i-1] {
				p.Errorf("%s: got %v, want order of acceptance and no row twice", lane, keys)
			}
		}
	}
}
