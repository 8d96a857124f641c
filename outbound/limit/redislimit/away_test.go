//go:build unix

package redislimit_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay/store/redisconn"
	"github.com/imrelay/imrelay/relay/store/redisconn/redistest"
)

// answerWithin is what callers are promised.
const answerWithin = time.Second

// outages are the ways in which Redis is away, and how it comes back.
var outages = []struct {
	name     string
	away, on func(*redistest.Server)
}{
	{"killed", (*redistest.Server).Kill, (*redistest.Server).Restart},
	{"frozen", (*redistest.Server).Freeze, (*redistest.Server).Thaw},
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			l, _ := open(t, server)
			s := slot("wechat", outbound.Limits{
				Account: outbound.Rate{N: 1, Per: 2 * time.Minute}, Recipient: outbound.Rate{N: 1, Per: time.Minute},
			})
			p := reserve(t, l, s)
			ahead := reserve(t, l, s)
			o.away(server)
			for i, ask := range []func() error{
				func() error { _, err := l.Reserve(t.Context(), s); return err },
				func() error { _, err := l.Delay(t.Context(), s); return err },
				func() error { p.Cancel(); return redisconn.ErrUnavailable },
			} {
				began := time.Now()
				err := ask()
				if took := time.Since(began); !errors.Is(err, redisconn.ErrUnavailable) || took > answerWithin {
					t.Errorf("question %d: got %v after %v, want %v within %v", i, err, took, redisconn.ErrUnavailable, answerWithin)
				}
			}
			if _, err := l.Delay(t.Context(), slot("wechat", outbound.Limits{})); err != nil {
				t.Errorf("without a limit: %v", err)
			}
			o.on(server)
			d := back(t, l, s)
			if d < 3*time.Minute {
				t.Errorf("delay when Redis is back: got %v, want what was before", d)
			}
			ahead.Cancel()
		})
	}
}

// back waits until the limiter answers again.
func back(t *testing.T, l outbound.Limiter, s outbound.Slot) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		d, err := l.Delay(t.Context(), s)
		if err == nil {
			return d
		}
		if time.Since(began) > answerWithin {
			t.Fatalf("still away %v after Redis is back: %v", time.Since(began), err)
		}
		wait(5 * time.Millisecond)
	}
}

// TestSendsWhileRedisIsAway: all callers of an account, who stand in one line to the limiter, are answered in time and
// with the truth.
func TestSendsWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			l, _ := open(t, server)
			s := relay(t, l, &fakeIM{}, outbound.Limits{
				Account: outbound.Rate{N: 1000, Per: time.Second}, Recipient: outbound.Rate{N: 100, Per: time.Second},
			})
			send := func(i int) error { return send(t.Context(), s, fmt.Sprint("wxid_", i), "hello") }
			if err := send(0); err != nil {
				t.Fatalf("send: %v", err)
			}
			o.away(server)
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					began := time.Now()
					err := send(i)
					e, ok := errors.AsType[*outbound.Error](err)
					if took := time.Since(began); !ok || e.Code != outbound.CodeStoreUnavailable || took > answerWithin {
						t.Errorf("send %d: got %v after %v, want %v within %v", i, err, took, outbound.CodeStoreUnavailable,
							answerWithin)
					}
				})
			}
			wg.Wait()
			o.on(server)
			back(t, l, slot("wechat", outbound.Limits{Account: outbound.Rate{N: 1, Per: time.Hour}}))
			for i := range 5 {
				if err := send(i); err != nil {
					t.Errorf("send %d when Redis is back: %v", i, err)
				}
			}
		})
	}
}
