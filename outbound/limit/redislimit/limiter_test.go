package redislimit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/outbound/limit/limittest"
	"github.com/imrelay/imrelay/outbound/limit/redislimit"
	"github.com/imrelay/imrelay/relay/secret"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// open makes a limiter with a connection of its own, as a relay has.
func open(t *testing.T, s *redistest.Server) (*redislimit.Limiter, *redisconn.Conn) {
	t.Helper()
	conn, err := redisconn.Open(t.Context(), redisconn.Options{URL: secret.New(s.URL("")), Log: zap.NewNop()})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return redislimit.New(conn, redislimit.Options{Log: zap.NewNop()}), conn
}

// turns asks one limiter after the other: what one of them does has to hold for all.
type turns struct {
	limiters []*redislimit.Limiter
	n        atomic.Uint64
}

func (a *turns) next() *redislimit.Limiter { return a.limiters[a.n.Add(1)%uint64(len(a.limiters))] }

func (a *turns) Delay(ctx context.Context, s outbound.Slot) (time.Duration, error) {
	return a.next().Delay(ctx, s)
}

func (a *turns) Reserve(ctx context.Context, s outbound.Slot) (outbound.Place, error) {
	return a.next().Reserve(ctx, s)
}

func TestSuite(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, _ := open(t, server)
	b, _ := open(t, server)
	t.Run("one relay", func(t *testing.T) {
		t.Parallel()
		limittest.Run(t, "one", func(*testing.T) outbound.Limiter { return a })
	})
	t.Run("two relays in turn", func(t *testing.T) {
		t.Parallel()
		limittest.Run(t, "two", func(*testing.T) outbound.Limiter {
			return &turns{limiters: []*redislimit.Limiter{a, b}}
		})
	})
}

func slot(account string, l outbound.Limits) outbound.Slot {
	return outbound.Slot{Account: account, Recipient: "wxid_alice", Limits: l}
}

func reserve(t *testing.T, l outbound.Limiter, s outbound.Slot) outbound.Place {
	t.Helper()
	p, err := l.Reserve(t.Context(), s)
	if err != nil {
		t.Fatalf("reserve: %v", err)
	}
	return p
}

func wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// TestRelaysShareOneRate: twice as many callers do not go twice as fast. The time is measured, so that a machine that is
// busy can only be slower.
func TestRelaysShareOneRate(t *testing.T) {
	t.Parallel()
	const (
		relays, callers, each = 2, 8, 5
		every                 = 10 * time.Millisecond
		burst                 = 10
	)
	server := redistest.Start(t)
	s := slot("wechat", outbound.Limits{Account: outbound.Rate{N: 1, Per: every, Burst: burst}})
	var wg sync.WaitGroup
	var last atomic.Int64
	began := time.Now()
	for range relays {
		l, _ := open(t, server)
		for range callers {
			wg.Go(func() {
				for range each {
					p, err := l.Reserve(t.Context(), s)
					if err != nil {
						t.Errorf("reserve: %v", err)
						return
					}
					wait(p.Delay)
					storeMax(&last, time.Since(began))
				}
			})
		}
	}
	wg.Wait()
	const want = (relays*callers*each - burst) * every
	if got := time.Duration(last.Load()); got < want-time.Millisecond || got > 10*want {
		t.Errorf("%d sends took %v, want %v or a little more", relays*callers*each, got, want)
	}
}

func storeMax(a *atomic.Int64, d time.Duration) {
	for {
		was := a.Load()
		if int64(d) <= was || a.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}

// TestTokensComeBackWithTime: what a bucket holds after a while is what the time was good for, up to the burst.
func TestTokensComeBackWithTime(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l, _ := open(t, server)
	const every, burst = 20 * time.Millisecond, 3
	s := slot("wechat", outbound.Limits{Recipient: outbound.Rate{N: 1, Per: every, Burst: burst}})
	began := time.Now()
	for i := range 30 {
		if i%6 == 5 {
			wait(7 * every)
		}
		p := reserve(t, l, s)
		// Of n sends the first burst go at once, and no pause makes up for more than that.
		earliest := time.Duration(i+1-burst) * every
		if at := time.Since(began) + p.Delay; at < earliest {
			t.Errorf("send %d: goes after %v, want not before %v", i, at, earliest)
		}
	}
	wait((burst + 40) * every)
	for i := range burst {
		if p := reserve(t, l, s); p.Delay != 0 {
			t.Errorf("send %d after a long pause: delay %v, want none", i, p.Delay)
		}
	}
}

// TestRedisEmptied: nobody knows anything of the past, and everything goes on.
func TestRedisEmptied(t *testing.T) {
	t.Parallel()
	l, conn := open(t, redistest.Start(t))
	s := slot("wechat", outbound.Limits{Account: outbound.Rate{N: 1, Per: time.Minute}})
	reserve(t, l, s)
	p := reserve(t, l, s)
	for _, do := range []func(context.Context) error{
		func(ctx context.Context) error { return conn.Client().FlushAll(ctx).Err() },
		func(ctx context.Context) error { return conn.Client().ScriptFlush(ctx).Err() },
	} {
		if err := do(t.Context()); err != nil {
			t.Fatalf("empty Redis: %v", err)
		}
	}
	p.Cancel()
	if p := reserve(t, l, s); p.Delay != 0 {
		t.Errorf("first send afterwards: delay %v, want none", p.Delay)
	}
	if p := reserve(t, l, s); p.Delay < 30*time.Second {
		t.Errorf("second send afterwards: delay %v, want about a minute", p.Delay)
	}
}

// TestTheClockOfRedisWentBack: a debt that nobody can have made is forgotten, whichever method meets it first.
func TestTheClockOfRedisWentBack(t *testing.T) {
	t.Parallel()
	l, conn := open(t, redistest.Start(t))
	for name, ask := range map[string]func(outbound.Slot) (time.Duration, error){
		"delay": func(s outbound.Slot) (time.Duration, error) { return l.Delay(t.Context(), s) },
		"reserve": func(s outbound.Slot) (time.Duration, error) {
			p, err := l.Reserve(t.Context(), s)
			return p.Delay, err
		},
	} {
		s := slot(name, outbound.Limits{Account: outbound.Rate{N: 1, Per: time.Second}})
		reserve(t, l, s)
		keys, err := conn.Client().Keys(t.Context(), "*:"+name).Result()
		if err != nil || len(keys) != 1 {
			t.Fatalf("keys: got %v, %v; want one", keys, err)
		}
		if err := conn.Client().IncrByFloat(t.Context(), keys[0], 3600).Err(); err != nil {
			t.Fatalf("put the debt off: %v", err)
		}
		if d, err := ask(s); err != nil || d > time.Second {
			t.Errorf("%s with a debt of an hour: got %v, %v; want no more than a second", name, d, err)
		}
	}
}

// TestKeysGoByThemselves: a recipient of long ago leaves nothing behind.
func TestKeysGoByThemselves(t *testing.T) {
	t.Parallel()
	l, conn := open(t, redistest.Start(t))
	for i := range 20 {
		s := slot("wechat", outbound.Limits{Recipient: outbound.Rate{N: 1, Per: time.Second}})
		s.Recipient = fmt.Sprint("wxid_", i)
		reserve(t, l, s)
	}
	keys, err := conn.Client().Keys(t.Context(), "*wxid_*").Result()
	if err != nil || len(keys) != 20 {
		t.Fatalf("keys: got %v, %v; want 20", keys, err)
	}
	for _, k := range keys {
		if ttl, err := conn.Client().PTTL(t.Context(), k).Result(); err != nil || ttl <= 0 || ttl > 2*time.Second {
			t.Errorf("time to live of %s: got %v, %v; want up to 2s", k, ttl, err)
		}
	}
}

// TestWhoLeavesWaitsForNobody, and his leaving is no outage for the others.
func TestWhoLeavesWaitsForNobody(t *testing.T) {
	t.Parallel()
	l, _ := open(t, redistest.Start(t))
	ctx, leave := context.WithCancel(t.Context())
	leave()
	s := slot("wechat", outbound.Limits{Account: outbound.Rate{N: 1, Per: time.Minute}})
	if _, err := l.Delay(ctx, s); !errors.Is(err, context.Canceled) || errors.Is(err, redisconn.ErrUnavailable) {
		t.Errorf("delay: got %v, want %v", err, context.Canceled)
	}
	if _, err := l.Reserve(ctx, s); err != nil {
		t.Errorf("reserve: %v", err)
	}
	if d, err := l.Delay(t.Context(), s); err != nil || d < 30*time.Second {
		t.Errorf("delay of another: got %v, %v; want about a minute", d, err)
	}
}
