package connector_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/connector"
	"github.com/imrelay/imrelay/relay/egress"
)

// turn is what a media server does with a call.
type turn struct {
	status int
	err    *egress.Error
	hangs  bool // until the call's time is over
}

// doer does its turns one after the other, the last one again and again.
type doer struct {
	turns []turn
	calls []egress.Call
}

func (d *doer) Do(ctx context.Context, c egress.Call) (egress.Answer, error) {
	now := d.turns[min(len(d.calls), len(d.turns)-1)]
	d.calls = append(d.calls, c)
	if now.hangs {
		timer := time.NewTimer(c.Timeout)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return egress.Answer{}, &egress.Error{Timeout: true, Written: true, Reason: "no answer in time"}
	}
	if now.err != nil {
		return egress.Answer{}, now.err
	}
	return egress.Answer{Status: now.status, Body: []byte(thePNG)}, nil
}

// TestFetchTries: what may pass is tried again within a bound, what stays is not, and neither holds a line up.
func TestFetchTries(t *testing.T) {
	t.Parallel()
	refused := turn{err: &egress.Error{Reason: "connection refused"}}
	never := turn{err: &egress.Error{Reason: "no such host", Lasting: true}}
	for _, tt := range []struct {
		name  string
		turns []turn
		calls int
		got   bool
		took  time.Duration
	}{
		{"at once", []turn{{status: 200}}, 1, true, 0},
		{"refused once", []turn{refused, {status: 200}}, 2, true, 250 * time.Millisecond},
		{"503, then 429", []turn{{status: 503}, {status: 429}, {status: 200}}, 3, true, 1250 * time.Millisecond},
		{"refused thrice", []turn{refused}, 3, false, 1250 * time.Millisecond},
		{"500 thrice", []turn{{status: 500}}, 3, false, 1250 * time.Millisecond},
		{"never", []turn{never}, 1, false, 0},
		{"not found", []turn{{status: 404}}, 1, false, 0},
		{"moved", []turn{{status: 302}}, 1, false, 0},
		{"never, at last", []turn{refused, never}, 2, false, 250 * time.Millisecond},
		{"hangs once", []turn{{hangs: true}, {status: 200}}, 2, true, 10250 * time.Millisecond},
		{"hangs", []turn{{hangs: true}}, 2, false, 20 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, began := &doer{turns: tt.turns}, time.Now()
				got, e := connector.Fetch(t.Context(), d, "http://a.example/b.png", 1<<20)
				if (len(got) > 0) != tt.got || len(d.calls) != tt.calls || time.Since(began) != tt.took {
					t.Errorf("got %d bytes, %v, %d calls, %v; want got %v, %d calls, %v",
						len(got), e, len(d.calls), time.Since(began), tt.got, tt.calls, tt.took)
				}
				if !tt.got && (e == nil || e.Error() != "rejected (media): the medium could not be fetched" || !e.Ours) {
					t.Errorf("got %+v, want the words that all have", e)
				}
				for _, c := range d.calls {
					if !c.Once || c.Method != http.MethodGet {
						t.Errorf("got %+v, want a GET that is not remembered", c)
					}
				}
			})
		})
	}
}

// TestFetchEnds: a relay that ends between two tries has not refused the medium.
func TestFetchEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		d, began := &doer{turns: []turn{{status: 503}}}, time.Now()
		_, e := connector.Fetch(ctx, d, "http://a.example/b.png", 1<<20)
		if e == nil || e.Reason != outbound.NotSent || len(d.calls) != 1 || time.Since(began) != 100*time.Millisecond {
			t.Errorf("got %v, %d calls after %v; want not_sent, 1 call at the end", e, len(d.calls), time.Since(began))
		}
	})
}

// TestFetchPublic: with the client that the daemon gives, nothing private is called, and nothing tells what is there.
func TestFetchPublic(t *testing.T) {
	t.Parallel()
	base, calls := store(t)
	c := egress.New(egress.Options{Public: true})
	t.Cleanup(c.Close)
	var words []string
	for _, from := range []string{
		base + "/a.png", base + "/nothing.png", "http://127.0.0.1:1/", "http://media.invalid/", "http://10.0.0.1/",
	} {
		_, e := connector.Fetch(t.Context(), c, from, 1<<20)
		if e == nil {
			t.Fatalf("%s was fetched", from)
		}
		words = append(words, e.Error())
	}
	for _, w := range words {
		if w != words[0] {
			t.Errorf("got %q and %q, want the same words", w, words[0])
		}
	}
	if calls.Load() != 0 {
		t.Errorf("got %d calls, want none", calls.Load())
	}
}

// pool serves media of a size, and says how many calls are under way.
type pool struct {
	size  int
	under atomic.Int32
	leave chan struct{}
	as    int
}

func (p *pool) Do(ctx context.Context, _ egress.Call) (egress.Answer, error) {
	p.under.Add(1)
	defer p.under.Add(-1)
	select {
	case <-p.leave:
	case <-ctx.Done():
	}
	return egress.Answer{Status: p.as, Body: []byte(thePNG + strings.Repeat("x", p.size-len(thePNG)))}, nil
}

// TestBound: media under way have so much room, each from its fetching to its send's end.
func TestBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pool{size: 400, as: 200, leave: make(chan struct{})}
		b := connector.Bound(p, 1000)
		first, sent := context.WithCancel(t.Context())
		fetched := make(chan *outbound.SendError, 3)
		for _, ctx := range []context.Context{first, t.Context(), t.Context()} {
			go func() {
				_, e := connector.Fetch(ctx, b, "http://a.example/b.png", 500)
				fetched <- e
			}()
			synctest.Wait()
		}
		if n := p.under.Load(); n != 2 {
			t.Fatalf("got %d fetches at once, want 2", n)
		}
		close(p.leave)
		for range 2 {
			if e := <-fetched; e != nil {
				t.Fatalf("got %v, want a picture", e)
			}
		}
		synctest.Wait()
		if len(fetched) != 0 { // 200 are free, beside 400 and 400
			t.Fatalf("got %v, want the third to wait", <-fetched)
		}
		sent()
		if e := <-fetched; e != nil {
			t.Errorf("got %v, want the third after the first was sent", e)
		}
	})
}

// TestBoundFull: who finds no room in time has lost nothing by it, and what is no medium takes none.
func TestBoundFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pool{size: 400, as: 200, leave: make(chan struct{})}
		close(p.leave)
		b := connector.Bound(p, 500)
		fetch := func(ctx context.Context) *outbound.SendError {
			_, e := connector.Fetch(ctx, b, "http://a.example/b.png", 500)
			return e
		}
		p.as = http.StatusNotFound
		for range 3 {
			if e := fetch(t.Context()); e == nil || e.Reason != outbound.Rejected {
				t.Fatalf("not found: got %v, want it rejected", e)
			}
		}
		p.as = http.StatusOK
		if e := fetch(context.Background()); e != nil { // it has no end, and must not keep the room
			t.Fatalf("got %v, want a picture", e)
		}
		ctx, sent := context.WithCancel(t.Context())
		if e := fetch(ctx); e != nil {
			t.Fatalf("got %v, want a picture", e)
		}
		began := time.Now()
		e := fetch(t.Context())
		if e == nil || e.Reason != outbound.NotSent || !e.Ours || time.Since(began) != 20*time.Second {
			t.Errorf("full: got %+v after %v, want not_sent, ours, after 20s", e, time.Since(began))
		}
		_, err := b.Do(t.Context(), egress.Call{Timeout: time.Second})
		if late, ok := errors.AsType[*egress.Error](err); !ok || !late.Timeout || late.Written {
			t.Errorf("full: got %v, want a time-out with nothing written", err)
		}
		sent()
		synctest.Wait()
		if e := fetch(t.Context()); e != nil {
			t.Errorf("got %v, want a picture", e)
		}
	})
}

// TestFetcher: only who has no client for media fetches with the one for calls.
func TestFetcher(t *testing.T) {
	t.Parallel()
	calls, media := &doer{}, &doer{}
	if got := (connector.Wire{Doer: calls, Media: media}).Fetcher(); got != media {
		t.Errorf("got %v, want the one for media", got)
	}
	if got := (connector.Wire{Doer: calls}).Fetcher(); got != calls {
		t.Errorf("got %v, want the one for calls", got)
	}
}
