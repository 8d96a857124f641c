package outbound_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/outbound"
)

func TestSameKeySameContentIsReplayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{})
		first := r.mustSend(keyed("r-1", "hello"))
		again := r.mustSend(keyed("r-1", "hello"))
		if !again.Replayed || !slices.Equal(again.MessageIDs, first.MessageIDs) {
			t.Errorf("got %+v, want %v replayed", again, first.MessageIDs)
		}
		r.wantCalls(1)
	})
}

func TestKeysBelongToClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{})
		r.mustSend(keyed("r-1", "hello"))
		other := keyed("r-1", "hello")
		other.Client.Name = "astrbot"
		if r.mustSend(other).Replayed {
			t.Error("another client's key was taken for a repeat")
		}
		r.wantCalls(2)
	})
}

func TestNoKeyIsNeverARepeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{})
		r.mustSend(request("ok"))
		r.mustSend(request("ok"))
		r.wantCalls(2)
	})
}

// TestOtherContentIsRefused: each part of the content counts, and nothing else.
func TestOtherContentIsRefused(t *testing.T) {
	t.Parallel()
	base := keyed("r-1", "hello")
	base.ReplyTo, base.Media = "7265419038812345671", []outbound.Media{{Type: "image", URL: "https://x.example/a.png"}}
	tests := []struct {
		name   string
		change func(r *outbound.Request)
		same   bool
	}{
		{"to", func(r *outbound.Request) { r.To = "wxid_bob" }, false},
		{"im", func(r *outbound.Request) { r.Account = "onebot" }, false},
		{"text", func(r *outbound.Request) { r.Text = "hello!" }, false},
		{"replyToMessageId", func(r *outbound.Request) { r.ReplyTo = "" }, false},
		{"media", func(r *outbound.Request) { r.Media = nil }, false},
		{"a field that moved", func(r *outbound.Request) { r.Text, r.ReplyTo = r.Text+r.ReplyTo, "" }, false},
		{"the request's id", func(r *outbound.Request) { r.RequestID = "req_2" }, true},
		{"the resolved im, named", func(r *outbound.Request) { r.Account = "wechat" }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				im := &fakeIM{}
				r := newRig(t, im, withAccounts(outbound.Table{"wechat": {Connector: im}, "onebot": {Connector: im}}),
					func(o *outbound.Options) {
						o.Known = func(context.Context, string) ([]string, error) { return []string{"wechat"}, nil }
					})
				r.mustSend(base)
				req := base
				tt.change(&req)
				if tt.same {
					if !r.mustSend(req).Replayed {
						t.Error("got a new send, want a replay")
					}
				} else {
					r.refused(req, outbound.CodeKeyReused)
				}
				r.wantCalls(1)
			})
		})
	}
}

func TestTwentyAtOnceWithOneKeyAreOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{takes: time.Second})
		var (
			wg       sync.WaitGroup
			mu       sync.Mutex
			replayed int
		)
		for range 20 {
			wg.Go(func() {
				res, err := r.Send(t.Context(), keyed("r-1", "hello"))
				mu.Lock()
				defer mu.Unlock()
				if err != nil || len(res.MessageIDs) != 1 || res.MessageIDs[0] != "90071992547409930" {
					t.Errorf("got %+v, %v; want the one id", res, err)
				}
				if res.Replayed {
					replayed++
				}
			})
		}
		wg.Wait()
		r.wantCalls(1)
		if replayed != 19 {
			t.Errorf("replayed: got %d, want 19", replayed)
		}
	})
}

func TestStillBeingSentAfterTheHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{takes: 5 * time.Second})
		go func() { _, _ = r.Send(t.Context(), keyed("r-1", "hello")) }()
		synctest.Wait()
		began := time.Now()
		e := r.refused(keyed("r-1", "hello"), outbound.CodeInProgress)
		wantAfter(t, "in_progress", began, testHold)
		if e.RetryAfter != time.Second {
			t.Errorf("retry after: got %v, want 1s", e.RetryAfter)
		}
		r.refused(keyed("r-1", "other"), outbound.CodeKeyReused)
		pass(2 * time.Second)
		if !r.mustSend(keyed("r-1", "hello")).Replayed {
			t.Error("got a second send, want the first one's answer")
		}
		r.wantCalls(1)
	})
}

// TestHeldByAnotherRelay: the row is looked at again until its holder is done.
func TestHeldByAnotherRelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newLedger()
		one := newRigOn(t, store, &fakeIM{takes: time.Second})
		two := newRigOn(t, store, &fakeIM{})
		go func() { _, _ = one.Send(t.Context(), keyed("r-1", "hello")) }()
		synctest.Wait()
		began := time.Now()
		if !two.mustSend(keyed("r-1", "hello")).Replayed {
			t.Error("got a second send, want the other relay's answer")
		}
		wantAfter(t, "replayed", began, time.Second)
		two.wantCalls(0)
	})
}

// TestWhoWaitsGetsTheRefusalToo: a refused key is not tried once for each of those who wait.
func TestWhoWaitsGetsTheRefusalToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{takes: time.Second, answer: script(failing(outbound.Rejected))})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				res, err := r.Send(t.Context(), keyed("r-1", "hello"))
				wantCode(t, res, err, outbound.CodeUpstreamRejected)
			})
		}
		wg.Wait()
		r.wantCalls(1)
		r.mustSend(keyed("r-1", "hello"))
	})
}

// TestAfterARefusalTheKeyIsFree: 429, 502 and 503 are no outcome.
func TestAfterARefusalTheKeyIsFree(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  *outbound.SendError
		want outbound.Code
	}{
		{"throttled", &outbound.SendError{Reason: outbound.Throttled, After: time.Minute}, outbound.CodeUpstreamRateLimited},
		{"rejected", failing(outbound.Rejected), outbound.CodeUpstreamRejected},
		{"not sent", &outbound.SendError{Reason: outbound.NotSent, After: time.Minute}, outbound.CodeUpstreamUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, &fakeIM{answer: script(tt.err)})
				e := r.refused(keyed("r-1", "hello"), tt.want)
				pass(e.RetryAfter)
				if r.mustSend(keyed("r-1", "hello")).Replayed {
					t.Error("got a replay, want a new try")
				}
				// Other content is fine too: the refused row is gone.
				r.refused(keyed("r-1", "other"), outbound.CodeKeyReused)
			})
		})
	}
}

func TestUnknownStaysUnknownUntilResend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{answer: script(failing(outbound.Uncertain))})
		r.refused(keyed("r-1", "hello"), outbound.CodeDeliveryUnknown)
		r.refused(keyed("r-1", "hello"), outbound.CodeDeliveryUnknown)
		r.wantCalls(1)
		again := keyed("r-1", "hello")
		again.Resend = true
		if r.mustSend(again).Replayed {
			t.Error("got a replay, want it sent again")
		}
		r.wantCalls(2)
		if !r.mustSend(keyed("r-1", "hello")).Replayed {
			t.Error("got a new send, want a replay")
		}
		r.wantCalls(2)
	})
}

// TestACrashDuringTheCallIsUnknown: what was started and has no outcome may have been sent.
func TestACrashDuringTheCallIsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newLedger()
		r := newRigOn(t, store, &fakeIM{takes: time.Second})
		done := make(chan struct{})
		go func() {
			defer close(done)
			// The ledger is gone when the IM answers; it was sent all the same.
			if _, err := r.Send(t.Context(), keyed("r-1", "hello")); err != nil {
				t.Errorf("send: %v", err)
			}
		}()
		synctest.Wait()
		after := newRigOn(t, store.Crash(), &fakeIM{})
		after.refused(keyed("r-1", "hello"), outbound.CodeDeliveryUnknown)
		after.wantCalls(0)
		<-done
	})
}

func TestStoreFailures(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"claim", "start"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &brokenStore{Store: newLedger()}
				r := newRig(t, &fakeIM{}, func(o *outbound.Options) { o.Store = store })
				store.fail(method, dedupe.ErrUnavailable)
				e := r.refused(keyed("r-1", "hello"), outbound.CodeStoreUnavailable)
				if e.RetryAfter < time.Second {
					t.Errorf("retry after: got %v, want at least 1s", e.RetryAfter)
				}
				r.wantCalls(0)
				store.fail(method, nil)
				r.mustSend(keyed("r-1", "hello"))
			})
		})
	}
	t.Run("finish", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			store := &brokenStore{Store: newLedger()}
			r := newRig(t, &fakeIM{}, func(o *outbound.Options) { o.Store = store })
			store.fail("finish", errors.New("disk full"))
			r.mustSend(keyed("r-1", "hello"))
			pass(11 * time.Second)
			r.refused(keyed("r-1", "hello"), outbound.CodeDeliveryUnknown)
			r.wantCalls(1)
		})
	})
}

// TestALongSendKeepsItsClaim: a slow IM does not make the row lapse while Run renews it.
func TestALongSendKeepsItsClaim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{takes: 40 * time.Second}).running()
		r.mustSend(keyed("r-1", "hello"))
		if !r.mustSend(keyed("r-1", "hello")).Replayed {
			t.Error("got a new send, want a replay")
		}
		r.wantCalls(1)
	})
}
