package outbound_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/redisdedupe"
	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// TestStillBeingSentByAnotherRelay: it is waited for, but not for longer than the hold.
func TestStillBeingSentByAnotherRelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newLedger()
		one := newRigOn(t, store, &fakeIM{takes: 5 * time.Second})
		two := newRigOn(t, store, &fakeIM{})
		go func() { _, _ = one.Send(t.Context(), keyed("r-1", "hello")) }()
		synctest.Wait()
		began := time.Now()
		e := two.refused(keyed("r-1", "hello"), outbound.CodeInProgress)
		wantAfter(t, "in_progress", began, testHold)
		if e.RetryAfter != time.Second {
			t.Errorf("retry after: got %v, want 1s", e.RetryAfter)
		}
		if !two.mustSend(keyed("r-1", "hello")).Replayed {
			t.Error("got a second send, want the other relay's answer")
		}
		two.wantCalls(0)
	})
}

// TestLostBeforeItsStart: a row that has vanished, or is another relay's by now, is not sent, and may be repeated.
func TestLostBeforeItsStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, store := newFlaky(t, &fakeIM{})
		store.fail("start", dedupe.ErrLost)
		e := r.refused(keyed("r-1", "hello"), outbound.CodeStoreUnavailable)
		if e.RetryAfter != time.Second || e.Code.Status() != 503 {
			t.Errorf("got %d, retry after %v; want 503 and 1s", e.Code.Status(), e.RetryAfter)
		}
		r.wantCalls(0)
		store.fail("start", nil)
		pass(time.Second)
		if r.mustSend(keyed("r-1", "hello")).Replayed {
			t.Error("got a replay of what was never sent")
		}
		r.wantCalls(1)
	})
}

// awayStore is a ledger that can be out of reach, which it takes a while to find out.
type awayStore struct {
	dedupe.Store

	away  atomic.Bool
	looks atomic.Int32
}

const awayAfter = 900 * time.Millisecond

func (a *awayStore) gone() error {
	if !a.away.Load() {
		return nil
	}
	<-time.After(awayAfter)
	return dedupe.ErrUnavailable
}

func (a *awayStore) Claim(ctx context.Context, c dedupe.Claim) (dedupe.Entry, error) {
	e, err := a.Store.Claim(ctx, c)
	if c.Payload == nil {
		a.away.Store(true)
	}
	return e, err
}

func (a *awayStore) Start(ctx context.Context, e dedupe.Entry, rec []byte) error {
	if err := a.gone(); err != nil {
		return err
	}
	return a.Store.Start(ctx, e, rec)
}

func (a *awayStore) Release(ctx context.Context, e dedupe.Entry, rec []byte) error {
	if err := a.gone(); err != nil {
		return err
	}
	return a.Store.Release(ctx, e, rec)
}

func (a *awayStore) Take(context.Context, int) ([]dedupe.Entry, error) {
	a.looks.Add(1)
	return nil, nil
}

func (a *awayStore) Find(ctx context.Context, owner, id string) (dedupe.Entry, error) {
	if err := a.gone(); err != nil {
		return dedupe.Entry{}, err
	}
	return a.Store.Find(ctx, owner, id)
}

// TestTheLedgerGoesAwayBeforeTheStart: the caller hears so after one try, and his key is given back when it is there again.
func TestTheLedgerGoesAwayBeforeTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &awayStore{Store: newLedger()}
		r := newRig(t, &fakeIM{}, func(o *outbound.Options) { o.Store = store })
		began := time.Now()
		r.refused(keyed("r-1", "hello"), outbound.CodeStoreUnavailable)
		wantAfter(t, "store_unavailable", began, awayAfter)
		store.away.Store(false)
		pass(2 * time.Second)
		e, err := store.Store.Claim(t.Context(), dedupe.Claim{Owner: "openclaw", Key: "r-1", ID: "msg_other"})
		if err != nil || e.Status != dedupe.Claimed {
			t.Errorf("claim of the key: got %v, %v; want it free", e.Status, err)
		}
		r.wantCalls(0)
	})
}

// TestALedgerOutOfReachStopsNoLooks: many rows that nobody here has are not asked for one after the other meanwhile.
func TestALedgerOutOfReachStopsNoLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &awayStore{Store: newLedger()}
		r := newRig(t, &fakeIM{}, func(o *outbound.Options) { o.Store = store }).running()
		for i := range 100 {
			req := request("hello")
			req.To = fmt.Sprint("wxid_", i)
			r.enqueue(req)
		}
		pass(2500 * time.Millisecond)
		store.away.Store(true)
		before := store.looks.Load()
		pass(10 * time.Second)
		if n := store.looks.Load() - before; n < 8 {
			t.Errorf("looks for work in 10s: got %d, want one a second", n)
		}
	})
}

// TestTwentySendsOverTwoRelays of one key are one call to the IM, and all get its answer.
func TestTwentySendsOverTwoRelays(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	im := &fakeIM{takes: 100 * time.Millisecond}
	relays := []*outbound.Sender{newShared(t, server, im), newShared(t, server, im)}
	var (
		wg    sync.WaitGroup
		first atomic.Int32
	)
	for i := range 20 {
		wg.Go(func() {
			res, err := relays[i%2].Send(t.Context(), keyed("r-1", "hello"))
			if err != nil || len(res.MessageIDs) != 1 || res.MessageIDs[0] != "90071992547409930" {
				t.Errorf("send: got %+v, %v; want the one id", res, err)
			}
			if !res.Replayed {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if calls := len(im.sent()); calls != 1 || first.Load() != 1 {
		t.Errorf("calls to the IM: got %d, and %d answers that are no replay; want 1 and 1", calls, first.Load())
	}
}

// newShared is the Sender of one more relay on the server.
func newShared(t *testing.T, server *redistest.Server, im *fakeIM) *outbound.Sender {
	t.Helper()
	conn, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(server.URL("")), Log: zap.NewNop()})
	if err != nil {
		t.Fatalf("open connection: %v", err)
	}
	store, err := redisdedupe.Open(t.Context(), conn, redisdedupe.Options{})
	if err != nil {
		t.Fatalf("open ledger: %v", err)
	}
	s, err := outbound.New(outbound.Options{
		Store: store, Limiter: &limit.Limiter{}, Hold: testHold, Lease: 10 * time.Second, Log: zap.NewNop(),
		Accounts: outbound.Table{"wechat": {Connector: im}},
	})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := conn.Close(); err != nil {
			t.Errorf("close connection: %v", err)
		}
	})
	return s
}
