// Package redislimit keeps the pace of sends of all relays on one Redis: a bucket for each account and each recipient,
// filled and emptied by redis_rate by the one clock of Redis. It holds nobody up and refuses nothing: it says how long to
// wait. Places are taken ahead of their time, so that relays stand in one line and none of them has to ask twice. It knows
// how many sends wait without a place in this relay only.
//
// A bucket belongs to one rate: when the limits change, or Redis was emptied, the first ones may go at once again. While
// Redis is away there are errors, and no guesses.
package redislimit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"go.uber.org/zap"

	"github.com/imrelay/imrelay/outbound"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

const (
	// bound is how long Redis may take for one question. Callers are to hear of an outage within a second.
	bound = 700 * time.Millisecond
	// quick is what costs nobody anything. Who has failed as fast as that asks once more, for it may have been a connection
	// that had died unnoticed.
	quick = 50 * time.Millisecond
	// pause is how long nobody asks again after one has failed slowly: those who stand in line behind him must not find out
	// one by one.
	pause = 200 * time.Millisecond
)

// Options say how the limiter runs.
type Options struct {
	// Log gets a line when a bucket had to be thrown away.
	Log *zap.Logger
}

// Limiter is an [outbound.Limiter]. All methods are safe for concurrent use.
type Limiter struct {
	rates *redis_rate.Limiter
	log   *zap.Logger

	mu sync.Mutex
	// away is the outage that was found out last, and until when it is believed.
	away  error
	until time.Time
}

var _ outbound.Limiter = (*Limiter)(nil)

// New makes a limiter on the connection, which stays the caller's.
func New(conn *redisconn.Conn, o Options) *Limiter {
	return &Limiter{rates: redis_rate.NewLimiter(conn.Client()), log: o.Log}
}

// Delay implements [outbound.Limiter]. Its error wraps [redisconn.ErrUnavailable], or is of the context.
func (l *Limiter) Delay(ctx context.Context, s outbound.Slot) (longest time.Duration, err error) {
	asked := buckets(s)
	if len(asked) == 0 {
		return 0, nil
	}
	err = l.try(ctx, func(ctx context.Context) error {
		longest = 0
		for _, b := range asked {
			debt, err := l.ask(ctx, b, nothing)
			if err != nil {
				return err
			}
			longest = max(longest, b.delay(debt, b.ahead+1))
		}
		return nil
	})
	return longest, err
}

// Reserve implements [outbound.Limiter]. Its error wraps [redisconn.ErrUnavailable]. It goes on when the caller leaves
// meanwhile, so that a place is known to whoever has to give it back.
func (l *Limiter) Reserve(ctx context.Context, s outbound.Slot) (outbound.Place, error) {
	wanted := buckets(s)
	if len(wanted) == 0 {
		return outbound.Place{Cancel: func() {}}, nil
	}
	var taken []place
	var longest time.Duration
	err := l.try(context.WithoutCancel(ctx), func(ctx context.Context) error {
		taken, longest = nil, 0
		for _, b := range wanted {
			asked := time.Now()
			debt, err := l.ask(ctx, b, anything)
			if err != nil {
				return err
			}
			taken = append(taken, place{b, asked.Add(debt)})
			longest = max(longest, b.delay(debt-b.extra(), 0))
		}
		return nil
	})
	if err != nil {
		return outbound.Place{}, err
	}
	return outbound.Place{Delay: longest, Cancel: func() { l.giveBack(taken) }}, nil
}

// try asks Redis within the bound, unless an outage has just been found out.
func (l *Limiter) try(ctx context.Context, ask func(context.Context) error) error {
	if err := l.outage(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	began := time.Now()
	err := ask(bounded)
	if err != nil && time.Since(began) < quick {
		err = ask(bounded)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	err = fmt.Errorf("%w: %w", redisconn.ErrUnavailable, err)
	if time.Since(began) >= quick {
		l.mu.Lock()
		l.away, l.until = err, time.Now().Add(pause)
		l.mu.Unlock()
	}
	return err
}

func (l *Limiter) outage() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.until) {
		return l.away
	}
	return nil
}
