package outbound_test

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/memdedupe"
	"github.com/imrelay/imrelay/dedupe/sqlitededupe"
	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit"
	"github.com/imrelay/imrelay/relay/store/sqlitefile"
)

// newFlaky is a Sender over a ledger that fails when told so, and whose claims never lapse.
func newFlaky(t *testing.T, im *fakeIM) (*rig, *brokenStore) {
	t.Helper()
	store := &brokenStore{Store: memdedupe.New(memdedupe.Options{Window: 48 * time.Hour})}
	return newRig(t, im, func(o *outbound.Options) { o.Store = store }), store
}

var errDisk = errors.New("disk full")

// TestAnOutcomeIsStoredWhenTheLedgerHeals, whatever step failed; the caller does not wait for that.
func TestAnOutcomeIsStoredWhenTheLedgerHeals(t *testing.T) {
	t.Parallel()
	t.Run("sent", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r, store := newFlaky(t, &fakeIM{})
			store.fail("finish", errDisk)
			began := time.Now()
			r.mustSend(keyed("r-1", "hello"))
			if took := time.Since(began); took != 0 {
				t.Errorf("answered after %v, want at once", took)
			}
			r.refused(keyed("r-1", "hello"), outbound.CodeInProgress)
			pass(time.Hour)
			store.fail("finish", nil)
			pass(6 * time.Second)
			if !r.mustSend(keyed("r-1", "hello")).Replayed {
				t.Error("got a new send, want a replay")
			}
			r.wantCalls(1)
			if n := r.logs.FilterMessage("outcome not stored").Len(); n != 1 {
				t.Errorf("lines about it: got %d, want 1", n)
			}
		})
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r, store := newFlaky(t, &fakeIM{answer: script(failing(outbound.Rejected))})
			store.fail("release", errDisk)
			r.refused(keyed("r-1", "hello"), outbound.CodeUpstreamRejected)
			pass(time.Minute)
			store.fail("release", nil)
			pass(6 * time.Second)
			r.mustSend(keyed("r-1", "hello"))
		})
	})
	t.Run("a part", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r, store := newFlaky(t, &fakeIM{})
			r.Reload(outbound.Table{"wechat": {Connector: r.im, Limits: outbound.Limits{MaxText: 5}}})
			store.fail("note", errDisk)
			if res := r.mustSend(keyed("r-1", fiveWords)); len(res.MessageIDs) != 5 {
				t.Errorf("got %+v, want five parts", res)
			}
			if !r.mustSend(keyed("r-1", fiveWords)).Replayed {
				t.Error("got a new send, want a replay")
			}
		})
	})
	t.Run("queued", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r, store := newFlaky(t, &fakeIM{})
			r.running()
			store.fail("finish", errDisk)
			first, second := r.enqueue(request("first")).ID, r.enqueue(request("second")).ID
			pass(time.Minute)
			r.lookup(first, outbound.StatusQueued)
			store.fail("finish", nil)
			pass(6 * time.Second)
			r.lookup(first, outbound.StatusSent)
			r.lookup(second, outbound.StatusSent)
			wantTexts(t, r.im.texts(), "first", "second")
		})
	})
}

// TestAClosingSenderLetsGoOfWhatItCannotStore: the rows say what a crash would have left.
func TestAClosingSenderLetsGoOfWhatItCannotStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, store := newFlaky(t, &fakeIM{})
		r.running()
		store.fail("finish", errDisk)
		r.mustSend(keyed("r-1", "hello"))
		other := request("queued")
		other.To = "wxid_bob"
		queued := r.enqueue(other).ID
		pass(time.Minute)
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		r.lookup(queued, outbound.StatusUnknown)
		store.fail("finish", nil)
		after := newRig(t, &fakeIM{}, func(o *outbound.Options) { o.Store = store })
		after.refused(keyed("r-1", "hello"), outbound.CodeDeliveryUnknown)
		after.wantCalls(0)
	})
}

// TestAConnectorThatPanicsHoldsNothing: where the caller's goroutine outlives it, the key's outcome is unknown.
func TestAConnectorThatPanicsHoldsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := newFlaky(t, &fakeIM{answer: func(n int, _ outbound.Message) error {
			if n == 0 {
				panic("nil map")
			}
			return nil
		}})
		func() {
			defer func() {
				if recover() == nil {
					t.Error("got no panic, want the connector's")
				}
			}()
			_, _ = r.Send(t.Context(), keyed("r-1", "hello"))
		}()
		r.refused(keyed("r-1", "hello"), outbound.CodeDeliveryUnknown)
		r.mustSend(request("next"))
	})
}

// TestTheHookIsBounded: a store that hangs holds up a line for a moment, and is complained about once until it heals.
func TestTheHookIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var healed atomic.Bool
		r := newRig(t, &fakeIM{}, func(o *outbound.Options) {
			o.Sent = func(ctx context.Context, _, _, _ string) error {
				if healed.Load() {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}
		})
		for _, heal := range []bool{false, false, true, false} {
			healed.Store(heal)
			began := time.Now()
			r.mustSend(request("hello"))
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("sent after %v, want 2s at most", took)
			}
		}
		if n := r.logs.FilterMessage("sent messages are not remembered").Len(); n != 2 {
			t.Errorf("complaints: got %d, want one for each of two outages", n)
		}
	})
}

// garbled is a ledger whose records cannot be read.
type garbled struct{ dedupe.Store }

func (g garbled) Claim(ctx context.Context, c dedupe.Claim) (dedupe.Entry, error) {
	e, err := g.Store.Claim(ctx, c)
	if e.Status == dedupe.Claimed {
		e.Record = []byte("{")
	}
	return e, err
}

// TestAnUnreadableRecordHoldsNothing: each request hears of it, and none that another is being sent.
func TestAnUnreadableRecordHoldsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, &fakeIM{}, func(o *outbound.Options) {
			o.Store = garbled{memdedupe.New(memdedupe.Options{})}
		})
		r.refused(keyed("r-1", "hello"), outbound.CodeStoreUnavailable)
		r.refused(keyed("r-1", "hello"), outbound.CodeStoreUnavailable)
		r.wantCalls(0)
	})
}

// TestADiskThatWasFull while the IM answered: over the file, a caller's key and a queued send's line are free again.
func TestADiskThatWasFull(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	file, err := sqlitefile.Open(t.Context(), sqlitefile.Options{Dir: t.TempDir(), BeforeCommit: func() error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}})
	if err != nil {
		t.Fatalf("open file: %v", err)
	}
	store, err := sqlitededupe.New(t.Context(), file, sqlitededupe.Options{Window: 48 * time.Hour})
	if err != nil {
		t.Fatalf("open ledger: %v", err)
	}
	im := &fakeIM{answer: func(_ int, m outbound.Message) error {
		if m.Text == "full" {
			full.Store(true)
		}
		return nil
	}}
	s, err := outbound.New(outbound.Options{
		Store: store, Limiter: &limit.Limiter{}, Accounts: outbound.Table{"wechat": {Connector: im}}, Hold: testHold,
		Log: zap.NewNop(),
	})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-done, store.Close(), file.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	}()

	if _, err := s.Send(t.Context(), keyed("r-1", "full")); err != nil {
		t.Fatalf("send while the disk gets full: got %v, want sent", err)
	}
	full.Store(false)
	if res, err := s.Send(t.Context(), keyed("r-1", "full")); err != nil || !res.Replayed {
		t.Fatalf("the same key after the disk healed: got %+v, %v; want a replay", res, err)
	}
	rep, err := s.Enqueue(t.Context(), request("full"))
	if err != nil {
		t.Fatalf("enqueue: %v", err)
	}
	within(t, "the disk to be full again", full.Load)
	full.Store(false)
	within(t, "the queued send to be sent", func() bool {
		now, err := s.Lookup(t.Context(), "openclaw", rep.ID)
		return err == nil && now.Status == outbound.StatusSent
	})
	if _, err := s.Send(t.Context(), request("behind it")); err != nil {
		t.Errorf("the next one to the same recipient: got %v, want sent", err)
	}
	if got := len(im.sent()); got != 3 {
		t.Errorf("calls: got %d, want 3", got)
	}
}

// within waits until ok.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); pass(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
