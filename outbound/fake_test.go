package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/imrelay/imrelay/dedupe"
	"github.com/imrelay/imrelay/dedupe/memdedupe"
	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit"
)

const testHold = 3 * time.Second

// fakeIM is an IM that follows a script.
type fakeIM struct {
	// answer decides the nth call, from 0; nil: all are sent.
	answer func(n int, m outbound.Message) error
	// takes is how long a call takes.
	takes time.Duration

	mu    sync.Mutex
	calls []outbound.Message
	at    []time.Time
	busy  map[string]bool
	mixed bool
}

func (f *fakeIM) Send(ctx context.Context, m outbound.Message) (outbound.Receipt, error) {
	f.mu.Lock()
	n := len(f.calls)
	f.calls, f.at = append(f.calls, m), append(f.at, time.Now())
	if f.busy == nil {
		f.busy = map[string]bool{}
	}
	f.mixed = f.mixed || f.busy[m.To]
	f.busy[m.To] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.busy[m.To] = false
	}()
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		return outbound.Receipt{}, &outbound.SendError{Reason: outbound.Uncertain, Err: ctx.Err()}
	}
	if f.answer != nil {
		if err := f.answer(n, m); err != nil {
			return outbound.Receipt{}, err
		}
	}
	return outbound.Receipt{ID: fmt.Sprintf("9007199254740993%d", n)}, nil
}

func (f *fakeIM) sent() []outbound.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fakeIM) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.at)
}

func (f *fakeIM) texts() []string {
	var out []string
	for _, m := range f.sent() {
		out = append(out, m.Text)
	}
	return out
}

// script answers the calls one after the other, and sends all that come later.
func script(errs ...error) func(int, outbound.Message) error {
	return func(n int, _ outbound.Message) error {
		if n < len(errs) {
			return errs[n]
		}
		return nil
	}
}

func failing(r outbound.Reason) *outbound.SendError { return &outbound.SendError{Reason: r} }

// rig is a Sender with what it stands on.
type rig struct {
	*outbound.Sender
	t     *testing.T
	store *memdedupe.Ledger
	im    *fakeIM
	logs  *observer.ObservedLogs
	table outbound.Table
	sent  []string
}

type option func(*outbound.Options)

func withLimits(l outbound.Limits) option {
	return func(o *outbound.Options) {
		a := o.Accounts["wechat"]
		a.Limits = l
		o.Accounts["wechat"] = a
	}
}

func withAccounts(t outbound.Table) option { return func(o *outbound.Options) { o.Accounts = t } }

func newLedger() *memdedupe.Ledger {
	return memdedupe.New(memdedupe.Options{Window: 48 * time.Hour, Lease: 10 * time.Second})
}

// newRig makes a Sender that is not running yet.
func newRig(t *testing.T, im *fakeIM, opts ...option) *rig {
	t.Helper()
	return newRigOn(t, newLedger(), im, opts...)
}

func newRigOn(t *testing.T, store *memdedupe.Ledger, im *fakeIM, opts ...option) *rig {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	r := &rig{t: t, store: store, im: im, logs: logs}
	var mu sync.Mutex
	o := outbound.Options{
		Store: store, Limiter: &limit.Limiter{}, Hold: testHold, Log: zap.New(core),
		Accounts: outbound.Table{"wechat": {Connector: im}},
		Sent: func(_ context.Context, account, to, id string) error {
			mu.Lock()
			defer mu.Unlock()
			r.sent = append(r.sent, account+" "+to+" "+id)
			return nil
		},
	}
	for _, f := range opts {
		f(&o)
	}
	r.table = o.Accounts
	s, err := outbound.New(o)
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	r.Sender = s
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// running runs the Sender until the test is over.
func (r *rig) running() *rig {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("run: %v", err)
		}
	})
	return r
}

func request(text string) outbound.Request {
	return outbound.Request{
		Client: outbound.Client{Name: "openclaw"}, RequestID: "req_1", To: "wxid_alice", Text: text,
	}
}

func keyed(key, text string) outbound.Request {
	r := request(text)
	r.Key = key
	return r
}

func (r *rig) mustSend(req outbound.Request) outbound.Result {
	r.t.Helper()
	res, err := r.Send(r.t.Context(), req)
	if err != nil {
		r.t.Fatalf("send: %v", err)
	}
	return res
}

// refused sends and wants the code.
func (r *rig) refused(req outbound.Request, want outbound.Code) outbound.Error {
	r.t.Helper()
	res, err := r.Send(r.t.Context(), req)
	return wantCode(r.t, res, err, want)
}

func wantCode(t *testing.T, got any, err error, want outbound.Code) outbound.Error {
	t.Helper()
	e, ok := errors.AsType[*outbound.Error](err)
	if !ok || e.Code != want {
		t.Fatalf("got %+v, %v; want %s", got, err, want)
	}
	return *e
}

func (r *rig) wantCalls(want int) {
	r.t.Helper()
	if got := len(r.im.sent()); got != want {
		r.t.Fatalf("calls to the IM: got %d, want %d", got, want)
	}
}

func (r *rig) enqueue(req outbound.Request) outbound.Report {
	r.t.Helper()
	rep, err := r.Enqueue(r.t.Context(), req)
	if err != nil {
		r.t.Fatalf("enqueue: %v", err)
	}
	return rep
}

func (r *rig) lookup(id, want string) outbound.Report {
	r.t.Helper()
	rep, err := r.Lookup(r.t.Context(), "openclaw", id)
	if err != nil {
		r.t.Fatalf("lookup: %v", err)
	}
	if rep.Status != want {
		r.t.Fatalf("status of %s: got %+v, want %s", id, rep, want)
	}
	return rep
}

func pass(d time.Duration) { <-time.After(d) }

func wantAfter(t *testing.T, what string, since time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(since); got < want-time.Millisecond || got > want+want/2+10*time.Millisecond {
		t.Fatalf("%s after %v, want %v", what, got, want)
	}
}

func wantTexts(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("texts at the IM: got %q, want %q", got, want)
	}
}

// brokenStore is a ledger whose methods fail when told so.
type brokenStore struct {
	dedupe.Store
	mu    sync.Mutex
	fails map[string]error
}

func (b *brokenStore) fail(method string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails == nil {
		b.fails = map[string]error{}
	}
	b.fails[method] = err
}

func (b *brokenStore) err(method string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fails[method]
}

func (b *brokenStore) Claim(ctx context.Context, c dedupe.Claim) (dedupe.Entry, error) {
	if err := b.err("claim"); err != nil {
		return dedupe.Entry{}, err
	}
	return b.Store.Claim(ctx, c)
}

func (b *brokenStore) Start(ctx context.Context, e dedupe.Entry, rec []byte) error {
	if err := b.err("start"); err != nil {
		return err
	}
	return b.Store.Start(ctx, e, rec)
}

func (b *brokenStore) Release(ctx context.Context, e dedupe.Entry, rec []byte) error {
	if err := b.err("release"); err != nil {
		return err
	}
	return b.Store.Release(ctx, e, rec)
}

func (b *brokenStore) Note(ctx context.Context, e dedupe.Entry, rec []byte) error {
	if err := b.err("note"); err != nil {
		return err
	}
	return b.Store.Note(ctx, e, rec)
}

func (b *brokenStore) Finish(ctx context.Context, e dedupe.Entry, s dedupe.Status, rec []byte) error {
	if err := b.err("finish"); err != nil {
		return err
	}
	return b.Store.Finish(ctx, e, s, rec)
}
