package daemon_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imrelay/imrelay/relay/daemon"
)

// One that is slow to end is waited for: by whoever takes its name, however often it was taken away meanwhile, and by the
// stop.
func TestResidentsEndBeforeOthersBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at, most, runs atomic.Int32
		slow := func() *daemon.Work {
			return &daemon.Work{Run: func(ctx context.Context) {
				runs.Add(1)
				most.Store(max(most.Load(), at.Add(1)))
				<-ctx.Done()
				<-time.After(time.Second)
				at.Add(-1)
			}}
		}
		r := daemon.NewResidents()
		first := slow()
		for _, all := range []map[string]*daemon.Work{
			{"a": first}, {"a": first}, {"a": slow()}, {}, {}, {"a": slow()},
		} {
			r.Settle(t.Context(), all)
			synctest.Wait()
		}
		<-time.After(10 * time.Second)
		if at.Load() != 1 || most.Load() != 1 || runs.Load() < 2 {
			t.Errorf("got %d at work, %d at most, %d runs; want one, one at a time, and the last of them", at.Load(), most.Load(), runs.Load())
		}
		r.Settle(t.Context(), nil)
		if err := r.Close(t.Context()); err != nil || at.Load() != 0 {
			t.Errorf("closed with %d at work: %v", at.Load(), err)
		}
	})
}
