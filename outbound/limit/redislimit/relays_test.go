package redislimit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/dedupe/memdedupe"
	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit/limittest"
	"github.com/imrelay/imrelay/outbound/limit/redislimit"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// fakeIM takes everything, and notes what it took by recipient, and when the last one came.
type fakeIM struct {
	mu   sync.Mutex
	took map[string][]string
	last time.Time
}

func (f *fakeIM) Send(_ context.Context, m outbound.Message) (outbound.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.took == nil {
		f.took = map[string][]string{}
	}
	f.took[m.To] = append(f.took[m.To], m.Text)
	f.last = time.Now()
	return outbound.Receipt{ID: "7265419038812340001"}, nil
}

// relay makes a Sender as each relay has one. Their ledgers do not matter here.
func relay(t *testing.T, l outbound.Limiter, im outbound.Connector, limits outbound.Limits) *outbound.Sender {
	t.Helper()
	s, err := outbound.New(outbound.Options{
		Store: memdedupe.New(memdedupe.Options{Window: time.Hour, Lease: 10 * time.Second}), Limiter: l,
		Accounts: outbound.Table{"wechat": {Connector: im, Limits: limits}}, Hold: 3 * time.Second, Log: zap.NewNop(),
	})
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func send(ctx context.Context, s *outbound.Sender, to, text string) error {
	_, err := s.Send(ctx, outbound.Request{Client: outbound.Client{Name: "openclaw"}, To: to, Text: text})
	return err
}

// TestHeldSendsOfTwoRelays: they go at the one pace, none is refused, and each recipient's keep the order of his relay.
func TestHeldSendsOfTwoRelays(t *testing.T) {
	t.Parallel()
	const (
		each  = 8
		every = 25 * time.Millisecond
	)
	server, im := redistest.Start(t), &fakeIM{}
	limits := outbound.Limits{Account: outbound.Rate{N: 1, Per: every, Burst: 2}}
	var wg sync.WaitGroup
	began := time.Now()
	for i := range 2 {
		l, _ := open(t, server)
		s := relay(t, l, im, limits)
		for _, to := range []string{"alice", "bob"} {
			to = fmt.Sprint(to, " of relay ", i)
			wg.Go(func() {
				for n := range each {
					if err := send(t.Context(), s, to, fmt.Sprint(n)); err != nil {
						t.Errorf("send %d to %s: %v", n, to, err)
					}
				}
			})
		}
	}
	wg.Wait()
	want := time.Duration(2*2*each-2) * every
	if took := im.last.Sub(began); took < want-time.Millisecond {
		t.Errorf("%d sends took %v, want at least %v", 4*each, took, want)
	}
	if len(im.took) != 4 {
		t.Errorf("recipients: got %d, want 4", len(im.took))
	}
	for to, texts := range im.took {
		if len(texts) != each || !slices.IsSorted(texts) {
			t.Errorf("to %s: got %q, want %d in order", to, texts, each)
		}
	}
}

// TestARelayKnowsOfTheOthersHeldSends: who cannot go in time because of them is refused at once, with the true time.
func TestARelayKnowsOfTheOthersHeldSends(t *testing.T) {
	t.Parallel()
	server, im := redistest.Start(t), &fakeIM{}
	limits := outbound.Limits{Account: outbound.Rate{N: 1, Per: time.Second}}
	a, _ := open(t, server)
	b, _ := open(t, server)
	first, second := relay(t, a, im, limits), relay(t, b, im, limits)
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer leave()
	// One now, and one each in one, two and three seconds.
	if err := send(ctx, first, "wxid_alice", "hello"); err != nil {
		t.Fatalf("send: %v", err)
	}
	for i := range 3 {
		wg.Go(func() { _ = send(ctx, first, fmt.Sprint("wxid_", i), "hello") })
	}
	for end := time.Now().Add(10 * time.Second); ; wait(time.Millisecond) {
		if d, err := b.Delay(t.Context(), slot("wechat", limits)); err != nil || d > 3*time.Second {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the places are not taken")
		}
	}
	began := time.Now()
	err := send(t.Context(), second, "wxid_alice", "hello")
	e, ok := errors.AsType[*outbound.Error](err)
	if !ok || e.Code != outbound.CodeRateLimited || e.RetryAfter != 4*time.Second || time.Since(began) > time.Second {
		t.Errorf("got %v after %v; want %s at once, with 4s", err, time.Since(began), outbound.CodeRateLimited)
	}
}

// TestSuiteOnACluster: the buckets are with different masters.
func TestSuiteOnACluster(t *testing.T) {
	t.Parallel()
	conn, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(redistest.StartCluster(t).URL("")), Log: zap.NewNop()})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	l := redislimit.New(conn, redislimit.Options{Log: zap.NewNop()})
	limittest.Run(t, "cluster", func(*testing.T) outbound.Limiter { return l })
}
