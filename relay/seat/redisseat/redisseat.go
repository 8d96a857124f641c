// Package redisseat gives the seats of relays that share a Redis. The connection belongs to whoever opened it.
//
// # Who sits
//
// A seat is a key with the token of who sits, which ends by itself when its lease is over. A relay that sits renews it; one
// that waits looks whether it is free. All times begin when a call was sent, by our clocks:
//
//	0 s    3 s      6 s   7 s             10 s
//	├──────┴────────┴─────┤────────────────┤
//	sat down or renewed   │                │
//	renews ─┘  again ─┘   └ work's context └ Redis frees the seat:
//	                        ends             another may sit within 1 s
//
// A renewal that fails is repeated. One that Redis answers with no, for the seat is another's or nobody's, ends work's
// context at once. So does time that has gone by unnoticed: a process that was stopped, or a machine that was asleep, finds
// that by the monotonic or by the wall clock it is too late, as soon as it runs again. What it had begun to do it may still
// do in that moment; nobody can keep it from that.
//
// While work comes to its end the seat is renewed too, so that nobody sits down beside it.
//
// # What it does not do
//
// It is as good as the memory of Redis. A failover to a replica that had not heard of the seat, a Redis that lost its data or
// whose clock was set forward frees it early, and until the next renewal two may sit: for 3 s. ?wait_replicas= makes the
// first of them unlikely.
package redisseat

import (
	"context"
	"crypto/rand"
	_ "embed" // the scripts
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/seat"
	"github.com/imrelay/imrelay/relay/store/redisconn"
)

var (
	//go:embed lua/take.lua
	takeSource string
	//go:embed lua/renew.lua
	renewSource string
	//go:embed lua/release.lua
	releaseSource string

	takeScript    = redisconn.NewRelief("seat.take", takeSource)
	renewScript   = redisconn.NewRelief("seat.renew", renewSource)
	releaseScript = redisconn.NewRelief("seat.release", releaseSource)
)

const (
	// defaultLease is how long Redis keeps a seat for a relay that it does not hear of.
	defaultLease = 10 * time.Second
	// lookEvery is how often a relay that waits looks whether the seat is free.
	lookEvery = time.Second
)

// Clock reads the system's two clocks at once: what a wall clock shows, and how long some fixed moment ago is.
type Clock func() (wall time.Time, elapsed time.Duration)

// systemClock is the Clock for everything but tests.
func systemClock() Clock {
	start := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(start)
	}
}

// Options say how seats are kept.
type Options struct {
	// Lease is how long Redis keeps a seat for a relay that it does not hear of; 0: 10 s. All relays need the same.
	Lease time.Duration
	// Clock is read for the time; nil: the system's. For tests.
	Clock Clock
	// Log gets a line when a seat is taken, lost and given back; nil: none.
	Log *zap.Logger
}

// Keeper is a [seat.Keeper] on Redis. All methods are safe for concurrent use.
type Keeper struct {
	conn *redisconn.Conn
	o    Options
}

var _ seat.Keeper = (*Keeper)(nil)

// New makes a keeper on the connection, which stays the caller's and has to stay open until every Sit has returned.
func New(conn *redisconn.Conn, o Options) *Keeper {
	if o.Lease <= 0 {
		o.Lease = defaultLease
	}
	if o.Clock == nil {
		o.Clock = systemClock()
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Keeper{conn: conn, o: o}
}

// Sit implements [seat.Keeper].
func (k *Keeper) Sit(ctx context.Context, name string, work func(ctx context.Context)) {
	for {
		s := k.sitDown(ctx, name)
		if s == nil {
			return
		}
		s.log.Info("seat taken", zap.String("event", "seat.taken"))
		s.hold(ctx, work)
	}
}

// sitDown waits until the seat is ours; nil: ctx has ended. A call that failed may have been done, and then the next one
// with the same token finds it done. Whoever leaves hears the answer first: nobody else could sit for a lease if it was yes.
func (k *Keeper) sitDown(ctx context.Context, name string) *sitting {
	s := &sitting{keeper: k, name: name, token: rand.Text(), log: k.o.Log.With(zap.String("seat", name))}
	look := time.NewTicker(min(lookEvery, k.o.Lease/10))
	defer look.Stop()
	for ctx.Err() == nil {
		if s.ask(context.WithoutCancel(ctx), takeScript) {
			return s
		}
		select {
		case <-ctx.Done():
		case <-look.C:
		}
	}
	return nil
}
