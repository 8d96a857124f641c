package dedupetest

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imrelay/imrelay/dedupe"
)

// claimChecks are about what Claim finds.
func claimChecks() []check {
	checks := []check{
		{"a fresh key is claimed", freshKey},
		{"a claimed key is running", func(p *probe) {
			first := p.claim(syncClaim("k"), dedupe.Claimed)
			second := p.claim(with(syncClaim("k"), func(c *dedupe.Claim) { c.ID = "msg_second" }), dedupe.Running)
			if second.ID != first.ID {
				p.Fatalf("id of the running row: got %q, want the first one's %q", second.ID, first.ID)
			}
		}},
		{"a started key is running, with and without resend", func(p *probe) {
			p.start(p.claim(syncClaim("k"), dedupe.Claimed), "r")
			p.claim(syncClaim("k"), dedupe.Running)
			p.claim(with(syncClaim("k"), resend), dedupe.Running)
		}},
		{"a done key gives its record, with and without resend", func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.start(e, "started")
			p.finish(e, dedupe.Done, "sent")
			p.claimRecord(syncClaim("k"), dedupe.Done, "sent")
			again := p.claimRecord(with(syncClaim("k"), resend), dedupe.Done, "sent")
			if again.ID != e.ID || !again.Accepted.Equal(e.Accepted) {
				p.Fatalf("replay: got %s of %v, want %s of %v", again.ID, again.Accepted, e.ID, e.Accepted)
			}
		}},
		{"an unknown key stays unknown until it is resent", resendUnknown},
		{"a failed key can be claimed again", func(p *probe) {
			e := p.claim(syncClaim("k"), dedupe.Claimed)
			p.finish(e, dedupe.Failed, "refused")
			again := p.claimRecord(with(syncClaim("k"), func(c *dedupe.Claim) { c.ID = "msg_second" }), dedupe.Claimed,
				"refused")
			if again.ID != e.ID {
				p.Fatalf("id of the row claimed again: got %q, want the first one's %q", again.ID, e.ID)
			}
		}},
		{"the keys of two owners are two keys", twoOwners},
		{"keys and owners do not run into each other", func(p *probe) {
			for _, pair := range [][2]string{{"a", "b:c"}, {"a:b", "c"}, {"a\x00b", "c"}, {"a", "b\x00c"}, {"", "a"}} {
				c := syncClaim(pair[1])
				c.Owner, c.ID = pair[0], fmt.Sprintf("msg_%q", pair)
				p.claim(c, dedupe.Claimed)
			}
		}},
		{"of 50 claims at once one gets it", func(p *probe) {
			claimAtOnce(p, syncClaim("k"), 1)
		}},
		{"of 50 resends at once one gets it", func(p *probe) {
			p.finish(p.claim(syncClaim("k"), dedupe.Claimed), dedupe.Unknown, "r")
			claimAtOnce(p, with(syncClaim("k"), resend), 1)
		}},
		{"of claims and finishes at once one gets it", func(p *probe) {
			for i := range 20 {
				sendAtOnce(p, fmt.Sprintf("k%d", i))
			}
		}},
		{"50 keys claimed at once are all had", func(p *probe) { claimManyKeys(p) }},
	}
	return append(checks, conflictChecks()...)
}

func freshKey(p *probe) {
	c := syncClaim("k")
	before := p.claim(syncClaim("earlier"), dedupe.Claimed).Accepted
	p.Advance(time.Second)
	e := p.claimRecord(c, dedupe.Claimed, "")
	if e.Owner != c.Owner || e.Key != c.Key || e.ID != c.ID || e.Lane != c.Lane || e.Digest != c.Digest {
		p.Fatalf("entry: got %+v, want what was claimed: %+v", e, c)
	}
	if e.Payload != nil {
		p.Fatalf("payload: got %q, want nil", e.Payload)
	}
	if got := e.Accepted.Sub(before); got != time.Second {
		p.Fatalf("accepted %v after a row made a second earlier, want 1s", got)
	}
}

func resendUnknown(p *probe) {
	e := p.claim(syncClaim("k"), dedupe.Claimed)
	p.start(e, "started")
	p.finish(e, dedupe.Unknown, "no answer")
	for range 2 {
		p.claimRecord(syncClaim("k"), dedupe.Unknown, "no answer")
	}
	again := p.claimRecord(with(syncClaim("k"), resend), dedupe.Claimed, "no answer")
	p.claim(with(syncClaim("k"), resend), dedupe.Running)
	p.start(again, "started again")
	p.finish(again, dedupe.Done, "sent")
	p.claimRecord(syncClaim("k"), dedupe.Done, "sent")
}

func twoOwners(p *probe) {
	mine := syncClaim("k")
	theirs := with(mine, func(c *dedupe.Claim) { c.Owner, c.ID = "astrbot", "msg_theirs" })
	e := p.claim(mine, dedupe.Claimed)
	p.claim(with(theirs, otherContent), dedupe.Claimed)
	p.finish(e, dedupe.Done, "mine")
	p.claim(with(theirs, otherContent), dedupe.Running)
	p.findNone("astrbot", mine.ID)
}

// conflictChecks want other content refused in every state, and the row left alone.
func conflictChecks() []check {
	states := []struct {
		name  string
		reach func(p *probe)
		then  dedupe.Status
	}{
		{"claimed", func(p *probe) { p.claim(syncClaim("k"), dedupe.Claimed) }, dedupe.Running},
		{"started", func(p *probe) { p.start(p.claim(syncClaim("k"), dedupe.Claimed), "r") }, dedupe.Running},
		{"done", func(p *probe) { p.finish(p.claim(syncClaim("k"), dedupe.Claimed), dedupe.Done, "r") }, dedupe.Done},
		{
			"unknown",
			func(p *probe) { p.finish(p.claim(syncClaim("k"), dedupe.Claimed), dedupe.Unknown, "r") },
			dedupe.Unknown,
		},
		{
			"failed",
			func(p *probe) { p.finish(p.claim(syncClaim("k"), dedupe.Claimed), dedupe.Failed, "r") },
			dedupe.Claimed,
		},
		{"released", func(p *probe) { p.release(p.claim(syncClaim("k"), dedupe.Claimed), "r") }, dedupe.Claimed},
		{"waiting", func(p *probe) { p.claim(queued("k", "lane"), dedupe.Waiting) }, dedupe.Waiting},
	}
	checks := make([]check, 0, len(states))
	for _, s := range states {
		checks = append(checks, check{"other content conflicts with a " + s.name + " key", func(p *probe) {
			s.reach(p)
			p.claim(with(syncClaim("k"), otherContent), dedupe.Conflict)
			p.claim(with(with(syncClaim("k"), otherContent), resend), dedupe.Conflict)
			p.claim(with(queued("k", "lane"), otherContent), dedupe.Conflict)
			p.claim(syncClaim("k"), s.then)
		}})
	}
	return checks
}

// claimAtOnce claims one key from 50 goroutines and wants so many to get it and the rest to find it running.
func claimAtOnce(p *probe, c dedupe.Claim, want int) {
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		got = map[dedupe.Status]int{}
	)
	gate := make(chan struct{})
	for i := range 50 {
		wg.Go(func() {
			mine := with(c, func(c *dedupe.Claim) { c.ID = fmt.Sprintf("msg_%d", i) })
			<-gate
			e, err := p.Store.Claim(p.Context(), mine)
			if err != nil {
				p.Errorf("claim: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[e.Status]++
		})
	}
	close(gate)
	wg.Wait()
	if got[dedupe.Claimed] != want || got[dedupe.Running] != 50-want {
		p.Fatalf("50 claims at once: got %v, want %d claimed and the rest running", got, want)
	}
}

// sendAtOnce sends one key from a few goroutines, each as often as it takes to find it done, and wants one call to the IM.
func sendAtOnce(p *probe, key string) {
	var (
		wg   sync.WaitGroup
		sent atomic.Int32
	)
	for range 4 {
		wg.Go(func() {
			for found := dedupe.Running; found == dedupe.Running; {
				e, err := p.Store.Claim(p.Context(), syncClaim(key))
				if err != nil {
					p.Errorf("claim %s: %v", key, err)
					return
				}
				found = e.Status
				if found != dedupe.Claimed {
					continue
				}
				sent.Add(1)
				if err := p.Store.Start(p.Context(), e, nil); err != nil {
					p.Errorf("start %s: %v", key, err)
				}
				if err := p.Store.Finish(p.Context(), e, dedupe.Done, nil); err != nil {
					p.Errorf("finish %s: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
	if got := sent.Load(); got != 1 {
		p.Fatalf("sends of %s: got %d, want 1", key, got)
	}
	p.claim(syncClaim(key), dedupe.Done)
}

// claimManyKeys runs 50 keys through all steps at once and wants each to keep its own record.
func claimManyKeys(p *probe) {
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			key := fmt.Sprintf("k%d", i)
			e, err := p.Store.Claim(p.Context(), syncClaim(key))
			if err != nil || e.Status != dedupe.Claimed {
				p.Errorf("claim %s: got %v, %v; want claimed", key, e.Status, err)
				return
			}
			if err := p.Store.Start(p.Context(), e, []byte("started")); err != nil {
				p.Errorf("start %s: %v", key, err)
			}
			if err := p.Store.Finish(p.Context(), e, dedupe.Done, []byte("sent "+key)); err != nil {
				p.Errorf("finish %s: %v", key, err)
			}
		})
	}
	wg.Wait()
	for i := range 50 {
		key := fmt.Sprintf("k%d", i)
		e := p.claim(syncClaim(key), dedupe.Done)
		if !bytes.Equal(e.Record, []byte("sent "+key)) {
			p.Fatalf("record of %s: got %q", key, e.Record)
		}
	}
}
