package seat_test

import (
	"context"
	"testing"

	"github.com/imrelay/imrelay/relay/seat"
)

// A relay that is alone works again whenever work returns, and ends with its context.
func TestAlone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	seat.Alone{}.Sit(ctx, "agent/heron", func(working context.Context) {
		if working.Err() != nil {
			t.Error("work began with a context that had ended")
		}
		if calls++; calls == 3 {
			cancel()
			<-working.Done()
		}
	})
	if calls != 3 {
		t.Errorf("calls of work: got %d, want 3", calls)
	}
	seat.Alone{}.Sit(ctx, "agent/heron", func(context.Context) { t.Error("work was called after the end") })
}
