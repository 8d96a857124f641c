package dedupetest

import (
	"context"
	"errors"
	"time"

	"github.com/imrelay/imrelay/dedupe"
)

// storeChecks are about the store as a whole.
func storeChecks() []check {
	return []check{
		{"a cancelled context changes nothing", cancelled},
		{"close may be repeated", func(p *probe) {
			p.must("close", p.Store.Close())
			p.must("close again", p.Store.Close())
		}},
		{"after close it is unavailable", afterClose},
		{"all of it outlives a reopening", func(p *probe) {
			reachEach(p)
			p.reopen()
			wantEach(p)
		}},
		{"sweep removes only what is over", func(p *probe) {
			p.finish(p.claim(syncClaim("over"), dedupe.Claimed), dedupe.Done, "sent")
			p.claim(queued("waits long", "long lane"), dedupe.Waiting)
			p.Advance(window + time.Second)
			reachEach(p)
			held := p.claim(syncClaim("held"), dedupe.Claimed)
			p.must("sweep", p.Store.Sweep(p.Context()))
			wantEach(p)
			p.findNone("openclaw", "msg_over")
			p.claim(syncClaim("over"), dedupe.Claimed)
			p.find("msg_waits long", dedupe.Waiting)
			p.finish(held, dedupe.Done, "sent")
			p.reopen()
			p.claimRecord(syncClaim("held"), dedupe.Done, "sent")
			wantEach(p)
		}},
		{"sweep leaves what is held though its window is over", func(p *probe) {
			p.finish(p.claim(syncClaim("k"), dedupe.Claimed), dedupe.Unknown, "lost")
			p.Advance(window - time.Second)
			e := p.claim(with(syncClaim("k"), resend), dedupe.Claimed)
			p.Advance(2 * time.Second)
			p.must("sweep", p.Store.Sweep(p.Context()))
			p.claim(syncClaim("k"), dedupe.Running)
			p.start(e, "again")
			p.must("sweep", p.Store.Sweep(p.Context()))
			p.finish(e, dedupe.Done, "sent")
			p.reopen()
			p.claimRecord(syncClaim("k"), dedupe.Done, "sent")
		}},
		{"sweep of many", sweepMany},
	}
}

// reachEach makes a row of every state that lasts.
func reachEach(p *probe) {
	p.Helper()
	p.finish(p.claim(syncClaim("done"), dedupe.Claimed), dedupe.Done, "sent")
	p.finish(p.claim(syncClaim("unknown"), dedupe.Claimed), dedupe.Unknown, "lost")
	p.finish(p.claim(syncClaim("failed"), dedupe.Claimed), dedupe.Failed, "refused")
	p.release(p.claim(syncClaim("released"), dedupe.Claimed), "1 sent")
	p.release(p.claim(syncClaim("freed"), dedupe.Claimed), "")
	p.claim(queued("waiting", "lane"), dedupe.Waiting)
}

// wantEach wants what reachEach made.
func wantEach(p *probe) {
	p.Helper()
	p.wantRecord(p.find("msg_done", dedupe.Done), "sent")
	p.wantRecord(p.find("msg_unknown", dedupe.Unknown), "lost")
	p.wantRecord(p.find("msg_failed", dedupe.Failed), "refused")
	p.wantRecord(p.find("msg_released", dedupe.Failed), "1 sent")
	p.findNone("openclaw", "msg_freed")
	if e := p.find("msg_waiting", dedupe.Waiting); string(e.Payload) != "payload of waiting" {
		p.Fatalf("payload: got %q, want what was queued", e.Payload)
	}
}

func cancelled(p *probe) {
	held := p.claim(syncClaim("held"), dedupe.Claimed)
	p.claim(queued("queued", "lane"), dedupe.Waiting)
	ctx, cancel := context.WithCancel(p.Context())
	cancel()
	calls := map[string]func() error{
		"claim":          func() error { _, err := p.Store.Claim(ctx, syncClaim("new")); return err },
		"queueing claim": func() error { _, err := p.Store.Claim(ctx, queued("new queued", "lane")); return err },
		"start":          func() error { return p.Store.Start(ctx, held, []byte("wrong")) },
		"note":           func() error { return p.Store.Note(ctx, held, []byte("wrong")) },
		"finish":         func() error { return p.Store.Finish(ctx, held, dedupe.Done, []byte("wrong")) },
		"release":        func() error { return p.Store.Release(ctx, held, nil) },
		"take":           func() error { _, err := p.Store.Take(ctx, 5); return err },
		"sweep":          func() error { return p.Store.Sweep(ctx) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, dedupe.ErrUnavailable) {
			p.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
	}
	p.findNone("openclaw", "msg_new")
	p.findNone("openclaw", "msg_new queued")
	p.waiting(1)
	p.wantRecord(p.find("msg_held", dedupe.Running), "")
	p.take(5, "queued")
	p.claim(syncClaim("new"), dedupe.Claimed)
	p.start(held, "right")
	p.finish(held, dedupe.Done, "sent")
}

func afterClose(p *probe) {
	held := p.claim(syncClaim("held"), dedupe.Claimed)
	p.claim(queued("queued", "lane"), dedupe.Waiting)
	p.must("close", p.Store.Close())
	ctx := p.Context()
	calls := map[string]func() error{
		"claim":          func() error { _, err := p.Store.Claim(ctx, syncClaim("new")); return err },
		"queueing claim": func() error { _, err := p.Store.Claim(ctx, queued("new queued", "lane")); return err },
		"start":          func() error { return p.Store.Start(ctx, held, nil) },
		"note":           func() error { return p.Store.Note(ctx, held, nil) },
		"finish":         func() error { return p.Store.Finish(ctx, held, dedupe.Done, nil) },
		"release":        func() error { return p.Store.Release(ctx, held, nil) },
		"take":           func() error { _, err := p.Store.Take(ctx, 5); return err },
		"find":           func() error { _, err := p.Store.Find(ctx, "openclaw", "msg_queued"); return err },
		"renew":          func() error { _, err := p.Store.Renew(ctx, []dedupe.Entry{held}); return err },
		"waiting":        func() error { _, err := p.Store.Waiting(ctx); return err },
		"sweep":          func() error { return p.Store.Sweep(ctx) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, dedupe.ErrUnavailable) {
			p.Errorf("%s: got %v, want ErrUnavailable", name, err)
		}
	}
}

// sweepMany wants more rows than one step removes to be gone after some sweeps, and their keys free.
func sweepMany(p *probe) {
	const rows = 300
	keys := make([]string, rows)
	for i := range rows {
		keys[i] = "k" + string(rune('a'+i%26)) + time.Duration(i).String()
		p.finish(p.claim(syncClaim(keys[i]), dedupe.Claimed), dedupe.Done, "sent")
	}
	p.Advance(window + time.Second)
	p.finish(p.claim(syncClaim("young"), dedupe.Claimed), dedupe.Done, "sent")
	for range 3 {
		p.must("sweep", p.Store.Sweep(p.Context()))
	}
	for _, key := range keys {
		p.claimRecord(syncClaim(key), dedupe.Claimed, "")
	}
	p.claimRecord(syncClaim("young"), dedupe.Done, "sent")
}
