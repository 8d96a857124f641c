package redisseat

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/imrelay/imrelay/relay/store/redisconn"
)

// sitting is one time that we sit, from taking the seat to giving it back. Each has a token of its own: what Redis hears
// late of one does nothing to the next.
type sitting struct {
	keeper *Keeper
	name   string
	token  string
	log    *zap.Logger

	mu      sync.Mutex
	wall    time.Time // when the last call was sent that was answered with yes, by one clock
	elapsed time.Duration
	gone    bool // Redis said that it is not ours
}

// sure is for how long after a call the seat is ours beyond doubt. What is left of the lease is for work to return, for
// clocks that do not go alike, and for us to find out late.
func (k *Keeper) sure() time.Duration { return k.o.Lease * 7 / 10 }

// ask runs a script that gives the token the seat for a lease, and says whether it did. Since when it is ours is kept in
// mind.
func (s *sitting) ask(ctx context.Context, script *redisconn.Script) bool {
	wall, elapsed := s.keeper.o.Clock()
	reply, err := s.do(ctx, script, s.keeper.o.Lease.Milliseconds())
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone = reply != int64(1); s.gone {
		return false
	}
	s.wall, s.elapsed = wall, elapsed
	return true
}

func (s *sitting) do(ctx context.Context, script *redisconn.Script, more ...any) (any, error) {
	k := s.keeper
	return k.conn.Do(ctx, redisconn.Call{
		Script: script, Shard: k.conn.Place("seat", s.name), Args: append([]any{s.name, s.token}, more...), Sync: true,
	})
}

// left is for how long the seat is ours beyond doubt, by the clock that says less; 0: it is not.
func (s *sitting) left() time.Duration {
	wall, elapsed := s.keeper.o.Clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return 0
	}
	return max(0, s.keeper.sure()-max(wall.Sub(s.wall), elapsed-s.elapsed))
}

// hold lets work be done for as long as the seat is ours, and gives it back.
func (s *sitting) hold(ctx context.Context, work func(ctx context.Context)) {
	working, end := context.WithCancel(ctx)
	defer end()
	keeping, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	var keeper sync.WaitGroup
	keeper.Go(func() { s.keep(keeping, end) })
	for working.Err() == nil && s.left() > 0 {
		work(working)
	}
	leave()
	keeper.Wait()
	s.release(ctx)
	if ctx.Err() != nil {
		s.log.Info("seat given back", zap.String("event", "seat.left"))
	}
}

// keep renews the seat until ctx ends, and calls lost when it is not sure any more that it is ours. It goes on then, as
// long as Redis does not say no: work may need a while to return.
func (s *sitting) keep(ctx context.Context, lost func()) {
	lease := s.keeper.o.Lease
	guard := time.NewTicker(lease / 40)
	defer guard.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	answered := make(chan bool, 1)
	next, told := time.Now().Add(lease*3/10), false
	for asking := false; ; {
		if !asking && !time.Now().Before(next) {
			asking = true
			calls.Go(func() { answered <- s.ask(ctx, renewScript) })
		}
		select {
		case <-ctx.Done():
			return
		case done := <-answered:
			asking, next = false, time.Now().Add(lease*3/10)
			if !done {
				next = time.Now().Add(lease / 20)
			}
		case <-guard.C:
		}
		if s.left() > 0 {
			continue
		}
		lost()
		if !told {
			told = true
			s.log.Warn("seat lost", zap.String("event", "seat.lost"))
		}
		if s.taken() {
			return
		}
	}
}

// taken says whether Redis said that the seat is not ours.
func (s *sitting) taken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// release gives the seat back, so that another need not wait for the end of the lease. Where that cannot be done it waits.
func (s *sitting) release(ctx context.Context) {
	_, _ = s.do(context.WithoutCancel(ctx), releaseScript)
}
